"""A rollout: the signed order that says which devices take which model or policy, and when.

Pure, and read by both sides: the desk writes it (`rollout/1`), the device obeys it. Rules:

* A stage's members stay members in all later stages; a late joiner takes the present stage.
* A share of the fleet is a stable hash of the rollout's and the device's ids, so that who is first
  differs from rollout to rollout and never within one.
* A document that says anything unknown or impossible is no order: ValueError with a sentence.

docs/decisions/0009-how-a-model-comes.md has the document.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import field, fields
from enum import StrEnum
from typing import Any

from edge_agent.frozen import frozen
from edge_agent.policy.ota import Version

SCHEMA = "rollout/1"


class Kind(StrEnum):
    MODEL = "model"
    POLICY = "policy"


class State(StrEnum):
    RUNNING = "running"
    PAUSED = "paused"  # nobody new begins; who has begun goes on
    ABORTED = "aborted"  # who runs the target goes back to what was before
    DONE = "done"  # everybody takes it, without stages


class Mode(StrEnum):
    SHADOW = "shadow"  # runs beside the active model and raises nothing
    CHARGE = "charge"  # takes its place, on probation first


@frozen
class Stage:
    """Who takes part: a share of all devices, or those that bear every one of the tags."""

    name: str
    mode: Mode
    percent: float | None = None  # 0..100
    tags: Mapping[str, str] = field(default_factory=dict)


@frozen
class Shadowing:
    """Every `every`-th inferred frame, until `frames` of them were compared."""

    every: int = 10
    frames: int = 500


@frozen
class Rollout:
    """One order. `sha256` is that of the model file, or of the policy file."""

    id: str
    serial: int
    state: State
    kind: Kind
    target: str
    sha256: str
    name: str
    version: str
    stages: tuple[Stage, ...]
    stage: int
    shadow: Shadowing = Shadowing()
    probation_minutes: float = 60.0
    guardrails: Mapping[str, float] = field(default_factory=dict)
    allow_downgrade: bool = False

    @property
    def what(self) -> Version:
        """What it orders."""
        return Version(self.version, self.sha256)

    def mode_for(self, device: str, tags: Mapping[str, str]) -> Mode | None:
        """What a device is asked to do now; None when it is not (yet) a member."""
        if self.state is State.DONE:
            return Mode.CHARGE
        modes = {
            stage.mode for stage in self.stages[: self.stage + 1] if self._has(stage, device, tags)
        }
        return Mode.CHARGE if Mode.CHARGE in modes else next(iter(modes), None)

    def _has(self, stage: Stage, device: str, tags: Mapping[str, str]) -> bool:
        if stage.percent is not None:
            return share(self.id, device) < stage.percent / 100
        return all(tags.get(key) == value for key, value in stage.tags.items())


def share(rollout: str, device: str) -> float:
    """Where a device stands in a rollout: 0 <= share < 1, evenly spread over devices."""
    digest = hashlib.sha256(f"{rollout}/{device}".encode()).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) / 2**53  # as many bits as a float can hold


def parse(document: Any) -> Rollout:
    """The order that a signed document holds. Raises ValueError with a sentence."""
    try:
        return _parse(document)
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as fault:
        what = f"{fault.args[0]!r} is missing" if isinstance(fault, KeyError) else str(fault)
        raise ValueError(f"this is no {SCHEMA} that this agent understands: {what}") from None


def write(rollout: Rollout) -> dict[str, Any]:
    """The document of an order; `parse` of it is the same order."""
    return {
        "schema": SCHEMA,
        "id": rollout.id,
        "serial": rollout.serial,
        "state": rollout.state.value,
        "kind": rollout.kind.value,
        "target": rollout.target,
        "sha256": rollout.sha256,
        "name": rollout.name,
        "version": rollout.version,
        "stages": [
            {
                "name": stage.name,
                "mode": stage.mode.value,
                "percent": stage.percent,
                "tags": dict(stage.tags),
            }
            for stage in rollout.stages
        ],
        "stage": rollout.stage,
        "shadow": {"every": rollout.shadow.every, "frames": rollout.shadow.frames},
        "probation": {"minutes": rollout.probation_minutes},
        "guardrails": dict(rollout.guardrails),
        "allow_downgrade": rollout.allow_downgrade,
    }


_NAMES = {each.name for each in fields(Rollout)}
_KEYS = _NAMES - {"probation_minutes"} | {"schema", "probation"}


def _parse(document: Any) -> Rollout:
    if document["schema"] != SCHEMA:
        raise ValueError(f"its schema is {document['schema']!r}")
    unknown = sorted(set(document) - _KEYS)
    if unknown:
        raise ValueError(f"unknown {', '.join(unknown)}")
    stages = tuple(_stage(each) for each in document["stages"])
    rollout = Rollout(
        id=_text(document, "id"),
        serial=_whole(document, "serial", 1),
        state=State(document["state"]),
        kind=Kind(document["kind"]),
        target=_text(document, "target"),
        sha256=_text(document, "sha256"),
        name=_text(document, "name"),
        version=_text(document, "version"),
        stages=stages,
        stage=_whole(document, "stage", 0),
        shadow=Shadowing(
            _whole(document["shadow"], "every", 1), _whole(document["shadow"], "frames", 1)
        ),
        probation_minutes=_number(document["probation"]["minutes"], "probation.minutes"),
        guardrails={str(k): _number(v, k) for k, v in document["guardrails"].items()},
        allow_downgrade=bool(document["allow_downgrade"]),
    )
    if rollout.stage >= len(stages):
        raise ValueError(f"stage {rollout.stage} of {len(stages)}")
    return rollout


def _stage(document: Any) -> Stage:
    percent = document["percent"]
    tags = {str(key): str(value) for key, value in document["tags"].items()}
    if (percent is None) == (not tags):
        raise ValueError("a stage is a percentage or tags, one of the two")
    if percent is not None and not 0 <= _number(percent, "percent") <= 100:
        raise ValueError(f"percent is 0 to 100, not {percent}")
    return Stage(_text(document, "name"), Mode(document["mode"]), percent, tags)


def _text(document: Any, key: str) -> str:
    value = document[key]
    if not isinstance(value, str) or not value:
        raise ValueError(f"{key} is a text, not {value!r}")
    return value


def _whole(document: Any, key: str, least: int) -> int:
    value = document[key]
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(f"{key} is a whole number from {least} on, not {value!r}")
    return value


def _number(value: Any, key: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e12:
        raise ValueError(f"{key} is a number from 0 on, not {value!r}")
    return value
