"""In which order the outbox leaves: alerts first, then what is live, then the backlog by age.

Rules: the lanes of one connection. What was there when it began is backlog, what comes later is
live; urgent rows (alerts, `lost`) have a lane of their own in each. Urgent rows go in the order of
seq; only where their backlog takes longer than `OVERTAKE_S` do live ones overtake it. The backlog
of all others keeps to `rate_msgs`, so that a device that comes back leaves the network to the
living. Of every lane at most one batch is in memory, however long it is. Read `delivery.py` next.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Set
from typing import TypeAlias

from edge_agent.policy.allowance import Allowance
from edge_agent.types import Message
from edge_agent.uplink.outbox import Outbox, Pace

#: Which rows are left where they are.
Skip: TypeAlias = Callable[[int | None], bool]

#: So long alerts are brought in their order; then those that happen now need not wait for it.
OVERTAKE_S = 0.5


class _Lane:
    """Rows of one urgency with seq > `after`; a backlog ends at `until`, a live lane never."""

    def __init__(
        self, outbox: Outbox, batch: int, urgent: bool, under_way: Set[int | None]
    ) -> None:
        self._outbox = outbox
        self._under_way = under_way  # sent before these lanes began, and not yet acknowledged
        self._batch = batch
        self._urgent = urgent
        self.queue: deque[Message] = deque()
        self.after = 0
        self.until: int | None = None
        self.may_have_more = True

    @property
    def is_empty(self) -> bool:
        return not (self.queue or self.may_have_more)

    def read(self, skip: Skip) -> bool:
        """Whether a row is at hand."""
        while not self.queue and self.may_have_more:
            rows = self._outbox.pending(self._batch, self.after, self._urgent)
            self.may_have_more = len(rows) == self._batch
            self.after = (rows[-1].seq or self.after) if rows else self.after
            for row in rows:
                if self.until is not None and (row.seq or 0) > self.until:
                    self.may_have_more = False
                elif not skip(row.seq) and row.seq not in self._under_way:
                    self.queue.append(row)
        return bool(self.queue)

    def forget(self) -> None:
        """What is at hand is read anew when it is its turn."""
        if self.queue:
            self.after = (self.queue[0].seq or 1) - 1
            self.queue.clear()
            self.may_have_more = True


class Lanes:
    """What one connection takes from the outbox. Used from the publisher's thread alone."""

    def __init__(self, outbox: Outbox, pace: Pace, skip: Skip) -> None:
        self._outbox = outbox
        self._batch = pace.batch
        self._skip = skip
        self._poll_s = pace.poll_s
        self._looked_at = 0.0
        self._allowance = Allowance(pace.rate_msgs)
        self._is_sparing = False
        self._begin(frozenset())

    def _begin(self, under_way: Set[int | None]) -> None:
        self._began: float | None = None
        began = self._outbox.depth().last_seq
        self._urgent, self._urgent_live, self._live, self._backlog = (
            _Lane(self._outbox, self._batch, urgent, under_way)
            for urgent in (True, True, False, False)
        )
        self._urgent_live.after = self._live.after = began
        self._urgent.until = self._backlog.until = began

    def rewind(self, under_way: Set[int | None]) -> None:
        """Rows that were sent wait once more: all is read anew, but for what is `under_way`."""
        self._begin(under_way)

    def spare(self, sparing: bool) -> None:
        """The day's budget is spent, or opens again: meanwhile only urgent rows leave, and what was
        read of the others is forgotten, because they are folded where they are."""
        if sparing and not self._is_sparing:
            self._live.forget()
            self._backlog.forget()
        self._is_sparing = sparing

    def grew(self) -> None:
        """There may be new rows."""
        self._urgent_live.may_have_more = self._live.may_have_more = True

    def next(self, now: float) -> Message | None:
        """The row that is to leave now; None: there is none, or the backlog has to wait."""
        if now - self._looked_at >= self._poll_s:
            self._looked_at = now
            self.grew()
        if self._began is None:
            self._began = now
        for lane in self._in_order(now - self._began > OVERTAKE_S):
            if lane.read(self._skip):
                return lane.queue.popleft()
        if self._is_sparing:
            return None
        if self._backlog.read(self._skip) and self._allowance.take(now):
            return self._backlog.queue.popleft()
        return None

    def look(self) -> bool:
        """Read what there is, sending nothing; whether anything is left to be sent."""
        self.grew()
        found = [lane.read(self._skip) for lane in self._every()]
        return any(found)

    @property
    def is_empty(self) -> bool:
        return all(lane.is_empty for lane in self._every())

    def _every(self) -> tuple[_Lane, ...]:
        """All that may leave now."""
        return self._in_order() if self._is_sparing else (*self._in_order(), self._backlog)

    def _in_order(self, is_late: bool = False) -> tuple[_Lane, ...]:
        urgent = (self._urgent, self._urgent_live)
        if is_late:
            urgent = (self._urgent_live, self._urgent)
        return urgent if self._is_sparing else (*urgent, self._live)
