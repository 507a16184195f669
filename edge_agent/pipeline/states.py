"""The kinds of rule that watch one condition of the whole picture: count, absence, level.

Each has one event at a time. A count bears short failures like a stay does (`conditions.py`); an
absence ends with the first confirmed track that is seen in place; a level rises above
`score_above` and ends below `clear_below`. Read `switch.py` next, the fourth of them.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator

from edge_agent.pipeline.conditions import Spell, Stay, Watch
from edge_agent.pipeline.events import TICK_S, Cooldowns, OpenEvent, Opening, Storm
from edge_agent.pipeline.judges import Judge
from edge_agent.pipeline.rulespec import RuleSpec, RulesSpec
from edge_agent.pipeline.turn import Turn
from edge_agent.types import Decision, NearMiss, Number


class State(Judge):
    """One condition: opens when it has held for `_needed_s`, closes when its spell is over."""

    _needed_s: float

    def __init__(self, rule: RuleSpec, spec: RulesSpec, cooldowns: Cooldowns) -> None:
        super().__init__(rule, spec, cooldowns)
        self._spell = Spell()
        self._event: OpenEvent | None = None
        self._absorbed = False  # a storm counted this spell
        self._holds = False
        self._score = 0.0
        self._count = 1
        self._label = rule.only_label

    def stand_still(self, seconds: float) -> None:
        self._spell.stand_still(seconds)

    @abstractmethod
    def _observe(self, turn: Turn) -> None:
        """Bring `_spell`, `_holds`, `_score`, `_count` and `_label` up to date."""

    @abstractmethod
    def _decisions(self, time: float) -> tuple[Decision, ...]:
        """What the condition's own stages say."""

    def _step(self, turn: Turn) -> None:
        self._observe(turn)
        if self._spell.since is None:
            self._clear(turn)
        elif self._event is not None:
            self._go_on(self._event, turn)
        elif self._due(turn.time) and not self._absorbed:
            event = self._attempt(self._opening(turn), turn)
            self._absorbed = isinstance(event, Storm)
            self._event = None if self._absorbed else event

    def _clear(self, turn: Turn) -> None:
        """The spell is over."""
        self._absorbed = False
        if self._event is not None:
            turn.closed.append(self._event.event(turn.time, "cleared"))
            self._event = None

    def _due(self, time: float) -> bool:
        return self._holds and self._spell.lasted(time) >= self._needed_s - TICK_S

    def _go_on(self, event: OpenEvent, turn: Turn) -> None:
        if self._holds:
            event.hold(turn.time, self._score if turn.sight.inferred else None)
            event.count = max(event.count, self._count)

    def _nearest(self, turn: Turn) -> NearMiss | None:
        if self._event is not None or self._absorbed:
            return None
        return self._miss(turn, self._decisions(turn.time), label=self._label)

    def _opening(self, turn: Turn) -> Opening:
        return Opening(
            time=turn.time,
            frame=turn.sight.frame,
            input=turn.sight.input,
            subject=f"zone {self.rule.zone}" if self.rule.zone else "rule",
            since=turn.time if self._spell.since is None else self._spell.since,
            score=self._score,
            decisions=self._decisions(turn.time),
            label=self._label,
            count=self._count,
        )

    def _own_events(self) -> Iterator[OpenEvent]:
        if self._event is not None:
            yield self._event

    def _forget(self) -> None:
        self._spell = Spell()
        self._event = None
        self._absorbed = False


class _Crowd(State):
    """What rules about the number of tracks in place share."""

    def __init__(self, rule: RuleSpec, spec: RulesSpec, cooldowns: Cooldowns) -> None:
        super().__init__(rule, spec, cooldowns)
        self._watch = Watch(rule, spec)

    def stand_still(self, seconds: float) -> None:
        super().stand_still(seconds)
        self._watch.stand_still(seconds)

    def _confirmed(self) -> list[Stay]:
        """Tracks in place, as far as is known, that were confirmed during their stay."""
        needed = self.rule.confirm[0]
        return [s for s in self._watch.stays.values() if s.inside and s.hits >= needed]

    def _sought(self) -> dict[str, str | None]:
        return {"label": self.rule.wanted, "zone": self.rule.zone}

    def _forget(self) -> None:
        super()._forget()
        self._watch.stays.clear()


class Count(_Crowd):
    """At least `count` confirmed tracks in place at the same time, for `dwell_s`."""

    def __init__(self, rule: RuleSpec, spec: RulesSpec, cooldowns: Cooldowns) -> None:
        super().__init__(rule, spec, cooldowns)
        assert rule.count is not None
        self._needed = rule.count
        self._needed_s = rule.dwell_s

    def _observe(self, turn: Turn) -> None:
        self._watch.look(turn)
        inside = self._confirmed()
        self._count = len(inside)
        self._score = max((stay.track.score for stay in inside), default=0.0)
        self._holds = self._count >= self._needed
        self._spell.note(self._holds, turn.time)

    def _decisions(self, time: float) -> tuple[Decision, ...]:
        numbers = {"count": self._count, "need": self._needed, **self._sought()}
        counted = Decision("count", "pass" if self._holds else "stop", numbers)
        if not self._holds or not self._needed_s:
            return (counted,)
        lasted = {"s": self._spell.lasted(time), "need_s": self._needed_s}
        return counted, Decision("dwell", "pass" if self._due(time) else "stop", lasted)


class Absence(_Crowd):
    """No confirmed track seen in place for `absent_s`; the clock starts with the first sight."""

    def __init__(self, rule: RuleSpec, spec: RulesSpec, cooldowns: Cooldowns) -> None:
        super().__init__(rule, spec, cooldowns)
        assert rule.absent_s is not None
        self._needed_s = rule.absent_s
        self._seen_at: float | None = None
        self._count = 0

    def stand_still(self, seconds: float) -> None:
        super().stand_still(seconds)
        if self._seen_at is not None:
            self._seen_at += seconds

    def _observe(self, turn: Turn) -> None:
        self._watch.look(turn)
        present = [stay for stay in self._confirmed() if stay.here]
        self._count = len(present)
        self._holds = not present
        if present:
            self._seen_at = turn.time
            self._spell.since = None
        elif self._spell.since is None:
            self._spell.since = turn.time if self._seen_at is None else self._seen_at

    def _decisions(self, time: float) -> tuple[Decision, ...]:
        numbers = {
            "s": self._spell.lasted(time),
            "need_s": self._needed_s,
            "present": self._count,
            **self._sought(),
        }
        return (Decision("absence", "pass" if self._due(time) else "stop", numbers),)

    def _forget(self) -> None:
        super()._forget()
        self._seen_at = None


class Level(State):
    """The best score of its labels is above `score_above` for `for_s`, until `clear_below`.

    Where nothing of its labels was found there is no score, and nothing is above anything.
    """

    def __init__(self, rule: RuleSpec, spec: RulesSpec, cooldowns: Cooldowns) -> None:
        super().__init__(rule, spec, cooldowns)
        self._needed_s = rule.for_s
        self._found = False
        self.follow(spec)

    def follow(self, spec: RulesSpec) -> None:
        super().follow(spec)
        rule = self.rule
        above = spec.threshold if rule.score_above == "model" else rule.score_above
        assert isinstance(above, int | float)
        self._above = above
        self._below = above if rule.clear_below is None else rule.clear_below

    def _observe(self, turn: Turn) -> None:
        if turn.sight.inferred:
            self._read(turn)
        raised = self._event is not None or self._absorbed
        enough = self._score >= self._below if raised else self._score > self._above
        self._holds = self._found and enough
        if not self._holds:
            self._spell.since = None
        elif self._spell.since is None:
            self._spell.since = turn.time

    def _read(self, turn: Turn) -> None:
        labels = self.rule.labels
        self._found, self._score, self._label = False, 0.0, self.rule.only_label
        for found in turn.sight.detections:
            better = found.score > self._score or not self._found  # scores may be below 0
            if better and (not labels or found.label in labels):
                self._found, self._score, self._label = True, found.score, found.label

    def _decisions(self, time: float) -> tuple[Decision, ...]:
        numbers: dict[str, Number] = {
            "score": self._score if self._found else None,
            "above": self._above,
            "label": self._label,
        }
        rated = Decision("score", "pass" if self._holds else "stop", numbers)
        if not self._holds or not self._needed_s:
            return (rated,)
        lasted = {"s": self._spell.lasted(time), "need_s": self._needed_s}
        return rated, Decision("dwell", "pass" if self._due(time) else "stop", lasted)
