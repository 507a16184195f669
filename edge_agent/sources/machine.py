"""The built-in machine: vibration that needs no sensor, deterministic by its seed, with its truth.

A machine runs for days, wears out and fails; every sample, and the truth about it, is a pure
function of the spec and the sample's number. It serves the demo, the tests of signals and the
training of the shipped `machine-anomaly`. With `every_s` it is listened to as a battery-powered
sensor does it, in bursts of `burst` samples, one every so many seconds: that is how days of machine
time take seconds. How it behaves is in `machine_world.py`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from edge_agent.errors import UsageError
from edge_agent.frozen import frozen
from edge_agent.sources.built_in import Settings, number, whole
from edge_agent.sources.machine_world import FAULTS, HOUR_S, Decline, Fault, Truth, decline, truth
from edge_agent.sources.machine_world import vibration as vibration_of
from edge_agent.sources.signal import Block, SamplesInfo

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["FAULTS", "Fault", "Machine", "MachineSpec", "Truth"]

SETTINGS = Settings(
    thing="machine",
    allowed="seed, rate_hz, burst, every_s, life_h and hours, "
    "as in built-in:?seed=7&rate_hz=8000&burst=4096&every_s=60&life_h=50&hours=60",
    readings={
        "seed": whole(0, 2**63),
        "rate_hz": number(1000, 100_000),
        "burst": whole(16, 1_000_000),
        "every_s": number(0.001, 86_400),
        "life_h": number(0.01, 1e6),
        "hours": number(0.01, 1e6),
    },
)


@frozen
class MachineSpec:
    """Which machine, and how it is listened to.

    `rate_hz` samples a second. `every_s` None: without a break, else in bursts of `burst` samples,
    one every so many seconds. `life_h` is how many hours after the first sample it fails, None: 40
    to 80, by the seed. `hours` None never ends.
    """

    seed: int = 7
    rate_hz: float = 8000.0
    burst: int = 4096
    every_s: float | None = None
    life_h: float | None = None
    hours: float | None = None

    @classmethod
    def parse(cls, uri: str) -> MachineSpec:
        """The spec of `built-in:?seed=7&every_s=60`; every key may be missing.

        Raises UsageError for anything else.
        """
        spec = cls(**SETTINGS.of(uri))
        if spec.every_s is not None and spec.every_s < spec.burst / spec.rate_hz:
            raise UsageError(
                f"{uri}: a burst of {spec.burst} samples takes {spec.burst / spec.rate_hz:g} s, "
                f"longer than every_s {spec.every_s:g}",
                "choose a longer every_s or a shorter burst",
            )
        return spec

    @property
    def samples(self) -> int | None:
        """How many there are in all, whole bursts only."""
        if self.hours is None:
            return None
        every_s = self.burst / self.rate_hz if self.every_s is None else self.every_s
        return math.floor(self.hours * HOUR_S / every_s + 1e-9) * self.burst

    @property
    def decline(self) -> Decline:
        """When it begins to wear, when it fails, and of what."""
        return decline(self.seed, self.life_h)


class Machine:
    """The machine as `Samples`, one channel in m/s^2. It waits for nobody and is never lost."""

    live = False
    notes: Mapping[str, int] = {}

    def __init__(self, spec: MachineSpec) -> None:
        self.spec = spec
        self._next = 0

    def open(self) -> SamplesInfo:
        """Begin at sample 0."""
        self._next = 0
        return SamplesInfo(self.spec.rate_hz, 1, self.spec.samples)

    def read(self) -> Block | None:
        """The next burst; None after the last one."""
        if self.spec.samples is not None and self._next >= self.spec.samples:
            return None
        first, self._next = self._next, self._next + self.spec.burst
        times = self.times(first, self.spec.burst)
        return Block(self.vibration(first, self.spec.burst), times)

    def close(self) -> None:
        """Nothing is held that would have to be given back."""

    def vibration(self, first: int, count: int) -> NDArray[np.float32]:
        """Samples from number `first` on, whatever was read before: (count, 1)."""
        index = np.arange(first, first + count)
        values = vibration_of(self.spec.seed, self.spec.life_h, self.times(first, count), index)
        return values[:, None].astype(np.float32)

    def times(self, first: int, count: int) -> NDArray[np.float64]:
        """Seconds since the machine was new: (count,)."""
        index, spec = np.arange(first, first + count), self.spec
        if spec.every_s is None:
            return np.asarray(index / spec.rate_hz)
        burst, within = np.divmod(index, spec.burst)
        return np.asarray(burst * spec.every_s + within / spec.rate_hz)

    def truth(self, time: float) -> Truth:
        """What is so so many seconds after the machine was new."""
        return truth(self.spec.seed, self.spec.life_h, time)
