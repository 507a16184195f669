"""The account of what is written: starts as they were, running time as a rate."""

from __future__ import annotations

import pytest

from edge_agent.policy.wear import DAY_S, HOUR_S, LEAST_S, Wear, from_text, to_text


def minutes(wear: Wear, began: float, count: int, mb: float) -> Wear:
    for minute in range(count):
        wear = wear.ran(began + 60 * (minute + 1), 60.0, mb)
    return wear


def test_nothing_is_said_before_there_is_a_rate() -> None:
    started = Wear().started(1000.0, 0.3)
    assert started.mb_per_day() is None
    assert started.ran(1000.0 + LEAST_S / 2, LEAST_S / 2, 0.1).mb_per_day() is None
    assert started.ran(1000.0 + LEAST_S, LEAST_S, 0.1).mb_per_day() is not None


def test_a_start_counts_once_and_running_is_a_rate() -> None:
    wear = minutes(Wear().started(0.0, 0.25), 0.0, 60, 0.01)
    assert wear.mb_per_day() == pytest.approx(0.25 + 0.01 * 1440)


def test_every_start_of_the_day_is_told() -> None:
    wear = Wear()
    for number in range(10):
        wear = minutes(wear.started(600.0 * number, 0.5), 600.0 * number, 10, 0.01)
    assert wear.mb_per_day() == pytest.approx(10 * 0.5 + 0.01 * 1440)


def test_a_device_that_is_off_half_the_day_is_judged_by_the_time_it_runs() -> None:
    wear = minutes(Wear(), 0.0, 120, 0.02)
    wear = minutes(wear, 14 * HOUR_S, 120, 0.02)
    assert wear.mb_per_day() == pytest.approx(0.02 * 1440)


def test_only_the_last_day_counts_and_it_stays_small() -> None:
    wear = minutes(Wear().started(0.0, 50.0), 0.0, 60, 5.0)
    wear = minutes(wear, HOUR_S, int(DAY_S / 60), 0.01)
    assert wear.mb_per_day() == pytest.approx(0.01 * 1440, rel=0.1)
    assert len(wear.hours) <= 25


def test_it_comes_back_from_the_store_and_a_clock_that_was_ahead_is_forgotten() -> None:
    wear = minutes(Wear().started(DAY_S, 0.25), DAY_S, 90, 0.01)
    assert from_text(to_text(wear)).mb_per_day() == pytest.approx(wear.mb_per_day(), rel=0.01)
    earlier = wear.started(60.0, 0.1)
    assert [hour.began for hour in earlier.hours] == [60.0]
