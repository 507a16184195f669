"""The gate: which frames pass, and the one reason why the others do not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC
from itertools import accumulate
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.pipeline.gate import Gate, GateSpec, Look
from edge_agent.pipeline.motion import MotionSpec
from edge_agent.pipeline.pace import Pace, Paces, rates_of
from edge_agent.pipeline.schedule import Calendar, Schedule
from edge_agent.types import Box, OperatingPoint, Skip, Track

CALENDAR = Calendar(UTC)
COOL = OperatingPoint()
EVERY = GateSpec(max_fps=0, motion=None)
MOTION = GateSpec(max_fps=0, motion=MotionSpec(keepalive_s=30))
WATCHFUL = GateSpec(max_fps=5, schedule=Schedule.parse("00:00-12:00"))
AFTERNOON = 15 * 3600.0
PARKED: Box = (0.3, 0.3, 0.6, 0.7)
BLANK = np.full((192, 256, 3), 90, np.uint8)


def look(time: float, image: Any = BLANK, tracks: tuple[Track, ...] = (), **more: Any) -> Look:
    return Look(time, image, tracks, more.pop("point", COOL), CALENDAR, **more)


def passing(gate: Gate, times: Sequence[float]) -> list[int]:
    return [i for i, time in enumerate(times) if gate.decide(look(time)).skip is None]


def picture(*boxes: Box) -> np.ndarray:
    """A still picture with bright boxes in it."""
    image = BLANK.copy()
    for x0, y0, x1, y1 in boxes:
        image[round(y0 * 192) : round(y1 * 192), round(x0 * 256) : round(x1 * 256)] = 200
    return image


def track(box: Box, *, hits: int = 20, **more: Any) -> Track:
    return Track(1, "person", box, 0.8, 0.0, 0.0, hits, **more)


# --- one reason, the cheapest first ------------------------------------------------------------


def test_of_several_reasons_the_cheapest_is_the_one_that_counts():
    gate = Gate(WATCHFUL)
    gate.decide(look(0.0))
    hot = OperatingPoint(level=2, max_fps=1.0, reason="75 C")
    worst = look(AFTERNOON, point=hot, paused=True, age_s=9.0, max_age_s=2.0)
    assert gate.decide(worst).skip is Skip.PAUSED
    assert gate.decide(replace(worst, paused=False)).skip is Skip.SCHEDULE
    morning = replace(worst, paused=False, time=0.1)
    assert gate.decide(morning).skip is Skip.STALE
    fresh = replace(morning, age_s=1.0)
    assert gate.decide(fresh).skip is Skip.RATE
    assert gate.decide(replace(fresh, time=0.2)).skip is Skip.MOTION  # the first frame in the heat
    assert gate.decide(replace(fresh, time=0.4)).skip is Skip.THERMAL
    assert gate.decide(replace(fresh, time=0.6, image=picture(PARKED), point=COOL)).skip is None


def test_every_verdict_tells_its_numbers():
    gate = Gate(GateSpec(max_fps=5, schedule=Schedule.parse("00:00-12:00")))
    first = gate.decide(look(0.0)).decision
    assert (first.stage, first.verdict, first.numbers["reason"]) == ("gate", "pass", "keepalive")
    assert first.numbers["since_inferred_s"] is None
    soon = gate.decide(look(0.1)).decision
    assert (soon.verdict, soon.numbers["reason"]) == ("skip", "rate")
    assert soon.numbers["max_fps"] == 5
    assert soon.numbers["since_inferred_s"] == pytest.approx(0.1)
    still = gate.decide(look(0.2)).decision.numbers
    assert still["reason"] == "motion"
    assert {"area", "threshold", "noise", "change"} <= still.keys()
    closed = gate.decide(look(AFTERNOON)).decision.numbers
    assert (closed["reason"], closed["local"]) == ("schedule", "thu 15:00")


def test_an_unsynced_clock_counts_as_open_and_the_decision_says_so():
    gate = Gate(replace(WATCHFUL, motion=None))
    unsynced = replace(look(AFTERNOON), calendar=Calendar(UTC, synced=False))
    verdict = gate.decide(unsynced)
    assert verdict.skip is None
    assert verdict.decision.numbers["clock"] == "unsynced"


def test_a_frame_is_stale_only_beyond_the_allowed_age():
    gate = Gate(EVERY)
    assert gate.decide(look(0.0, age_s=2.0, max_age_s=2.0)).skip is None
    assert gate.decide(look(0.1, age_s=2.1, max_age_s=2.0)).skip is Skip.STALE
    assert gate.decide(look(0.2, age_s=99.0, max_age_s=None)).skip is None


def test_without_motion_the_picture_is_never_touched():
    gate = Gate(EVERY)
    assert gate.decide(look(0.0, image=None)).decision.numbers["reason"] == "every"


@pytest.mark.parametrize(
    ("spec", "always"),
    [
        (EVERY, True),
        (replace(EVERY, max_fps=5), False),
        (replace(EVERY, motion=MotionSpec()), False),
        (replace(EVERY, schedule=Schedule.parse("00:00-12:00")), False),
    ],
)
def test_always_says_whether_preparing_ahead_can_be_in_vain(spec, always):
    assert Gate(spec).always is always


# --- rate --------------------------------------------------------------------------------------


def steady(fps: float, count: int, start: float = 0.0) -> list[float]:
    return [start + i / fps for i in range(count)]


@pytest.mark.parametrize("start", [0.0, 1.7e9, 1.7e9 + 0.0333])
def test_ten_a_second_at_five_is_every_second_frame(start):
    gate = Gate(replace(EVERY, max_fps=5))
    assert passing(gate, steady(10, 1000, start)) == list(range(0, 1000, 2))


@pytest.mark.parametrize(
    ("fps", "max_fps"), [(30, 4), (30, 5), (25, 5), (15, 10), (29.97, 7), (12.5, 12), (10, 0.3)]
)
@pytest.mark.parametrize("start", [0.0, 1.7e9 + 0.1])
def test_the_average_is_max_fps_whatever_the_camera(fps, max_fps, start):
    gate = Gate(replace(EVERY, max_fps=max_fps))
    seconds = 200
    passed = passing(gate, steady(fps, int(fps * seconds), start))
    assert len(passed) == pytest.approx(max_fps * seconds, abs=1.5)


def test_a_camera_slower_than_max_fps_loses_nothing():
    for fps in (3.0, 14.9, 15.0):
        assert len(passing(Gate(replace(EVERY, max_fps=15)), steady(fps, 500))) == 500


def test_jitter_costs_no_frame():
    rng = np.random.default_rng(1)
    times = [i / 15 + rng.uniform(-0.01, 0.01) for i in range(600)]
    assert len(passing(Gate(replace(EVERY, max_fps=15)), times)) == 600
    assert len(passing(Gate(replace(EVERY, max_fps=7.5)), times)) == pytest.approx(300, abs=2)


def test_a_gap_is_followed_by_no_burst():
    before, after = steady(30, 100), steady(30, 100, start=60.0123)
    gate = Gate(replace(EVERY, max_fps=2))
    passing(gate, before)
    passed = [after[i] for i in passing(gate, after)]
    assert passed[0] == after[0]
    assert passed[1] - passed[0] > 0.6 * 0.5


waits = st.lists(st.one_of(st.floats(0.0, 0.3), st.floats(0.0, 20.0)), min_size=1, max_size=80)


@given(waits, st.floats(0.1, 60.0), st.sampled_from([0.0, 1.7e9]))
def test_law_in_no_span_do_more_pass_than_max_fps_and_two(gaps, fps, start):
    times = list(accumulate(gaps, initial=start))
    pace = Pace()
    passed = [time for time in times if pace.admits(time, fps)]
    assert passed[0] == start
    for first in range(len(passed)):
        for last in range(first, len(passed)):
            assert last - first + 1 <= (passed[last] - passed[first]) * fps + 2.0


@given(st.floats(2.0, 60.0), st.floats(0.05, 0.7), st.integers(0, 2**32 - 1))
def test_law_on_average_max_fps_pass_of_a_camera_with_jitter(fps, part, seed):
    max_fps = fps * part
    jitter = np.random.default_rng(seed).uniform(-0.15, 0.15, 300) / fps
    pace = Pace()
    times = [i / fps + float(j) for i, j in enumerate(jitter)]
    passed = sum(pace.admits(time, max_fps) for time in times)
    assert passed == pytest.approx(300 / fps * max_fps, abs=2.0)


# --- heat --------------------------------------------------------------------------------------


def test_heat_takes_from_what_the_rate_lets_pass_and_is_told_apart():
    gate = Gate(replace(EVERY, max_fps=5))
    hot = OperatingPoint(level=1, max_fps=2.0, reason="76 C")
    skips = [gate.decide(look(time, point=hot)).skip for time in steady(10, 1000)]
    assert skips.count(Skip.RATE) == 500
    assert skips.count(None) == pytest.approx(200, abs=1)
    assert skips.count(Skip.THERMAL) == 500 - skips.count(None)


def test_heat_that_allows_what_is_configured_takes_nothing():
    for allowed in (5.0, 8.0):
        gate = Gate(replace(EVERY, max_fps=5))
        point = OperatingPoint(level=1, max_fps=allowed, reason="71 C")
        jitter = np.random.default_rng(2).uniform(-0.02, 0.02, 500)
        times = [i / 10 + float(j) for i, j in enumerate(jitter)]
        assert Skip.THERMAL not in {gate.decide(look(t, point=point)).skip for t in times}


def test_when_it_cools_down_the_pace_picks_up_at_once():
    gate = Gate(EVERY)
    hot = OperatingPoint(level=3, max_fps=0.1, reason="80 C")
    warm = OperatingPoint(level=1, max_fps=5.0, reason="72 C")
    for time in steady(10, 20):
        gate.decide(look(time, point=hot))
    assert gate.decide(look(2.0, point=warm)).skip is None
    assert gate.decide(look(2.1, point=COOL)).skip is None


# --- motion ------------------------------------------------------------------------------------


def test_a_still_picture_is_inferred_once_and_then_every_keepalive():
    times = steady(2, 200)
    passed = [times[i] for i in passing(Gate(MOTION), times)]
    assert passed == [0.0, 30.0, 60.0, 90.0]


def test_frames_pass_for_as_long_as_something_moves():
    gate, passed = Gate(MOTION), []
    for i in range(60):
        x = 0.1 + 0.02 * min(max(i - 10, 0), 20)  # it walks in frames 11 to 30
        if gate.decide(look(i / 5, picture((x, 0.3, x + 0.1, 0.6)))).skip is None:
            passed.append(i)
    assert passed[0] == 0
    assert passed[1:21] == list(range(11, 31))
    assert passed[-1] < 50


def test_what_moves_under_a_motion_mask_does_not_pass():
    road = ((0.0, 0.5), (1.0, 0.5), (1.0, 1.0), (0.0, 1.0))
    gate = Gate(replace(MOTION, motion_masks=(road,)))
    skips = []
    for i in range(20):
        frame = picture((0.05 * (i % 10), 0.6, 0.05 * (i % 10) + 0.1, 0.9))
        skips.append(gate.decide(look(i / 5, frame)).skip)
    assert skips == [None, *[Skip.MOTION] * 19]


def test_motion_is_looked_at_only_in_frames_that_rate_and_heat_let_pass():
    gate = Gate(GateSpec(max_fps=1))
    assert gate.decide(look(0.0)).skip is None
    assert gate.decide(look(0.1, image=None)).skip is Skip.RATE
    hot = OperatingPoint(level=1, max_fps=0.1, reason="76 C")
    assert gate.decide(look(1.0, point=hot)).skip is Skip.MOTION
    assert gate.decide(look(2.0, image=None, point=hot)).skip is Skip.THERMAL


# --- stationary --------------------------------------------------------------------------------


def second_look(spec: GateSpec, image: np.ndarray, *tracks: Track) -> Skip | None:
    """The verdict on `image` after a picture with nothing but the parked car was inferred."""
    gate = Gate(spec)
    gate.decide(look(0.0, picture(PARKED), tracks))
    return gate.decide(look(0.2, image, tracks)).skip


def test_what_sways_in_the_box_of_a_known_object_at_rest_is_no_reason_to_look():
    swayed = picture((0.32, 0.32, 0.6, 0.7))
    parked = track(PARKED, stationary=True)
    assert second_look(MOTION, swayed, parked) is Skip.STATIONARY
    assert second_look(replace(MOTION, stationary=False), swayed, parked) is None


def test_motion_elsewhere_passes_beside_an_object_at_rest():
    assert second_look(MOTION, picture(PARKED, (0.7, 0.7, 0.8, 0.9)), track(PARKED)) is None
    both = picture((0.32, 0.32, 0.6, 0.7), (0.8, 0.1, 0.9, 0.4))
    assert second_look(MOTION, both, track(PARKED, stationary=True)) is None


def test_an_object_at_rest_that_drives_off_passes():
    parked = track(PARKED, stationary=True)
    assert second_look(MOTION, picture((0.45, 0.3, 0.75, 0.7)), parked) is None


def test_only_objects_that_are_seen_and_stand_still_excuse_motion():
    swayed = picture((0.32, 0.32, 0.6, 0.7))
    assert second_look(MOTION, swayed, track(PARKED)) is None
    unseen = track(PARKED, stationary=True, visible=False)
    assert second_look(MOTION, swayed, unseen) is None
    assert second_look(MOTION, swayed) is None


# --- settling ------------------------------------------------------------------------------------


def settling(spec: GateSpec, *tracks: Track) -> list[str]:
    """Why frames 1 to 8 of a still picture passed, frame 0 having been inferred."""
    gate = Gate(spec)
    gate.decide(look(0.0, BLANK, tracks))
    decisions = [gate.decide(look(i / 5, BLANK, tracks)).decision for i in range(1, 9)]
    return [str(d.numbers["reason"]) for d in decisions if d.verdict == "pass"]


def test_a_new_object_is_followed_until_it_is_settled_even_if_nothing_moves():
    """Three of five confirm in time, though the person stood there from the start."""
    assert settling(MOTION, track(PARKED, hits=1)) == ["settle"] * 3
    assert settling(replace(MOTION, settle=5), track(PARKED, hits=1)) == ["settle"] * 5


def test_an_object_that_moved_is_seen_once_more_where_it_stopped():
    assert settling(MOTION, track(PARKED)) == ["settle"]


def test_what_stands_still_or_is_out_of_sight_needs_no_further_look():
    assert settling(MOTION, track(PARKED, stationary=True)) == []
    assert settling(MOTION, track(PARKED, visible=False)) == []
    assert settling(MOTION) == []


def test_a_picture_may_be_settled_without_any_track():
    """A class of the whole picture must be confirmed too."""
    assert settling(replace(MOTION, settle=5, settle_all=True)) == ["settle"] * 5


def test_settling_begins_anew_after_motion():
    gate, passed = Gate(MOTION), []
    for i in range(60):
        frame = BLANK if i < 20 else picture((0.1, 0.1, 0.3, 0.3))  # something is put down
        verdict = gate.decide(look(i / 5, frame, (track(PARKED),)))
        passed += [verdict.decision.numbers["reason"]] if verdict.skip is None else []
    motions = passed.count("motion")
    assert motions > 10
    assert passed == ["keepalive", "settle", *["motion"] * motions, "settle"]


# --- laws --------------------------------------------------------------------------------------


@settings(max_examples=30)
@given(
    st.lists(
        st.tuples(st.floats(0.01, 3.0), st.integers(0, 3), st.booleans(), st.floats(0.0, 4.0)),
        min_size=1,
        max_size=40,
    ),
    st.sampled_from([0.0, 2.0, 5.0]),
)
def test_law_the_same_looks_get_the_same_verdicts_and_keepalive_is_kept(steps, max_fps):
    frames = [picture((0.2 * k, 0.2, 0.2 * k + 0.2, 0.6)) for k in range(4)]
    spec = GateSpec(max_fps=max_fps, motion=MotionSpec(keepalive_s=5.0))

    def run() -> list[tuple[float, Skip | None]]:
        gate, time, seen = Gate(spec), 0.0, []
        for wait, which, paused, age in steps:
            time += wait
            around = look(time, frames[which], paused=paused, age_s=age, max_age_s=3.0)
            verdict = gate.decide(around)
            assert verdict.skip is None or verdict.decision.numbers["reason"] == verdict.skip
            seen.append((time, verdict.skip))
        return seen

    seen = run()
    assert seen == run()
    last: float | None = None
    for time, skip in seen:
        if skip is None:
            last = time
        if skip in (Skip.MOTION, Skip.STATIONARY):
            assert last is not None
            assert time - last < 5.0


def test_a_gate_goes_by_the_choice_of_its_source_and_needs_no_picture_of_the_others():
    gate = Gate(GateSpec(max_fps=5, camera_health=True))
    nothing = np.empty((0, 0, 3), np.uint8)
    kept = [(5.0,), (2.0,), (), (2.0, 5.0), (5.0,)]  # whatever the gate's own grid would say
    looks = [
        look(index / 30, BLANK if 5.0 in paced else nothing, paced=paced)
        for index, paced in enumerate(kept)
    ]
    skips = [gate.decide(each).skip for each in looks]
    assert [skip is Skip.RATE for skip in skips] == [5.0 not in paced for paced in kept]


def test_pipelines_that_share_a_source_ask_for_each_rate_once_or_for_every_frame():
    assert rates_of([5.0, 2.0, 5.0]) == (2.0, 5.0)
    assert rates_of([5.0, 0.0]) == ()
    assert rates_of([]) == ()
    assert Paces(()).keeps(1.0) is None


@given(st.lists(st.floats(0.001, 0.7), max_size=60), st.sampled_from([1.0, 5.0, 7.5]))
def test_the_source_chooses_the_frames_that_the_gate_would(gaps: list[float], fps: float):
    """So a replay is the same whether all pictures are made or not."""
    times = list(accumulate(gaps))
    gates = [Gate(GateSpec(max_fps=fps, motion=None)) for _ in range(2)]
    paces = Paces((fps,))
    asked = [gates[0].decide(look(time)) for time in times]
    told = [gates[1].decide(look(time, paced=paces.keeps(time))) for time in times]
    assert asked == told
