"""Tells the steps of models and policies: to the store's audit, and with that to the fleet.

Rule: telling never decides. A step that the disk does not take waits, bounded and in order, and is
offered again; what was done stays done. Read `charge.py` next: who has steps to tell.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

from edge_agent.errors import EdgeError
from edge_agent.policy.ota import Step, Verdict
from edge_agent.store.record import Store, open_store

log = logging.getLogger("edge_agent.ota")

#: Whoever does something with a model calls this with each step.
Tell: TypeAlias = Callable[[Step], None]
#: Steps that wait for the disk at most; beyond it the oldest is given up, and the log has it.
MOST_WAITING = 200


class Story:
    """Of the running agent. Any thread may tell."""

    def __init__(
        self, store: Store, now: Callable[[], float], committed: Callable[[], None]
    ) -> None:
        """`now` is the agent's own time; `committed` is told that a report waits to be sent."""
        self._store = store
        self._now = now
        self._committed = committed
        self._lock = threading.Lock()
        self._waiting: deque[tuple[Step, float]] = deque(maxlen=MOST_WAITING)
        self._refusal = ""

    def tell(self, step: Step) -> None:
        """Keep and report a step, or let it wait."""
        _log(step)
        with self._lock:
            self._waiting.append((step, self._now()))
        self.catch_up()

    def catch_up(self) -> None:
        """Offer what waits again, in order."""
        with self._lock:
            while self._waiting:
                try:
                    self._store.audit(*self._waiting[0])
                except EdgeError as refusal:
                    if self._refusal != refusal.message:  # once per change
                        self._refusal = refusal.message
                        log.error("steps wait for the disk reason=%r", refusal.message)
                    return
                self._waiting.popleft()
                self._refusal = ""
                self._committed()


@contextmanager
def told_from_outside(state: Path) -> Iterator[Tell]:
    """For a command while the agent is down: into the store, or, where that takes nothing, the log.
    What was to be done is done all the same."""
    steps: list[tuple[Step, float]] = []
    try:
        yield lambda step: steps.append((step, time.time()))
    finally:
        try:
            if steps:
                with open_store(state) as store:
                    for step, when in steps:
                        store.audit_from_outside(step, when)
        except EdgeError as refusal:
            for step, _ in steps:
                _log(step)
            log.error("not kept in the audit reason=%r", refusal.message)


def _log(step: Step) -> None:
    level = logging.ERROR if step.verdict is Verdict.FAILED else logging.INFO
    log.log(
        level,
        "%s %s=%s version=%s verdict=%s who=%s reason=%r",
        step.step,
        step.kind,
        step.name,
        step.target.version,
        step.verdict.value,
        step.who,
        step.reason,
    )
