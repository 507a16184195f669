"""One list of guardrails: what is measured may be limited, on the device and at the desk."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from edge_agent.policy.guardrails import LIST, NAMES, breaks, in_shadow, on_probation, table
from edge_agent.policy.probation import LOOKS, Showing, measure
from edge_agent.policy.shadow import Answer, Tally, judge
from edge_agent.policy.sketch import Sketch
from edge_agent.types import Detection

ROLLOUTS = Path(__file__).parents[2] / "docs" / "rollouts.md"
CAT = Detection("cat", 0.9, (0.1, 0.1, 0.5, 0.5))


def test_a_probation_measures_what_it_judges_and_nothing_else() -> None:
    sketch = Sketch()
    for _ in range(200):
        sketch.add(0.5)
    shown = Showing(600.0, 200, best=sketch, invoke=sketch, looks=LOOKS, memory_mb=10.0)
    assert measure(shown, shown).keys() == on_probation().keys()


def test_a_shadow_measures_what_it_judges_and_nothing_else() -> None:
    tally = Tally(boxed=True, labelled=False)
    for _ in range(200):
        tally.add(Answer((CAT,), 5.0), Answer((CAT,), 5.0), alike=1)
    assert tally.numbers().keys() == in_shadow().keys()
    assert judge(tally, {}).passed


def test_each_is_there_once_and_judged_somewhere() -> None:
    assert len(set(NAMES)) == len(LIST)
    assert all(each.where and each.meaning and each.limit >= 0 for each in LIST)
    assert {*in_shadow(), *on_probation()} == set(NAMES)


@pytest.mark.parametrize(
    ("name", "value", "limit", "broken"),
    [
        ("event_ratio", 2.0, 2.0, False),
        ("event_ratio", 2.01, 2.0, True),
        ("least_agreement", 0.5, 0.5, False),
        ("least_agreement", 0.49, 0.5, True),
        ("event_ratio", math.nan, 2.0, True),
        ("least_agreement", math.nan, 0.5, True),
    ],
)
def test_a_least_is_a_lower_bound(name: str, value: float, limit: float, broken: bool) -> None:
    assert breaks(name, value, limit) is broken


def test_the_operators_page_shows_this_list() -> None:
    assert table() in ROLLOUTS.read_text("utf-8")
