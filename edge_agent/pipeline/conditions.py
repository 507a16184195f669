"""What one rule makes of the tracks: where each stands, how far it got, and the numbers of that.

Rules:

* A track passes stages in order: score, area, mask, place (zone or line), confirm, dwell. `stop` is
  the first one that holds it up. Inside, that is one comparison each; Decision objects are made
  only for the track that is told of.
* A track's *stay* begins at the first frame that shows it in place and ends when it has been seen
  elsewhere and not in place for PATIENCE_S: jitter at a zone's edge neither ends an event nor
  starts a dwell anew. Of a hidden track nothing new is known, so its stay goes on until it is
  seen again or the tracker gives it up.
* Being in place is a matter of zone and mask alone; score and area count through `confirm`. A
  track confirmed once is confirmed for its stay. A hidden frame counts as one that did not show it.

Read `rules.py` next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias, TypeVar

from edge_agent.pipeline.events import TICK_S, OpenEvent
from edge_agent.pipeline.rulespec import Kind, RuleSpec, RulesSpec
from edge_agent.pipeline.turn import Turn
from edge_agent.pipeline.zones import Direction, Footing, Line, Zone
from edge_agent.types import Decision, Number, Point, Track

_Place = TypeVar("_Place", Zone, Line)

#: How long a condition that held may fail before its spell is over.
PATIENCE_S = 1.0


#: How far a track got: the stage that holds it up. OPEN: none does. (Plain numbers: a member of an
#: Enum costs ten times as much to name, and this is the innermost loop.)
SCORE, AREA, MASK, PLACE, CONFIRM, DWELL, OPEN = range(7)


class Spell:
    """A condition that holds over time, with `PATIENCE_S` for short failures."""

    __slots__ = ("last", "since")

    def __init__(self) -> None:
        self.since: float | None = None  # when it began to hold; None: it does not
        self.last = 0.0  # when it held last

    def note(self, holds: bool, time: float) -> None:
        if holds:
            if self.since is None:
                self.since = time
            self.last = time
        elif self.since is not None and time - self.last >= PATIENCE_S - TICK_S:
            self.since = None

    def lasted(self, time: float) -> float:
        return 0.0 if self.since is None else time - self.since

    def stand_still(self, seconds: float) -> None:
        if self.since is not None:
            self.since += seconds
            self.last += seconds


class Stay(Spell):
    """One track as one rule sees it."""

    __slots__ = (
        "absorbed",
        "event",
        "footing",
        "frames",
        "here",
        "hits",
        "inside",
        "point",
        "stop",
        "track",
        "turn",
        "way",
    )

    def __init__(self, track: Track) -> None:
        super().__init__()
        self.track = track
        self.here = False  # seen in the latest inferred frame
        self.turn = 0  # the last look that had it
        self.point: Point = (0.0, 0.0)  # its anchor when it was seen last
        self.inside = False  # whether that was in place
        self.frames = 0  # the last m inferred frames as bits, 1: it satisfied all but dwell
        self.hits = 0  # how many, until they were enough for this stay
        self.stop = SCORE
        self.footing: Footing | None = None  # towards the rule's line
        self.way: Direction | None = None  # in which it crossed it in the latest frame
        self.event: OpenEvent | None = None
        self.absorbed = False  # counted by a storm


Numbers: TypeAlias = dict[str, Number]
#: A stage, its name in `why`, and what gives its numbers for a stay at a time.
Asked: TypeAlias = tuple[int, str, Callable[[Stay, float], Numbers]]


class Watch:
    """All tracks of the labels that one rule asks for, followed over frames."""

    def __init__(self, rule: RuleSpec, spec: RulesSpec) -> None:
        self.rule = rule
        self.zone = _named(spec.zones, rule.zone)
        self.line = _named(spec.lines, rule.line)
        self.stays: dict[int, Stay] = {}
        self._turn = 0
        self._labels = frozenset(rule.labels)
        self._min_score = spec.min_score if rule.min_score is None else rule.min_score
        self._sized = rule.min_area is not None or rule.max_area is not None
        self._least = 0.0 if rule.min_area is None else rule.min_area
        self._most = float("inf") if rule.max_area is None else rule.max_area
        self._needed, self._window = rule.confirm
        self._bits = (1 << self._window) - 1
        dwells = rule.kind is Kind.PRESENCE  # the dwell of a count is the count's, not a track's
        self._dwell = max(0.0, rule.dwell_s - TICK_S) if dwells else 0.0
        self._stages = tuple(self._asked(bool(spec.object_masks)))

    def follow(self, spec: RulesSpec) -> None:
        """Another model: what the rule leaves to it is what that one says."""
        self._min_score = spec.min_score if self.rule.min_score is None else self.rule.min_score

    # --- every frame --------------------------------------------------------------------------

    def look(self, turn: Turn) -> list[Stay]:
        """Bring the stays up to date; returns those whose track is gone."""
        if not turn.sight.inferred:
            self._still(turn.time)
            return []
        anchor = self.rule.anchor
        points, masked = turn.points(anchor), turn.masked(anchor)
        inside = None if self.zone is None else turn.inside(self.zone, anchor)
        labels, stays = self._labels, self.stays
        self._turn += 1
        for index, track in enumerate(turn.sight.tracks):
            if labels and track.label not in labels:
                continue
            stay = stays.get(track.id)
            if stay is None:
                stay = stays[track.id] = Stay(track)
            stay.turn = self._turn
            stay.track = track
            stay.here = track.visible
            if stay.here:
                stay.point = points[index]
                placed = inside is None or inside[index]
                self._judge(stay, masked[index], placed, turn.time)
            else:
                stay.frames = (stay.frames << 1) & self._bits
        return self._gone()

    def stand_still(self, seconds: float) -> None:
        for stay in self.stays.values():
            stay.stand_still(seconds)

    def _judge(self, stay: Stay, masked: bool, inside: bool, time: float) -> None:
        stay.inside = placed = inside and not masked
        if placed and stay.since is None:
            stay.hits = 0
            stay.absorbed = False
        stay.note(placed, time)
        scored = stay.track.score >= self._min_score
        sized = not self._sized or self._least <= stay.track.area <= self._most
        good = placed and scored and sized
        stay.frames = (stay.frames << 1 | good) & self._bits
        if good:
            if stay.hits < self._needed:
                stay.hits = stay.frames.bit_count()
            if stay.hits < self._needed:
                stay.stop = CONFIRM
            else:
                stay.stop = DWELL if self._dwell and stay.lasted(time) < self._dwell else OPEN
        elif not scored:
            stay.stop = SCORE
        elif not sized:
            stay.stop = AREA
        else:
            stay.stop = MASK if masked else PLACE

    def _still(self, time: float) -> None:
        """Nothing changed: who was seen in place is there, and dwell runs on."""
        for stay in self.stays.values():
            if stay.here:
                stay.note(stay.inside, time)
                if stay.stop == DWELL and stay.lasted(time) >= self._dwell:
                    stay.stop = OPEN

    def _gone(self) -> list[Stay]:
        gone = [stay for stay in self.stays.values() if stay.turn != self._turn]
        for stay in gone:
            del self.stays[stay.track.id]
        return gone

    # --- the nearest, and why -----------------------------------------------------------------

    def nearest(self, candidates: Sequence[Stay]) -> Stay:
        """The one that got furthest; of equals, the one that lacked least, then the first."""
        furthest = max(stay.stop for stay in candidates)
        equals = [stay for stay in candidates if stay.stop == furthest]
        if furthest == PLACE and self.zone is not None:
            return equals[self.zone.nearest([stay.point for stay in equals])]
        return min(equals, key=self._lack)

    def _lack(self, stay: Stay) -> float:
        """What it lacks at the stage that holds it up: less is nearer."""
        stop = stay.stop
        if stop == SCORE:
            return -stay.track.score
        if stop == AREA:
            area = stay.track.area
            return max(self._least - area, area - self._most)
        if stop == PLACE and self.line is not None and stay.way is None:
            return self.line.distance(stay.point)
        if stop == CONFIRM:
            return -stay.hits
        if stop == DWELL and stay.since is not None:
            return stay.since
        return 0.0

    def decisions(self, stay: Stay, time: float) -> tuple[Decision, ...]:
        """One a stage that the rule asks for, up to the one that held the track up."""
        label: Numbers = {"label": stay.track.label, "wanted": self.rule.wanted}
        made = [Decision("label", "pass", label)]
        for stage, name, numbers in self._stages:
            if stage > stay.stop:
                break
            verdict = "stop" if stage == stay.stop else "pass"
            made.append(Decision(name, verdict, numbers(stay, time)))
        return tuple(made)

    def _asked(self, masks: bool) -> Iterator[Asked]:
        """The stages that can hold a track up, with their names and numbers."""
        rule = self.rule
        yield SCORE, "score", self._score_numbers
        if self._sized:
            yield AREA, "area", self._area_numbers
        if masks:
            yield MASK, "mask", self._mask_numbers
        if self.zone is not None:
            yield PLACE, "zone", self._zone_numbers
        if self.line is not None:
            yield PLACE, "line", self._line_numbers
        if rule.confirm != (1, 1):
            yield CONFIRM, "confirm", self._confirm_numbers
        if rule.dwell_s > 0:
            yield DWELL, "dwell", self._dwell_numbers

    def _score_numbers(self, stay: Stay, time: float) -> Numbers:
        return {"score": stay.track.score, "min": self._min_score}

    def _area_numbers(self, stay: Stay, time: float) -> Numbers:
        rule = self.rule
        return {"area": stay.track.area, "min": rule.min_area, "max": rule.max_area}

    def _mask_numbers(self, stay: Stay, time: float) -> Numbers:
        return {"x": stay.point[0], "y": stay.point[1]}

    def _zone_numbers(self, stay: Stay, time: float) -> Numbers:
        assert self.zone is not None
        distance = self.zone.distance(stay.point)
        x, y = stay.point
        return {"zone": self.zone.name, "x": x, "y": y, "distance": distance}

    def _line_numbers(self, stay: Stay, time: float) -> Numbers:
        assert self.line is not None
        distance = self.line.distance(stay.point)
        x, y = stay.point
        crossed = {"crossed": stay.way, "wanted": self.rule.direction}
        return {"line": self.line.name, "x": x, "y": y, "distance": distance, **crossed}

    def _confirm_numbers(self, stay: Stay, time: float) -> Numbers:
        return {"hits": stay.hits, "need": self._needed, "of": self._window}

    def _dwell_numbers(self, stay: Stay, time: float) -> Numbers:
        return {"s": stay.lasted(time), "need_s": self.rule.dwell_s}


def _named(places: Sequence[_Place], name: str | None) -> _Place | None:
    """The zone or line of that name. Raises KeyError when there is none."""
    if name is None:
        return None
    return {place.name: place for place in places}[name]
