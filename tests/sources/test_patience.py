"""A live signal that sends something useless is lost like a silent one; bad luck is borne."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.sources.patience import Patience


def test_nonsense_is_borne_for_as_long_as_silence():
    patience = Patience(stall_s=10.0, span_s=1.0, now=0.0)
    assert patience.over(10.0) == ""
    assert patience.over(10.1) == "gave no sample for 10 s"
    patience.sample(10.1)
    assert patience.over(20.0) == ""


def test_samples_that_never_make_a_window_are_borne_for_three_windows_more():
    patience = Patience(stall_s=10.0, span_s=1.0, now=0.0)
    patience.harm(3)
    patience.sample(13.0)
    assert patience.over(13.0) == ""
    assert patience.over(13.1) == "gave no whole window for 13 s: too much is missing in it"


def test_a_whole_window_makes_up_for_all_harm_before_it():
    patience = Patience(stall_s=10.0, span_s=1.0, now=0.0)
    patience.harm(50)
    patience.window(12.0)
    patience.sample(100.0)
    assert patience.over(100.0) == ""
    patience.harm(2)
    assert patience.over(100.0) == "", "two windows are bad luck"
    patience.harm(1)
    assert patience.over(100.0) != ""


@settings(max_examples=40)
@given(st.lists(st.floats(0.0, 10.0), max_size=30))
def test_slow_samples_without_harm_are_borne_for_ever(pauses):
    """A window of an hour takes an hour."""
    patience, now = Patience(stall_s=10.0, span_s=0.001, now=0.0), 0.0
    for pause in pauses:
        now += pause
        assert patience.over(now) == ""
        patience.sample(now)
