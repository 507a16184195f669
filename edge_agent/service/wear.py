"""What this agent writes to the disk, in megabytes a day, kept from start to start.

The process's own count of the kernel is read as often as the ledger is written; the account goes
into the store once an hour and on a stop, so that counting hardly writes. Read `policy/wear.py`
next.
"""

from __future__ import annotations

from collections.abc import Callable

from edge_agent.host.process import written_mb
from edge_agent.policy.wear import HOUR_S, from_text, to_text
from edge_agent.store.record import Store


class WearAccount:
    """Only housekeeping counts; anyone may read the figure."""

    def __init__(self, store: Store, now: float, written: Callable[[], float] = written_mb) -> None:
        """What was written up to `now` is the price of this start, and what is until the first
        count: the reserve of a new store is 4 MB, and no other minute writes them."""
        self._store = store
        self._written = written
        self._counted, self._time, self._kept = written(), now, now
        self._wear = from_text(store.wear()).started(now, self._counted)
        self._is_starting = True

    @property
    def mb_per_day(self) -> float | None:
        figure = self._wear.mb_per_day()
        return None if figure is None else round(figure, 2)

    def count(self, now: float) -> None:
        """What was written since the last call."""
        written = self._written()
        more = written - self._counted
        if self._is_starting:
            self._wear = self._wear.started(now, more)
        else:
            self._wear = self._wear.ran(now, now - self._time, more)
        self._is_starting = False
        self._counted, self._time = written, now

    def keep(self, now: float, *, at_once: bool = False) -> None:
        """Into the store, when an hour has passed or a stop comes. Raises EdgeError."""
        if at_once or now - self._kept >= HOUR_S:
            self._store.keep_wear(to_text(self._wear))
            self._kept = now
