"""When a repository is looked at again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge_agent.policy.checking import (
    CLOCK_PATIENCE_S,
    Outcome,
    first_wait,
    next_wait,
    waits_for_clock,
)

EVERY = st.floats(10, 604_800)
SHARE = st.floats(0, 1)


@given(EVERY, SHARE, st.integers(1, 1000), st.sampled_from([Outcome.GOOD, Outcome.REFUSED]))
def test_what_stays_the_same_is_asked_again_at_the_regular_time(every, random, failures, outcome):
    assert 0.9 * every <= next_wait(outcome, failures, every, random) <= 1.1 * every + 1e-6


@given(EVERY, SHARE, st.integers(1, 1000))
def test_what_may_pass_is_asked_again_sooner_and_never_in_a_hot_loop(every, random, failures):
    wait = next_wait(Outcome.UNREACHABLE, failures, every, random)
    assert min(10.0, every) <= wait <= every


def test_failures_in_a_row_wait_longer_up_to_the_interval() -> None:
    waits = [next_wait(Outcome.UNREACHABLE, n, 3600.0, 1.0) for n in range(1, 12)]
    assert waits == sorted(waits)
    assert (waits[0], waits[-1]) == (60.0, 3600.0)


@given(EVERY, SHARE)
def test_a_start_spreads_within_five_minutes(every, random):
    assert 0 <= first_wait(every, random) <= min(every, 300)


def test_only_a_check_over_the_network_waits_for_the_clock_and_not_for_ever() -> None:
    assert waits_for_clock(online=True, synced=False, running_s=0.0)
    assert not waits_for_clock(online=True, synced=True, running_s=0.0)
    assert not waits_for_clock(online=False, synced=False, running_s=0.0)
    assert not waits_for_clock(online=True, synced=False, running_s=CLOCK_PATIENCE_S)
