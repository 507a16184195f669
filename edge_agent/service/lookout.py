"""Feeds the timelines of one pipeline's rules: what the worker shows, and the time in between.

The worker shows every frame's outcome; housekeeping lets time pass and brings the excuse for a
silence. Any thread may call. `policy/coverage.py` has the rules; `housekeeping.py` writes what is
settled, and `black_box.py` keeps what is not over a kill. Read `black_box.py` next.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping, Sequence

from edge_agent.pipeline.camera_events import RULE
from edge_agent.pipeline.rulespec import RuleSpec
from edge_agent.pipeline.schedule import Calendar
from edge_agent.policy.coverage import (
    LONGEST_GAP_S,
    WATCHING,
    Attention,
    Cause,
    Since,
    State,
    Stretch,
    Timeline,
    blind,
    degraded,
    patience,
)
from edge_agent.policy.standstill import Standstill
from edge_agent.service.capture import SourceFacts
from edge_agent.types import Frame, Outcome, Skip

_NOT_LOOKING = {
    Skip.PAUSED: blind(Cause.PAUSED),
    Skip.SCHEDULE: blind(Cause.SCHEDULE),
    Skip.SWAP: blind(Cause.SWAP),
}
_WORSE_PICTURE = (Cause.BLURRED, Cause.MOVED)
_NOTHING_TO_SEE = (Cause.BLACK, Cause.COVERED, Cause.FROZEN)


class Lookout:
    """The timelines of one pipeline's rules since `now`, or since their earlier life ended."""

    def __init__(
        self,
        rules: Sequence[RuleSpec],
        now: float,
        standstill: Standstill,
        before: Mapping[str, Since] | None = None,
    ) -> None:
        self._lock = threading.Lock()
        self._standstill = standstill
        self._schedules = {rule.name: rule.schedule for rule in rules} or {"": None}
        self._timelines = {}
        for name in self._schedules:
            earlier = (before or {}).get(name)
            self._timelines[name] = Timeline(now if earlier is None else min(earlier.time, now))
            if earlier is not None:
                self._timelines[name].reach(now, blind(earlier.cause))
        self._calendar: Calendar | None = None
        self._patience_s = patience(None)
        self._shown = now  # the latest frame with a verdict
        self._number: int | None = None  # of that frame
        self._looked = now  # the latest one that was really looked at
        self._hot = -math.inf  # the latest one that was skipped by heat
        self._excuse: Attention | None = blind(Cause.STARTING)  # for the silence since then
        self._latest = WATCHING  # what the latest frame showed
        self._troubles: set[Cause] = set()  # of the camera, open now
        self.lying = False  # the model's answers cannot be believed

    def show(self, outcome: Outcome, calendar: Calendar) -> None:
        """What became of a frame."""
        time = outcome.frame.time
        with self._lock:
            self._calendar = calendar
            self._hear_of_the_camera(outcome)
            attention = self._attention(outcome)
            if attention is None:
                return
            if time - self._shown > self._patience_s:
                self._was_silent(time, self._excuse or self._guessed(outcome.frame))
            self._reach(time, attention)
            self._shown, self._latest = max(time, self._shown), attention
            self._number, self._excuse = outcome.frame.index, None

    def pass_time(self, now: float, facts: SourceFacts, excuse: Cause | None) -> None:
        """About once a second. `excuse`: why no frame may come that the source knows nothing of."""
        with self._lock:
            self._patience_s = patience(facts.period_s)
            if now - self._shown <= self._patience_s:
                return
            self._excuse = self._excused(now, facts, excuse)
            self._was_silent(now, self._excuse)

    def settle(self, before: float) -> dict[str, tuple[Stretch, ...]]:
        """Per rule the stretches up to that moment; they are not told again."""
        with self._lock:
            return {name: line.settle(before) for name, line in self._timelines.items()}

    def end(self, now: float) -> None:
        """Nobody shows frames any more: the last moments were as those before them."""
        with self._lock:
            if now - self._shown > self._patience_s:
                self._was_silent(now, self._excuse or blind(Cause.SOURCE_LOST))
            self._reach(now, self._latest)

    def unsettled(self) -> dict[str, tuple[Stretch, ...]]:
        with self._lock:
            return {name: line.stretches for name, line in self._timelines.items()}

    # --- below, in call order -----------------------------------------------------------------

    def _hear_of_the_camera(self, outcome: Outcome) -> None:
        for event in outcome.closed:
            if event.rule == RULE:
                self._troubles.discard(Cause(event.label or ""))
        for event in outcome.opened:
            if event.rule != RULE:
                continue
            trouble = Cause(event.label or "")
            self._troubles.add(trouble)
            attention = degraded(trouble) if trouble in _WORSE_PICTURE else blind(trouble)
            held_s = next(
                (d.numbers.get("s", 0.0) for d in event.decisions if d.stage == "camera"), 0.0
            )
            for line in self._timelines.values():
                line.revise(outcome.frame.time - float(held_s or 0.0), attention)

    def _attention(self, outcome: Outcome) -> Attention | None:
        """None: this verdict says nothing of the time before it (a stale frame)."""
        skip, time = outcome.skip, outcome.frame.time
        if skip is Skip.STALE:
            return None
        if skip is Skip.QUALITY:
            return blind(Cause(str(outcome.gate.numbers["trouble"])))
        if skip in _NOT_LOOKING:
            return _NOT_LOOKING[skip]
        if skip is Skip.THERMAL:
            self._hot = time
            blinded = time - self._looked > LONGEST_GAP_S
            return blind(Cause.HEAT) if blinded else degraded(Cause.HEAT)
        if skip is not Skip.RATE:
            self._looked = time
        elif self._latest.cause in _NOTHING_TO_SEE:
            return self._latest  # nobody looked whether there is light again
        if self.lying:
            return blind(Cause.LYING)
        if time - self._hot < LONGEST_GAP_S:
            return degraded(Cause.HEAT)
        return next((degraded(each) for each in _WORSE_PICTURE if each in self._troubles), WATCHING)

    def _excused(self, now: float, facts: SourceFacts, excuse: Cause | None) -> Attention:
        """Why nothing was shown for longer than the source's patience."""
        if excuse is not None:
            return blind(excuse)
        if facts.state == "opening":
            return blind(Cause.STARTING)
        if facts.state == "ended":
            return blind(Cause.ENDED)
        if facts.state == "lost" or now - facts.latest > self._patience_s:
            return blind(Cause.SOURCE_LOST)
        slow = now - self._shown <= LONGEST_GAP_S
        return degraded(Cause.BUSY) if slow else blind(Cause.BUSY)

    def _guessed(self, frame: Frame) -> Attention:
        """Why nothing was shown before that frame, where no time passed that says it: the source
        was silent, unless frames came meanwhile that nobody had time for."""
        came = self._number is not None and frame.index > self._number + 1
        return degraded(Cause.BUSY) if came else blind(Cause.SOURCE_LOST)

    def _was_silent(self, time: float, excuse: Attention) -> None:
        """Nothing was shown until then: for the excuse, but where the whole process stood still."""
        stood, since = self._standstill.latest(time), self._shown
        if stood is not None and stood[1] > since:
            waited = stood[0] - since > self._patience_s
            self._reach(stood[0], excuse if waited else self._latest)
            since = min(stood[1], time)
            self._reach(since, blind(Cause.SUSPENDED))
        if time - since > self._patience_s:  # a frame has some time to come in
            self._reach(time, excuse)

    def _reach(self, time: float, attention: Attention) -> None:
        for name, line in self._timelines.items():
            line.reach(time, self._for_rule(name, time, attention))

    def _for_rule(self, name: str, time: float, attention: Attention) -> Attention:
        schedule = self._schedules[name]
        if schedule is None or self._calendar is None or attention.state is State.BLIND:
            return attention
        closed = schedule.state(time, self._calendar).verdict == "closed"
        return blind(Cause.SCHEDULE) if closed else attention
