"""Which temperature sensor is to be believed, and what is wrong with the others.

Rules, pure: a reading outside of -40 to 125 C is impossible, and so is a sudden 0. A value that
does not move for ten minutes in which it had to (our work or another sensor moved), or for six
hours, is stuck. A sensor that gave no answer five times in a row is absent. One that was impossible
must be sane three times in a row before it is believed again. Sensors at the cores come first; of
those of one rank the hottest counts, by the median of its last three readings.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from edge_agent.frozen import frozen
from edge_agent.types import Reading, Throttling, Trouble

COLDEST_C, HOTTEST_C = -40.0, 125.0
#: A reading of exactly 0 is believed when the one before was as near to it.
NEAR_C = 5.0
ABSENT_AFTER = 5
SANE_AGAIN = 3
STUCK_S, STUCK_AT_LAST_S = 600.0, 6 * 3600.0
#: What must have moved meanwhile: busy threads of ours, or another sensor (C).
MOVED_BUSY, MOVED_C = 1.0, 5.0
#: An over-current or a throttling that a counter told is news for so long.
NEWS_S = 600.0


class Fault(StrEnum):
    ABSENT = "absent"
    IMPOSSIBLE = "impossible"
    STUCK = "stuck"


@frozen
class BrokenSensor:
    """`celsius` is what it says, None where it says nothing."""

    sensor: str
    fault: Fault
    celsius: float | None
    since: float


@frozen
class Temperature:
    """What is believed. `broken` are the sensors that a person should hear of.

    `none_there`: this board has no sensor at all, and never had.
    """

    celsius: float | None = None
    sensor: str | None = None
    broken: tuple[BrokenSensor, ...] = ()
    none_there: bool = False


@dataclass(slots=True)
class _Probe:
    """What is remembered of one sensor."""

    sane: deque[float] = field(default_factory=lambda: deque(maxlen=3))
    value: float | None = None  # the last one that it said
    since: float = 0.0  # when it first said that
    busy: tuple[float, float] = (0.0, 0.0)  # the least and the most of our work since then
    others: tuple[float, float] = (0.0, 0.0)
    silent: int = 0
    wait: int = 0  # sane readings that are still asked of it
    once: bool = False  # it was believed at some time
    fault: Fault | None = None
    fault_since: float = 0.0


class Sensors:
    """The sensors of one board."""

    def __init__(self) -> None:
        self._probes: dict[str, _Probe] = {}

    def judge(self, time: float, readings: Sequence[Reading], busy: float) -> Temperature:
        """One reading of each sensor; `busy`: the threads that our work kept busy."""
        for reading in readings:
            probe = self._probes.setdefault(reading.sensor, _Probe(since=time, busy=(busy, busy)))
            self._update(probe, time, reading.celsius, busy, _hottest_other(reading, readings))
        return self._believed(readings)

    def _believed(self, readings: Sequence[Reading]) -> Temperature:
        ranks = sorted({reading.rank for reading in readings})
        broken: list[BrokenSensor] = []
        for rank in ranks:
            names = [each.sensor for each in readings if each.rank == rank]
            group = {name: self._probes[name] for name in names}
            sound = {n: _middle(p.sane) for n, p in group.items() if p.fault is None and p.sane}
            broken += [
                BrokenSensor(name, probe.fault, probe.value, probe.fault_since)
                for name, probe in group.items()
                if probe.fault is not None and (not sound or _worth_a_word(probe))
            ]
            if sound:
                hottest = max(sound, key=lambda name: sound[name])
                return Temperature(sound[hottest], hottest, tuple(broken))
        return Temperature(None, None, tuple(broken), none_there=not self._probes)

    def _update(
        self, probe: _Probe, time: float, celsius: float | None, busy: float, other: float
    ) -> None:
        fault = self._silence(probe, celsius)
        if celsius is not None:
            fault = self._nonsense(probe, celsius) or self._stuck(probe, time, celsius, busy, other)
            probe.value = celsius
            if fault is None:
                probe.sane.append(celsius)
                probe.once = True
        if fault is not probe.fault:
            probe.fault, probe.fault_since = fault, time
        if fault is not None:
            probe.sane.clear()

    def _silence(self, probe: _Probe, celsius: float | None) -> Fault | None:
        """A part that sleeps does not answer: only a long silence is a fault."""
        probe.silent = 0 if celsius is not None else probe.silent + 1
        if probe.silent >= ABSENT_AFTER or (probe.silent and not probe.once):
            probe.value = None
            return Fault.ABSENT
        return probe.fault if probe.silent else None

    def _nonsense(self, probe: _Probe, celsius: float) -> Fault | None:
        sudden = celsius == 0.0 and not any(abs(each) <= NEAR_C for each in probe.sane)
        if not _possible(celsius) or sudden:
            probe.wait = SANE_AGAIN
            return Fault.IMPOSSIBLE
        probe.wait = max(0, probe.wait - 1)
        return Fault.IMPOSSIBLE if probe.wait else None

    def _stuck(
        self, probe: _Probe, time: float, celsius: float, busy: float, other: float
    ) -> Fault | None:
        if celsius != probe.value:
            probe.since, probe.busy, probe.others = time, (busy, busy), (other, other)
            return None
        probe.busy = (min(probe.busy[0], busy), max(probe.busy[1], busy))
        probe.others = (min(probe.others[0], other), max(probe.others[1], other))
        still = time - probe.since
        had_to_move = (
            probe.busy[1] - probe.busy[0] >= MOVED_BUSY
            or probe.others[1] - probe.others[0] >= MOVED_C
        )
        if still >= STUCK_AT_LAST_S or (still >= STUCK_S and had_to_move):
            return Fault.STUCK
        return None


def _middle(values: Iterable[float]) -> float:
    """The median."""
    ordered = sorted(values)
    low, high = ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]
    return (low + high) / 2


def _possible(celsius: float | None) -> bool:
    return celsius is not None and COLDEST_C < celsius < HOTTEST_C


def _hottest_other(reading: Reading, readings: Sequence[Reading]) -> float:
    """Of the sensors at the cores; 0 where there is no other."""
    others = (each for each in readings if each.sensor != reading.sensor and each.rank == 0)
    values = (each.celsius for each in others if each.celsius is not None)
    return max((value for value in values if _possible(value)), default=0.0)


def _worth_a_word(probe: _Probe) -> bool:
    """Where others of its rank work: one that broke, not a part that sleeps or never worked."""
    return probe.once and probe.fault is not Fault.ABSENT


# --- the board's own words -----------------------------------------------------------------------


class Troubles:
    """What the board says of itself, its counters turned into what happened lately."""

    def __init__(self) -> None:
        self._counts: Mapping[Trouble, int] | None = None
        self._news: dict[Trouble, float] = {}  # when a counter grew last

    def judge(self, time: float, said: Throttling) -> Throttling:
        """The same, with the news of the counters in `now`."""
        if self._counts is not None:
            for trouble, count in said.counts.items():
                if count > self._counts.get(trouble, count):
                    self._news[trouble] = time
        self._counts = said.counts
        recent = {each for each, when in self._news.items() if time - when < NEWS_S}
        return Throttling(said.now | recent, said.since_boot | recent, said.counts, said.told)
