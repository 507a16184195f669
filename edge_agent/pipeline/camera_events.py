"""The events of an unwell camera: what `health.py` finds, opened, updated and closed as any event.

All bear the rule `camera-health`, and what is wrong as their label, each at most once at a time. A
trouble that comes back within a minute of its last opening waits, and opens then if it is still
there. Rules: pure, as everything here. Read `step.py` next.
"""

from __future__ import annotations

from edge_agent.frozen import frozen
from edge_agent.pipeline.events import Admission, OpenEvent, Opening
from edge_agent.pipeline.health import Report, Symptom, Trouble
from edge_agent.pipeline.rulespec import Changes, RuleSpec, RulesSpec
from edge_agent.pipeline.schedule import Calendar
from edge_agent.types import Decision, Event, Frame, Priority

RULE = "camera-health"
#: After an opening the same trouble opens no further event for so many seconds.
COOLDOWN_S = 60.0

_TEXTS = {
    Trouble.BLACK: "the picture is black for {dwell}",
    Trouble.COVERED: "the camera is covered for {dwell}",
    Trouble.FROZEN: "the picture is frozen for {dwell}",
    Trouble.BLURRED: "the picture is blurred for {dwell}",
    Trouble.MOVED: "the camera was moved, its view is another one for {dwell}",
}
_ADVICE = {
    Trouble.BLACK: "look whether there is light, and whether the lens is covered",
    Trouble.COVERED: "free the lens: cloth, paint, snow, a hand, fog",
    Trouble.FROZEN: "restart the camera: it sends the same picture again and again",
    Trouble.BLURRED: "clean the lens and look at its focus: drops, dirt, a cobweb",
    Trouble.MOVED: "turn it back, or draw zones and masks anew and reload",
}


@frozen
class CameraEventsSpec:
    """How loudly an unwell camera is told of, and the output that its events switch on."""

    priority: Priority = Priority.NOTICE
    output: str | None = None


class CameraEvents:
    """The open events of one camera in one pipeline."""

    def __init__(self, spec: CameraEventsSpec, rules: RulesSpec) -> None:
        self._spec = rules
        self._rules = {trouble: _rule(spec, trouble) for trouble in Trouble}
        self._admissions = {trouble: Admission(self._rules[trouble], {}) for trouble in Trouble}
        self._open: dict[Trouble, OpenEvent] = {}

    def step(self, frame: Frame, report: Report, calendar: Calendar) -> Changes:
        """What one look changes; in order of time."""
        closed = tuple(
            self._open.pop(trouble).event(frame.time, "cleared")
            for trouble in tuple(self._open)
            if trouble not in report.troubles
        )
        opened = []
        for trouble, symptom in report.troubles.items():
            event = self._open.get(trouble)
            if not symptom.degree:
                continue  # it clears up
            if event is not None:
                event.hold(frame.time, symptom.degree)
                continue
            event = self._attempt(trouble, frame, report, calendar)
            if event is not None:
                self._open[trouble] = event
                opened.append(event.event())
        return Changes(tuple(opened), closed)

    def open_events(self) -> tuple[Event, ...]:
        """With their values at present."""
        return tuple(event.event() for event in self._open.values())

    def close_all(self, time: float, reason: str) -> tuple[Event, ...]:
        closed = tuple(event.event(time, reason) for event in self._open.values())
        self._open.clear()
        return closed

    def _attempt(
        self, trouble: Trouble, frame: Frame, report: Report, calendar: Calendar
    ) -> OpenEvent | None:
        """Open an event, if none of this trouble opened lately."""
        admission, symptom = self._admissions[trouble], report.troubles[trouble]
        verdicts = admission.judge(frame.time, calendar, None)
        if verdicts[-1].verdict == "stop":
            return None
        admission.opened(frame.time, None)
        opening = Opening(
            time=frame.time,
            frame=frame.index,
            input=frame.name or None,
            subject=f"camera {trouble.value}",
            since=frame.time - symptom.held_s,
            score=symptom.degree,
            decisions=(_decision(trouble, symptom, report), *verdicts),
            label=trouble.value,
        )
        return OpenEvent(self._spec, self._rules[trouble], opening)


def _rule(spec: CameraEventsSpec, trouble: Trouble) -> RuleSpec:
    return RuleSpec(
        RULE,
        label=trouble.value,
        priority=spec.priority,
        output=spec.output,
        cooldown_s=COOLDOWN_S,
        text=_TEXTS[trouble],
        advice=_ADVICE[trouble],
    )


def _decision(trouble: Trouble, symptom: Symptom, report: Report) -> Decision:
    numbers = {"trouble": trouble.value, "s": symptom.held_s, "need_s": symptom.need_s}
    return Decision("camera", "pass", {**numbers, **report.numbers})
