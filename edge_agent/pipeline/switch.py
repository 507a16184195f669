"""A switch: the best class of the picture is another one than before.

Rules:

* Of a frame only its best finding counts, and only from `min_score` on: a weaker one says nothing.
* A class is *confirmed* by n of the last m inferred frames and remains so until another one is. The
  first one follows nothing, so it is no switch; the next one is, if it is wanted (`label`).
* With a switch the frames that showed the class before it are forgotten: to come back it must be
  confirmed anew, so one frame of it is no switch where n of m asks for more.
* The event lasts as long as its class stays confirmed, and is `cleared` by the next one.

Read `why.py` next.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace

from edge_agent.pipeline.events import Cooldowns, Opening
from edge_agent.pipeline.rulespec import RuleSpec, RulesSpec
from edge_agent.pipeline.states import State
from edge_agent.pipeline.turn import Turn
from edge_agent.types import Decision, Detection, NearMiss


class Switch(State):
    """The confirmed class of a classification changes to a wanted one."""

    _needed_s = 0.0

    def __init__(self, rule: RuleSpec, spec: RulesSpec, cooldowns: Cooldowns) -> None:
        super().__init__(rule, spec, cooldowns)
        self.follow(spec)
        self._needed, self._window = rule.confirm
        self._recent: deque[str | None] = deque(maxlen=self._window)  # None: it said nothing
        self._best: Detection | None = None  # of the latest inferred frame
        self._current: str | None = None  # the confirmed class
        self._before: str | None = None  # the one before that

    def follow(self, spec: RulesSpec) -> None:
        super().follow(spec)
        self._min_score = spec.min_score if self.rule.min_score is None else self.rule.min_score

    def _observe(self, turn: Turn) -> None:
        if not turn.sight.inferred:
            return
        self._best = max(turn.sight.detections, key=lambda found: found.score, default=None)
        top = self._top()
        self._recent.append(top)
        if top is not None and top != self._current and self._recent.count(top) >= self._needed:
            self._clear(turn)
            self._become(top, turn.time)
        self._holds = self._spell.since is not None and top == self._current
        self._score = 0.0 if self._best is None else self._best.score
        self._label = self._current if self._spell.since is not None else top

    def _top(self) -> str | None:
        """What the latest inferred frame says."""
        best = self._best
        return best.label if best is not None and best.score >= self._min_score else None

    def _become(self, top: str, time: float) -> None:
        self._before, self._current = self._current, top
        kept = (None if label == self._before else label for label in self._recent)
        self._recent = deque(kept, maxlen=self._window)
        wanted = self._before is not None and self._wants(top)
        self._spell.since = time if wanted else None

    def _wants(self, label: str) -> bool:
        return not self.rule.labels or label in self.rule.labels

    def _nearest(self, turn: Turn) -> NearMiss | None:
        if self._holds and (self._event is not None or self._absorbed):
            return None
        label = None if self._best is None else self._best.label
        return self._miss(turn, self._decisions(turn.time), label=label)

    def _opening(self, turn: Turn) -> Opening:
        opening = super()._opening(turn)
        return replace(opening, before=self._before or "")

    def _decisions(self, time: float) -> tuple[Decision, ...]:
        best, top = self._best, self._top()
        if best is None:
            return (self._switched(None, "stop"),)
        numbers = {"score": best.score, "min": self._min_score}
        scored = Decision("score", "stop" if top is None else "pass", numbers)
        if top is None:
            return (scored,)
        if not self._holds and (self._current in (None, top) or not self._wants(top)):
            return scored, self._switched(top, "stop")
        made = (scored, self._switched(top, "pass"))
        if self.rule.confirm == (1, 1):
            return made
        hits = self._needed if self._holds else self._recent.count(top)
        counted = {"hits": hits, "need": self._needed, "of": self._window}
        return (*made, Decision("confirm", "pass" if self._holds else "stop", counted))

    def _switched(self, top: str | None, verdict: str) -> Decision:
        before = self._before if self._holds else self._current
        numbers = {"label": top, "before": before, "wanted": self.rule.wanted}
        return Decision("switch", verdict, numbers)

    def _forget(self) -> None:
        super()._forget()
        self._recent.clear()
        self._best = self._current = self._before = None
