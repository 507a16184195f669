"""The life of an event: ids, scores, text, cool-downs and the hour's account."""

from datetime import UTC
from itertools import pairwise
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.pipeline.events import Admission, Cooldowns, OpenEvent, Opening, Scores, event_id
from edge_agent.pipeline.rulespec import Ident, RuleSpec, RulesSpec
from edge_agent.pipeline.schedule import Calendar
from edge_agent.pipeline.sentence import text_fault

CALENDAR = Calendar(UTC)
names = st.text(alphabet='ab:",[]\\ 人', max_size=4)
parts = st.tuples(names, st.integers(0, 3), names, names, names, names)


# --- ids ---------------------------------------------------------------------------------------


def identify(store, boot, pipeline, rule, subject, opening):
    return event_id(Ident(store, boot), pipeline, rule, subject, opening)


def test_an_id_is_the_same_for_ever():
    assert identify("", 0, "people", "r", "track 1", "dock::5") == "719f86db66a2f8c9"


@given(parts, parts)
def test_ids_are_16_hex_digits_and_differ_when_any_part_differs(one, other):
    first, second = identify(*one), identify(*other)
    assert len(first) == 16
    assert set(first) <= set("0123456789abcdef")
    assert (first == second) == (one == other)


# --- scores ------------------------------------------------------------------------------------


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=200))
def test_the_median_is_exact_to_a_thousandth_and_the_greatest_exact(values):
    scores = Scores(values[0])
    for value in values[1:]:
        scores.add(value)
    assert scores.max == max(values)
    assert scores.median() == pytest.approx(median(values), abs=0.00051)


def test_a_long_event_costs_constant_memory():
    scores = Scores(0.0)
    for step in range(20_000):
        scores.add(step * 0.01)  # an anomaly's score may be anything
    assert len(scores._bins) <= Scores.BINS
    assert scores.max == pytest.approx(199.99)
    assert scores.median() == pytest.approx(100.0, rel=0.01)


# --- text --------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "{label} in {zone}", "{{literal}} {score}", "侵入 {count}"])
def test_a_text_may_name_the_facts(text):
    assert text_fault(text) is None


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("{lable}", "not one of {label}, {zone}, {count}"),
        ("{label.__class__}", "not one of"),
        ("{score:.3f}", "not one of"),
        ("{label!r}", "not one of"),
        ("{}", "not one of"),
        ("{label", "unpaired braces"),
    ],
)
def test_a_text_that_could_fail_is_refused(text, part):
    fault = text_fault(text)
    assert fault is not None
    assert part in fault


# --- an open event -----------------------------------------------------------------------------


def test_an_open_event_gives_its_values_at_present_and_its_final_ones():
    rule = RuleSpec("r", zone="gate")
    spec = RulesSpec("people", "dock", (rule,), ident=Ident("s", 2))
    opening = Opening(10.0, 7, "a.avi", "track 3", 10.0, 0.5, (), label="dog", track=3)
    live = OpenEvent(spec, rule, opening)
    live.hold(11.0, 0.9)
    live.hold(12.0)
    now, final = live.event(), live.event(13.0, "cleared")
    assert (now.seen, now.closed, now.score_max, now.score_median) == (12.0, None, 0.9, 0.7)
    assert (final.id, final.closed, final.close_reason) == (now.id, 13.0, "cleared")
    assert now.id == event_id(Ident("s", 2), "people", "r", "track 3", "dock:a.avi:7")


# --- admission ---------------------------------------------------------------------------------


def admitted(rule, times):
    """Those of the times at which an event opened."""
    admission, opened = Admission(rule, {}), []
    for time in times:
        verdicts = admission.judge(time, CALENDAR, None)
        if all(decision.verdict == "pass" for decision in verdicts):
            admission.opened(time, None)
            opened.append(time)
    return opened


times = st.lists(st.integers(0, 9000), max_size=60).map(sorted)


@given(times, st.integers(1, 4000))
def test_a_cooldown_takes_the_first_opening_after_it(moments, cooldown):
    opened = admitted(RuleSpec("r", cooldown_s=float(cooldown)), moments)
    assert all(b - a >= cooldown for a, b in pairwise(opened))
    for moment in set(moments) - set(opened):
        assert any(0 <= moment - before < cooldown for before in opened)


@given(times, st.integers(1, 5))
def test_no_hour_has_more_openings_than_allowed_and_none_is_refused_before(moments, most):
    opened = admitted(RuleSpec("r", max_per_hour=most), moments)
    for moment in moments:
        in_the_hour = [time for time in opened if moment - 3600 < time <= moment]
        assert len(in_the_hour) <= most
        assert moment in opened or len(in_the_hour) == most


def test_cooldowns_of_tracks_are_forgotten_once_they_are_over():
    cooldowns: Cooldowns = {}
    rule = RuleSpec("r", cooldown_s=10.0, cooldown_scope="track")
    admission = Admission(rule, cooldowns)
    for time in range(1000):
        admission.opened(float(time), time)
    assert len(cooldowns) <= 11
