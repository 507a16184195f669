"""How long to wait before trying again: exponential, with full jitter.

Pure: the random number is handed in, so a test and a replay see the same waits. A broker that
comes back meets its devices spread over the whole ceiling, not all at once. The count starts again
only after something held for a while: a broker that accepts and drops at once is still failing.

Source of the formula: "Exponential Backoff And Jitter", AWS Architecture Blog, 2015 ("full
jitter"), with a floor so that no sequence of random numbers makes a hot loop.
"""

from __future__ import annotations

from dataclasses import replace

from edge_agent.frozen import frozen

#: Doubling stops here whatever the ceiling is: 2**62 seconds is for ever.
_MAX_DOUBLINGS = 62


@frozen
class Backoff:
    """The state between attempts. `failures` counts those since the last stable success."""

    base_s: float = 1.0
    cap_s: float = 60.0
    floor_s: float = 0.2
    stable_s: float = 30.0
    failures: int = 0

    @property
    def ceiling_s(self) -> float:
        """The longest wait that may come next."""
        return min(self.cap_s, self.base_s * 2.0 ** min(self.failures, _MAX_DOUBLINGS))

    def delay(self, random: float) -> float:
        """Seconds to wait now. `random` is uniform in 0..1."""
        return self.floor_s + random * max(self.ceiling_s - self.floor_s, 0.0)

    def failed(self) -> Backoff:
        """After an attempt that came to nothing."""
        return replace(self, failures=self.failures + 1)

    def ended(self, lasted_s: float) -> Backoff:
        """After a success that held for `lasted_s`: a stable one starts the count again."""
        return replace(self, failures=0) if lasted_s >= self.stable_s else self.failed()
