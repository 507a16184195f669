"""The thread that keeps the store within its limits, and that empties a full disk.

Rules: a disk that refuses is told once per change, and tried again; nothing of it ends the agent.
Read `store/retention.py` next.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from edge_agent.config.schema import Store as StoreConfig
from edge_agent.errors import EdgeError, NoRoom
from edge_agent.service.surroundings import Surroundings
from edge_agent.store.record import Store
from edge_agent.store.retention import MB, Limits, Retention

log = logging.getLogger("edge_agent.keeper")

LOOK_S = 1.0
#: Between two batches, so that writers come in.
BREATH_S = 0.02
#: A disk that refuses is tried again so often.
PATIENCE_S = 5.0
DAY_S = 86400.0


class Keeper:
    """`config` gives the limits that hold now; a reload changes them."""

    def __init__(
        self, store: Store, surroundings: Surroundings, config: Callable[[], StoreConfig]
    ) -> None:
        self._store = store
        self._surroundings = surroundings
        self._config = config
        self._retention = Retention(store.database, store.outbox, store.identity)
        self._refusal = ""

    def run(self, stop: threading.Event) -> None:
        pause = 0.0
        while not stop.wait(pause):
            pause = self._look()

    def _look(self) -> float:
        """Seconds until the next one."""
        now = self._surroundings.now()
        try:
            if self._refusal or self._store.database.refusal is not None:
                self._make_room(now)
            self._retention.keep_reserve()
            more = self._retention.look(
                limits(self._config()), now, self._surroundings.clock_word == "synced"
            )
        except EdgeError as refusal:
            self._is_refused(refusal)
            return PATIENCE_S
        self._has_recovered()
        return BREATH_S if more else LOOK_S

    def _make_room(self, now: float) -> None:
        """Raises NoRoom or EdgeError while there is none."""
        if not self._retention.make_room(now):
            raise NoRoom(
                f"no space is left on the disk of {self._store.database.path}, and nothing more"
                " can be given up",
                "free some space; see: df -h",
            )

    def _is_refused(self, refusal: EdgeError) -> None:
        if self._refusal != refusal.message:  # once per change
            self._refusal = refusal.message
            log.error("the disk takes no writes reason=%r next=%r", refusal.message, refusal.next)

    def _has_recovered(self) -> None:
        if self._refusal:
            log.info("the disk takes writes again")
        self._refusal = ""


def limits(config: StoreConfig) -> Limits:
    return Limits(
        quota=int(config.quota_mb * MB),
        keep_s=config.keep_days * DAY_S,
        evidence_keep_s=config.evidence_keep_days * DAY_S,
        floor=int(config.free_floor_mb * MB),
    )
