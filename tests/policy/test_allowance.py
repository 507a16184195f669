"""So many a second: never more, and all of it for who looks often enough."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge_agent.policy.allowance import BURST_S, Allowance

STEPS = st.lists(st.floats(0.0, 20.0), min_size=1, max_size=60)


def taken(allowance: Allowance, now: float) -> int:
    count = 0
    while count < 10_000 and allowance.take(now):
        count += 1
    return count


@given(STEPS, st.floats(0.1, 200.0))
def test_no_stretch_of_time_gets_more_than_its_rate_and_one_burst(steps, rate) -> None:
    allowance, now, times = Allowance(rate), 100.0, []
    for step in steps:
        now += step
        times += [now] * taken(allowance, now)
    burst = max(1.0, rate * BURST_S)
    for first, began in enumerate(times):
        for last in range(first, len(times)):
            most = burst + (times[last] - began) * rate
            assert last - first + 1 <= most + 1e-6


def test_who_looks_four_times_a_second_gets_the_whole_rate() -> None:
    allowance = Allowance(50.0)
    assert 495 <= sum(taken(allowance, step / 4) for step in range(41)) <= 500


def test_less_than_one_a_second_is_a_rate_too() -> None:
    allowance = Allowance(0.25)
    assert sum(taken(allowance, step / 4) for step in range(161)) == 10


def test_without_a_rate_there_is_no_limit() -> None:
    assert taken(Allowance(None), 0.0) == 10_000
