"""The thread that keeps the store within its limits, and that empties a full disk.

Rules: a disk that refuses is told once per change, and tried again; nothing of it ends the agent.
Read `store/retention.py` next.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from edge_agent.config.schema import Store as StoreConfig
from edge_agent.errors import Damaged, EdgeError, NoRoom
from edge_agent.policy.vigil import Beat
from edge_agent.service.opening import is_back
from edge_agent.service.watch import House
from edge_agent.store.record import Trouble
from edge_agent.store.renew import hold_log
from edge_agent.store.retention import MB, Limits, Retention
from edge_agent.store.salvage import mark

log = logging.getLogger("edge_agent.keeper")

LOOK_S = 1.0
#: One batch, or the emptying of a full disk on a slow card. One that takes longer hangs, with the
#: store in its hands: nobody may take over.
KEEPING, KEEPS_S = "keeping the store within its limits", 30.0
#: Between two batches, so that writers come in.
BREATH_S = 0.02
#: A disk that refuses is tried again so often.
PATIENCE_S = 5.0
DAY_S = 86400.0
#: With the budget spent what waits is folded so often.
SPARE_S = 10.0
#: The quota of a store in memory.
MEMORY_BYTES = 8 * MB
#: So often a disk is asked again behind a store in memory, and so long its queue is waited for.
ASK_S = 30.0
HOLD_S = 600.0


class Keeper:
    """`config` gives the limits that hold now; a reload changes them."""

    def __init__(self, house: House, state: Path, config: Callable[[], StoreConfig]) -> None:
        """`state`: the directory that the store should lie in."""
        self._store = store = house.store
        self._surroundings = house.surroundings
        self._hopeless = house.hopeless
        self._spending, self._committed = house.spending, house.committed
        self._spared = -SPARE_S
        self._state = state
        self._lasting = store.troubles
        self._stands_in = store.database.path.parent != state
        self._began = self._asked = house.surroundings.now()
        self._config = config
        self._retention = Retention(store.database, store.outbox, store.identity)
        self._refusal = ""
        self.beat = Beat("keeper")

    def run(self, stop: threading.Event) -> None:
        pause = 0.0
        while not stop.wait(pause):
            self.beat.begin(KEEPING, KEEPS_S)
            pause = self._look()
            self.beat.begin("waiting for the next look", pause + KEEPS_S)

    def _look(self) -> float:
        """Seconds until the next one."""
        now = self._surroundings.now()
        if self._stands_in:
            self._return(now)
        try:
            if self._refusal or self._store.database.refusal is not None:
                self._make_room(now)
            if not self._stands_in:
                self._retention.keep_reserve()
                hold_log(self._store.database)
            self._spare(now)
            more = self._retention.look(self._limits(), now)
        except Damaged as damage:
            mark(self._state)
            self._hopeless(f"the database: {damage.message}")
            return PATIENCE_S
        except EdgeError as refusal:
            self._is_refused(refusal)
            return PATIENCE_S
        self._has_recovered()
        return BREATH_S if more else LOOK_S

    def _limits(self) -> Limits:
        found = limits(self._config())
        return replace(found, quota=min(found.quota, MEMORY_BYTES)) if self._stands_in else found

    def _return(self, now: float) -> None:
        """The store lies in memory: start anew on the disk when that is possible."""
        if now - self._asked < ASK_S:
            return
        self._asked = now
        waits = self._store.outbox.depth().depth and now - self._began < HOLD_S
        if not waits and is_back(self._state):
            self._hopeless("the store in memory: the disk takes writes again")

    def _spare(self, now: float) -> None:
        """The day's budget of MQTT is spent: what waits is folded, every so often."""
        if self._spending is None or now - self._spared < SPARE_S:
            return
        self._spared = now
        with self._spending.held_spent() as doubtful:
            folded = doubtful is not None and self._retention.spare(now, doubtful)
        if folded:
            self._committed()  # the declaration leaves at once

    def _make_room(self, now: float) -> None:
        """Raises NoRoom or EdgeError while there is none, Damaged where that is the trouble."""
        if isinstance(self._store.database.refusal, Damaged):
            raise self._store.database.refusal
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
        # Said for as long as there is no room, also while the reserve is being used up.
        full = Trouble("disk_full", refusal.message, refusal.next)
        self._store.troubles = (*self._lasting, full)

    def _has_recovered(self) -> None:
        if self._refusal:
            log.info("the disk takes writes again")
            self._store.troubles = self._lasting
        self._refusal = ""


def limits(config: StoreConfig) -> Limits:
    return Limits(
        quota=int(config.quota_mb * MB),
        keep_s=config.keep_days * DAY_S,
        evidence_keep_s=config.evidence_keep_days * DAY_S,
        floor=int(config.free_floor_mb * MB),
    )
