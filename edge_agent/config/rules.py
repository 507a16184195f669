"""One rule of the configuration, with the defaults of its pipeline, as the core's `RuleSpec`.

Pure. A default is taken where the rule says nothing of its own and where it means something: which
keys mean something to which kind of rule, `pipeline/rulespec.py` decides. Read `explain.py` next.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from edge_agent.config.known import part_of
from edge_agent.config.part import Invalid
from edge_agent.config.schema import Rule, RuleKeys
from edge_agent.pipeline.rulespec import Kind, RuleSpec, rule_fault
from edge_agent.pipeline.schedule import Schedule
from edge_agent.types import Priority

#: The keys that make a rule another kind of rule.
FORMS = ("line", "count", "absent_s", "score_above", "switched")

#: The plainest rule of each kind, to ask which defaults mean something to it.
_PLAINEST = {
    Kind.PRESENCE: RuleSpec(""),
    Kind.CROSSING: RuleSpec("", line="any"),
    Kind.COUNT: RuleSpec("", count=1),
    Kind.ABSENCE: RuleSpec("", absent_s=1.0),
    Kind.LEVEL: RuleSpec("", score_above=math.inf),
    Kind.SWITCH: RuleSpec("", switched=True),
}


def rule_spec(rule: Rule, defaults: RuleKeys) -> RuleSpec:
    """The rule with those defaults that mean something in a rule of its kind; its own keys win."""
    own = _stated(rule)
    inherited = {key: value for key, value in _stated(defaults).items() if key not in own}
    if any(own.get(form) is not None and own[form] is not False for form in FORMS):
        inherited = {key: value for key, value in inherited.items() if key not in FORMS}
    plainest = _PLAINEST[RuleSpec(**(inherited | own)).kind]
    meant = {
        key: value
        for key, value in inherited.items()
        if key in FORMS or rule_fault(replace(plainest, **{key: value})) is None
    }
    return RuleSpec(**(meant | own))


def plain_rule_spec(rule: object, defaults: object) -> RuleSpec | None:
    """The same of plain values; None where the schema refuses them and says so itself."""
    try:
        return rule_spec(part_of(Rule, rule), part_of(RuleKeys, defaults))
    except Invalid:
        return None


def _stated(rule: RuleKeys) -> dict[str, Any]:
    """The keys that were written, with the core's values."""
    return {key: _core(key, getattr(rule, key)) for key in sorted(rule.stated)}


def _core(key: str, value: Any) -> Any:
    match key:
        case "min_score":
            return None if value == "model" else value
        case "schedule":
            return None if value is None else Schedule.parse(value)
        case "priority":
            return Priority(value)
    return value
