"""Which sensors a board has, which of them count, and what one says that is broken."""

from __future__ import annotations

from pathlib import Path

import pytest
from board import SysBoard

from edge_agent.host.thermometer import LOOK_AGAIN, Thermometer, find_sensors
from edge_agent.types import Reading


@pytest.fixture
def board(tmp_path: Path) -> SysBoard:
    return SysBoard(tmp_path / "sys")


def said(board: SysBoard, wanted: str = "auto") -> dict[str, float | None]:
    return {each.sensor: each.celsius for each in Thermometer(board.root, wanted).read()}


def test_a_raspberry_pi(board: SysBoard) -> None:
    board.zone(0, "cpu-thermal", 51.121)
    board.chip(0, "cpu_thermal", temp1_input="51121")
    board.chip(1, "rpi_volt", in0_lcrit_alarm="0")
    readings = Thermometer(board.root).read()
    assert readings[0] == Reading("cpu-thermal", 0, 51.121)
    assert {reading.sensor for reading in readings} == {"cpu-thermal", "cpu_thermal/temp1"}


@pytest.mark.parametrize(
    ("zones", "followed"),
    [
        # Nano, JetPack 4: PMIC-Die says 100 C whatever happens, fan-est is calculated.
        (
            ("AO-therm", "CPU-therm", "GPU-therm", "PLL-therm", "PMIC-Die", "thermal-fan-est"),
            ("CPU-therm", "GPU-therm"),
        ),
        (
            ("cpu-thermal", "gpu-thermal", "cv0-thermal", "soc0-thermal", "tj-thermal"),
            ("cpu-thermal", "gpu-thermal", "soc0-thermal", "tj-thermal"),
        ),
        (("soc-thermal", "bigcore0-thermal", "center-thermal"), None),
        (("cpu_thermal", "gpu_thermal"), None),
        (("acpitz", "x86_pkg_temp", "iwlwifi_1", "INT3400 Thermal"), ("x86_pkg_temp",)),
        (("imx_thermal_zone",), None),
        (("cpu-thermal0", "cpu1-thermal", "cpuss-0-thermal"), None),
    ],
)
def test_the_zones_at_the_cores_are_told_from_the_others(
    board: SysBoard, zones: tuple[str, ...], followed: tuple[str, ...] | None
) -> None:
    for number, kind in enumerate(zones):
        board.zone(number, kind, 40.0 + number)
    at_cores = {each.name for each in find_sensors(board.root) if each.rank == 0}
    assert at_cores == set(followed or zones)


def test_a_pc(board: SysBoard) -> None:
    board.zone(0, "acpitz", 27.8)
    board.zone(1, "acpitz", 29.8)
    board.chip(
        2,
        "coretemp",
        temp1_input="61000",
        temp1_label="Package id 0",
        temp2_input="58000",
        temp2_label="Core 0",
    )
    board.chip(3, "nvme", temp1_input="38850", temp1_label="Composite")
    board.chip(4, "k10temp", temp1_input="44125", temp1_label="Tctl")
    board.zone(10, "what-is-this", 33.0)
    ranks = {each.name: each.rank for each in find_sensors(board.root)}
    assert ranks == {
        "coretemp/Package id 0": 0,
        "k10temp/Tctl": 0,
        "acpitz": 1,
        "acpitz-2": 1,
        "what-is-this": 2,
        "coretemp/Core 0": 9,
        "nvme/Composite": 9,
    }
    assert "nvme/Composite" not in said(board)


def test_a_named_sensor_is_the_only_one(board: SysBoard) -> None:
    board.zone(0, "cpu-thermal", 50.0)
    board.zone(3, "pmic-therm", 41.0)
    assert said(board, "pmic-therm") == {"pmic-therm": 41.0}
    assert said(board, "thermal_zone3") == {"pmic-therm": 41.0}
    assert said(board, "nothing") == {"nothing": None}


@pytest.mark.parametrize("text", ["", "hot", "41.2"])
def test_what_is_no_number_is_no_answer(board: SysBoard, text: str) -> None:
    board.zone(0, "cpu-thermal", 50.0)
    board.write("class/thermal/thermal_zone0/temp", text)
    assert said(board) == {"cpu-thermal": None}


def test_a_zone_without_a_type_has_its_folders_name(board: SysBoard) -> None:
    board.heat(44.0, 7)
    assert said(board) == {"thermal_zone7": 44.0}


def test_a_sensor_that_comes_later_is_found(board: SysBoard) -> None:
    thermometer = Thermometer(board.root)
    assert thermometer.read() == ()
    board.zone(0, "cpu-thermal", 48.0)
    readings = [thermometer.read() for _ in range(LOOK_AGAIN + 1)]
    assert readings[-1] == (Reading("cpu-thermal", 0, 48.0),)


def test_a_board_without_a_folder_has_none(tmp_path: Path) -> None:
    assert find_sensors(tmp_path / "nowhere") == ()
