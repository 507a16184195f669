"""How the built-in machine behaves: its vibration, its wear and the truth of it, as pure functions.

A motor drives a gear, on a roller bearing. What an accelerometer on its housing would say, in
m/s^2, is a function of the seed and the moment alone, so any block can be worked out without what
came before it. Rules:

* Every machine is built a little differently (`build`): speed, gear, strengths, resonance.
* The load wanders over minutes and hours, the speed gives way to it, fork-lifts pass, a neighbour
  hums now and then; once a day the machine stands still for a while. None of that is a fault.
* After most of its life it begins to wear, by one of three faults, ever faster, until it fails:
  `bearing` (a flaw in the outer race: an impact each time a roller passes it, BPFO), `imbalance`
  (the shaft's own frequency grows), `looseness` (many harmonics of half the shaft's frequency).

Formulas of the faults: Randall and Antoni, Rolling element bearing diagnostics, Mechanical Systems
and Signal Processing 25 (2011). Read `machine.py` next.
"""

from __future__ import annotations

from functools import lru_cache
from random import Random
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from edge_agent.frozen import frozen

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers: TypeAlias = NDArray[np.float64]
    Indices: TypeAlias = NDArray[np.int64]

Fault: TypeAlias = Literal["bearing", "imbalance", "looseness"]
FAULTS: tuple[Fault, ...] = ("bearing", "imbalance", "looseness")

HOUR_S = 3600.0
DAY_S = 86_400.0
RUN_UP_S = 12.0
RUN_DOWN_S = 25.0
SLIP = 0.03  # of the speed, at full load
#: Impacts older than this many rolls of the bearing have died away.
_ECHOES = 3
#: What a flaw, an imbalance and a loose foot come to when the machine fails, in m/s^2.
_IMPACT, _UNBALANCED, _LOOSE = 14.0, 4.0, 1.5


@frozen
class Build:
    """What one machine is like. Frequencies in Hz, strengths in m/s^2."""

    shaft_hz: float  # without load
    teeth: int
    rollers: float  # impacts of a flaw in the outer race, per turn of the shaft
    shaft: tuple[float, float, float]  # of 1, 2 and 3 times the shaft's frequency
    mesh: tuple[float, float]  # of the gear, and of twice its frequency, at full load
    hum: float  # of the mains, at 100 Hz
    hiss: float  # of the sensor and everything else
    resonance_hz: float
    damping: float  # per second
    load: tuple[tuple[float, float, float], ...]  # strength, period in s, phase


@frozen
class Decline:
    """The wear of one machine: none before `onset_s`, failed from `failure_s` on."""

    fault: Fault
    onset_s: float
    failure_s: float
    haste: float  # severity is the worn part of the way, to this power

    def severity(self, t: Numbers) -> Numbers:
        """0 for as good as new, 1 for failed, at each of the moments `t`."""
        part = (t - self.onset_s) / (self.failure_s - self.onset_s)
        return np.asarray(part.clip(0.0, 1.0) ** self.haste)


@frozen
class Truth:
    """What is so at one moment. `health` is 1 until the wear begins, 0 from the failure on."""

    health: float
    fault: Fault | None
    running: bool  # at full speed: neither standing still nor on the way there or back
    failed: bool


@lru_cache(maxsize=64)
def build(seed: int) -> Build:
    rng = Random(f"machine/{seed}")
    return Build(
        shaft_hz=rng.uniform(24.2, 25.0),
        teeth=rng.randint(19, 27),
        rollers=rng.uniform(3.4, 3.7),
        shaft=(rng.uniform(0.5, 0.8), rng.uniform(0.15, 0.3), rng.uniform(0.05, 0.15)),
        mesh=(rng.uniform(0.5, 0.9), rng.uniform(0.15, 0.3)),
        hum=rng.uniform(0.05, 0.12),
        hiss=rng.uniform(0.12, 0.18),
        resonance_hz=rng.uniform(2600.0, 3200.0),
        damping=rng.uniform(500.0, 700.0),
        load=tuple(
            (strength, rng.uniform(low, high), rng.uniform(0, 2 * np.pi))
            for strength, low, high in ((0.2, 5e3, 3e4), (0.1, 900, 3e3), (0.05, 200, 700))
        ),
    )


@lru_cache(maxsize=64)
def decline(seed: int, life_h: float | None) -> Decline:
    """`life_h` is the time of failure in hours; None: one between 40 and 80 that the seed says."""
    rng = Random(f"decline/{seed}")
    fault = rng.choice(FAULTS)
    life, healthy, haste = rng.uniform(40.0, 80.0), rng.uniform(0.55, 0.75), rng.uniform(1.3, 2.2)
    failure_s = (life if life_h is None else life_h) * HOUR_S
    return Decline(fault, healthy * failure_s, failure_s, haste)


def truth(seed: int, life_h: float | None, t: float) -> Truth:
    """What is so `t` seconds after the machine was new."""
    wear = decline(seed, life_h)
    moment = np.array([t])
    severity = float(wear.severity(moment)[0])
    running = bool(pace(seed, moment)[0] == 1.0)
    fault = wear.fault if severity else None
    return Truth(1.0 - severity, fault, running, t >= wear.failure_s)


def vibration(seed: int, life_h: float | None, t: Numbers, index: Indices) -> Numbers:
    """The acceleration (n,) at the moments `t`, which rise; a moment's does not depend on others.

    `index` numbers the samples: it is what the noise of each is drawn from.
    """
    machine, wear = build(seed), decline(seed, life_h)
    turns, speed, load = _turns(seed, t), pace(seed, t), _load(machine, t)
    angle = _angle(turns)
    shaking = sum(a * np.sin((k + 1) * angle + 2 * k) for k, a in enumerate(machine.shaft))
    shaking += load * _gear(machine, angle)
    severity = wear.severity(t)
    if severity.any():
        shaking += severity * _fault(seed, wear.fault, turns)
    found = speed**2 * shaking  # what turns shakes with the square of its speed
    found += machine.hum * np.minimum(1.0, speed * 4) * np.sin(2 * np.pi * 100.0 * (t % 1.0))
    found += machine.hiss * (0.5 + 0.5 * speed * (0.6 + 0.4 * load)) * _noise(seed, 1, index)
    return np.asarray(found + _surroundings(seed, t, index))


def pace(seed: int, t: Numbers) -> Numbers:
    """Speed in parts of the full one: 1, but around the daily rest."""
    stop, start = _rest(seed, np.floor(t / DAY_S))
    return np.asarray(
        np.where(
            t < stop,
            1.0,
            np.maximum(1 - (t - stop) / RUN_DOWN_S, np.clip((t - start) / RUN_UP_S, 0.0, 1.0)),
        )
    )


# --- what turns --------------------------------------------------------------------------------


def _rest(seed: int, day: Numbers) -> tuple[Numbers, Numbers]:
    """When the machine is switched off on a day, and on again, in seconds."""
    dice = _uniform(seed, 11, day.astype(np.int64) * 2)
    again = _uniform(seed, 11, day.astype(np.int64) * 2 + 1)
    stop = day * DAY_S + (11.0 + 2.0 * dice) * HOUR_S
    return stop, stop + (20.0 + 25.0 * again) * 60.0


def _turns(seed: int, t: Numbers) -> Numbers:
    """Turns of the shaft, steady between two rests; at a rest they jump, where nothing shows it."""
    machine, day = build(seed), np.floor(t / DAY_S)
    stop, start = _rest(seed, day)
    begun = np.where(t < start, _rest(seed, day - 1)[1], start)
    hertz = machine.shaft_hz * (1 - SLIP * 0.65)
    up = np.clip(t - begun, 0.0, RUN_UP_S)
    lost = up - up**2 / (2 * RUN_UP_S)
    down = np.where(t < start, np.clip(t - stop, 0.0, RUN_DOWN_S), 0.0)
    lost += down**2 / (2 * RUN_DOWN_S)
    return np.asarray(_steady_turns(machine, t) - hertz * lost)


def _angle(turns: Numbers) -> Numbers:
    """In 0..4 pi, for half the shaft's frequency too: the sine of a large number takes long."""
    return np.asarray(2 * np.pi * (turns % 2.0))


def _steady_turns(machine: Build, t: Numbers) -> Numbers:
    """The integral of shaft_hz * (1 - SLIP * load) in closed form."""
    wander = sum(-a * p / (2 * np.pi) * np.cos(2 * np.pi * t / p + c) for a, p, c in machine.load)
    return np.asarray(machine.shaft_hz * (t * (1 - SLIP * 0.65) - SLIP * wander))


def _load(machine: Build, t: Numbers) -> Numbers:
    """0.3 to 1."""
    return np.asarray(0.65 + sum(a * np.sin(2 * np.pi * t / p + c) for a, p, c in machine.load))


def _gear(machine: Build, angle: Numbers) -> Numbers:
    """The mesh and its double, both swaying with the shaft."""
    first, second = machine.mesh
    mesh = machine.teeth * angle
    return np.asarray(
        (first * np.sin(mesh) + second * np.sin(2 * mesh)) * (1 + 0.2 * np.sin(angle))
    )


# --- faults ------------------------------------------------------------------------------------


def _fault(seed: int, fault: Fault, turns: Numbers) -> Numbers:
    """What a fault adds when the machine fails of it."""
    angle = _angle(turns)
    match fault:
        case "imbalance":
            return np.asarray(_UNBALANCED * np.sin(angle))
        case "looseness":
            return _loose(angle)
        case "bearing":
            return _impacts(seed, build(seed), turns)


def _loose(angle: Numbers) -> Numbers:
    """Halves of the shaft's frequency, up to six times."""
    halves = (1, 2, 3, 4, 5, 6, 8, 10, 12)
    return np.asarray(_LOOSE * sum(np.sin(k / 2 * angle + k) / (1 + k / 8) for k in halves))


def _impacts(seed: int, machine: Build, turns: Numbers) -> Numbers:
    """Each roller that meets the flaw rings the housing; rollers slip, so none is quite in time."""
    rolls = turns * machine.rollers
    every_s = 1 / (machine.shaft_hz * (1 - SLIP * 0.65) * machine.rollers)
    latest = np.floor(rolls).astype(np.int64)
    found = np.zeros_like(turns)
    for back in range(_ECHOES):
        roll = latest - back
        late = 0.04 * _uniform(seed, 21, roll)
        since = (rolls - roll - late) * every_s
        strength = _IMPACT * (0.6 + 0.8 * _uniform(seed, 22, roll))
        after = np.maximum(since, 0.0)
        ring = np.exp(-machine.damping * after) * np.sin(2 * np.pi * machine.resonance_hz * after)
        found += np.where(since >= 0.0, strength * ring, 0.0)
    return found


# --- surroundings ------------------------------------------------------------------------------


def _surroundings(seed: int, t: Numbers, index: Indices) -> Numbers:
    """Fork-lifts that pass, some minutes of every hour; a neighbour that runs for some hours."""
    minute = np.floor(t / 60.0).astype(np.int64)
    found, passing = np.zeros_like(t), _uniform(seed, 31, minute) < 0.06
    if passing.any():
        swell = np.sin(np.pi * (t / 60.0 - minute)) ** 2
        found += 0.3 * passing * swell * _noise(seed, 2, index // 16)
    humming = _uniform(seed, 32, np.floor(t / (3 * HOUR_S)).astype(np.int64)) < 0.4
    if humming.any():
        found += 0.08 * humming * np.sin(2 * np.pi * 48.7 * (t % 10.0))
    return found


# --- noise -------------------------------------------------------------------------------------


def _uniform(seed: int, stream: int, index: Indices) -> Numbers:
    """A number in 0..1 for each index. They lie close together, so each is thrown only once."""
    first = int(index.min())
    each = np.arange(first, int(index.max()) + 1)
    dice: Numbers = _hashed(seed, stream, each) * 2.0**-64
    return np.asarray(dice[index - first])


def _noise(seed: int, stream: int, index: Indices) -> Numbers:
    """White noise of variance 1: the sum of four dice of 16 bits is nearly normal."""
    bits = _hashed(seed, stream, index)
    total = sum((bits >> np.uint64(k)) & np.uint64(0xFFFF) for k in (0, 16, 32, 48))
    return np.asarray((np.asarray(total, np.float64) / 65536.0 - 2.0) * np.sqrt(3.0))


def _hashed(seed: int, stream: int, index: Indices) -> NDArray[np.uint64]:
    """SplitMix64 of the index (Steele, Lea, Flood: Fast splittable pseudorandom number generators,
    OOPSLA 2014), begun elsewhere for each seed and stream."""
    z = index.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + _key(seed, stream)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(z ^ (z >> np.uint64(31)))


@lru_cache(maxsize=1024)
def _key(seed: int, stream: int) -> np.uint64:
    return np.uint64(Random(f"noise/{seed}/{stream}").getrandbits(64))
