"""Waits grow, stay under their ceiling, and begin again only after something held."""

from __future__ import annotations

import itertools
from collections import Counter
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.policy.backoff import Backoff

RANDOM = st.floats(0.0, 1.0)


@given(st.integers(0, 10_000), RANDOM)
@settings(deadline=None)
def test_a_wait_lies_between_floor_and_ceiling(failures: int, random: float) -> None:
    backoff = Backoff(failures=failures)
    assert backoff.floor_s <= backoff.delay(random) <= backoff.ceiling_s <= backoff.cap_s


@given(st.integers(0, 50), RANDOM)
@settings(deadline=None)
def test_jitter_is_full_it_spreads_over_the_whole_ceiling(failures: int, random: float) -> None:
    backoff = Backoff(failures=failures, floor_s=0.0)
    assert backoff.delay(random) == random * backoff.ceiling_s


def test_the_ceiling_doubles_up_to_the_cap() -> None:
    backoff, ceilings = Backoff(base_s=1.0, cap_s=60.0), []
    for _ in range(8):
        ceilings.append(backoff.ceiling_s)
        backoff = backoff.failed()
    assert ceilings == [1, 2, 4, 8, 16, 32, 60, 60]


@given(st.lists(RANDOM, min_size=1, max_size=10))
@settings(deadline=None)
def test_no_sequence_of_random_numbers_makes_a_storm(randoms: list[float]) -> None:
    """Even where every draw is 0, a minute holds at most 60 / floor attempts."""
    backoff, elapsed, attempts = Backoff(), 0.0, 0
    for random in itertools.cycle(randoms):
        elapsed += backoff.delay(random)
        if elapsed > 60.0:
            break
        attempts += 1
        backoff = backoff.failed()
    assert attempts <= 60.0 / backoff.floor_s


def test_a_short_success_is_still_a_failure_and_a_stable_one_starts_again() -> None:
    tired = Backoff(stable_s=30.0, failures=5)
    assert tired.ended(lasted_s=29.9).failures == 6
    assert tired.ended(lasted_s=30.0).failures == 0


def test_a_fleet_comes_back_spread_over_the_minute_and_one_device_knocks_rarely() -> None:
    """A thousand devices, ten minutes without a broker, and then the minute in which it is back."""
    chance, knocks = Random(7), Counter[int]()
    for _ in range(1000):
        state, now, times = Backoff(), 0.0, []
        while now < 660.0:
            now += state.delay(chance.random())
            state = state.failed()
            times.append(now)
        for minute in range(1, 10):
            assert sum(minute * 60 <= each < (minute + 1) * 60 for each in times) <= 15
        knocks.update(int(each) for each in times if 600.0 <= each < 660.0)
    assert max(knocks.values()) <= 60  # of 1000 in any one second
    assert 1500 <= sum(knocks.values()) <= 2500
