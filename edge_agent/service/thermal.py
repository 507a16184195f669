"""The thermal thread: once a second the sensors, the work done, the governor, the new points.

Reads through `host/thermometer.py` and `host/throttling.py`, decides in `policy/sensors.py` and
`policy/thermal.py`; the gate reads the point of its pipeline with the next frame. Only what is read
and what is measured lives here. It outlives a reload: what was learned of the board stays.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from edge_agent.config import schema
from edge_agent.host.thermometer import AUTO, Thermometer
from edge_agent.host.throttling import read_throttling
from edge_agent.policy.sensors import Sensors, Troubles
from edge_agent.policy.shares import Demand
from edge_agent.policy.slowness import Slowness
from edge_agent.policy.thermal import Glance, Governor, Points, ThermalSpec
from edge_agent.policy.vigil import Beat
from edge_agent.service.board import BoardFacts, board_reasons
from edge_agent.service.runner import Runner
from edge_agent.service.surroundings import Surroundings
from edge_agent.types import Priority

log = logging.getLogger("edge_agent.thermal")

LOOK_S = 1.0
#: A sensor on a slow bus may take a while; one that takes longer hangs.
LATE_S = 10.0
#: Until an inference was measured it is taken for one of a middling model on a small board.
FIRST_COST_S = 0.05
#: What a source offers is its mean over so long; at first what the configuration lets through.
OFFERED_S = 30.0
#: Of a source that says nothing of its rate, where max_fps is 0.
FIRST_FPS = 30.0


class Thermal:
    """Sensors, governor and points of one running agent. One thread calls `look`."""

    def __init__(
        self,
        config: schema.Thermal,
        surroundings: Surroundings,
        runners: Callable[[], Mapping[str, Runner]],
    ) -> None:
        """`runners` gives the pipelines that are at work now; a reload changes them."""
        self._surroundings = surroundings
        self._runners = runners
        self._governor = Governor(_spec(config))
        self._slowness = Slowness()
        self._troubles = Troubles()
        self._offers: dict[str, Offer] = {}
        self._spent: dict[str, float] = {}
        self._time: float | None = None
        self._told: frozenset[str] = frozenset()
        self.beat = Beat("thermal", renewable=True)
        self._wanted = config
        self._begin(config)

    def configure(self, config: schema.Thermal) -> None:
        """After a reload, from another thread: what it says holds from the next look on."""
        self._wanted = config

    def run(self, stop: threading.Event) -> None:
        while not stop.is_set():
            self.beat.begin("a look at the board", LATE_S)
            self.look()
            stop.wait(LOOK_S)

    def look(self) -> None:
        """One turn: read, decide, tell."""
        if self._wanted is not self._config:
            self._begin(self._wanted)
        now, runners = self._surroundings.now(), self._runners()
        dt = LOOK_S if self._time is None else max(1e-3, now - self._time)
        self._time = now
        busy = self._busy(runners, dt)
        temperature = self._sensors.judge(now, self._thermometer.read(), busy)
        throttling = self._troubles.judge(now, read_throttling(self._sysfs))
        medians = {name: runner.effort.step_s() or 0.0 for name, runner in runners.items()}
        slowness = self._slowness.look(now, medians)
        celsius = temperature.celsius
        glance = Glance(now, celsius, busy, slowness, throttling.now)
        before = self._governor.points
        points = self._governor.step(glance, self._demands(runners, dt))
        self._log(before, points)
        facts = BoardFacts(
            temperature,
            throttling,
            points,
            self._governor.target_c,
            slowness if celsius is None else None,
            self._sensor_wanted,
        )
        self._tell(facts, now)

    # --- below, in call order --------------------------------------------------------------------

    def _begin(self, config: schema.Thermal) -> None:
        self._config = config
        self._sysfs = Path(config.sysfs)
        self._thermometer = Thermometer(self._sysfs, config.sensor)
        self._sensors = Sensors()
        self._sensor_wanted = config.sensor != AUTO or config.sysfs != "/sys"
        self._governor.configure(_spec(config))

    def _busy(self, runners: Mapping[str, Runner], dt: float) -> float:
        """Threads that inferences kept busy since the last look."""
        spent = {name: runner.effort.spent_s for name, runner in runners.items()}
        new = (max(0.0, total - self._spent.get(name, total)) for name, total in spent.items())
        busy = sum(new) / dt
        self._spent = spent
        return busy

    def _demands(self, runners: Mapping[str, Runner], dt: float) -> tuple[Demand, ...]:
        demands, kept = [], _kept_threads(runners)
        for name, runner in runners.items():
            limit = runner.assembled.spec.gate.max_fps
            offer = self._offers.setdefault(name, Offer(limit or FIRST_FPS))
            offered = offer.look(runner.account.ledger().captured, dt)
            fps = min(limit, offered) if limit else offered
            fps = max(fps, self._config.min_fps)
            chosen = runner.assembled.choice.plan.threads
            cost = runner.effort.cost_s(chosen) or runner.effort.cost_s() or FIRST_COST_S
            single_s = None if name in kept else _single_s(runner, cost)
            demands.append(Demand(name, rank_of(runner), fps, cost, single_s))
        self._offers = {name: self._offers[name] for name in runners}
        return tuple(demands)

    def _tell(self, facts: BoardFacts, now: float) -> None:
        reasons = {each.code for each in board_reasons(facts, everything=True)}
        since = {code: self._surroundings.board.since.get(code, now) for code in reasons}
        for each in board_reasons(facts):
            if each.code not in self._told:
                log.warning("board code=%s reason=%r next=%r", each.code, each.message, each.next)
        self._told = frozenset(each.code for each in board_reasons(facts))
        self._surroundings.tell_board(replace(facts, since=since))

    def _log(self, before: Points, points: Points) -> None:
        if points == before:
            return
        rates = ",".join(
            f"{name}:{point.max_fps:.2f}"
            for name, point in points.of.items()
            if point.max_fps is not None
        )
        single = ",".join(name for name, point in points.of.items() if point.threads == 1)
        log.info(
            "operating point heat=%d reason=%r max_fps=%s one_thread=%s",
            *(points.level, points.reason, rates, single),
        )


class Offer:
    """How many frames a second a source offers to one pipeline."""

    def __init__(self, fps: float) -> None:
        self._fps = fps
        self._captured: int | None = None

    def look(self, captured: int, dt: float) -> float:
        """`captured` so far; a source that is away for a moment still wants what it wanted."""
        if self._captured is not None and captured > self._captured:
            part = min(1.0, dt / OFFERED_S)
            self._fps += part * ((captured - self._captured) / dt - self._fps)
        self._captured = captured
        return self._fps


def _kept_threads(runners: Mapping[str, Runner]) -> frozenset[str]:
    """The pipelines whose model keeps its threads: one has no more, its memory cannot be taken out
    of it, or several pipelines share it."""
    uses = Counter(id(runner.assembled.engine) for runner in runners.values())
    return frozenset(
        name
        for name, runner in runners.items()
        if runner.assembled.choice.plan.threads == 1
        or not runner.assembled.engine.movable
        or uses[id(runner.assembled.engine)] > 1
    )


def _single_s(runner: Runner, cost_s: float) -> float | None:
    """What an inference costs on one thread: as seen while it ran so, else by `models bench`."""
    part = runner.assembled.choice.single
    return runner.effort.cost_s(1) or (None if part is None else part * cost_s)


def rank_of(runner: Runner) -> int:
    """The highest priority of its rules; one without rules is only for the record."""
    rules = runner.assembled.spec.rules
    return min((rule.priority.rank for rule in rules), default=Priority.RECORD.rank)


def _spec(config: schema.Thermal) -> ThermalSpec:
    return ThermalSpec(config.target_c, config.min_fps)
