"""A day in the life of a fake board: a governor at work, and how well it did.

`live` steps a board and whatever steers it second by second through hours of sun and load, and
measures what the issue asks of a governor. Two others stand beside ours, to be compared: one that
never does anything, and a switch with hysteresis. Used by the tests and by benchmarks/thermal.py.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from edge_agent.frozen import frozen
from edge_agent.host.fake_board import FakeBoard
from edge_agent.policy.shares import Demand
from edge_agent.policy.thermal import Glance, Governor, ThermalSpec

STEP_S = 1.0
#: So long after the circumstances changed even the lowest rate may not hold the target yet.
SETTLING_S = 3600.0


@frozen
class Hour:
    """Some time in which nothing changes but the board."""

    seconds: float
    sun_w: float = 0.0
    other_cores: float = 0.0


#: Steps of sun and of load, one after the other and together.
DAY = (
    Hour(7200),
    Hour(7200, sun_w=2.0),
    Hour(7200, sun_w=2.0, other_cores=0.5),
    Hour(7200, sun_w=2.0),
    Hour(7200),
    Hour(7200, other_cores=0.5),
    Hour(7200),
)


#: Frames a second, and the busy seconds of each.
Rate: TypeAlias = tuple[float, float]


class Steering(Protocol):
    """Whatever says how many frames a second may be inferred, and what each then costs."""

    def rate(self, glance: Glance, demand: Demand) -> Rate: ...


class Governed:
    """Our governor."""

    def __init__(self, spec: ThermalSpec) -> None:
        self.governor = Governor(spec)

    def rate(self, glance: Glance, demand: Demand) -> Rate:
        point = self.governor.step(glance, (demand,)).point(demand.pipeline)
        fps = demand.fps if point.max_fps is None else point.max_fps
        return fps, (demand if point.threads is None else demand.alone()).cost_s


class Ungoverned:
    """As fast as it goes; the kernel will see to the rest."""

    def rate(self, glance: Glance, demand: Demand) -> Rate:
        return demand.fps, demand.cost_s


class Switch:
    """The floor above the target, everything five degrees below it."""

    def __init__(self, spec: ThermalSpec) -> None:
        self._spec = spec
        self._hot = False

    def rate(self, glance: Glance, demand: Demand) -> Rate:
        target, celsius = self._spec.target_c, glance.celsius or 0.0
        self._hot = celsius >= target or (self._hot and celsius > target - 5.0)
        return demand.floor(self._spec.min_fps) if self._hot else demand.fps, demand.cost_s


@dataclass(slots=True)
class Record:
    """How a day went. Temperatures are the die's own, not the sensor's.

    `over_c`: the most above the target, or above what the floor alone would have come to where that
    is more (no governor can do anything about it). `steady_c`: the farthest from the target in the
    second half of each hour in which heat limits the rate. `part`: inferences, of those that the
    best constant rates would have made.
    """

    over_c: float = 0.0
    steady_c: float = 0.0
    part: float = 0.0
    changes: int = 0
    shortest_gap_s: float | None = None
    throttled_s: float = 0.0
    trace: list[tuple[float, float, float, float]] = field(default_factory=list)


def best_rate(board: FakeBoard, spec: ThermalSpec, demand: Demand) -> float:
    """The highest constant rate at which the board, left alone for days, keeps to the target, with
    all threads or with one."""
    best = _best_rate(board, spec, demand)
    if demand.single_s is None:
        return best
    return max(best, _best_rate(board, spec, demand.alone()))


def _best_rate(board: FakeBoard, spec: ThermalSpec, demand: Demand) -> float:
    low, high = demand.floor(spec.min_fps), demand.fps
    if _settles_at(board, high, demand) <= spec.target_c:
        return high
    for _ in range(30):
        middle = (low + high) / 2
        if _settles_at(board, middle, demand) > spec.target_c:
            high = middle
        else:
            low = middle
    return low


@frozen
class Task:
    """What is asked of the board: so much work, at this target."""

    spec: ThermalSpec
    demand: Demand

    @property
    def floor(self) -> float:
        return self.demand.floor(self.spec.min_fps)


def live(board: FakeBoard, steering: Steering, task: Task, day: Sequence[Hour] = DAY) -> Record:
    """The whole day. `trace`: every ten seconds the time, the die, the rate and the best rate."""
    life = _Life(board, steering, task)
    for hour in day:
        life.through(hour)
    return life.record()


class _Life:
    """A day so far."""

    def __init__(self, board: FakeBoard, steering: Steering, task: Task) -> None:
        self._board, self._steering, self._task = board, steering, task
        self._record = Record()
        self._time = self._busy = self._made = self._possible = 0.0
        self._rate, self._cost_s = task.demand.fps, task.demand.cost_s
        self._changed: float | None = None

    def record(self) -> Record:
        self._record.part = self._made / self._possible
        self._record.throttled_s = self._board.throttled_s
        return self._record

    def through(self, hour: Hour) -> None:
        board, task = self._board, self._task
        board.sun_w, board.other_cores = hour.sun_w, hour.other_cores
        best = best_rate(board, task.spec, task.demand)
        at_floor = copy.deepcopy(board)  # what it would come to if we did as little as we may
        for second in range(round(hour.seconds)):
            self._steer()
            self._busy = board.advance(STEP_S, self._rate * self._cost_s)
            self._made += self._busy * STEP_S / self._cost_s
            self._possible += best * STEP_S
            limit = task.spec.target_c
            if second < SETTLING_S:
                at_floor.advance(STEP_S, task.floor * task.demand.alone().cost_s)
                limit = max(limit, at_floor.die_c)
            heat = best not in (task.demand.fps, task.demand.alone().fps)  # is what limits it
            late = second > hour.seconds / 2 and task.floor * 1.1 < best and heat
            self._measure(limit, late)
            if second % 10 == 0:
                self._record.trace.append((self._time, board.die_c, self._rate, best))
            self._time += STEP_S

    def _steer(self) -> None:
        board = self._board
        glance = Glance(self._time, board.celsius(), self._busy, None, board.throttling().now)
        rate, cost_s = self._steering.rate(glance, self._task.demand)
        if (rate, cost_s) == (self._rate, self._cost_s):
            return
        if self._changed is not None:
            gap, least = self._time - self._changed, self._record.shortest_gap_s
            self._record.shortest_gap_s = gap if least is None else min(gap, least)
        self._rate, self._cost_s, self._changed = rate, cost_s, self._time
        self._record.changes += 1

    def _measure(self, limit: float, late: bool) -> None:
        record, die = self._record, self._board.die_c
        record.over_c = max(record.over_c, die - limit)
        if late:
            record.steady_c = max(record.steady_c, abs(die - self._task.spec.target_c))


def _settles_at(board: FakeBoard, fps: float, demand: Demand) -> float:
    twin = copy.deepcopy(board)
    return twin.settled(fps * demand.cost_s)[0]
