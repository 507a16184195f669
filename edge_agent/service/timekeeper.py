"""Hears of a time server while the agent runs, and has every time that is told put right.

Rules: the store has a correction before anything is told by it, so that no message says `synced`
that a crash would leave uncorrected; where the disk takes nothing, times stay `unsynced` and
schedules open until it does. Read `policy/correction.py` for what is believed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from edge_agent.errors import EdgeError
from edge_agent.host.clock import Clock, kernel_boot
from edge_agent.service.moments import duration
from edge_agent.store.clocks import Reading
from edge_agent.store.record import Store

log = logging.getLogger("edge_agent.clock")


class Timekeeper:
    """Housekeeping asks it once a second. `committed` is told that messages changed."""

    def __init__(self, store: Store, clock: Clock, committed: Callable[[], None]) -> None:
        self._store = store
        self._clock = clock
        self._committed = committed
        self._refusal = ""

    def look(self) -> None:
        """Listen, and keep what is new."""
        before, heard = self._clock.correction, self._clock.listen()
        if heard == before:
            return
        try:
            self._store.correct(heard)
        except EdgeError as refusal:
            if self._refusal != refusal.message:  # once per change
                self._refusal = refusal.message
                log.error("the clock is not put right yet reason=%r", refusal.message)
            return
        self._refusal = ""
        self._clock.correction = heard
        moved = heard.offset - before.offset
        way = "behind" if moved > 0 else "ahead"
        log.info("clock synced, it was %s %s", duration(abs(moved)), way)
        self._committed()


def start_clock(store: Store, clock: Clock, kernel: Callable[[], str] = kernel_boot) -> None:
    """At the start of the service: what its times are to be compared with later."""
    store.start_clock(Reading(kernel(), clock.base, clock.now()))
    store.correct(clock.correction)
