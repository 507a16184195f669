"""The simulated board obeys what any board obeys."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_agent.host.fake_board import JETSON_ORIN_NANO, RASPBERRY_PI_4, BoardSpec, FakeBoard
from edge_agent.host.thermometer import Thermometer
from edge_agent.host.throttling import read_throttling
from edge_agent.types import Trouble

BOARDS = pytest.mark.parametrize("spec", [RASPBERRY_PI_4, JETSON_ORIN_NANO])


@BOARDS
def test_left_alone_it_stays_where_it_settles(spec: BoardSpec) -> None:
    board = FakeBoard(spec, ambient_c=35.0)
    there = list(board.nodes)
    board.advance(3600.0, 0.0)
    assert board.nodes == pytest.approx(there, abs=0.05)


@BOARDS
def test_work_warms_it_to_what_is_calculated_for_days_of_it(spec: BoardSpec) -> None:
    board = FakeBoard(spec, ambient_c=25.0)
    before = board.die_c
    board.advance(6 * 3600.0, 2.0)
    assert board.die_c > before + 3.0
    assert board.die_c == pytest.approx(board.settled(2.0)[0], abs=0.3)


@BOARDS
def test_air_sun_and_other_work_each_make_it_hotter(spec: BoardSpec) -> None:
    def settles(**circumstances: float) -> float:
        return FakeBoard(spec, **circumstances).settled(1.0)[0]  # type: ignore[arg-type]

    least = settles(ambient_c=25.0)
    assert settles(ambient_c=26.0) > least
    assert settles(ambient_c=25.0, sun_w=1.0) > least
    assert settles(ambient_c=25.0, other_cores=0.5) > least


def test_the_kernel_slows_it_at_its_trip_point_and_less_is_done() -> None:
    board = FakeBoard(RASPBERRY_PI_4, ambient_c=70.0)
    done = board.advance(3600.0, 4.0)
    assert board.clock < 1.0
    assert done < 4.0
    assert board.throttling().now == {Trouble.THROTTLED}
    assert board.die_c < 90.0


def test_a_fan_starts_and_stops_with_hysteresis() -> None:
    board = FakeBoard(JETSON_ORIN_NANO, ambient_c=25.0)
    assert not board.fan_on
    board.advance(3600.0, 6.0)
    assert board.fan_on
    board.advance(7200.0, 0.0)
    assert not board.fan_on


def test_the_sensor_has_the_real_ones_steps() -> None:
    board = FakeBoard(RASPBERRY_PI_4, ambient_c=25.0)
    seen = {board.celsius() for _ in range(100)}
    assert 2 <= len(seen) <= 5
    assert all(abs(each - board.die_c) < 1.0 for each in seen)


def test_a_folder_of_it_is_read_like_a_board(tmp_path: Path) -> None:
    board = FakeBoard(RASPBERRY_PI_4, ambient_c=70.0)
    board.advance(1800.0, 4.0)
    board.write(tmp_path)
    (reading,) = Thermometer(tmp_path).read()
    assert reading.sensor == "cpu-thermal"
    assert reading.celsius == pytest.approx(board.die_c, abs=1.0)
    assert Trouble.THROTTLED in read_throttling(tmp_path).now
    board.broken_c = -87.9
    board.write(tmp_path)
    assert Thermometer(tmp_path).read()[0].celsius == -87.9
