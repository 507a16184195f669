"""The events of an unwell camera: opened once, updated, closed, and told in words."""

from __future__ import annotations

from datetime import UTC

import numpy as np

from edge_agent.pipeline.camera_events import RULE, CameraEvents, CameraEventsSpec
from edge_agent.pipeline.health import HOLD_S, Report, Symptom, Trouble
from edge_agent.pipeline.rulespec import Changes, RulesSpec
from edge_agent.pipeline.schedule import Calendar
from edge_agent.pipeline.why import explain
from edge_agent.types import Frame, Priority

CALENDAR = Calendar(UTC)
NUMBERS = {
    "level": 30.0,
    "spread": 90.0,
    "soft": 0.9,
    "sharp": 0.8,
    "lost": 0.75,
    "kept": 0.01,
    "contrast": 0.3,
    "coarse": 0.8,
}


def camera(priority: Priority = Priority.NOTICE) -> CameraEvents:
    return CameraEvents(CameraEventsSpec(priority), RulesSpec("people", "dock", ()))


def seen(camera: CameraEvents, time: float, **degrees: float) -> Changes:
    """One look at `time` that finds these troubles."""
    frame = Frame("dock", int(time * 5), time, np.zeros((2, 2, 3), np.uint8))
    troubles = {
        Trouble(name): Symptom(degree, HOLD_S[Trouble(name)], HOLD_S[Trouble(name)])
        for name, degree in degrees.items()
    }
    return camera.step(frame, Report(None, troubles, NUMBERS), CALENDAR)


def test_a_trouble_is_one_event_from_its_opening_to_its_closing() -> None:
    watched = camera(Priority.ALERT)
    (opened,) = seen(watched, 10.0, covered=0.8).opened
    assert (opened.rule, opened.label, opened.priority) == (RULE, "covered", Priority.ALERT)
    assert opened.text == "the camera is covered for 3.0 s"
    assert opened.advice == "free the lens: cloth, paint, snow, a hand, fog"
    assert seen(watched, 11.0, covered=1.0) == Changes()
    (present,) = watched.open_events()
    assert (present.seen, present.score_max) == (11.0, 1.0)
    assert seen(watched, 12.0, covered=0.0) == Changes()  # it clears up
    (closed,) = seen(watched, 14.0).closed
    assert (closed.id, closed.closed, closed.close_reason) == (opened.id, 14.0, "cleared")
    assert closed.text == "the camera is covered for 4.0 s"
    assert watched.open_events() == ()


def test_each_trouble_has_an_event_of_its_own_and_all_close_at_a_stop() -> None:
    watched = camera()
    changes = seen(watched, 10.0, black=1.0, moved=0.8)
    assert [event.label for event in changes.opened] == ["black", "moved"]
    assert len({event.id for event in changes.opened}) == 2
    stopped = watched.close_all(11.0, "stopped")
    assert [event.close_reason for event in stopped] == ["stopped", "stopped"]
    assert watched.open_events() == ()


def test_a_trouble_that_comes_and_goes_opens_once_a_minute() -> None:
    watched = camera()
    opened = 0
    for time in range(0, 600, 10):
        opened += len(seen(watched, float(time), black=1.0).opened)
        seen(watched, time + 5.0)
    assert opened == 10


def test_what_a_cooldown_held_up_opens_when_it_is_over() -> None:
    watched = camera()
    seen(watched, 0.0, black=1.0)
    seen(watched, 5.0)
    assert not seen(watched, 30.0, black=1.0).opened
    assert seen(watched, 60.0, black=1.0).opened


def test_the_same_looks_give_the_same_events() -> None:
    one, other = camera(), camera()
    assert seen(one, 1.0, frozen=1.0) == seen(other, 1.0, frozen=1.0)


def test_why_tells_what_was_seen_of_each_trouble() -> None:
    told = {}
    for trouble in Trouble:
        (event,) = seen(camera(), 1.0, **{trouble.value: 0.9}).opened
        told[trouble.value] = explain(event.decisions)[0]
    assert told == {
        "black": "pass   camera black 3.0 s: needs 3.0 s, grey 30, spread 90, soft 0.9",
        "covered": "pass   camera covered 3.0 s: needs 3.0 s, grey 30, spread 90, soft 0.9",
        "frozen": "pass   camera frozen 8.0 s: needs 8.0 s, grey 30, spread 90, soft 0.9",
        "blurred": "pass   camera blurred 5.0 s: needs 5.0 s, soft 0.9 of its detail",
        "moved": "pass   camera moved 10.0 s: needs 10.0 s, edges lost 0.75, kept 0.01",
    }
