"""Under-voltage, caps and counters, as the boards tell them."""

from __future__ import annotations

from pathlib import Path

import pytest
from board import SysBoard

from edge_agent.host.throttling import read_throttling
from edge_agent.types import Throttling, Trouble


@pytest.fixture
def board(tmp_path: Path) -> SysBoard:
    return SysBoard(tmp_path / "sys")


def names(troubles: frozenset[Trouble]) -> set[str]:
    return {trouble.value for trouble in troubles}


@pytest.mark.parametrize(
    ("bits", "now", "since_boot"),
    [
        ("0", set(), set()),
        ("1", {"undervoltage"}, {"undervoltage"}),
        ("50005", {"undervoltage", "throttled"}, {"undervoltage", "throttled"}),
        ("0x50000", set(), {"undervoltage", "throttled"}),
        ("80008", {"soft_limit"}, {"soft_limit"}),
        ("e0002", {"capped"}, {"capped", "throttled", "soft_limit"}),
    ],
)
def test_the_bits_of_a_raspberry_pi(
    board: SysBoard, bits: str, now: set[str], since_boot: set[str]
) -> None:
    board.firmware(bits)
    found = read_throttling(board.root)
    assert (names(found.now), names(found.since_boot)) == (now, since_boot)
    assert found.told


def test_the_firmware_is_found_where_newer_kernels_have_it(board: SysBoard) -> None:
    board.write("devices/platform/soc@107c000000/soc@107c000000:firmware/get_throttled", "4")
    assert names(read_throttling(board.root).now) == {"throttled"}


def test_the_voltage_alarm_of_a_newer_pi(board: SysBoard) -> None:
    board.chip(1, "rpi_volt", in0_lcrit_alarm="1")
    assert names(read_throttling(board.root).now) == {"undervoltage"}
    board.chip(1, "rpi_volt", in0_lcrit_alarm="0")
    calm = read_throttling(board.root)
    assert (calm.now, calm.told) == (frozenset(), True)


def test_a_jetson_counts_over_currents(board: SysBoard) -> None:
    board.chip(3, "soctherm_oc", oc1_event_cnt="2", oc2_event_cnt="0", oc3_event_cnt="5")
    found = read_throttling(board.root)
    assert found.counts == {Trouble.OVERCURRENT: 7}
    assert (names(found.now), names(found.since_boot)) == (set(), {"overcurrent"})


def test_x86_counts_what_it_slowed_itself_down(board: SysBoard) -> None:
    board.write("devices/system/cpu/cpu0/thermal_throttle/package_throttle_count", "12")
    assert read_throttling(board.root).counts == {Trouble.THROTTLED: 12}


def test_a_cooling_device_that_holds_the_clock_down_is_a_cap_and_a_fan_is_none(
    board: SysBoard,
) -> None:
    board.cooling(0, "pwm-fan", 3)
    board.cooling(1, "thermal-cpufreq-0", 0)
    assert names(read_throttling(board.root).now) == set()
    board.cooling(1, "thermal-cpufreq-0", 2)
    assert names(read_throttling(board.root).now) == {"capped"}


def test_a_board_that_tells_nothing(board: SysBoard) -> None:
    board.firmware("")
    assert read_throttling(board.root) == Throttling()
