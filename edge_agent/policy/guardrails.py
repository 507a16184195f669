"""The guardrails: by which numbers a candidate is judged, where, and how far each may go.

The one list for the device (`probation.py`, `shadow.py`), the desk's plans (`edge_fleet/plan.py`)
and the documentation. Rules: a number must not exceed its limit, that of a guardrail `least_…` must
not fall below it; the limits here hold where a plan sets none; a name that a device does not know
judges nobody there, so the desk takes none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from edge_agent.frozen import frozen

#: How the name of a lower bound begins.
LEAST = "least_"


@frozen
class Guardrail:
    """One number. `limit`: without a plan's own; `meaning`: one line, for people."""

    name: str
    limit: float
    meaning: str
    in_shadow: bool = False
    on_probation: bool = False

    @property
    def where(self) -> str:
        places = (("shadow", self.in_shadow), ("probation", self.on_probation))
        return ", ".join(place for place, is_judged in places if is_judged)


LIST = (
    Guardrail("failures", 3.0, "frames that failed", on_probation=True),
    Guardrail("wrong_answers", 0.0, "wrong answers to known questions", on_probation=True),
    Guardrail(
        "least_agreement", 0.5,
        "twice the findings that both have over all findings of both; of classifications the "
        "share of frames with the same best label",
        in_shadow=True,
    ),
    Guardrail(
        "event_ratio", 2.0,
        "events against the other's in the same time, beyond what chance explains (three standard "
        "deviations and three events); in shadow those it would raise on the same frames, less "
        "three",
        in_shadow=True, on_probation=True,
    ),
    Guardrail(
        "score_shift", 0.5,
        "total variation of each frame's best score, 0 where nothing was found; on probation not "
        "for anomaly and generic, unless a plan sets it",
        in_shadow=True, on_probation=True,
    ),
    Guardrail(
        "latency_ratio", 2.0, "median of `invoke` over the other's",
        in_shadow=True, on_probation=True,
    ),
    Guardrail("temperature_rise_c", 10.0, "mean temperature above the other's", on_probation=True),
    Guardrail(
        "memory_ratio", 1.5, "the most that the agent took, over the most before",
        on_probation=True,
    ),
)  # fmt: skip
NAMES = tuple(each.name for each in LIST)


def on_probation() -> Mapping[str, float]:
    """The limits of a probation."""
    return {each.name: each.limit for each in LIST if each.on_probation}


def in_shadow() -> Mapping[str, float]:
    """The limits of a shadow, in the order in which they are judged."""
    return {each.name: each.limit for each in LIST if each.in_shadow}


def breaks(name: str, value: float, limit: float) -> bool:
    """Whatever is no number (NaN) breaks it, too."""
    return not (value >= limit if name.startswith(LEAST) else value <= limit)


def worst(found: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """The numbers of several pipelines as one: each at its worst."""
    numbers: dict[str, float] = {}
    for each in found:
        for name, value in each.items():
            worse = min if name.startswith(LEAST) else max
            numbers[name] = worse(value, numbers.get(name, value))
    return numbers


def table() -> str:
    """As the documentation shows it, in Markdown."""
    rows = [f"| `{each.name}` | {each.limit:g} | {each.where} | {each.meaning} |" for each in LIST]
    return "\n".join(("| guardrail | limit | judged in | what |", "|---|---|---|---|", *rows))
