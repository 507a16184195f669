"""A rule's life has no gap, and its seconds sum up to the time that passed."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.policy.coverage import (
    WATCHING,
    Attention,
    Cause,
    Timeline,
    blind,
    coverage,
    degraded,
    folded,
    patience,
    within,
)

ATTENTIONS = st.sampled_from(
    [WATCHING, blind(Cause.SOURCE_LOST), blind(Cause.PAUSED), degraded(Cause.HEAT)]
)
STEPS = st.lists(
    st.tuples(st.sampled_from(["reach", "revise", "settle"]), st.floats(0.0, 20.0), ATTENTIONS),
    max_size=40,
)


@given(STEPS)
@settings(deadline=None)
def test_the_seconds_are_those_that_passed_whatever_is_revised(
    steps: list[tuple[str, float, Attention]],
) -> None:
    line, settled = Timeline(100.0), []
    for what, seconds, attention in steps:
        if what == "reach":
            line.reach(line.until + seconds - 5.0, attention)  # some lie in the past
        elif what == "revise":
            line.revise(line.until - seconds, attention)
        else:
            settled += line.settle(line.until - seconds)
    whole = [*settled, *line.stretches]
    assert coverage(whole).total_s == pytest.approx(line.until - 100.0)
    for before, after in itertools.pairwise(whole):
        assert before.ended == after.began
    few = folded(tuple(whole), 3)
    assert len(few) <= max(3, 4)
    assert coverage(few).total_s == pytest.approx(line.until - 100.0)


def test_what_is_known_later_is_revised_but_blind_stays_blind() -> None:
    line = Timeline(0.0)
    line.reach(10.0, WATCHING)
    line.reach(12.0, blind(Cause.SOURCE_LOST))
    line.reach(20.0, WATCHING)
    line.revise(8.0, blind(Cause.COVERED))
    assert coverage(line.stretches).blind_s == {"covered": 10.0, "source_lost": 2.0}
    assert coverage(line.stretches).watching_s == 8.0


def test_what_is_settled_is_revised_no_more() -> None:
    line = Timeline(0.0)
    line.reach(20.0, WATCHING)
    assert coverage(line.settle(5.0)).watching_s == 5.0
    line.revise(0.0, blind(Cause.BLACK))
    assert coverage(line.stretches).blind_s == {"black": 15.0}


def test_a_part_of_the_time_is_cut_out() -> None:
    line = Timeline(0.0)
    line.reach(10.0, WATCHING)
    line.reach(30.0, blind(Cause.PAUSED))
    cut = within(line.stretches, 8.0, 15.0)
    assert (coverage(cut).watching_s, coverage(cut).blind_s) == (2.0, {"paused": 5.0})


def test_a_slow_source_gets_more_patience() -> None:
    assert patience(None) == patience(0.05) == 1.0
    assert patience(10.0) == 30.0
