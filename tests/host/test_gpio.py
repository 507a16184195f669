"""Outputs that are pins, on the chip that ships with the package; and without any chip."""

from __future__ import annotations

import importlib.util

import pytest

from edge_agent.errors import EdgeError
from edge_agent.host.fake import FakeChip
from edge_agent.host.gpio import GpioLine, LineSpec, Pin


def lamp(chip: FakeChip, line: int = 3, active_low: bool = False) -> GpioLine:
    return GpioLine(LineSpec("gpiochip0", line, active_low), chip.request)


def refusal(line: GpioLine) -> EdgeError:
    with pytest.raises(EdgeError) as caught:
        line.open()
    return caught.value


def test_a_line_is_off_when_it_is_opened_and_switches() -> None:
    chip = FakeChip()
    line = lamp(chip)
    line.open()
    assert chip.levels[3] is False
    line.turn(True, {})
    assert chip.levels == [False, False, False, True, False, False, False, False]
    line.turn(False, {})
    assert not any(chip.levels)
    line.close()
    line.close()
    assert chip.held == set()


def test_an_active_low_line_is_off_at_a_high_level() -> None:
    chip = FakeChip()
    line = lamp(chip, active_low=True)
    line.open()
    assert chip.levels[3] is True
    line.turn(True, {})
    assert chip.levels[3] is False


def test_each_refusal_of_the_kernel_is_a_sentence() -> None:
    chip = FakeChip(lines=4)
    lamp(chip).open()
    busy = refusal(lamp(chip))
    assert (
        busy.message == "line 3 of /dev/gpiochip0 is held by another program, perhaps by the agent"
    )
    assert busy.next == "who holds it: gpioinfo"
    assert refusal(lamp(chip, line=9)).message == "there is no line 9 of /dev/gpiochip0"
    other = GpioLine(LineSpec("/dev/gpiochip7", 0), chip.request)
    assert refusal(other).message == "there is no GPIO chip /dev/gpiochip7"


def test_a_chip_that_was_away_is_used_again_when_it_is_back() -> None:
    chip = FakeChip()
    line = lamp(chip)
    line.turn(True, {})
    chip.gone = True
    with pytest.raises(EdgeError, match="there is no GPIO chip"):
        line.turn(False, {})
    chip.gone = False
    line.turn(False, {})
    assert chip.levels[3] is False


def test_no_permission_is_told() -> None:
    def forbidden(spec: LineSpec) -> Pin:
        raise PermissionError(13, "Permission denied")

    assert "no permission for line 0" in refusal(GpioLine(LineSpec("c", 0), forbidden)).message


@pytest.mark.skipif(
    importlib.util.find_spec("gpiod") is not None, reason="the extra gpio is installed here"
)
def test_without_the_library_one_sentence_says_how_to_get_it() -> None:
    fault = refusal(GpioLine(LineSpec("gpiochip0", 0)))
    assert fault.message == "the library for GPIO is not installed"
    assert fault.next == "pip install 'edge-agent-runtime[gpio]'"


def test_with_the_library_a_chip_that_is_not_there_is_told() -> None:
    pytest.importorskip("gpiod", reason="the extra gpio is not installed here")
    assert (
        "there is no GPIO chip /dev/gpiochip77"
        in refusal(GpioLine(LineSpec("gpiochip77", 0))).message
    )
