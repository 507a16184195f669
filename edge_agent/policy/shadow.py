"""A candidate in the shadow of the active model: how far do the two agree on the same frames?

Pure: findings and times in, numbers and a verdict out; `service/shadow.py` shows them the frames.
Rules:

* Of classifications the best label of a frame is compared, of other families the findings with
  boxes. Families without either have no agreement, only the other numbers.
* Agreement is Dice's: twice the findings that both have over all findings of both.
* A number that too few frames support is not told, and judges nobody.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from edge_agent.frozen import frozen
from edge_agent.policy.guardrails import LEAST, breaks, in_shadow
from edge_agent.policy.probation import FEW, apart
from edge_agent.policy.sketch import Sketch, quantile
from edge_agent.types import Detection

#: Findings of both together, frames, and answers, from which on a number says something.
FINDINGS, FRAMES, ANSWERS = 20, 100, 20


@frozen
class Answer:
    """What one side made of one frame. `opened`: events it would open."""

    found: tuple[Detection, ...]
    invoke_ms: float
    opened: int = 0

    @property
    def best(self) -> float:
        return max((each.score for each in self.found), default=0.0)


@dataclass(slots=True)
class Side:
    """One side's sums."""

    findings: int = 0
    events: int = 0
    best: Sketch = field(default_factory=Sketch)
    invoke: Sketch = field(default_factory=Sketch)

    def add(self, answer: Answer) -> None:
        self.findings += len(answer.found)
        self.events += answer.opened
        self.best.add(max(0.0, answer.best))
        self.invoke.add(answer.invoke_ms)


@dataclass(slots=True)
class Tally:
    """The comparison so far. `boxed`: findings have boxes; `labelled`: the best label counts."""

    boxed: bool
    labelled: bool
    frames: int = 0
    alike: int = 0  # findings, of classifications frames, that both have
    of: int = 0  # findings of both sides, of classifications twice the frames
    active: Side = field(default_factory=Side)
    candidate: Side = field(default_factory=Side)

    def add(self, active: Answer, candidate: Answer, alike: int = 0) -> None:
        """One frame. `alike`: findings that both have (`pipeline/bystander.py`)."""
        self.frames += 1
        self.active.add(active)
        self.candidate.add(candidate)
        if self.boxed:
            self.alike += alike
            self.of += len(active.found) + len(candidate.found)
        elif self.labelled:
            self.alike += _top(active.found) == _top(candidate.found)
            self.of += 2

    def numbers(self) -> dict[str, float]:
        """By the names of the guardrails; those that can be told."""
        told: dict[str, float] = {}
        if self.of >= FINDINGS:
            told["least_agreement"] = round(2 * self.alike / self.of, 3)
        if self.frames >= FRAMES:
            # Both saw the same frames: what the world did by chance, it did to both.
            more = max(0.0, self.candidate.events - FEW)
            told["event_ratio"] = round(more / max(1, self.active.events), 3)
            told["score_shift"] = round(apart(self.active.best, self.candidate.best), 3)
        was, is_ = quantile(self.active.invoke, 0.5), quantile(self.candidate.invoke, 0.5)
        if was and is_ and self.frames >= ANSWERS:
            told["latency_ratio"] = round(is_ / was, 3)
        return told


@frozen
class Verdict:
    passed: bool
    reason: str  # "" where it passed
    numbers: Mapping[str, float]


def judge(tally: Tally, guardrails: Mapping[str, float]) -> Verdict:
    """What the frames that were compared say, in the order of the guardrails."""
    numbers = tally.numbers()
    for name, limit in {**in_shadow(), **guardrails}.items():
        value = numbers.get(name)
        if value is not None and breaks(name, value, limit):
            bound = "below" if name.startswith(LEAST) else "over"
            word = name.removeprefix(LEAST)
            return Verdict(False, f"{word} {value:g} is {bound} {limit:g}", numbers)
    return Verdict(True, "", numbers)


def _top(found: Sequence[Detection]) -> str | None:
    best = max(found, key=lambda each: each.score, default=None)
    return None if best is None else best.label
