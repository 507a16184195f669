"""The thermal governor: the highest rates that keep the board at or below its target.

A closed loop once a second, with at most one change of point a minute:

    temperature, busy threads -> Heat (heat.py) -> the budget of busy threads -> rates (shares.py)

- It *lowers* at once when what is now, or the highest within the next minute, would be above the
  target, and by as much as that takes; a small excess has to last.
- It *raises* when there was room for a while, three minutes after the last change at the earliest.
- Feed-forward: a burst of work, or a rise that is not ours, is answered by what it will come to.
- *Threads before rates*: several threads answer sooner, and cost more busy seconds an answer. While
  heat limits, a model runs on one, where that costs less and leaves it no lower a rate.
- What the board slows down by itself (`ceiling`) is a target of its own: below the configured one.
- Without a temperature it goes by slowness (slowness.py): a quarter less where invokes take longer
  than they did, more again when they do not.

Pure. `min_fps` is kept whatever the heat, and alert pipelines starve last.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from edge_agent.frozen import frozen
from edge_agent.policy.heat import Heat
from edge_agent.policy.shares import Demand, least, share, wanted
from edge_agent.types import OperatingPoint, Trouble

#: At most one change of point in so long.
HOLD_S = 60.0
#: A raise waits for so long after a change: the next lowering must not find the minute used up.
RAISE_HOLD_S = 150.0
#: How far ahead is looked: until the next change takes effect. A lowering is to last longer.
AHEAD_S, LOWERED_FOR_S = 70.0, 120.0
#: Aimed at so much below the target.
MARGIN_C = 0.05
#: Lower at once from so much above the target on: expected, or there already.
EXPECTED_C, THERE_C = 0.6, 0.5
#: Less than `DEAD_C` is noise; more must add up to so many K s.
DEAD_C, LOWER_KS, RAISE_KS = 0.05, 25.0, 30.0
#: Part of the room that a raise takes: the case warms up behind it.
RAISE_PART = 0.8
#: Smaller changes are not worth a minute.
SMALLEST_PART = 0.02
#: One thread must cost less than this part of what all cost.
CHEAPER = 0.95
#: Levels of an operating point: 0 is free, 10 is the floor.
LEVELS = 10

#: Where the board throttled itself the ceiling is so much below, and rises again so fast (K/h).
BELOW_THROTTLE_C, CEILING_UP = 1.5, 0.5
LOWEST_CEILING_C = 45.0

#: Without a sensor: slower than this is hot, below that it is not; how much less and more.
SLOW_FROM, SLOW_UNTIL = 1.3, 1.15
SLOW_STEP, QUICK_STEP = 0.75, 1.15
#: Both must have lasted.
SLOW_FOR_S, QUICK_FOR_S = 60.0, 180.0

#: What so long at the floor does not cure is no heat.
CURED_S = 900.0

_SELF_MADE = frozenset({Trouble.THROTTLED, Trouble.SOFT_LIMIT, Trouble.CAPPED})


@frozen
class ThermalSpec:
    target_c: float = 75.0
    min_fps: float = 0.5


@frozen
class Glance:
    """What is known at one moment. `celsius` None: no sensor can be believed.

    `busy`: threads that our inferences kept busy since the last glance. `slowness`: how many times
    as long as at best an invoke takes. `troubles`: what the board says of itself.
    """

    time: float
    celsius: float | None
    busy: float = 0.0
    slowness: float | None = None
    troubles: frozenset[Trouble] = frozenset()


@dataclass(slots=True)
class _Patience:
    """How long, and by how much, there was a reason to change."""

    lower: float = 0.0
    raised: float = 0.0


@frozen
class Points:
    """The operating point of each pipeline. `level` 0: nobody is held back."""

    level: int = 0
    reason: str = "cool"
    of: Mapping[str, OperatingPoint] = field(default_factory=dict)

    def point(self, pipeline: str) -> OperatingPoint:
        return self.of.get(pipeline, OperatingPoint())


class Governor:
    """The governor of one board."""

    def __init__(self, spec: ThermalSpec) -> None:
        self._spec = spec
        self._heat: Heat | None = None
        self._time: float | None = None
        self._changed: float | None = None
        self._budget: float | None = None  # busy threads; None: free
        self._patience = _Patience()
        self._ceiling: float | None = None
        self._throttled = False
        self._accepted, self._floor_s = 1.0, 0.0
        self._demands: tuple[Demand, ...] = ()
        self._single: frozenset[str] = frozenset()  # pipelines whose model runs on one thread
        self.points = Points()

    @property
    def target_c(self) -> float:
        """What is aimed at: the configured target, or where the board slows itself down."""
        target = self._spec.target_c
        return target if self._ceiling is None else min(target, self._ceiling)

    def configure(self, spec: ThermalSpec) -> None:
        """Another target from now on (a reload); what was learned of the board stays."""
        self._spec = spec

    def step(self, glance: Glance, demands: Sequence[Demand]) -> Points:
        """What holds from this moment on."""
        dt = 0.0 if self._time is None else glance.time - self._time
        self._time = glance.time
        self._watch_ceiling(glance, dt)
        if {each.pipeline for each in demands} != {each.pipeline for each in self._demands}:
            self._demands = tuple(demands)
            self._hand_out(self.points.reason)  # other pipelines: the same heat, shared anew
        self._demands = tuple(demands)
        if glance.celsius is None:
            self._by_slowness(glance, dt)
        else:
            self._by_temperature(glance, glance.celsius, dt)
        return self.points

    # --- the closed loop -------------------------------------------------------------------------

    def _by_temperature(self, glance: Glance, celsius: float, dt: float) -> None:
        if self._heat is None:
            self._heat = Heat(glance.time, celsius, glance.busy)
        heat = self._heat
        heat.follow(glance.time, celsius, glance.busy)
        want, target = wanted(self._working()), self.target_c
        allowed = want if self._budget is None else min(self._budget, want)
        goal = target - MARGIN_C
        excess = heat.ahead(min(allowed, heat.using), AHEAD_S) - goal
        spare = goal - heat.ahead(allowed, AHEAD_S)
        self._be_patient(excess, spare, dt)
        reason = f"{celsius:.1f} C of {target:g} C"
        at_once = excess > EXPECTED_C or heat.present() - target > THERE_C
        if at_once or self._patience.lower > LOWER_KS:
            self._lower(glance.time, min(allowed, heat.room(goal, LOWERED_FOR_S)), reason)
        elif self._budget is not None and self._patience.raised > RAISE_KS:
            room = heat.room(goal, AHEAD_S)
            if room >= wanted(self._demands):
                self._raise(glance.time, None, "cool")
            else:
                held = min(self._budget, wanted(self._demands))
                self._raise(glance.time, held + RAISE_PART * (room - held), reason)

    def _be_patient(self, excess: float, spare: float, dt: float) -> None:
        patience = self._patience
        lower = patience.lower + (excess - DEAD_C) * dt
        raised = patience.raised + (spare - DEAD_C) * dt
        # No more than it takes: hours at the floor must not be paid back before a raise.
        patience.lower = min(max(0.0, lower), 1.2 * LOWER_KS)
        patience.raised = min(max(0.0, raised), 1.2 * RAISE_KS)

    def _watch_ceiling(self, glance: Glance, dt: float) -> None:
        """A board that slows itself down is too hot for it, whatever the target says.

        A clock held down for want of voltage is no heat.
        """
        itself = bool(glance.troubles & _SELF_MADE)
        itself = itself and Trouble.UNDERVOLTAGE not in glance.troubles
        if itself and not self._throttled and glance.celsius is not None:
            found = max(LOWEST_CEILING_C, glance.celsius - BELOW_THROTTLE_C)
            self._ceiling = found if self._ceiling is None else min(self._ceiling, found)
        elif self._ceiling is not None and not itself:
            self._ceiling += CEILING_UP * dt / 3600.0
            if self._ceiling >= self._spec.target_c:
                self._ceiling = None
        self._throttled = itself

    # --- without a temperature -------------------------------------------------------------------

    def _by_slowness(self, glance: Glance, dt: float) -> None:
        self._heat = None  # what was known of the temperature is old when it comes back
        slowness, patience = self._unaccepted(glance.slowness, dt), self._patience
        itself = bool(glance.troubles & _SELF_MADE)
        slow = itself or (slowness is not None and slowness >= SLOW_FROM)
        quick = not itself and (slowness is None or slowness <= SLOW_UNTIL)
        patience.lower = patience.lower + dt if slow else 0.0
        patience.raised = patience.raised + dt if quick else 0.0
        want = wanted(self._working())
        allowed = want if self._budget is None else min(self._budget, want)
        times = "" if slowness is None else f"{slowness:.1f} x slower"
        if patience.lower >= SLOW_FOR_S:
            self._lower(glance.time, allowed * SLOW_STEP, "throttled" if itself else times)
        elif self._budget is not None and patience.raised >= QUICK_FOR_S:
            more = max(allowed, self._least()) * QUICK_STEP
            if more >= wanted(self._demands):
                self._raise(glance.time, None, "cool")
            else:
                self._raise(glance.time, more, times or "no sensor")

    def _unaccepted(self, slowness: float | None, dt: float) -> float | None:
        """The slowness but for what a quarter of an hour at the floor did not cure.

        That is no heat: an idle clock is a slow one too. Without this it would hold for ever.
        """
        if slowness is None:
            return None
        self._accepted = max(1.0, min(self._accepted, slowness))
        at_floor = self.points.level == LEVELS and slowness > self._accepted * SLOW_UNTIL
        self._floor_s = self._floor_s + dt if at_floor else 0.0
        if self._floor_s >= CURED_S:
            self._accepted, self._floor_s = slowness, 0.0
        return slowness / self._accepted

    # --- one change of point ---------------------------------------------------------------------

    def _lower(self, time: float, budget: float, reason: str) -> None:
        budget = max(self._least(), budget)
        now = wanted(self._demands) if self._budget is None else self._budget
        if self._may(time, HOLD_S) and budget < now * (1.0 - SMALLEST_PART):
            self._change(time, budget, reason)

    def _raise(self, time: float, budget: float | None, reason: str) -> None:
        enough = budget is None or (
            self._budget is not None and budget > self._budget * (1.0 + SMALLEST_PART)
        )
        if self._may(time, RAISE_HOLD_S) and enough:
            self._change(time, budget, reason)

    def _may(self, time: float, hold_s: float) -> bool:
        return self._changed is None or time - self._changed >= hold_s

    def _change(self, time: float, budget: float | None, reason: str) -> None:
        self._changed, self._budget, self._patience = time, budget, _Patience()
        if self._heat is not None:
            self._heat.changes()
        self._hand_out(reason)

    def _hand_out(self, reason: str) -> None:
        if self._budget is None:
            self._single, self.points = frozenset(), Points()
            return
        min_fps = self._spec.min_fps
        self._single = self._carried_alone(self._budget)
        working = self._working()
        rates = share(self._budget, working, min_fps)
        floor, want = least(working, min_fps), wanted(working)
        part = (self._budget - floor) / (want - floor) if want > floor else 0.0
        level = round(1 + (LEVELS - 1) * (1.0 - min(1.0, max(0.0, part))))
        point = OperatingPoint(level=level, reason=reason)
        held = {each.pipeline: each.fps for each in self._demands}
        self.points = Points(
            level,
            reason,
            {
                name: replace(
                    point,
                    max_fps=rate if rate < held[name] else None,
                    threads=1 if name in self._single else None,
                )
                for name, rate in rates.items()
            },
        )

    def _working(self) -> tuple[Demand, ...]:
        """The demands at the cost of the threads that they have now."""
        return tuple(
            each.alone() if each.pipeline in self._single else each for each in self._demands
        )

    def _least(self) -> float:
        return least([each.alone() for each in self._demands], self._spec.min_fps)

    def _carried_alone(self, budget: float) -> frozenset[str]:
        """The pipelines that one thread serves for less, and with no lower a rate."""
        min_fps = self._spec.min_fps
        one = share(budget, [each.alone() for each in self._demands], min_fps)
        all_ = share(budget, self._demands, min_fps)
        return frozenset(
            each.pipeline
            for each in self._demands
            if each.single_s is not None
            and each.single_s < CHEAPER * each.cost_s
            and one[each.pipeline] >= all_[each.pipeline]
        )
