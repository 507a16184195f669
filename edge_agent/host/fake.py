"""A host that moves by hand: the same ports as the real one, for tests and simulations."""

from __future__ import annotations

import errno

from edge_agent.host.gpio import LineSpec, Pin
from edge_agent.policy.correction import Correction


class FakeClock:
    """`host.clock.Clock` without a host. `advance` is the only way forward."""

    def __init__(
        self, time: float = 1_700_000_000.0, synced: bool = True, up_s: float = 0.0
    ) -> None:
        """`up_s`: for so long the machine has been on."""
        self._now = time
        self._wall_offset = 0.0
        self._synced = synced
        self.base = time - up_s
        self.correction = self.listen_from(Correction())

    def now(self) -> float:
        return self._now

    def wall_offset(self) -> float:
        return self._wall_offset

    def synced(self) -> bool:
        return self._synced

    def told(self, time: float) -> float:
        return time + self.correction.offset

    def listen(self) -> Correction:
        return self.listen_from(self.correction)

    def listen_from(self, before: Correction) -> Correction:
        return before.heard(self._wall_offset, self._synced)

    def advance(self, seconds: float) -> None:
        """Time passes. Raises ValueError for a step backwards: this clock never makes one."""
        if seconds < 0:
            raise ValueError(f"a clock that never steps cannot go back {-seconds} s")
        self._now += seconds

    def step_wall(self, seconds: float, synced: bool = True) -> None:
        """The wall clock jumps, as when a time server is first heard of; `now` does not."""
        self._wall_offset += seconds
        self._synced = synced


class FakeChip:
    """A GPIO chip of `lines` lines without a board: `request` is what `host.gpio` asks of one.

    `levels` are those at the pins. It refuses as the kernel does: ENOENT for another chip, EINVAL
    for a line that it lacks, EBUSY for one that is held. `gone` makes every call fail with ENODEV,
    as when the board at the other end of a cable is unplugged.
    """

    def __init__(self, path: str = "/dev/gpiochip0", lines: int = 8) -> None:
        self.path = path
        self.levels = [False] * lines
        self.held: set[int] = set()
        self.gone = False

    def request(self, spec: LineSpec) -> Pin:
        if self.gone or spec.path != self.path:
            raise OSError(errno.ENOENT, "No such file or directory", spec.path)
        if spec.line >= len(self.levels):
            raise OSError(errno.EINVAL, "Invalid argument")
        if spec.line in self.held:
            raise OSError(errno.EBUSY, "Device or resource busy")
        self.held.add(spec.line)
        pin = FakePin(self, spec)
        pin.set(False)
        return pin


class FakePin:
    """A line of a `FakeChip` that somebody holds."""

    def __init__(self, chip: FakeChip, spec: LineSpec) -> None:
        self._chip = chip
        self._spec = spec

    def set(self, on: bool) -> None:
        if self._chip.gone:
            raise OSError(errno.ENODEV, "No such device")
        self._chip.levels[self._spec.line] = on != self._spec.active_low

    def release(self) -> None:
        self._chip.held.discard(self._spec.line)
