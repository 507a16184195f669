"""So many a second and no more: a token bucket.

Pure: the time is handed in, and may be of any clock that does not step. What was not used is kept
for at most `BURST_S`, so a sender that looks a few times a second reaches the whole rate, and one
that was away for an hour does not make up for it in one rush.
"""

from __future__ import annotations

BURST_S = 0.5


class Allowance:
    """`rate` None: no limit."""

    def __init__(self, rate: float | None) -> None:
        self._rate = rate
        self._kept = 0.0
        self._at: float | None = None

    def take(self, now: float) -> bool:
        """One more, if there is one to be had."""
        if self._rate is None:
            return True
        if self._at is not None:
            most = max(1.0, self._rate * BURST_S)
            self._kept = min(most, self._kept + (now - self._at) * self._rate)
        self._at = now
        if self._kept < 1.0:
            return False
        self._kept -= 1.0
        return True
