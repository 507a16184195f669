"""Which rules make sense for which family of models: what can be followed, scored, switched.

Pure. `service/check.py` asks here, so that a rule which could never open an event is a mistake of
the configuration. How each family is followed is chosen in `service/assemble.py`.
"""

from __future__ import annotations

from edge_agent.pipeline.rulespec import Kind, RuleSpec
from edge_agent.types import Family

_ABOUT_TRACKS = frozenset({Kind.PRESENCE, Kind.CROSSING, Kind.COUNT, Kind.ABSENCE})

#: The kinds of rule that a family's findings can answer.
KINDS: dict[Family, frozenset[Kind]] = {
    "yolo": _ABOUT_TRACKS | {Kind.LEVEL},
    "ssd": _ABOUT_TRACKS | {Kind.LEVEL},
    "fomo": _ABOUT_TRACKS | {Kind.LEVEL},
    "segmentation": _ABOUT_TRACKS | {Kind.LEVEL},
    "pose": _ABOUT_TRACKS | {Kind.LEVEL},
    "classification": frozenset({Kind.LEVEL, Kind.SWITCH}),
    "anomaly": frozenset({Kind.LEVEL}),
    "generic": frozenset({Kind.LEVEL}),
}
#: The least and the greatest score of a family where it is not 0 and 1; None: there is none.
_SCORES: dict[Family, tuple[float | None, float | None]] = {
    "anomaly": (0.0, None),
    "generic": (None, None),
}
#: The keys that make a rule of these kinds, for the place of a mistake.
_FORM = {
    Kind.CROSSING: "line",
    Kind.COUNT: "count",
    Kind.ABSENCE: "absent_s",
    Kind.SWITCH: "switched",
}


def followed(family: Family) -> bool:
    """Whether its findings are things that stay the same from frame to frame."""
    return KINDS[family] >= _ABOUT_TRACKS


def family_fault(rule: RuleSpec, family: Family) -> tuple[str, str] | None:
    """The key at fault ("": the rule as a whole) and the end of a sentence that begins with the
    model; None: the rule makes sense."""
    if rule.kind not in KINDS[family]:
        return _FORM.get(rule.kind, ""), _kind_fault(rule.kind, family)
    if family == "pose":
        for key in ("min_area", "max_area"):
            if getattr(rule, key) is not None:
                sentence = (
                    "is of family pose, whose key points have no area, allowed: rules without"
                )
                return key, f"{sentence} {key}"
    for key in ("score_above", "clear_below"):
        value = getattr(rule, key)
        if isinstance(value, int | float) and not _can_score(value, family):
            return key, f"is of family {family}, whose scores are {_range(family)}"
    _, most = _SCORES.get(family, (0.0, 1.0))
    if most is not None and rule.score_above == most:
        return "score_above", f"is of family {family}, whose scores are never above {most:g}"
    return None


def _kind_fault(kind: Kind, family: Family) -> str:
    if kind is Kind.SWITCH:
        return f"is of family {family}, not a classification, which alone has one class at a time"
    other = " or switched" if Kind.SWITCH in KINDS[family] else ""
    return (
        f"is of family {family}, there are no objects to follow, "
        f"allowed: rules with score_above{other}"
    )


def _can_score(value: float, family: Family) -> bool:
    least, most = _SCORES.get(family, (0.0, 1.0))
    return (least is None or value >= least) and (most is None or value <= most)


def _range(family: Family) -> str:
    return "from 0 to 1" if family not in _SCORES else "0 or more"
