"""Frames and silences become seconds with a cause, each right to a second, the sum exact."""

from __future__ import annotations

from dataclasses import replace
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from edge_agent.pipeline.camera_events import RULE
from edge_agent.pipeline.rulespec import RuleSpec
from edge_agent.pipeline.schedule import Calendar, Schedule
from edge_agent.policy.coverage import Cause, Coverage, Since, coverage
from edge_agent.policy.standstill import Standstill
from edge_agent.service.capture import SourceFacts
from edge_agent.service.lookout import Lookout
from edge_agent.types import Decision, Event, Frame, Outcome, Priority, Skip

START = 1_769_860_800.0  # a Saturday, noon in UTC
CALENDAR = Calendar(ZoneInfo("UTC"), 0.0, True)
DELIVERING = SourceFacts("delivering", period_s=0.2)
LOST = SourceFacts("lost", period_s=0.2)
RULES = (RuleSpec("seen"), RuleSpec("weekdays", schedule=Schedule.parse("mon-fri 00:00-24:00")))


class Film:
    """A pipeline at five frames a second, and housekeeping that looks once a second."""

    def __init__(self, before: dict[str, Since] | None = None) -> None:
        self.now = START
        self.standstill = Standstill()
        self.lookout = Lookout(RULES, START, self.standstill, before)
        self.number = 0

    def show(self, seconds: float, skip: Skip | None = None, **gate: str) -> None:
        for _ in range(round(seconds * 5)):
            self.now += 0.2
            self.standstill.beat(self.now)
            self.number += 1
            frame = Frame("yard", self.number, self.now, np.zeros((1, 1, 3), np.uint8))
            self.lookout.show(
                Outcome(frame, skip, Decision("gate", "skip" if skip else "pass", gate)), CALENDAR
            )

    def silence(
        self, seconds: float, facts: SourceFacts = LOST, excuse: Cause | None = None
    ) -> None:
        for _ in range(round(seconds)):
            self.now += 1.0
            self.standstill.beat(self.now)
            self.lookout.pass_time(self.now, replace(facts, latest=facts.latest), excuse)

    def end(self, rule: str = "seen") -> Coverage:
        self.lookout.end(self.now)
        return coverage(self.lookout.settle(float("inf"))[rule])


def test_frames_that_come_are_watched_whatever_the_gate_saves() -> None:
    film = Film()
    for skip in (None, Skip.RATE, Skip.MOTION, Skip.STATIONARY):
        film.show(10, skip)
    assert film.end() == Coverage(pytest.approx(40.0), {}, {})


def test_a_lost_source_is_blind_from_its_last_frame_to_its_next_one() -> None:
    film = Film()
    film.show(10)
    film.silence(2, replace(DELIVERING, latest=START + 10))  # not given up yet
    film.silence(38)
    film.show(5)
    found = film.end()
    assert found.blind_s["source_lost"] == pytest.approx(40.0, abs=1.0)
    assert found.total_s == pytest.approx(55.0)


@pytest.mark.parametrize(
    ("skip", "cause"),
    [(Skip.PAUSED, "paused"), (Skip.SCHEDULE, "schedule"), (Skip.SWAP, "swap")],
)
def test_frames_that_nobody_was_to_look_at(skip: Skip, cause: str) -> None:
    film = Film()
    film.show(10)
    film.show(20, skip)
    film.show(5)
    assert film.end().blind_s == {cause: pytest.approx(20.0)}


def test_heat_degrades_at_first_and_blinds_when_nothing_was_looked_at_for_long() -> None:
    film = Film()
    film.show(10)
    film.show(3, Skip.THERMAL)
    film.show(0.2)
    film.show(20, Skip.THERMAL)
    found = film.end()
    assert found.degraded_s["heat"] == pytest.approx(8.2, abs=1.0)
    assert found.blind_s["heat"] == pytest.approx(15.0, abs=1.0)


def test_a_blackened_picture_is_blind_from_the_first_one_on() -> None:
    film = Film()
    film.show(20)
    film.show(3)  # black, and not known to be yet
    frame = Frame("yard", 0, film.now, np.zeros((1, 1, 3), np.uint8))
    black = (Decision("camera", "pass", {"trouble": "black", "s": 3.0, "need_s": 3.0}),)
    event = Event(
        id="0" * 16, pipeline="p", source="yard", rule=RULE, priority=Priority.NOTICE,
        label="black", zone=None, text="", opened=film.now, seen=film.now, closed=None,
        close_reason=None, score_max=1.0, score_median=1.0, track=None, count=1, box=None, frame=0,
        decisions=black,
    )  # fmt: skip
    gate = Decision("gate", "skip", {"trouble": "black"})
    film.lookout.show(Outcome(frame, Skip.QUALITY, gate, opened=(event,)), CALENDAR)
    film.show(10, Skip.QUALITY, trouble="black")
    film.show(5)
    found = film.end()
    assert found.blind_s == {"black": pytest.approx(13.0, abs=0.3)}
    assert found.total_s == pytest.approx(38.0)


def test_between_two_looks_at_a_black_picture_nobody_sees_anything_either() -> None:
    film = Film()
    film.show(5)
    for _ in range(10):
        film.show(0.2, Skip.QUALITY, trouble="black")
        film.show(0.8, Skip.RATE)
    film.show(5)
    assert film.end() == Coverage(pytest.approx(10.0), {}, {"black": pytest.approx(10.0)})


@pytest.mark.parametrize("first", ["beat", "frame", "housekeeping"])
def test_a_process_that_stood_still_was_suspended_whoever_finds_out_first(first: str) -> None:
    film = Film()
    film.show(10)
    film.silence(5)
    film.show(5)
    film.now += 30.0
    if first == "beat":
        film.standstill.beat(film.now)
    if first == "housekeeping":
        film.lookout.pass_time(film.now, replace(DELIVERING, latest=film.now - 30), None)
    film.show(10)
    assert film.end() == Coverage(
        pytest.approx(25.0, abs=0.5),
        {},
        {"source_lost": pytest.approx(5.0, abs=0.3), "suspended": pytest.approx(30.0, abs=0.3)},
    )


def test_a_source_that_is_lost_before_and_after_a_standstill() -> None:
    film = Film()
    film.show(10)
    film.silence(5)
    film.now += 30.0
    film.silence(5)
    assert film.end().blind_s == {
        "source_lost": pytest.approx(9.0),
        "suspended": pytest.approx(31.0),  # the last beat was a second before the standstill
    }


@pytest.mark.parametrize(("passed_over", "cause"), [(0, "source_lost"), (6, "busy")])
def test_a_gap_that_housekeeping_did_not_see_is_told_from_the_numbers(
    passed_over: int, cause: str
) -> None:
    film = Film()
    film.show(5)
    film.now += 1.2
    film.number += passed_over
    film.show(5)
    found = film.end()
    assert {**found.degraded_s, **found.blind_s} == {cause: pytest.approx(1.4)}


def test_a_slow_model_is_busy_degraded_and_then_blind() -> None:
    film = Film()
    film.show(10)
    film.silence(4, replace(DELIVERING, latest=START + 1000))
    film.silence(6, replace(DELIVERING, latest=START + 1000))
    found = film.end()
    assert found.degraded_s["busy"] == pytest.approx(5.0, abs=1.0)
    assert found.blind_s["busy"] == pytest.approx(5.0, abs=1.0)


def test_excuses_that_the_source_knows_nothing_of() -> None:
    film = Film()
    film.silence(10, SourceFacts("opening"))
    film.show(10)
    film.silence(10, excuse=Cause.PAUSED)
    film.lookout.lying = True
    film.show(10)
    found = film.end()
    assert found.blind_s == {
        "lying": pytest.approx(10.0, abs=0.3),
        "paused": pytest.approx(10.0, abs=0.3),
        "starting": pytest.approx(10.0, abs=0.3),
    }


def test_the_last_moments_are_as_those_before_them() -> None:
    film = Film()
    film.show(10)
    film.show(5, Skip.PAUSED)
    film.now += 0.9  # less than the source's patience
    assert film.end() == Coverage(pytest.approx(10.0), {}, {"paused": pytest.approx(5.9)})


def test_a_rule_outside_of_its_schedule_does_not_watch_and_what_blinds_all_blinds_it() -> None:
    film = Film()
    film.show(10)
    film.silence(10)
    found = film.end("weekdays")
    assert found.blind_s["schedule"] == pytest.approx(10.0, abs=1.0)
    assert found.blind_s["source_lost"] == pytest.approx(10.0, abs=1.0)


def test_a_life_goes_on_where_it_ended() -> None:
    film = Film({"seen": Since(START - 100, Cause.POWER_OFF)})
    film.show(10)
    assert film.end() == Coverage(pytest.approx(10.0), {}, {"power_off": 100.0})
    later = Film({"seen": Since(START + 3600, Cause.STOPPED)})  # the clock went back
    later.show(10)
    assert later.end().total_s == pytest.approx(10.0)
