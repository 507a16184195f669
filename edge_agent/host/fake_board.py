"""A board that gets hot by calculation: thermal mass, sun, a fan, the kernel's own throttling.

Three thermal nodes in a row: the die, its package with the circuit board, the case. Heat enters at
the die (the processor) and at the case (the rest of the board, the sun), and leaves from the case
to the air. The sensor has the real one's steps and noise. `advance` is the only way forward, so a
day takes a second; `write` makes a folder of it for `thermal.sysfs`.

Where the constants of the two presets come from stands in docs/thermal.md.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path

from edge_agent.frozen import frozen
from edge_agent.types import Reading, Throttling, Trouble

#: Seconds of one step of the calculation: a quarter of the fastest node's time constant.
STEP_S = 0.5
#: What a slowed clock saves: power goes with its frequency and the square of the voltage.
POWER_EXPONENT = 2.2
#: How fast the kernel slows down and speeds up again, part of the full clock a second.
CLOCK_STEP = 0.05
SLOWEST_CLOCK = 0.4


@frozen
class Fan:
    """Starts at `on_c`, stops below `off_c`; meanwhile the case gives its heat away better."""

    on_c: float
    off_c: float
    resistance: float


@frozen
class BoardSpec:
    """Watts, K/W and J/K. `core_w` is one busy core's, `idle_die_w` and `idle_board_w` are always.

    `trip_c`: from here on the kernel slows the clock down; `leak_w` more is lost per K above 50 C.
    """

    name: str
    zone: str
    cores: int
    core_w: float
    idle_die_w: float
    idle_board_w: float
    die: tuple[float, float]  # resistance to the package, capacity
    package: tuple[float, float]  # resistance to the case, capacity
    case: tuple[float, float]  # resistance to the air, capacity
    trip_c: float
    leak_w: float = 0.006
    step_c: float = 0.487  # the sensor's
    noise_c: float = 0.15
    fan: Fan | None = None


RASPBERRY_PI_4 = BoardSpec(
    name="Raspberry Pi 4, sealed aluminium case",
    zone="cpu-thermal",
    cores=4,
    core_w=0.93,
    idle_die_w=0.9,
    idle_board_w=1.8,
    die=(1.5, 1.0),
    package=(3.5, 8.0),
    case=(1.4, 750.0),
    trip_c=80.0,
)
JETSON_ORIN_NANO = BoardSpec(
    name="Jetson Orin Nano, 15 W, its own heat sink and fan",
    zone="tj-thermal",
    cores=6,
    core_w=1.1,
    idle_die_w=2.4,
    idle_board_w=2.6,
    die=(0.3, 6.0),
    package=(0.6, 60.0),
    case=(2.6, 220.0),
    trip_c=99.0,
    leak_w=0.015,
    step_c=0.5,
    noise_c=0.1,
    fan=Fan(on_c=60.0, off_c=50.0, resistance=1.3),
)


@dataclass(slots=True)
class FakeBoard:
    """One board at work. `ambient_c`, `sun_w`, `other_cores` may be set at any moment."""

    spec: BoardSpec
    ambient_c: float = 25.0
    sun_w: float = 0.0
    other_cores: float = 0.0  # busy with what is not ours
    seed: int = 1
    broken_c: float | None = None  # what the sensor says instead of the truth
    clock: float = 1.0  # part of the full frequency
    throttled_s: float = 0.0
    fan_on: bool = False
    nodes: list[float] = field(default_factory=list)
    _random: random.Random = field(default_factory=random.Random)
    _phase: float = 0.0

    def __post_init__(self) -> None:
        self._random.seed(self.seed)
        if not self.nodes:
            self.nodes = self.settled(0.0)

    @property
    def die_c(self) -> float:
        return self.nodes[0]

    def settled(self, busy: float) -> list[float]:
        """The nodes after days of constant work, in the circumstances of this moment."""
        spec, die = self.spec, self.ambient_c
        for _ in range(40):  # what leaks depends on the temperature, and gently
            self._turn_fan(die)
            power = self._die_power(busy, die, 1.0)
            outward = power + spec.idle_board_w
            case = self.ambient_c + (outward + self.sun_w) * self._case_resistance()
            package = case + power * spec.package[0]
            die = package + power * spec.die[0]
        return [die, package, case]

    def advance(self, seconds: float, busy: float) -> float:
        """Time passes with so many of our threads busy; how many could be, at the present clock."""
        done = 0.0
        for _ in range(round(seconds / STEP_S)):
            done += self._step(busy) * STEP_S
        return done / seconds

    def readings(self) -> tuple[Reading, ...]:
        """As `host.thermometer` gives them."""
        return (Reading(self.spec.zone, 0, self.celsius()),)

    def celsius(self) -> float:
        """What its sensor says."""
        if self.broken_c is not None:
            return self.broken_c
        step = self.spec.step_c
        noisy = self.nodes[0] + self._random.gauss(0.0, self.spec.noise_c)
        return round(round(noisy / step) * step, 3)

    def throttling(self) -> Throttling:
        """As `host.throttling` gives it."""
        now = frozenset({Trouble.THROTTLED} if self.clock < 1.0 else ())
        before = frozenset({Trouble.THROTTLED} if self.throttled_s else ())
        return Throttling(now, before, {}, told=True)

    def write(self, sysfs: Path) -> None:
        """The same as files, each changed at once: a running agent may read them."""
        bits = (0b100 if self.clock < 1.0 else 0) | (0b100 << 16 if self.throttled_s else 0)
        _put(sysfs / "class/thermal/thermal_zone0/type", self.spec.zone)
        _put(sysfs / "class/thermal/thermal_zone0/temp", str(round(self.celsius() * 1000)))
        _put(sysfs / "devices/platform/soc/soc:firmware/get_throttled", f"{bits:x}")

    # --- below: the calculation ------------------------------------------------------------------

    def _step(self, wanted: float) -> float:
        spec, (die, package, case) = self.spec, self.nodes
        busy = min(wanted, (spec.cores - self.other_cores) * self.clock)
        power = self._die_power(busy / self.clock, die, self.clock)
        inward = (die - package) / spec.die[0]
        outward = (package - case) / spec.package[0]
        lost = (case - self.ambient_c) / self._case_resistance()
        self.nodes[0] += (power - inward) * STEP_S / spec.die[1]
        self.nodes[1] += (inward - outward) * STEP_S / spec.package[1]
        self.nodes[2] += (outward + spec.idle_board_w + self.sun_w - lost) * STEP_S / spec.case[1]
        self._govern()
        return busy

    def _die_power(self, busy: float, die: float, clock: float) -> float:
        spec = self.spec
        cores = min(busy + self.other_cores, spec.cores)
        leaking = spec.leak_w * (die - 50.0)
        power: float = spec.core_w * clock**POWER_EXPONENT
        return spec.idle_die_w + cores * power + leaking

    def _turn_fan(self, die: float) -> None:
        fan = self.spec.fan
        if fan is not None:
            self.fan_on = die >= fan.on_c or (self.fan_on and die >= fan.off_c)

    def _case_resistance(self) -> float:
        fan = self.spec.fan
        return fan.resistance if fan is not None and self.fan_on else self.spec.case[0]

    def _govern(self) -> None:
        """The kernel: a fan with hysteresis, and a slower clock above the trip point."""
        die = self.nodes[0]
        self._turn_fan(die)
        change = -CLOCK_STEP if die >= self.spec.trip_c else CLOCK_STEP
        if die >= self.spec.trip_c or die < self.spec.trip_c - 2.0:
            self.clock = min(1.0, max(SLOWEST_CLOCK, self.clock + change * STEP_S))
        if self.clock < 1.0:
            self.throttled_s += STEP_S


def _put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}")
    new.write_text(f"{text}\n")
    new.rename(path)
