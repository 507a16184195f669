"""Which sensor is believed: nonsense, silence and standing still are recognised."""

from __future__ import annotations

import pytest

from edge_agent.policy.sensors import NEWS_S, BrokenSensor, Fault, Sensors, Temperature, Troubles
from edge_agent.types import Reading, Throttling, Trouble


def cpu(celsius: float | None) -> tuple[Reading, ...]:
    return (Reading("cpu-thermal", 0, celsius),)


def believed(sensors: Sensors, *values: float | None, start: float = 0.0) -> Temperature:
    found = Temperature()
    for place, value in enumerate(values):
        found = sensors.judge(start + place, cpu(value), 0.0)
    return found


@pytest.mark.parametrize("nonsense", [-87.9, -40.0, 127.0, 125.0, 0.0, 32767.0, -256.0])
def test_a_value_that_cannot_be_is_no_temperature(nonsense: float) -> None:
    sensors = Sensors()
    assert believed(sensors, 50.0, 50.5, 51.0).celsius == 50.5
    found = believed(sensors, nonsense, start=3.0)
    assert found.celsius is None
    assert found.broken == (BrokenSensor("cpu-thermal", Fault.IMPOSSIBLE, nonsense, 3.0),)
    assert believed(sensors, 51.0, 51.0, start=4.0).celsius is None  # not yet
    assert believed(sensors, 51.0, start=6.0) == Temperature(51.0, "cpu-thermal")


@pytest.mark.parametrize("nonsense", [-87.9, 127.0, 0.0])
def test_it_is_known_from_the_first_reading_on(nonsense: float) -> None:
    assert believed(Sensors(), nonsense).broken[0].fault is Fault.IMPOSSIBLE


def test_a_cold_board_may_pass_zero() -> None:
    assert believed(Sensors(), -1.5, -0.5, 0.0, 0.5, 1.0).celsius == 0.5


def test_one_wild_reading_moves_nothing() -> None:
    assert believed(Sensors(), 50.0, 50.0, 110.0).celsius == 50.0


def test_a_sensor_that_does_not_answer_once_is_forgiven() -> None:
    sensors = Sensors()
    assert believed(sensors, 60.0, 61.0, None, None).celsius == 60.5
    found = believed(sensors, None, None, None, start=4.0)
    assert (found.celsius, found.broken[0].fault) == (None, Fault.ABSENT)
    assert believed(sensors, 61.0, start=9.0).celsius == 61.0


def test_one_that_never_answered_is_absent_and_no_sensor_at_all_is_told_apart() -> None:
    assert believed(Sensors(), None).broken == (
        BrokenSensor("cpu-thermal", Fault.ABSENT, None, 0.0),
    )
    assert Sensors().judge(0.0, (), 0.0) == Temperature(none_there=True)


def still(seconds: int, busy: tuple[float, float]) -> Temperature:
    sensors, found = Sensors(), Temperature()
    for second in range(0, seconds, 10):
        found = sensors.judge(second, cpu(48.0), busy[second % 20 // 10])
    return found


def test_a_value_that_stands_still_while_the_work_changes_is_stuck() -> None:
    assert still(590, (0.0, 2.0)).celsius == 48.0
    assert still(700, (0.0, 2.0)).broken[0].fault is Fault.STUCK
    assert still(5 * 3600, (0.5, 0.9)).celsius == 48.0
    assert still(6 * 3600 + 20, (0.5, 0.9)).broken[0].fault is Fault.STUCK


def test_a_value_that_stands_still_while_its_neighbour_moves_is_stuck() -> None:
    sensors, found = Sensors(), Temperature()
    for second in range(700):
        readings = (Reading("CPU-therm", 0, 71.0), Reading("GPU-therm", 0, 40.0 + second / 50))
        found = sensors.judge(second, readings, 1.0)
    assert (found.sensor, found.broken[0].sensor) == ("GPU-therm", "CPU-therm")
    assert found.broken[0].fault is Fault.STUCK


def test_a_stuck_one_that_moves_again_is_believed() -> None:
    sensors = Sensors()
    for second in range(0, 700, 10):
        sensors.judge(second, cpu(48.0), float(second % 20))
    assert sensors.judge(700, cpu(48.5), 0.0).celsius == 48.5


def test_the_hottest_at_the_cores_counts_and_the_board_only_without_them() -> None:
    def around(cores: float | None) -> Temperature:
        at_cores = (Reading("CPU-therm", 0, cores), Reading("GPU-therm", 0, cores))
        return Sensors().judge(0.0, (*at_cores, Reading("Tboard", 1, 41.0)), 0.0)

    assert around(60.0).celsius == 60.0
    assert (around(None).sensor, len(around(None).broken)) == ("Tboard", 2)


def test_a_part_that_sleeps_beside_one_that_works_is_not_worth_a_word() -> None:
    found = Sensors().judge(0.0, (Reading("gpu", 0, None), Reading("cpu", 0, 55.0)), 0.0)
    assert found == Temperature(55.0, "cpu")


def test_a_counter_that_grew_is_news_for_a_while() -> None:
    troubles = Troubles()
    counts = {Trouble.OVERCURRENT: 4}
    assert troubles.judge(0.0, Throttling(counts=counts, told=True)).now == frozenset()
    more = Throttling(counts={Trouble.OVERCURRENT: 5}, told=True)
    assert troubles.judge(1.0, more).now == {Trouble.OVERCURRENT}
    assert troubles.judge(NEWS_S, more).now == {Trouble.OVERCURRENT}
    assert troubles.judge(1.0 + NEWS_S, more).now == frozenset()
