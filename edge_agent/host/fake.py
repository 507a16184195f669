"""A host that moves by hand: the same ports as the real one, for tests and simulations."""

from __future__ import annotations


class FakeClock:
    """`host.clock.Clock` without a host. `advance` is the only way forward."""

    def __init__(self, time: float = 1_700_000_000.0, synced: bool = True) -> None:
        self._now = time
        self._wall_offset = 0.0
        self._synced = synced

    def now(self) -> float:
        return self._now

    def wall_offset(self) -> float:
        return self._wall_offset

    def synced(self) -> bool:
        return self._synced

    def advance(self, seconds: float) -> None:
        """Time passes. Raises ValueError for a step backwards: this clock never makes one."""
        if seconds < 0:
            raise ValueError(f"a clock that never steps cannot go back {-seconds} s")
        self._now += seconds

    def step_wall(self, seconds: float, synced: bool = True) -> None:
        """The wall clock jumps, as when a time server is first heard of; `now` does not."""
        self._wall_offset += seconds
        self._synced = synced
