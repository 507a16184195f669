"""The kinds of rule that have an event for each track, and what all kinds share.

A judge takes one rule from sight to sight. All of them open events in `_attempt`, so schedule,
cool-down and `max_per_hour` are the same for all. Read `states.py` next: the kinds that watch one
condition of the whole picture.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import replace

from edge_agent.pipeline.conditions import OPEN, PLACE, Numbers, Stay, Watch
from edge_agent.pipeline.events import TICK_S, Admission, Cooldowns, OpenEvent, Opening, Storm
from edge_agent.pipeline.rulespec import RuleSpec, RulesSpec
from edge_agent.pipeline.turn import Turn
from edge_agent.pipeline.zones import walk
from edge_agent.types import Decision, Event, NearMiss


class Judge(ABC):
    """One rule from sight to sight."""

    def __init__(self, rule: RuleSpec, spec: RulesSpec, cooldowns: Cooldowns) -> None:
        self.rule = rule
        self._spec = spec
        self._admission = Admission(rule, cooldowns)
        self._storm: Storm | None = None
        self._suppressed: NearMiss | None = None

    def step(self, turn: Turn) -> None:
        """Open, update and close; then, of an inferred frame, the nearest miss if there is one."""
        storm = self._storm
        if storm is not None and turn.time >= storm.until - TICK_S:
            turn.closed.append(storm.event(turn.time, "storm"))
            self._storm = None
        self._suppressed = None
        self._step(turn)
        if turn.sight.inferred:
            miss = self._suppressed or self._nearest(turn)
            if miss is not None:
                turn.misses.append(miss)

    def open_events(self) -> Iterator[OpenEvent]:
        yield from self._own_events()
        if self._storm is not None:
            yield self._storm

    def finish(self, time: float, reason: str) -> list[Event]:
        """Close what is open and forget what was seen."""
        closed = [event.event(time, reason) for event in self.open_events()]
        self._storm = None
        self._forget()
        return closed

    def follow(self, spec: RulesSpec) -> None:
        """Another model is in charge; what was seen and what is open goes on."""
        self._spec = spec

    @abstractmethod
    def stand_still(self, seconds: float) -> None:
        """Nobody watched for so long: running clocks go on from where they were."""

    @abstractmethod
    def _step(self, turn: Turn) -> None: ...

    @abstractmethod
    def _nearest(self, turn: Turn) -> NearMiss | None:
        """What came closest to opening an event and did not reach `attempt`."""

    @abstractmethod
    def _own_events(self) -> Iterator[OpenEvent]: ...

    @abstractmethod
    def _forget(self) -> None: ...

    def _attempt(self, opening: Opening, turn: Turn) -> OpenEvent | None:
        """Open an event if it is admitted. Otherwise it is a miss: counted by a storm, which is
        returned, or None.
        """
        time, track = opening.time, opening.track
        verdicts = self._admission.judge(time, turn.sight.calendar, track)
        opening = replace(opening, decisions=(*opening.decisions, *verdicts))
        if not verdicts or verdicts[-1].verdict == "pass":
            self._admission.opened(time, track)
            event = OpenEvent(self._spec, self.rule, opening)
            turn.opened.append(event.event())
            return event
        if self._suppressed is None or len(self._suppressed.decisions) < len(opening.decisions):
            self._suppressed = self._miss(turn, opening.decisions, track, opening.label)
        if verdicts[-1].stage == "max_per_hour":
            self._admission.cooled(time, track)
            return self._stormed(opening, turn)
        return None

    def _stormed(self, opening: Opening, turn: Turn) -> Storm:
        if self._storm is not None:
            self._storm.absorb(opening.time, opening.score)
            return self._storm
        label = self.rule.only_label
        general = replace(opening, subject="storm", label=label, count=1, track=None, box=None)
        self._storm = Storm(self._spec, self.rule, general, self._admission.full_until())
        turn.opened.append(self._storm.event())
        return self._storm

    def _miss(
        self,
        turn: Turn,
        decisions: tuple[Decision, ...],
        track: int | None = None,
        label: str | None = None,
    ) -> NearMiss:
        return NearMiss(self.rule.name, turn.time, turn.sight.frame, track, label, decisions)


class _Tracks(Judge):
    """What rules about single tracks share."""

    def __init__(self, rule: RuleSpec, spec: RulesSpec, cooldowns: Cooldowns) -> None:
        super().__init__(rule, spec, cooldowns)
        self._watch = Watch(rule, spec)

    def follow(self, spec: RulesSpec) -> None:
        super().follow(spec)
        self._watch.follow(spec)

    def stand_still(self, seconds: float) -> None:
        self._watch.stand_still(seconds)

    def _nearest(self, turn: Turn) -> NearMiss | None:
        stays = self._watch.stays.values()
        if not stays:
            numbers: Numbers = {"wanted": self.rule.wanted, "tracks": len(turn.sight.tracks)}
            none_seen = (Decision("label", "stop", numbers),)
            return self._miss(turn, none_seen, label=self.rule.only_label)
        candidates = [stay for stay in stays if stay.here and stay.stop != OPEN]
        candidates = [stay for stay in candidates if stay.event is None]
        # Who crossed the line was nearer than anyone who did not, wherever that was stopped.
        candidates = [stay for stay in candidates if stay.way is not None] or candidates
        if not candidates:
            return None
        stay = self._watch.nearest(candidates)
        decisions = self._watch.decisions(stay, turn.time)
        return self._miss(turn, decisions, stay.track.id, stay.track.label)

    def _opening(self, stay: Stay, turn: Turn) -> Opening:
        track = stay.track
        return Opening(
            time=turn.time,
            frame=turn.sight.frame,
            input=turn.sight.input,
            subject=f"track {track.id}",
            since=turn.time if stay.since is None else stay.since,
            score=track.score,
            decisions=self._watch.decisions(stay, turn.time),
            label=track.label,
            track=track.id,
            box=track.box,
            direction=stay.way or "",
        )

    def _forget(self) -> None:
        self._watch.stays.clear()


class Presence(_Tracks):
    """A track is in place. Closes `cleared` when its stay ends, `lost` when the track is gone."""

    def _step(self, turn: Turn) -> None:
        for stay in self._watch.look(turn):
            if stay.event is not None:
                turn.closed.append(stay.event.event(turn.time, "lost"))
        for stay in self._watch.stays.values():
            if stay.event is not None:
                self._go_on(stay, stay.event, turn)
            elif stay.stop == OPEN and stay.here and not stay.absorbed:
                event = self._attempt(self._opening(stay, turn), turn)
                stay.absorbed = isinstance(event, Storm)
                stay.event = None if stay.absorbed else event

    def _go_on(self, stay: Stay, event: OpenEvent, turn: Turn) -> None:
        if stay.since is None:
            turn.closed.append(event.event(turn.time, "cleared"))
            stay.event = None
        elif stay.here and stay.inside:
            event.hold(turn.time, stay.track.score if turn.sight.inferred else None)

    def _own_events(self) -> Iterator[OpenEvent]:
        return (stay.event for stay in self._watch.stays.values() if stay.event is not None)


class Crossing(_Tracks):
    """A track crosses the line: an event that opens and closes at once."""

    def _step(self, turn: Turn) -> None:
        self._watch.look(turn)
        if not turn.sight.inferred:
            return
        for stay in self._watch.stays.values():
            if stay.here:
                self._walk(stay)
            if stay.here and stay.stop == OPEN:
                event = self._attempt(self._opening(stay, turn), turn)
                if event is not None and not isinstance(event, Storm):
                    turn.closed.append(event.event(turn.time, "crossed"))

    def _walk(self, stay: Stay) -> None:
        line = self._watch.line
        assert line is not None
        stay.footing, stay.way = walk(line, stay.footing, stay.point)
        wanted = stay.way is not None and self.rule.direction in ("both", stay.way)
        if not wanted and stay.stop > PLACE:
            stay.stop = PLACE

    def _own_events(self) -> Iterator[OpenEvent]:
        return iter(())
