"""The place where a source's thread leaves a frame and a pipeline's worker takes it.

It holds one frame, the newest: a frame that was not taken in time is `busy`. Bounded by design. A
frame of which its source made no picture never takes the place of one that has one: it is `rate`,
as the gate would have said.
"""

from __future__ import annotations

import threading

from edge_agent.service.ledger import Account
from edge_agent.types import Broken, Frame, Skip


class NewestFrame:
    """One source offers, one worker takes."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._filled = threading.Condition()
        self._frame: Frame | None = None
        self._away_s = 0.0
        self._over = False

    def offer(self, item: Frame | Broken) -> None:
        """Leave a frame; the one it replaces is `busy`. A broken one is counted and gone."""
        self._account.offer()
        if isinstance(item, Broken):
            self._account.fail()
            return
        with self._filled:
            left = self._frame
            if left is not None and left.seen and not item.seen:
                left = item
            else:
                self._frame = item
                self._filled.notify()
        if left is not None:
            self._account.skip(Skip.BUSY if left.seen else Skip.RATE)

    def take(self, timeout_s: float) -> Frame | None:
        """The newest frame, or None when none came in time."""
        with self._filled:
            if self._frame is None:
                self._filled.wait(timeout_s)
            frame, self._frame = self._frame, None
            return frame

    def end(self) -> None:
        """The source came to its end: once the last frame is taken, nothing more comes."""
        with self._filled:
            self._over = True

    def has_ended(self) -> bool:
        """Whether the source ended and its last frame was taken; true once."""
        with self._filled:
            over = self._over and self._frame is None
            self._over = self._over and not over
            return over

    def was_away(self, seconds: float) -> None:
        """The source was lost for so long; the worker collects it with `away`."""
        with self._filled:
            self._away_s += seconds

    def away(self) -> float:
        """Seconds without a source since the last call."""
        with self._filled:
            seconds, self._away_s = self._away_s, 0.0
            return seconds

    def drain(self) -> None:
        """On a stop: the frame that still waits is `paused`, so that the account closes."""
        with self._filled:
            frame, self._frame = self._frame, None
        if frame is not None:
            self._account.skip(Skip.PAUSED)
