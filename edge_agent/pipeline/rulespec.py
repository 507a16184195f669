"""The nouns of the rules: what a rule asks for, what a frame shows it, what came of it.

A rule is one of six kinds, told by its keys: a line is `crossing`, a number is `count`,
`absent_s` is `absence`, `score_above` is `level`, `switched` is `switch`, and the rest is
`presence`. A key that means nothing for the kind is a fault, never silently ignored; so is, for
`check`, a kind that means nothing for the model's family (`family.py`). Read `rules.py` next.
"""

from __future__ import annotations

from dataclasses import fields
from enum import StrEnum
from typing import Literal, TypeAlias

from edge_agent.frozen import frozen
from edge_agent.pipeline.schedule import Calendar, Schedule
from edge_agent.pipeline.zones import Anchor, Line, Zone
from edge_agent.types import Detection, Event, NearMiss, Polygon, Priority, Track

Scope: TypeAlias = Literal["rule", "zone", "track"]


class Kind(StrEnum):
    PRESENCE = "presence"  # a track is somewhere: one event a track
    CROSSING = "crossing"  # a track crosses a line: one event a crossing
    COUNT = "count"  # so many tracks at the same time
    ABSENCE = "absence"  # no track for so long
    LEVEL = "level"  # a score is above a threshold
    SWITCH = "switch"  # the best class of the picture is another than before


@frozen
class Clip:
    """What was seen from `pre_s` before an event opens until `post_s` after, at most `max_mb`."""

    pre_s: float = 5.0
    post_s: float = 5.0
    max_mb: float = 16.0


@frozen
class RuleSpec:
    """One rule, as the configuration says it; None where it says nothing. See docs/rules.md.

    `label` None is any label. Areas are fractions of the frame, `*_s` seconds. `min_score` None
    is the model's own, and so is `score_above` "model": the threshold that came with the model.
    """

    name: str
    label: str | tuple[str, ...] | None = None
    zone: str | None = None
    line: str | None = None
    direction: Literal["in", "out", "both"] = "both"
    anchor: Anchor = "bottom"
    min_score: float | None = None
    min_area: float | None = None
    max_area: float | None = None
    confirm: tuple[int, int] = (1, 1)  # n of the last m inferred frames of one track
    dwell_s: float = 0.0
    count: int | None = None
    absent_s: float | None = None
    score_above: float | Literal["model"] | None = None
    for_s: float = 0.0
    clear_below: float | None = None  # None: score_above
    switched: bool = False
    schedule: Schedule | None = None
    cooldown_s: float = 0.0
    cooldown_scope: Scope = "rule"
    max_per_hour: int | None = None
    priority: Priority = Priority.NOTICE
    text: str | None = None
    advice: str | None = None
    evidence: tuple[str | Clip, ...] = ()
    output: str | None = None

    @property
    def kind(self) -> Kind:
        if self.line is not None:
            return Kind.CROSSING
        if self.score_above is not None:
            return Kind.LEVEL
        if self.absent_s is not None:
            return Kind.ABSENCE
        if self.switched:
            return Kind.SWITCH
        return Kind.PRESENCE if self.count is None else Kind.COUNT

    @property
    def still(self) -> str | None:
        """What is kept of the one frame that opened the event: "snapshot", "window" or nothing."""
        return next((kind for kind in self.evidence if isinstance(kind, str)), None)

    @property
    def clip(self) -> Clip | None:
        return next((kind for kind in self.evidence if isinstance(kind, Clip)), None)

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels it looks for; none: any."""
        if self.label is None:
            return ()
        return (self.label,) if isinstance(self.label, str) else self.label

    @property
    def wanted(self) -> str:
        """The labels in words."""
        return " or ".join(self.labels) or "any"

    @property
    def only_label(self) -> str | None:
        return self.labels[0] if len(self.labels) == 1 else None

    @property
    def place(self) -> str | None:
        """The zone or line it watches; None: the whole picture."""
        return self.zone or self.line


_OF_TRACKS = frozenset({"anchor", "min_score", "min_area", "max_area", "confirm"})
#: Keys that mean something to some kinds only, and to which.
KEYS_OF_KIND: dict[Kind, frozenset[str]] = {
    Kind.PRESENCE: _OF_TRACKS | {"zone", "dwell_s"},
    Kind.CROSSING: _OF_TRACKS | {"line", "direction"},
    Kind.COUNT: _OF_TRACKS | {"zone", "dwell_s", "count"},
    Kind.ABSENCE: _OF_TRACKS | {"zone", "absent_s"},
    Kind.LEVEL: frozenset({"score_above", "for_s", "clear_below"}),
    Kind.SWITCH: frozenset({"switched", "min_score", "confirm"}),
}
_TOLD_BY = {
    Kind.PRESENCE: "without `line`, `count`, `absent_s`, `score_above` and `switched`",
    Kind.CROSSING: "with `line`",
    Kind.COUNT: "with `count`",
    Kind.ABSENCE: "with `absent_s`",
    Kind.LEVEL: "with `score_above`",
    Kind.SWITCH: "with `switched`",
}


def rule_fault(rule: RuleSpec) -> str | None:
    """What the keys of one rule say against one another, in one sentence; None: nothing."""
    useful = KEYS_OF_KIND[rule.kind]
    particular = frozenset[str]().union(*KEYS_OF_KIND.values())
    for key in fields(rule):
        given = getattr(rule, key.name) != key.default
        if given and key.name in particular - useful:
            return f"`{key.name}` means nothing in a rule {_TOLD_BY[rule.kind]}"
    return _numbers_fault(rule) or _scope_fault(rule)


def _numbers_fault(rule: RuleSpec) -> str | None:
    needed, window = rule.confirm
    if not 1 <= needed <= window:
        return f"`confirm: [{needed}, {window}]` asks for {needed} of {window} frames"
    if rule.min_area is not None and rule.max_area is not None and rule.min_area > rule.max_area:
        return f"`min_area` {rule.min_area:g} is above `max_area` {rule.max_area:g}"
    return None if isinstance(rule.score_above, str) else _gap_fault(rule, rule.score_above)


def _gap_fault(rule: RuleSpec, above: float | None) -> str | None:
    if above is None or rule.clear_below is None or rule.clear_below <= above:
        return None
    return f"`clear_below` {rule.clear_below:g} is above `score_above` {above:g}"


def threshold_fault(rule: RuleSpec, threshold: float | None) -> str | None:
    """What `score_above: model` says against the threshold of the model; None: nothing."""
    if rule.score_above != "model":
        return None
    if threshold is None:
        return "`score_above: model` needs a model with a threshold, allowed: a number"
    return _gap_fault(rule, threshold)


def _scope_fault(rule: RuleSpec) -> str | None:
    if rule.cooldown_scope == "track" and rule.kind not in (Kind.PRESENCE, Kind.CROSSING):
        return f"`cooldown_scope: track` means nothing in a rule {_TOLD_BY[rule.kind]}"
    return None


@frozen
class Ident:
    """Which start of which store the events belong to; "" and 0 in replay."""

    store: str = ""
    boot: int = 0


@frozen
class RulesSpec:
    """Everything that the rules of one pipeline need to know.

    The rules may name only zones and lines that stand here. `min_score` and `threshold` are the
    model's; without a threshold no rule may ask for the model's (`threshold_fault`).
    """

    pipeline: str
    source: str
    rules: tuple[RuleSpec, ...]
    zones: tuple[Zone, ...] = ()
    lines: tuple[Line, ...] = ()
    object_masks: tuple[Polygon, ...] = ()
    min_score: float = 0.0
    threshold: float | None = None
    ident: Ident = Ident()


@frozen
class Sight:
    """What one frame shows the rules.

    `inferred`: `tracks` and `detections` are fresh. `still`: the frame was skipped because nothing
    changed, so what the last inferred frame showed is still there. Neither: nobody looked.
    """

    frame: int  # index of the frame
    time: float
    input: str | None
    tracks: tuple[Track, ...]
    detections: tuple[Detection, ...]
    inferred: bool
    still: bool
    calendar: Calendar


@frozen
class Changes:
    """What one sight led to. Every event is in `opened` once and in `closed` once.

    An event that opens and closes at once (a crossing) is in both.
    """

    opened: tuple[Event, ...] = ()
    closed: tuple[Event, ...] = ()
    misses: tuple[NearMiss, ...] = ()
