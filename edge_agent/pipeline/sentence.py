"""The text of an event: the rule's own template, or a plain sentence.

A template names facts in braces, `{label} in {zone} for {dwell}`; FIELDS lists them. Nothing
else of Python's format language is allowed, so a text can never fail when the event comes.
Read `events.py` next.
"""

from __future__ import annotations

from string import Formatter

from edge_agent.frozen import frozen
from edge_agent.pipeline.rulespec import Kind, RuleSpec

FIELDS = ("label", "zone", "count", "score", "rule", "dwell", "direction", "before")


@frozen
class Facts:
    """What a text may tell of an event.

    `dwell_s`: how long its condition has held; `before`: the class before the switch.
    """

    label: str | None
    count: int
    score: float
    dwell_s: float
    direction: str = ""
    before: str = ""


def text_fault(template: str) -> str | None:
    """What is wrong with a template, in one sentence; None: nothing."""
    try:
        parts = list(Formatter().parse(template))
    except ValueError as error:
        return f"the text {template!r} has unpaired braces ({error})"
    for _, name, spec, conversion in parts:
        if name is not None and (name not in FIELDS or spec or conversion):
            allowed = ", ".join(f"{{{field}}}" for field in FIELDS)
            return f"the text {template!r} has a field that is not one of {allowed}"
    return None


def sentence(rule: RuleSpec, facts: Facts) -> str:
    """The event's text. `rule.text` has no `text_fault`."""
    template = _plain(rule) if rule.text is None else rule.text
    return template.format(
        label=facts.label or " or ".join(rule.labels) or "object",
        zone=rule.place or "the picture",
        count=facts.count,
        score=score_text(facts.score),
        rule=rule.name,
        dwell=f"{facts.dwell_s:.1f} s",
        direction=facts.direction,
        before=facts.before,
    )


def storm_sentence(rule: RuleSpec, count: int) -> str:
    return f"{rule.name}: {count} further opening{'s' * (count != 1)} within the hour"


def score_text(score: float) -> str:
    """Two decimals; of a small one, which an area or an anomaly may be, two digits."""
    return f"{score:.2f}" if abs(score) >= 0.1 or not score else f"{score:.2g}"


def _plain(rule: RuleSpec) -> str:
    match rule.kind:
        case Kind.CROSSING:
            return "{label} crossed {zone} ({direction})"
        case Kind.COUNT:
            return "{count} x {label} in {zone}"
        case Kind.ABSENCE:
            return "no {label} in {zone} for {dwell}"
        case Kind.LEVEL:
            return "{label}: score {score}" if rule.label else "{rule}: score {score}"
        case Kind.SWITCH:
            return "{label} after {before}"
        case Kind.PRESENCE:
            return "{label} in {zone} for {dwell}" if rule.dwell_s else "{label} in {zone}"
