"""Who gets what the heat allows: laws that no budget breaks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.policy.shares import Demand, least, share, wanted

DEMANDS = st.lists(
    st.builds(
        Demand,
        st.uuids().map(str),
        st.integers(0, 2),
        st.floats(0.05, 60.0),
        st.floats(0.0005, 2.0),
    ),
    min_size=1,
    max_size=6,
    unique_by=lambda demand: demand.pipeline,
)
BUDGETS = st.floats(0.0, 50.0)
FLOORS = st.floats(0.01, 5.0)


@given(BUDGETS, DEMANDS, FLOORS)
def test_nobody_gets_less_than_the_floor_or_more_than_it_wants(
    budget: float, demands: list[Demand], min_fps: float
) -> None:
    rates = share(budget, demands, min_fps)
    for each in demands:
        assert each.floor(min_fps) - 1e-9 <= rates[each.pipeline] <= each.fps + 1e-9


@given(BUDGETS, DEMANDS, FLOORS)
def test_together_they_keep_to_the_budget_where_the_floors_leave_any(
    budget: float, demands: list[Demand], min_fps: float
) -> None:
    rates = share(budget, demands, min_fps)
    used = sum(rates[each.pipeline] * each.cost_s for each in demands)
    most = min(wanted(demands), max(budget, least(demands, min_fps)))
    assert used == pytest.approx(most, rel=1e-6, abs=1e-9)


@given(BUDGETS, DEMANDS, FLOORS)
def test_alerts_starve_last(budget: float, demands: list[Demand], min_fps: float) -> None:
    rates = share(budget, demands, min_fps)
    for high in demands:
        if rates[high.pipeline] < high.fps * (1 - 1e-9):
            for low in demands:
                if low.rank > high.rank:
                    assert rates[low.pipeline] == pytest.approx(low.floor(min_fps))


@given(BUDGETS, BUDGETS, DEMANDS, FLOORS)
def test_less_heat_allowed_is_more_for_nobody(
    one: float, other: float, demands: list[Demand], min_fps: float
) -> None:
    little, much = (share(each, demands, min_fps) for each in sorted((one, other)))
    assert all(little[each.pipeline] <= much[each.pipeline] + 1e-9 for each in demands)


def test_three_pipelines_in_words() -> None:
    gate = Demand("gate", 0, 5.0, 0.1)
    yard = Demand("yard", 1, 10.0, 0.1)
    tally = Demand("tally", 2, 10.0, 0.1)
    assert share(2.5, [tally, yard, gate], 0.5) == {"gate": 5.0, "yard": 10.0, "tally": 10.0}
    assert share(1.6, [tally, yard, gate], 0.5) == pytest.approx(
        {"gate": 5.0, "yard": 10.0, "tally": 1.0}
    )
    assert share(0.3, [tally, yard, gate], 0.5) == pytest.approx(
        {"gate": 2.0, "yard": 0.5, "tally": 0.5}
    )
    assert share(0.0, [tally, yard, gate], 0.5) == {"gate": 0.5, "yard": 0.5, "tally": 0.5}
