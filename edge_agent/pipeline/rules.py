"""From tracks to events: all rules of one pipeline, sight after sight.

Rules of the rules (docs/rules.md tells them to users):

* Only an inferred frame shows something new. On a frame that was skipped because nothing changed
  the clocks run on and may open or close; any other skip changes nothing but that time passes.
* One event at a time for each subject: a track, or the rule itself. It is opened once, updated in
  place and closed once.
* Everything derives from the sights: the same sights give the same events, in the order of the
  rules and then of the tracks.

The parts: `rulespec.py` nouns, `conditions.py` what a rule makes of the tracks, `judges.py` and
`states.py` the six kinds of rule, `events.py` the life of an event. Read `rulespec.py` next.
"""

from __future__ import annotations

from edge_agent.pipeline.events import Cooldowns
from edge_agent.pipeline.judges import Crossing, Judge, Presence
from edge_agent.pipeline.rulespec import (
    Changes,
    Ident,
    Kind,
    RuleSpec,
    RulesSpec,
    Sight,
    rule_fault,
)
from edge_agent.pipeline.states import Absence, Count, Level
from edge_agent.pipeline.switch import Switch
from edge_agent.pipeline.turn import Turn
from edge_agent.pipeline.zones import Zone
from edge_agent.types import Event

__all__ = [
    "Changes",
    "Ident",
    "Kind",
    "RuleSpec",
    "Rules",
    "RulesSpec",
    "Sight",
    "rule_fault",
]

_NOTHING = Changes()
_JUDGES: dict[Kind, type[Judge]] = {
    Kind.PRESENCE: Presence,
    Kind.CROSSING: Crossing,
    Kind.COUNT: Count,
    Kind.ABSENCE: Absence,
    Kind.LEVEL: Level,
    Kind.SWITCH: Switch,
}


class Rules:
    """The rules of one pipeline. One thread uses them at a time."""

    def __init__(self, spec: RulesSpec) -> None:
        """Raises KeyError when a rule names a zone or line that the spec does not have."""
        self.spec = spec
        cooldowns: Cooldowns = {}
        self._masks = tuple(Zone("mask", polygon) for polygon in spec.object_masks)
        self._judges = tuple(_JUDGES[rule.kind](rule, spec, cooldowns) for rule in spec.rules)

    def follow(self, spec: RulesSpec) -> None:
        """Another model is in charge: the same rules go on with what it says of itself."""
        self.spec = spec
        for judge in self._judges:
            judge.follow(spec)

    def step(self, sight: Sight) -> Changes:
        """What one frame changes; `time` never runs backwards from call to call."""
        if not (sight.inferred or sight.still):
            return _NOTHING
        turn = Turn(sight, self._masks)
        for judge in self._judges:
            judge.step(turn)
        return Changes(tuple(turn.opened), tuple(turn.closed), tuple(turn.misses))

    def stand_still(self, seconds: float) -> None:
        """Nobody watched for so long: dwell, absence and `for_s` go on from where they were.

        Call it before the step of the frame that ends the gap. Cool-downs and the hour of
        `max_per_hour` are about openings, not about watching: they run on.
        """
        for judge in self._judges:
            judge.stand_still(seconds)

    def open_events(self) -> tuple[Event, ...]:
        """Every open event with its values at present."""
        return tuple(event.event() for judge in self._judges for event in judge.open_events())

    def close_all(self, time: float, reason: str) -> tuple[Event, ...]:
        """Close what is open: `ended` with the input, `stopped` with the agent."""
        return tuple(event for judge in self._judges for event in judge.finish(time, reason))
