"""One step of a model's or a policy's way to charge, and the report of it that leaves (`ota`).

Pure. Every step is told once: kept in the audit, and sent where the fleet's desk reads it
(docs/decisions/0009-how-a-model-comes.md has the steps and what their verdicts mean). What people
do at the command line beside (`installed`, `held`, ...) is only kept. Read `store/audit.py` next.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum
from typing import Any

from edge_agent.frozen import frozen
from edge_agent.policy.documents import significant
from edge_agent.policy.slots import Order

#: Those that leave, in their order, and the two ends of a way that is not finished.
REPORTED = (
    "offered", "downloaded", "verified", "tested", "golden", "regress", "shadow", "swapped",
    "probation", "committed", "refused", "rolled_back",
)  # fmt: skip


class Verdict(StrEnum):
    OK = "ok"
    FAILED = "failed"  # speaks against the model or policy
    WAITING = "waiting"  # does not: nothing is decided, or it will be tried again


@frozen
class Version:
    """A model or policy by what tells it from others."""

    version: str
    sha256: str


@frozen
class Step:
    """What was done, by whom, and what came of it.

    `who`: cli, ota, command, start or probation. `before`: what was in charge until then.
    """

    kind: str  # model, policy
    name: str
    target: Version
    step: str
    verdict: Verdict
    who: str
    reason: str = ""
    numbers: Mapping[str, float] = field(default_factory=dict)
    before: Version | None = None
    order: Order | None = None

    @property
    def is_reported(self) -> bool:
        return self.step in REPORTED


def report(step: Step) -> dict[str, Any]:
    """The `data` of a message on topic `ota`."""
    before = step.before
    return {
        "rollout": None if step.order is None else step.order.rollout,
        "serial": None if step.order is None else step.order.serial,
        "stage": None if step.order is None else step.order.stage,
        "kind": step.kind,
        "name": step.name,
        "version": step.target.version,
        "sha256": step.target.sha256,
        "step": step.step,
        "verdict": step.verdict.value,
        "reason": step.reason,
        "numbers": {name: significant(float(value)) for name, value in step.numbers.items()},
        "before": None if before is None else {"version": before.version, "sha256": before.sha256},
    }
