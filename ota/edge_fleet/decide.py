"""What becomes of a rollout: (plan, where it stands, fleet, reports, now) -> decision with reasons.

Pure. Rules:

* One step at a time: stay, go on to the next stage, finish, pause on doubt, abort on harm.
* Harm is a device that was in charge and went back, or a guardrail that failed in charge. Doubt is
  one that would not take it, whose shadow failed, or a guardrail that failed before. More of them
  than the plan tolerates: never a step further.
* A stage is over by success that was reported, by its time, and when nobody who came with it is
  under way. Who is silent is neither success nor failure, and holds up only what the plan says.
* Reports are a set: their order and their repeats change nothing.

Tests hold the laws (tests/fleet/test_decide.py). Read `standing.py` next: how it becomes an order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from edge_agent.policy.guardrails import LEAST, breaks
from edge_agent.policy.rollout import Mode, Rollout, State
from edge_fleet.plan import Limit, Plan, StagePlan

HOUR_S = 3600.0
#: Steps of a device in which the target is, or was, in charge.
IN_CHARGE = ("swapped", "probation", "committed", "rolled_back")
#: Steps that are an end, where they are ok; and those that are one where they failed.
SUCCESS = ("shadow", "committed")
FAILURE = ("shadow", "refused", "rolled_back")
#: A reason names so many devices.
NAMED = 5


class Move(StrEnum):
    ABORT = "abort"
    PAUSE = "pause"
    STAY = "stay"
    ADVANCE = "advance"
    FINISH = "finish"


@dataclass(frozen=True, slots=True)
class Report:
    """What one device said of one step; `at` is when the desk received it."""

    id: str
    device: str
    step: str
    verdict: str
    at: float
    reason: str = ""
    numbers: Mapping[str, float] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a rollout stands. `accepted`: reports that a person has seen and goes on with."""

    order: Rollout
    began: float  # this stage
    accepted: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Failure:
    """One report that speaks against the target."""

    device: str
    why: str
    report: str
    harm: bool


@dataclass(frozen=True, slots=True)
class Tally:
    """Those who came with the present stage, each in one of these; and who failed, ever."""

    succeeded: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    under_way: tuple[str, ...] = ()
    silent: tuple[str, ...] = ()
    failures: tuple[Failure, ...] = ()

    @property
    def members(self) -> int:
        return sum(map(len, (self.succeeded, self.failed, self.under_way, self.silent)))


@dataclass(frozen=True, slots=True)
class Decision:
    move: Move
    reasons: tuple[str, ...]
    tally: Tally


#: Names and tags of the devices that the desk knows.
Fleet = Mapping[str, Mapping[str, str]]


def decide(
    plan: Plan, standing: Standing, fleet: Fleet, reports: Iterable[Report], now: float
) -> Decision:
    """The next step of a rollout. A finished one stays as it is."""
    found = frozenset(reports)
    tally = count(plan, standing, fleet, found, now)
    if standing.order.state in (State.ABORTED, State.DONE):
        return Decision(Move.STAY, (f"it is {standing.order.state.value}",), tally)
    ended = _ended(tally.failures, found)
    harm = _beyond(plan.tolerate.rolled_back, [f for f in tally.failures if f.harm], ended)
    if harm:
        return Decision(Move.ABORT, harm, tally)
    doubt = _beyond(plan.tolerate.refused, [f for f in tally.failures if not f.harm], ended)
    if standing.order.state is State.PAUSED:
        return Decision(Move.STAY, doubt or ("a person paused it",), tally)
    if doubt:
        return Decision(Move.PAUSE, doubt, tally)
    stage = plan.stages[standing.order.stage]
    if waiting := tuple(_waits_for(stage, tally, now - standing.began)):
        return Decision(Move.STAY, waiting, tally)
    last = standing.order.stage == len(standing.order.stages) - 1
    reason = f"stage {stage.name}: {len(tally.succeeded)} succeeded, none is under way"
    return Decision(Move.FINISH if last else Move.ADVANCE, (reason,), tally)


def moved(standing: Standing, move: Move, serial: int, now: float) -> Standing:
    """The standing after a step; the order is what devices are told."""
    order = replace(standing.order, serial=serial)
    match move:
        case Move.ADVANCE:
            return replace(standing, order=replace(order, stage=order.stage + 1), began=now)
        case Move.FINISH:
            return replace(standing, order=replace(order, state=State.DONE), began=now)
        case Move.PAUSE:
            return replace(standing, order=replace(order, state=State.PAUSED))
        case Move.ABORT:
            return replace(standing, order=replace(order, state=State.ABORTED))
    return standing


def count(
    plan: Plan, standing: Standing, fleet: Fleet, reports: frozenset[Report], now: float
) -> Tally:
    """Who came with the present stage and how they fare; every failure that nobody accepted."""
    by_device: dict[str, list[Report]] = {}
    for report in reports:
        by_device.setdefault(report.device, []).append(report)
    failures = sorted(
        _failures(plan, (each for each in reports if each.id not in standing.accepted)),
        key=lambda failure: (failure.device, failure.report, failure.why),
    )
    failed = {failure.device for failure in failures}
    parts: dict[str, list[str]] = {"succeeded": [], "failed": [], "under_way": [], "silent": []}
    for device, mode in newcomers(standing.order, fleet).items():
        said = by_device.get(device, [])
        parts[_fares(device in failed, said, mode, now - plan.silent_after_h * HOUR_S)].append(
            device
        )
    return Tally(failures=tuple(failures), **{name: tuple(each) for name, each in parts.items()})


def newcomers(order: Rollout, fleet: Fleet) -> dict[str, Mode]:
    """The devices for which the present stage changes something, and what they are asked to do."""
    now = replace(order, state=State.RUNNING)
    found = {}
    for device, tags in sorted(fleet.items()):
        mode = now.mode_for(device, tags)
        before = replace(now, stage=now.stage - 1).mode_for(device, tags) if now.stage else None
        if mode is not None and mode != before:
            found[device] = mode
    return found


# --- below: what one report, one device, one stage says -------------------------------------------


def _failures(plan: Plan, reports: Iterable[Report]) -> Iterator[Failure]:
    for report in reports:
        if report.verdict == "waiting":
            continue  # an interruption, or not yet the whole truth
        charge = report.step in IN_CHARGE
        if report.verdict == "failed" and report.step in FAILURE:
            why = report.reason or report.step.replace("_", " ")
            yield Failure(report.device, why, report.id, charge)
        for name, limit in plan.guardrails.items():
            value = report.numbers.get(name)
            if value is not None and breaks(name, value, limit):
                bound = "least" if name.startswith(LEAST) else "most"
                why = f"{name} is {value:g}, at {bound} {limit:g}"
                yield Failure(report.device, why, report.id, charge)


def _fares(failed: bool, said: Iterable[Report], mode: Mode, since: float) -> str:
    said = list(said)
    done = {report.step for report in said if report.verdict == "ok"}
    if failed:
        return "failed"
    if "committed" in done or (mode is Mode.SHADOW and "shadow" in done):
        return "succeeded"
    heard = max((report.at for report in said), default=None)
    return "silent" if heard is None or heard < since else "under_way"


def _ended(failures: Iterable[Failure], reports: Iterable[Report]) -> int:
    """How many devices came to an end, well or not, in any stage: what a share is taken of.

    Not of the present stage alone: a step would change what is tolerated, and undo itself.
    """
    done = {each.device for each in reports if each.verdict == "ok" and each.step in SUCCESS}
    return len(done | {failure.device for failure in failures})


def _beyond(limit: Limit, failures: list[Failure], ended: int) -> tuple[str, ...]:
    """The reasons, where more devices failed than may; else none."""
    devices = sorted({failure.device for failure in failures})
    if len(devices) <= tolerated(limit, ended):
        return ()
    first = {failure.device: failure.why for failure in reversed(failures)}
    named = [f"{device}: {first[device]}" for device in devices[:NAMED]]
    more = [f"and {len(devices) - NAMED} devices more"] if len(devices) > NAMED else []
    return (*named, *more, f"{len(devices)} failed, {limit} are tolerated")


def tolerated(limit: Limit, ended: int) -> int:
    """As a number of devices: of a share the whole ones."""
    if isinstance(limit, int):
        return limit
    return int(float(limit.removesuffix("%")) * ended / 100)


def _waits_for(stage: StagePlan, tally: Tally, elapsed: float) -> Iterator[str]:
    """What is lacking until the stage is over."""
    least = stage.at_least
    left = least.hours - elapsed / HOUR_S
    if left > 0:
        yield f"stage {stage.name} lasts another {_hours(left)}"
    succeeded = len(tally.succeeded)
    if succeeded < least.devices:
        few = f", it has {tally.members} known members" if tally.members < least.devices else ""
        yield f"{succeeded} of at least {least.devices} devices succeeded{few}"
    if succeeded * 100 < least.percent * tally.members:
        yield f"{succeeded} of {tally.members} succeeded, {least.percent:g} % must"
    if tally.under_way:
        yield f"{len(tally.under_way)} under way: {_listed(tally.under_way)}"


def _hours(hours: float) -> str:
    return f"{hours:.1f} h" if hours >= 1 else f"{hours * 60:.0f} min"


def _listed(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
