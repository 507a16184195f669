"""What events switch: lamps on the chip that ships with the package, and real programs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.errors import EdgeError
from edge_agent.host.fake import FakeChip
from edge_agent.host.gpio import GpioLine, LineSpec
from edge_agent.service.outputs import Manner, Output, Wish, facts_of
from edge_agent.service.supervisor import Group
from edge_agent.types import Event, Priority

EVENT = Event(
    id="0123456789abcdef",
    pipeline="people",
    source="dock",
    rule="侵入",
    priority=Priority.ALERT,
    label="人",
    zone=None,
    text="人 in gate",
    opened=0.0,
    seen=0.0,
    closed=None,
    close_reason=None,
    score_max=0.9,
    score_median=0.9,
    track=1,
    count=1,
    box=None,
    frame=7,
)


class Start:
    """Outputs at work, each in its thread."""

    def __init__(self) -> None:
        self._group = Group("outputs", lambda part: None)
        self._started: list[Output] = []

    def __call__(self, output: Output) -> None:
        self._started.append(output)
        self._group.start(f"output {output.name}", output.run)

    def stop(self) -> tuple[str, ...]:
        return self._group.stop(30, lambda: [output.hurry() for output in self._started] and None)


@pytest.fixture
def start() -> Iterator[Start]:
    begin = Start()
    yield begin
    assert begin.stop() == ()


def manner(hold_s: float = 0.0, off_on_stop: bool = True) -> Manner:
    return Manner(hold_s, off_on_stop, lambda: 1_700_000_000.0)


def lamp(chip: FakeChip, how: Manner | None = None) -> Output:
    switch = GpioLine(LineSpec(chip.path, 0), chip.request)
    return Output("lamp", "gpio", switch, how or manner())


def until(found: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 30
    while not found():
        assert time.monotonic() < deadline, what
        time.sleep(0.005)


def opened(number: int = 0) -> Event:
    return replace(EVENT, id=f"{number:016x}")


class Record:
    """A switch that writes down what it is told; `broken` makes it fail, `slow` makes it wait."""

    def __init__(self) -> None:
        self.told: list[bool] = []
        self.facts: list[dict[str, str]] = []
        self.broken = False
        self.slow = threading.Event()
        self.slow.set()

    def open(self) -> None:
        """It is always ready."""

    def turn(self, on: bool, facts: Mapping[str, str]) -> None:
        self.told.append(on)
        self.facts.append(dict(facts))
        self.slow.wait(30)
        if self.broken:
            raise EdgeError("no relay answers", "look at its cable")

    def hurry(self) -> None:
        self.slow.set()

    def close(self) -> None:
        """Nothing is held."""


def test_it_is_on_while_any_event_is_open(start: Start) -> None:
    chip = FakeChip()
    output = lamp(chip)
    start(output)
    until(lambda: output.facts().on is False, "off at the start")
    output.note(opened(1), opened=True)
    until(lambda: chip.levels[0], "on")
    output.note(opened(2), opened=True)
    output.note(opened(1), opened=False)
    time.sleep(0.7)
    assert chip.levels[0]
    output.note(opened(2), opened=False)
    until(lambda: not chip.levels[0], "off")
    assert (output.facts().changes, output.facts().failures) == (3, 0)


def test_an_event_that_is_over_at_once_gives_a_pulse(start: Start) -> None:
    record = Record()
    output = Output("lamp", "command", record, manner(hold_s=0.8))
    start(output)
    output.note(opened(), opened=True)
    output.note(opened(), opened=False)
    until(lambda: record.told == [False, True], "on")
    began = time.monotonic()
    until(lambda: record.told == [False, True, False], "off")
    assert time.monotonic() - began > 0.5


def test_what_changes_while_the_switch_is_slow_is_made_up_for_by_one_change(start: Start) -> None:
    record = Record()
    output = Output("lamp", "command", record, manner())
    start(output)
    until(lambda: output.facts().on is False, "off at the start")
    record.slow.clear()
    output.note(opened(0), opened=True)
    until(lambda: record.told == [False, True], "it is being switched on")
    for number in range(1, 500):  # nobody waits here
        output.note(opened(number), opened=True)
        output.note(opened(number), opened=False)
    output.note(opened(0), opened=False)
    record.slow.set()
    until(lambda: output.facts().changes == 3, "off")
    time.sleep(0.6)
    assert record.told == [False, True, False]


def test_a_failure_is_counted_told_and_tried_again(
    start: Start, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("edge_agent.service.outputs.RETRY_S", 0.05)
    record = Record()
    record.broken = True
    output = Output("lamp", "command", record, manner())
    start(output)
    output.note(opened(), opened=True)
    until(lambda: output.facts().failures > 3, "some tries")
    facts = output.facts()
    assert (facts.on, facts.error, facts.next) == (None, "no relay answers", "look at its cable")
    assert facts.failing_since == 1_700_000_000.0
    record.broken = False
    until(lambda: output.facts().on is True, "on at last")
    assert (output.facts().error, output.facts().failing_since) == ("", None)
    assert sum("output fails" in line for line in caplog.messages) == 1


def test_a_chip_that_comes_back_gets_what_is_wanted_now(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_agent.service.outputs.RETRY_S", 0.05)
    chip = FakeChip()
    chip.gone = True
    output = lamp(chip)
    start(output)
    output.note(opened(), opened=True)
    until(lambda: output.facts().failures > 1, "some tries")
    assert output.facts().error == "there is no GPIO chip /dev/gpiochip0"
    chip.gone = False
    until(lambda: chip.levels[0], "on")


@pytest.mark.parametrize(("off_on_stop", "told"), [(True, [False, True, False]), (False, [True])])
def test_a_stop_leaves_it_off_or_as_it_is(
    start: Start, off_on_stop: bool, told: list[bool]
) -> None:
    record = Record()
    output = Output("lamp", "command", record, manner(off_on_stop=off_on_stop))
    start(output)
    output.note(opened(), opened=True)
    until(lambda: output.facts().on is True, "on")
    assert start.stop() == ()
    assert record.told == told


def test_a_program_learns_what_it_is_about(start: Start) -> None:
    record = Record()
    output = Output("lamp", "command", record, manner())
    start(output)
    output.note(EVENT, opened=True)
    until(lambda: output.facts().on is True, "on")
    assert record.facts[1] == {
        "EDGE_OUTPUT": "lamp",
        "EDGE_EVENT_ID": "0123456789abcdef",
        "EDGE_PIPELINE": "people",
        "EDGE_SOURCE": "dock",
        "EDGE_RULE": "侵入",
        "EDGE_PRIORITY": "alert",
        "EDGE_LABEL": "人",
        "EDGE_ZONE": "",
        "EDGE_TEXT": "人 in gate",
        "EDGE_OPENED": "1970-01-01T00:00:00.000Z",
    }
    assert facts_of(None) == {}


#: What happens to a wish: an event opens or closes, time passes, it is switched, and that works.
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("open"), st.integers(0, 3)),
        st.tuples(st.just("close"), st.integers(0, 3)),
        st.tuples(st.just("wait"), st.integers(0, 5)),
        st.tuples(st.just("switch"), st.booleans()),
    ),
    max_size=40,
)


@settings(max_examples=100)
@given(STEPS)
def test_it_is_wanted_on_while_an_event_is_open_and_off_when_all_is_over(
    steps: list[tuple[str, int]],
) -> None:
    wish, now, there = Wish(2.0), 0.0, set()
    for step, number in steps:
        match step:
            case "open":
                wish.note(opened(number), opened=True)
                there.add(number)
            case "close":
                wish.note(opened(number), opened=False)
                there.discard(number)
            case "wait":
                now += number
            case "switch":
                wish.tried(now, on=wish.on(now), worked=bool(number))
        assert wish.on(now) or not there
    for number in range(4):
        wish.note(opened(number), opened=False)
    wish.tried(now, on=wish.on(now), worked=True)
    assert not wish.on(now + 2.0)
