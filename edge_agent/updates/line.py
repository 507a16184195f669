"""The way to one repository during one check: opener, budget, limits, patience.

Metadata comes whole and small, into memory, and is begun again after a cut; a target comes as a
stream that its reader may go on with.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from edge_agent.policy.backoff import Backoff
from edge_agent.updates.budget import Budget
from edge_agent.updates.failures import LATER, Unreachable
from edge_agent.updates.limits import Limits, Patience
from edge_agent.updates.opened import Opened, Opener

Result = TypeVar("Result")


@dataclass(slots=True)
class Line:
    """Made for one check and thrown away. `close` it."""

    opener: Opener
    budget: Budget
    limits: Limits = Limits()
    patience: Patience = Patience()
    _began: float = field(default_factory=time.monotonic)

    def metadata(self, url: str, most: int) -> bytes:
        """A whole file of at most `most` bytes.

        Raises Unreachable, NotServed; TooLong before more than that was read.
        """
        return self.persist(lambda: self._whole(url, most))

    @contextmanager
    def target(self, url: str, start: int) -> Iterator[Opened]:
        """A stream; each piece is within the budget. Raises Unreachable, NotServed, BudgetSpent."""
        self.budget.check()
        with self.opener.open(url, start) as opened:
            yield Opened(opened.start, self._charged(opened.pieces))

    def persist(self, attempt: Callable[[], Result]) -> Result:
        """Again after Unreachable, with back-off, as often as patience says."""
        backoff = Backoff(self.patience.base_s, self.patience.cap_s)
        while True:
            try:
                return attempt()
            except Unreachable:
                backoff = backoff.failed()
                if backoff.failures >= self.patience.attempts:
                    raise
                self.patience.pause(backoff.delay(self.patience.random()))

    def close(self) -> None:
        self.opener.close()
        self.budget.settle()

    def _whole(self, url: str, most: int) -> bytes:
        received = bytearray()
        with self.opener.open(url) as opened:
            for piece in opened.pieces:
                self.budget.count(len(piece))
                received += piece
                if len(received) > most:
                    raise TooLong(url, most)
                if time.monotonic() - self._began > self.limits.refresh_s:
                    raise Unreachable(
                        f"the repository's metadata took more than {self.limits.refresh_s:g} s",
                        LATER,
                    )
        return bytes(received)

    def _charged(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            self.budget.count(len(piece))
            yield piece
            self.budget.check()


class TooLong(Exception):
    """More bytes than the metadata above it, or our own limit, allow."""

    def __init__(self, url: str, most: int) -> None:
        super().__init__(f"{url} has more than the {most} bytes that it may have")
        self.url, self.most = url, most
