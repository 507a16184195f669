"""Messages that the broker refused: tried again later, set aside in the end, never in the way.

Only seqs are kept, the rows stay in the outbox. What is set aside is not sent again before the
agent is restarted. The memory is bounded: beyond `REMEMBERED` a refused row is simply left where
it is, until the next connection reads the outbox from its start.
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

    def refused(self, seq: int, now: float, random: float) -> None:
        """Once more. `random` in 0..1 spreads the retries."""
        case = self._case(seq)
        if case is None:
            return
        case.tries += 1
        if case.tries >= self._tries:
            self.set_aside += 1
        else:
            heapq.heappush(self._due, (now + case.wait.delay(random), seq))
            case.wait = case.wait.failed()

    def put_aside(self, seq: int) -> None:
        """Trying again would be in vain (it is larger than the broker allows)."""
        if self._case(seq) is not None:
            self.set_aside += 1

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
