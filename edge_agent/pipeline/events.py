"""The life of an event: may it open, under which id, what it gathers, how it closes.

Rules:

* The id derives from data alone, so the same input gives the same id and a re-sent message is
  recognised. Message ids are `<event>/open` and `<event>/close`.
* An opening passes the rule's schedule, then its cool-down, then its `max_per_hour`.
* Cool-down is counted from the last opening in its scope: of the rule, of the track in this rule,
  or of the place among all rules of the pipeline that say `cooldown_scope: zone`. What was
  suppressed opens later if its condition still holds then.
* Never more than `max_per_hour` events of a rule open within any 3600 s. The next opening becomes
  one storm event; it and the further ones are counted there, once each, until the oldest of those
  openings is an hour old.

Read `conditions.py` next.
"""

from __future__ import annotations

import json
import math
from collections import deque
from hashlib import blake2b

from edge_agent.frozen import frozen
from edge_agent.pipeline.rulespec import Ident, RuleSpec, RulesSpec
from edge_agent.pipeline.schedule import Calendar
from edge_agent.pipeline.sentence import Facts, sentence, storm_sentence
from edge_agent.types import Box, Decision, Event

HOUR_S = 3600.0
#: Spans that differ by less than a millisecond are equal (times are sums of inexact steps).
TICK_S = 1e-3


def event_id(ident: Ident, pipeline: str, rule: str, subject: str, opening: str) -> str:
    """16 hex digits: the first 8 bytes of BLAKE2b over everything that makes an event this one.

    `subject` is the track, the zone or the rule that it is about, `opening` names the opening
    frame. JSON joins them, so no two lists of parts give the same text.
    """
    parts = [ident.store, ident.boot, pipeline, rule, subject, opening]
    text = json.dumps(parts, ensure_ascii=False, separators=(",", ":"))
    return blake2b(text.encode()).hexdigest()[:16]


class Scores:
    """The greatest and the median of any number of scores, in constant memory.

    A histogram with steps of 1/1000, finer ones when the first score is below 0.1 (an anomaly's may
    be of any size). The step doubles whenever more than BINS different values have been seen.
    """

    __slots__ = ("_bins", "_count", "_step", "max")

    BINS = 1001

    def __init__(self, first: float) -> None:
        self._bins: dict[int, int] = {}
        self._count = 0
        self._step = _step(first)
        self.max = first
        self.add(first)

    def add(self, score: float) -> None:
        self.max = max(self.max, score)
        self._count += 1
        step = round(score / self._step)
        self._bins[step] = self._bins.get(step, 0) + 1
        if len(self._bins) > self.BINS:
            self._coarsen()

    def median(self) -> float:
        """The middle score, or the mean of the two in the middle."""
        low, high = (self._count - 1) // 2, self._count // 2
        return (self._at(low) + self._at(high)) * 0.5

    def _at(self, rank: int) -> float:
        for step in sorted(self._bins):
            rank -= self._bins[step]
            if rank < 0:
                return step * self._step
        raise IndexError(rank)

    def _coarsen(self) -> None:
        halved: dict[int, int] = {}
        for step, count in self._bins.items():
            halved[step // 2] = halved.get(step // 2, 0) + count
        self._bins, self._step = halved, self._step * 2


def _step(score: float) -> float:
    """A thousandth, or of a small score a thousandth of its power of ten."""
    size = abs(score)
    return 1e-3 if size >= 0.1 or size < 1e-12 else 10.0 ** (math.floor(math.log10(size)) - 3)


@frozen
class Opening:
    """What an event opens with. `since` is when its condition began to hold."""

    time: float
    frame: int
    input: str | None
    subject: str
    since: float
    score: float
    decisions: tuple[Decision, ...]
    label: str | None = None
    count: int = 1
    track: int | None = None
    box: Box | None = None
    direction: str = ""
    before: str = ""


class OpenEvent:
    """An event that is open: cheap to update, and an `Event` whenever one is asked for."""

    __slots__ = ("_identity", "_opening", "_rule", "_scores", "count", "seen")

    def __init__(self, spec: RulesSpec, rule: RuleSpec, opening: Opening) -> None:
        frame = f"{spec.source}:{opening.input or ''}:{opening.frame}"
        id_ = event_id(spec.ident, spec.pipeline, rule.name, opening.subject, frame)
        self._identity = (id_, spec.pipeline, spec.source)
        self._rule = rule
        self._opening = opening
        self._scores = Scores(opening.score)
        self.seen = opening.time
        self.count = opening.count

    def hold(self, time: float, score: float | None = None) -> None:
        """The condition still holds; `score` is what an inferred frame showed."""
        self.seen = time
        if score is not None:
            self._scores.add(score)

    def event(self, closed: float | None = None, reason: str | None = None) -> Event:
        """Its values at present; with `closed` and `reason`, its final ones."""
        opening, rule = self._opening, self._rule
        id_, pipeline, source = self._identity
        return Event(
            id=id_,
            pipeline=pipeline,
            source=source,
            rule=rule.name,
            priority=rule.priority,
            label=opening.label,
            zone=rule.place,
            text=self._text(),
            opened=opening.time,
            seen=self.seen,
            closed=closed,
            close_reason=reason,
            score_max=self._scores.max,
            score_median=self._scores.median(),
            track=opening.track,
            count=self.count,
            box=opening.box,
            frame=opening.frame,
            input=opening.input,
            decisions=opening.decisions,
            advice=rule.advice,
        )

    def _text(self) -> str:
        opening = self._opening
        held = self.seen - opening.since
        facts = Facts(
            opening.label, self.count, self._scores.max, held, opening.direction, opening.before
        )
        return sentence(self._rule, facts)


class Storm(OpenEvent):
    """The one event that stands for all further openings of a rule until `until`."""

    __slots__ = ("until",)

    def __init__(self, spec: RulesSpec, rule: RuleSpec, opening: Opening, until: float) -> None:
        super().__init__(spec, rule, opening)
        self.until = until

    def absorb(self, time: float, score: float) -> None:
        self.hold(time, score)
        self.count += 1

    def _text(self) -> str:
        return storm_sentence(self._rule, self.count)


#: (scope, ...) -> time of the last opening there; shared by all rules of a pipeline.
Cooldowns = dict[tuple[str, ...], float]


class Admission:
    """Whether one rule may open an event now: its schedule, cool-down and `max_per_hour`."""

    __slots__ = ("_cooldowns", "_openings", "_rule")

    def __init__(self, rule: RuleSpec, cooldowns: Cooldowns) -> None:
        self._rule = rule
        self._cooldowns = cooldowns
        self._openings: deque[float] = deque(maxlen=rule.max_per_hour or 0)

    def judge(self, time: float, calendar: Calendar, track: int | None) -> list[Decision]:
        """The decisions on an opening; it may open when the last of them is no `stop`."""
        rule = self._rule
        decisions: list[Decision] = []
        if rule.schedule is not None:
            state = rule.schedule.state(time, calendar)
            verdict = "pass" if state.verdict == "open" else "stop"
            decisions.append(Decision("schedule", verdict, state.numbers))
            if verdict == "stop":
                return decisions
        if rule.cooldown_s > 0:
            decisions.append(self._cooldown(time, track))
            if decisions[-1].verdict == "stop":
                return decisions
        if rule.max_per_hour is not None:
            decisions.append(self._account(time, rule.max_per_hour))
        return decisions

    def full_until(self) -> float:
        """When the oldest opening that counts is an hour old."""
        return self._openings[0] + HOUR_S

    def opened(self, time: float, track: int | None) -> None:
        """An event opened: the hour's account grows and the cool-down begins."""
        self._openings.append(time)
        self.cooled(time, track)

    def cooled(self, time: float, track: int | None) -> None:
        """The cool-down begins: an event opened, or a storm took the opening in."""
        if self._rule.cooldown_s <= 0:
            return
        if self._rule.cooldown_scope == "track":
            self._forget_expired(time)
        self._cooldowns[self._scope(track)] = time

    def _account(self, time: float, most: int) -> Decision:
        recent = sum(time - opening < HOUR_S - TICK_S for opening in self._openings)
        verdict = "pass" if recent < most else "stop"
        return Decision("max_per_hour", verdict, {"opened": recent, "max": most})

    def _cooldown(self, time: float, track: int | None) -> Decision:
        rule = self._rule
        last = self._cooldowns.get(self._scope(track))
        passed = last is None or time - last >= rule.cooldown_s - TICK_S
        numbers = {
            "since_s": None if last is None else time - last,
            "need_s": rule.cooldown_s,
            "scope": rule.cooldown_scope,
        }
        return Decision("cooldown", "pass" if passed else "stop", numbers)

    def _scope(self, track: int | None) -> tuple[str, ...]:
        rule = self._rule
        match rule.cooldown_scope:
            case "zone":
                return ("zone", rule.place or "")
            case "track":
                return ("track", rule.name, str(track))
            case "rule":
                return ("rule", rule.name)

    def _forget_expired(self, time: float) -> None:
        """Tracks come and go for years: keep only those that still cool down."""
        mine = ("track", self._rule.name)
        for key, opened in list(self._cooldowns.items()):
            if key[:2] == mine and time - opened >= self._rule.cooldown_s:
                del self._cooldowns[key]
