"""The governor: laws over any readings, and a board that is simulated second by second."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.host.fake_board import JETSON_ORIN_NANO, RASPBERRY_PI_4, BoardSpec, FakeBoard
from edge_agent.host.fake_day import Governed, Hour, Record, Switch, Task, Ungoverned, live
from edge_agent.policy.shares import Demand
from edge_agent.policy.thermal import HOLD_S, Glance, Governor, Points, ThermalSpec
from edge_agent.types import Trouble

SPEC = ThermalSpec(target_c=75.0, min_fps=0.5)
GATE, YARD = Demand("gate", 0, 5.0, 0.2), Demand("yard", 1, 10.0, 0.2)
BOTH = (YARD, GATE)
HOT = frozenset({Trouble.THROTTLED})


def rates(points: Points) -> tuple[float, float]:
    """Of the alert pipeline and of the other one."""
    gate, yard = points.point("gate").max_fps, points.point("yard").max_fps
    return (5.0 if gate is None else gate, 10.0 if yard is None else yard)


def after(seconds: int, celsius: float | None, governor: Governor, **more: object) -> Points:
    start = more.pop("start", 0)
    for second in range(start, start + seconds):  # type: ignore[call-overload]
        governor.step(Glance(float(second), celsius, **more), BOTH)  # type: ignore[arg-type]
    return governor.points


# --- laws over whatever a sensor says ------------------------------------------------------------

GLANCES = st.lists(
    st.tuples(
        st.integers(1, 90),  # seconds for which it holds
        st.one_of(st.none(), st.floats(-30.0, 120.0)),
        st.floats(0.0, 4.0),
        st.one_of(st.none(), st.floats(1.0, 3.0)),
        st.sampled_from([frozenset(), HOT]),
    ),
    max_size=20,
)


@given(GLANCES)
@settings(max_examples=60, deadline=None)
def test_at_most_one_change_a_minute_never_below_the_floor_alerts_last(glances: list) -> None:
    governor, time, changes = Governor(SPEC), 0.0, []
    before = rates(governor.points)
    for seconds, celsius, busy, slowness, troubles in glances:
        for _ in range(seconds):
            points = governor.step(Glance(time, celsius, busy, slowness, troubles), BOTH)
            gate, yard = rates(points)
            assert 0.5 <= gate <= 5.0
            assert 0.5 <= yard <= 10.0
            assert gate == 5.0 or yard == 0.5
            assert (points.level == 0) == (points.of == {})
            if rates(points) != before:
                before = rates(points)
                changes.append(time)
            time += 1.0
    gaps = [later - earlier for earlier, later in pairwise(changes)]
    assert all(gap >= HOLD_S for gap in gaps)


@given(st.floats(20.0, 110.0), st.floats(0.0, 30.0))
@settings(max_examples=40, deadline=None)
def test_more_heat_is_never_more_work(celsius: float, more: float) -> None:
    cooler = sum(rates(after(300, celsius, Governor(SPEC), busy=3.0)))
    hotter = sum(rates(after(300, celsius + more, Governor(SPEC), busy=3.0)))
    assert hotter <= cooler + 1e-9


# --- in words ------------------------------------------------------------------------------------


def test_a_cool_board_is_left_alone() -> None:
    points = after(3600, 60.0, Governor(SPEC), busy=3.0)
    assert (points.level, points.reason, points.of) == (0, "cool", {})


def test_a_hot_one_goes_to_the_floor_and_comes_back() -> None:
    governor = Governor(SPEC)
    hot = after(120, 90.0, governor, busy=3.0)
    assert (hot.level, rates(hot)) == (10, (0.5, 0.5))
    assert hot.reason == "90.0 C of 75 C"
    cool = after(900, 40.0, governor, start=120)
    assert (cool.level, cool.reason) == (0, "cool")


def test_a_board_that_throttles_itself_below_the_target_has_a_target_of_its_own() -> None:
    governor = Governor(SPEC)
    after(60, 62.0, governor, busy=3.0)
    hot = after(60, 62.0, governor, start=60, busy=3.0, troubles=HOT)
    assert governor.target_c == pytest.approx(60.5)
    assert hot.level > 0
    after(36_000, 50.0, governor, start=120)
    assert governor.target_c == pytest.approx(65.5, abs=0.1)  # it forgets half a degree an hour


def test_a_clock_that_is_held_down_for_want_of_voltage_is_no_heat() -> None:
    governor = Governor(SPEC)
    weak = frozenset({Trouble.UNDERVOLTAGE, Trouble.CAPPED, Trouble.THROTTLED})
    assert after(300, 50.0, governor, troubles=weak).level == 0
    assert governor.target_c == 75.0


def test_without_a_sensor_slow_invokes_are_heat_and_quick_ones_give_it_back() -> None:
    governor = Governor(SPEC)
    assert after(300, None, governor, slowness=1.1).level == 0
    slow = after(70, None, governor, start=300, slowness=1.6)
    assert sum(rates(slow)) < 15.0
    assert slow.reason == "1.6 x slower"
    slower = after(900, None, governor, start=370, slowness=1.6)
    assert rates(slower) == (0.5, 0.5)
    assert after(7200, None, governor, start=1270, slowness=1.0).level == 0


def test_what_the_floor_does_not_cure_is_no_heat() -> None:
    governor = Governor(SPEC)
    assert rates(after(900, None, governor, slowness=1.6)) == (0.5, 0.5)
    assert after(7200, None, governor, start=900, slowness=1.6).level == 0
    assert after(600, None, governor, start=8100, slowness=2.4).level > 0  # slower still
    after(7200, None, governor, start=8700, slowness=1.0)
    assert after(600, None, governor, start=15900, slowness=1.6).level > 0  # forgotten again


def test_a_reload_shares_anew_and_keeps_what_the_heat_allows() -> None:
    governor = Governor(SPEC)
    after(120, 90.0, governor, busy=3.0)
    alone = governor.step(Glance(121.0, 90.0, 0.2), (GATE,))
    assert alone.point("gate").max_fps is not None
    assert alone.point("gate").max_fps <= 1.0
    assert alone.point("yard").max_fps is None


# --- a simulated board ---------------------------------------------------------------------------

STEPS = (
    Hour(3600),
    Hour(5400, sun_w=2.0),
    Hour(3600, sun_w=2.0, other_cores=0.5),
    Hour(5400),
)


def day(spec: BoardSpec, ambient: float, steering: object, cores: float) -> Record:
    board = FakeBoard(spec, ambient_c=ambient)
    demand = Demand("p", 0, cores / 0.2, 0.2)
    return live(board, steering, Task(SPEC, demand), STEPS)  # type: ignore[arg-type]


@pytest.mark.parametrize("ambient", [40.0, 60.0])
@pytest.mark.parametrize(("spec", "cores"), [(RASPBERRY_PI_4, 3.5), (JETSON_ORIN_NANO, 5.0)])
def test_the_governor_keeps_the_board_at_its_target(
    spec: BoardSpec, cores: float, ambient: float
) -> None:
    record = day(spec, ambient, Governed(SPEC), cores)
    assert record.over_c <= 1.5
    assert record.steady_c <= 1.0
    assert record.part >= 0.95
    assert record.throttled_s == 0.0
    assert record.shortest_gap_s is None or record.shortest_gap_s >= HOLD_S
    if ambient == 60.0:
        assert record.changes > 3


@pytest.mark.parametrize("spec", [RASPBERRY_PI_4, JETSON_ORIN_NANO])
def test_threads_go_before_rates_where_one_costs_less(spec: BoardSpec) -> None:
    """Four threads cost twice as much an answer as one, which can carry half of what is asked."""
    with_all = Demand("p", 0, 10.0, 0.36)
    records = [
        live(FakeBoard(spec, ambient_c=60.0), Governed(SPEC), Task(SPEC, demand), STEPS)
        for demand in (with_all, replace(with_all, single_s=0.18))
    ]
    rate, threads = records
    made = [sum(fps for _, _, fps, _ in record.trace) for record in records]
    assert made[1] > 1.15 * made[0] or spec is JETSON_ORIN_NANO
    for record in (rate, threads):
        assert record.over_c <= 1.5
        assert record.part >= 0.95
        assert record.throttled_s == 0.0
        assert record.shortest_gap_s is None or record.shortest_gap_s >= HOLD_S


def test_one_thread_is_left_alone_where_it_saves_nothing_or_cannot_carry_as_much() -> None:
    for single_s, threads in ((0.1, 1), (0.199, None), (1.5, None), (None, None)):
        governor = Governor(SPEC)
        for second in range(5):
            demand = Demand("p", 0, 10.0, 0.2, single_s)
            governor.step(Glance(float(second), 77.0, 2.0), (demand,))
        assert governor.points.level > 0
        assert governor.points.point("p").threads == threads


def test_without_one_the_kernel_throttles_and_a_switch_overshoots_or_wastes() -> None:
    free = day(RASPBERRY_PI_4, 60.0, Ungoverned(), 3.5)
    assert free.throttled_s > 3600
    switch = day(RASPBERRY_PI_4, 60.0, Switch(SPEC), 3.5)
    assert switch.changes > 100
    assert switch.steady_c > 3.0
