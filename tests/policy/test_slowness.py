"""Invoke times against their own baseline."""

from __future__ import annotations

import pytest

from edge_agent.policy.slowness import DAY_S, Slowness


def test_nothing_is_known_before_anything_was_measured() -> None:
    slowness = Slowness()
    assert slowness.look(0.0, {}) is None
    assert slowness.look(1.0, {"yard": 0.0}) is None


def test_the_least_slowed_pipeline_says_how_slow_the_board_is() -> None:
    slowness = Slowness()
    assert slowness.look(0.0, {"yard": 0.010, "gate": 0.020}) == 1.0
    assert slowness.look(1.0, {"yard": 0.015, "gate": 0.028}) == pytest.approx(1.4)
    assert slowness.look(2.0, {"yard": 0.050, "gate": 0.020}) == pytest.approx(1.0)


def test_a_baseline_forgets_slowly() -> None:
    slowness = Slowness()
    slowness.look(0.0, {"yard": 0.010})
    for day in range(1, 6):
        found = slowness.look(day * DAY_S, {"yard": 0.015})
    assert found == pytest.approx(1.5 / 1.05**5, rel=1e-3)


def test_a_pipeline_that_is_gone_is_forgotten() -> None:
    slowness = Slowness()
    slowness.look(0.0, {"yard": 0.010})
    slowness.look(1.0, {})
    assert slowness.look(2.0, {"yard": 0.030}) == 1.0
