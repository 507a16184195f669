"""A rollout plan: one YAML file that says who takes what, in which stages, and what stops it.

Rules: a model goes through shadow first; the last stage is everybody; a stage is a share of the
fleet or those that bear tags. Every mistake is told as `file:line:column`, as of the configuration.
`order` makes the first `rollout/1` of it. Read `decide.py` next: what becomes of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from edge_agent.config.annotations import after, allowed, before, bounds
from edge_agent.config.judging import judge
from edge_agent.config.lookup import items, text
from edge_agent.config.one_file import Sort
from edge_agent.config.part import Part, key, keys_of, plain
from edge_agent.config.policy import FolderName, Version
from edge_agent.config.values import AsText, Name, Text
from edge_agent.config.wording import closest, did_you_mean, quoted, shown
from edge_agent.config.yaml_text import Fault, Marks
from edge_agent.config.yaml_text import Path as Where
from edge_agent.frozen import frozen_by_name
from edge_agent.policy.guardrails import NAMES
from edge_agent.policy.rollout import Kind, Mode, Rollout, Shadowing, Stage, State

if TYPE_CHECKING:
    from pydantic import ValidationInfo

    from edge_fleet.repository import Target

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_ID_ALLOWED = "up to 64 letters a-z A-Z, digits, _, . and -"
_LIMIT = 'a number of devices, or a share such as "2%"'
_GUARDRAILS = " | ".join(NAMES)
_PERCENT = re.compile(r"(\d+(?:\.\d+)?)%")


def _id(value: str) -> str:
    if not _ID.fullmatch(value):
        raise ValueError(f"{quoted(value)} stands here, allowed: {_ID_ALLOWED}")
    return value


def _limit(value: object) -> int | str:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    found = _PERCENT.fullmatch(value) if isinstance(value, str) else None
    if found is None or float(found[1]) > 100:
        raise ValueError(f"{shown(value)} stands here, allowed: {_LIMIT}")
    return str(value)


#: For a plan that is read again: what it was checked against has changed since.
_KEPT = {"kept": True}


def _guardrail(value: str, info: ValidationInfo) -> str:
    """A name that no device knows would judge nobody."""
    if value not in NAMES and info.context != _KEPT:
        raise ValueError(
            f"unknown guardrail {quoted(value)}, allowed: {_GUARDRAILS}{did_you_mean(value, NAMES)}"
        )
    return value


Id = Annotated[str, AsText, after(_id), allowed(_ID_ALLOWED)]
#: How many devices may fail before it counts: a number, or "2%" of those that came to an end.
Limit = Annotated[int | str, before(_limit), allowed(_LIMIT)]
Percent = Annotated[float, bounds(ge=0, le=100)]
Whole = Annotated[int, bounds(ge=1)]
GuardrailName = Annotated[str, after(_guardrail), allowed(_GUARDRAILS)]


@frozen_by_name
class AtLeast(Part):
    devices: Whole = key("So many of those who came with this stage must have succeeded.", 1)
    hours: Annotated[float, bounds(gt=0, le=10_000)] = key("The stage lasts at least so long.")
    percent: Percent = key(
        "Of those who came with it, known to the desk, so many percent must have succeeded; "
        "0: who is silent holds nothing up.",
        0.0,
    )


@frozen_by_name
class StagePlan(Part):
    name: Name = key("Unique in its plan.")
    mode: Literal["shadow", "charge"] = key(
        "shadow: beside the active one, raising nothing. charge: in its place, on probation first.",
        "charge",
    )
    percent: Percent | None = key("A share of the fleet, by a stable hash.", None)
    tags: dict[Name, Text] = key("Devices that bear every one of these.", {})
    at_least: AtLeast = key("What it takes to go on.")


@frozen_by_name
class Shadow(Part):
    every: Whole = key("Every n-th inferred frame is compared.", 10)
    frames: Whole = key("So many are compared.", 500)


@frozen_by_name
class Probation(Part):
    minutes: Annotated[float, bounds(gt=0, le=100_000)] = key("Then it is committed.", 60.0)


@frozen_by_name
class Tolerate(Part):
    rolled_back: Limit = key("More devices that went back abort the rollout.", 0)
    refused: Limit = key("More devices that would not take it pause the rollout.", 0)


@frozen_by_name
class Plan(Part):
    """One file."""

    id: Id = key("Of the rollout; also decides which devices are first.")
    model: FolderName | None = key("The model that is shipped.", None)
    policy: FolderName | None = key("Or the policy.", None)
    version: Version = key("Which of its published versions.")
    allow_downgrade: bool = key("Devices may take an older version than they have.", False)
    stages: tuple[StagePlan, ...] = key("One after the other.", min_length=1, strict=False)
    shadow: Shadow = key("How much a shadow stage compares.", Shadow())
    probation: Probation = key("How long a device watches it in charge.", Probation())
    guardrails: dict[GuardrailName, Annotated[float, bounds(ge=0)]] = key(
        "Numbers that must not exceed these; `least_…` must not fall below.", {}
    )
    tolerate: Tolerate = key("How many devices may fail.", Tolerate())
    silent_after_h: Annotated[float, bounds(gt=0, le=10_000)] = key(
        "Who began and was not heard of for so long holds nothing up any more.", 24.0
    )

    @property
    def kind(self) -> Kind:
        return Kind.MODEL if self.model is not None else Kind.POLICY

    @property
    def what(self) -> str:
        """The name of the model or policy."""
        return str(self.model if self.model is not None else self.policy)

    @property
    def target(self) -> str:
        suffix = "tar" if self.kind is Kind.MODEL else "yaml"
        return f"{self.role}/{self.what}/{self.version}.{suffix}"

    @property
    def role(self) -> str:
        """Who publishes it."""
        return "models" if self.kind is Kind.MODEL else "policies"


def order(plan: Plan, target: Target, serial: int) -> Rollout:
    """The first order of a plan for what was published."""
    return Rollout(
        id=plan.id,
        serial=serial,
        state=State.RUNNING,
        kind=plan.kind,
        target=target.path,
        sha256=str(target.custom["sha256"]),
        name=plan.what,
        version=plan.version,
        stages=tuple(
            Stage(each.name, Mode(each.mode), each.percent, dict(each.tags)) for each in plan.stages
        ),
        stage=0,
        shadow=Shadowing(plan.shadow.every, plan.shadow.frames),
        probation_minutes=plan.probation.minutes,
        guardrails=dict(plan.guardrails),
        allow_downgrade=plan.allow_downgrade,
    )


def document(plan: Plan) -> dict[str, Any]:
    """As it is kept with its rollout; `remembered` reads it."""
    document: dict[str, Any] = plain(plan)
    return document


def remembered(data: Any) -> Plan:
    """A plan as it was taken, whichever guardrails devices judge by now. Raises ValueError."""
    plan: Plan = judge(Plan, data, _KEPT)
    return plan


def load_plan(path: Path) -> Plan:
    """Raises UsageError with the first mistake and the number of the others."""
    return PLAN.load(path, "examples: ota/plans, every key: docs/rollouts.md")


# --- below: what keys must say of one another -----------------------------------------------------
# What the schema refuses, and a key that it does not know, are told by it: nothing is concluded
# from them here, so that a slip of the pen is one mistake.


def _faults(data: object, marks: Marks) -> Iterator[Fault]:
    if not isinstance(data, dict):
        return
    shipped = [word for word in ("model", "policy") if data.get(word) is not None]
    if len(shipped) == 2 or not (shipped or _may_be_meant(data, ("model", "policy"), Plan)):
        place: Where = ("policy",) if shipped else ()
        yield Fault(place, "a plan ships one thing, allowed: model or policy")
    stages = items(data, "stages")
    seen: set[str] = set()
    for index, stage in enumerate(stages):
        where: Where = ("stages", index)
        yield from _stage_faults(stage, where)
        name = text(stage, "name")
        if name in seen:
            yield Fault((*where, "name"), f"the name {quoted(str(name))} stands twice")
        seen |= {name} if name is not None else set()
    if stages:
        yield from _order_faults(stages, "model" in shipped)


def _may_be_meant(part: dict[Any, Any], words: tuple[str, ...], of: type[Part]) -> bool:
    """Whether a key that nobody knows stands there for one of these."""
    known = keys_of(of)
    guesses = [closest(str(word), known) for word in part if word not in known]
    return any(guess is None or guess in words for guess in guesses)


def _stage_faults(stage: object, where: Where) -> Iterator[Fault]:
    if not isinstance(stage, dict):
        return
    stands = [word for word in ("percent", "tags") if stage.get(word) not in (None, {})]
    if len(stands) == 2 or not (stands or _may_be_meant(stage, ("percent", "tags"), StagePlan)):
        yield Fault(where, "a stage has percent or tags, one of the two")


def _order_faults(stages: list[Any], is_model: bool) -> Iterator[Fault]:
    modes = [_mode(stage) for stage in stages]
    if is_model and modes[0] == "charge":
        yield Fault(("stages", 0), "a model goes through shadow first, allowed: mode: shadow")
    largest = {"shadow": -1.0, "charge": -1.0}
    for index, (stage, mode) in enumerate(zip(stages, modes, strict=True)):
        if mode == "shadow" and "charge" in modes[:index]:
            yield Fault(
                ("stages", index, "mode"), "a shadow stage stands before all that take charge"
            )
        percent = stage.get("percent") if isinstance(stage, dict) else None
        if isinstance(percent, int | float) and mode is not None:
            if percent <= largest[mode]:
                message = f"no more than the {largest[mode]:g} before: nobody would come with it"
                yield Fault(("stages", index, "percent"), message)
            largest[mode] = max(largest[mode], percent)
    if modes[-1] == "shadow" or _is_for_some(stages[-1]):
        yield Fault(
            ("stages", len(stages) - 1),
            "the last stage is everybody in charge, allowed: percent: 100",
        )


def _mode(stage: object) -> str | None:
    """None: it cannot be told."""
    if not isinstance(stage, dict):
        return None
    if "mode" not in stage:
        return None if _may_be_meant(stage, ("mode",), StagePlan) else "charge"
    mode = stage["mode"]
    return mode if mode in ("shadow", "charge") else None


def _is_for_some(stage: object) -> bool:
    """It certainly is not for everybody."""
    if not isinstance(stage, dict):
        return False
    percent = stage.get("percent")
    if percent is None:
        return not _may_be_meant(stage, ("percent",), StagePlan)
    return isinstance(percent, int | float) and percent != 100


PLAN = Sort("a rollout plan", Plan, _faults)
