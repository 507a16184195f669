"""Messages that the broker refused: tried again later, set aside in the end, never in the way.

Only seqs are kept. What is set aside is declared by a `lost` and is no longer in the queue
(`delivery.py`); a `lost` itself stays there and is not sent again before a restart. The memory is
bounded: beyond `REMEMBERED` a refused row is simply left where it is, until the next connection
reads the outbox from its start.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

from edge_agent.policy.backoff import Backoff

REMEMBERED = 1000


@dataclass(slots=True)
class _Case:
    wait: Backoff
    tries: int = 0


class Refusals:
    """What is known of each refused seq. Used from the publisher's thread alone."""

    def __init__(self, wait: Backoff, tries: int) -> None:
        self._wait = wait
        self._tries = tries
        self._cases: dict[int, _Case] = {}
        self._due: list[tuple[float, int]] = []  # a heap of those that are tried again
        self.set_aside = 0  # how many are not tried any more

    def __contains__(self, seq: int | None) -> bool:
        return seq in self._cases

    def refused(self, seq: int, now: float, random: float, *, counts: bool = True) -> bool:
        """Once more; whether it was once too often. `random` in 0..1 spreads the retries.

        `counts` False: the broker takes nothing at all now, so it says nothing of this message.
        """
        case = self._case(seq)
        if case is None:
            return False
        case.tries += counts
        if case.tries >= self._tries:
            return True
        heapq.heappush(self._due, (now + case.wait.delay(random), seq))
        case.wait = case.wait.failed()
        return False

    def put_aside(self, seq: int, *, is_declared: bool) -> None:
        """It is not tried any more. One that is declared has left the queue."""
        self.set_aside += 1
        if is_declared:
            self.accepted(seq)
        else:
            self._case(seq)

    def accepted(self, seq: int) -> None:
        """The broker took it, or the row is gone."""
        self._cases.pop(seq, None)

    def take_due(self, now: float) -> int | None:
        """A seq whose time has come to be tried again."""
        if self._due and self._due[0][0] <= now:
            return heapq.heappop(self._due)[1]
        return None

    def _case(self, seq: int) -> _Case | None:
        if seq not in self._cases and len(self._cases) >= REMEMBERED:
            return None
        return self._cases.setdefault(seq, _Case(self._wait))
