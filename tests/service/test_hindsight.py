"""What is known of a moment: the ledger's window, events, the nearest miss a rule, the skips."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib import resources
from pathlib import Path

import jsonschema
import pytest

from edge_agent.policy.documents import About
from edge_agent.service.hindsight import Hindsight, document, hindsight
from edge_agent.store.query import open_reader
from edge_agent.store.record import open_store
from edge_agent.store.rows import Batch, FramesRow, Judged, Opened
from edge_agent.types import Decision, Event, Numbers, Priority

ABOUT = About("people", "1.0.0", "a" * 64, "litert", "b" * 64)
NOW = 10_000.0
GATE = Decision("gate", "pass", {"reason": "every", "since_inferred_s": 0.2})


def stop(stage: str, **numbers: float) -> Decision:
    return Decision(stage, "stop", numbers)


def miss(rule: str, time: float, *decisions: Decision) -> Judged:
    return Judged("miss", "p", time, int(time), (GATE, *decisions), rule, 7, "人")


def skip(time: float, reason: str) -> Judged:
    numbers: Numbers = {"reason": reason}
    return Judged("skip", "p", time, int(time), (Decision("gate", "skip", numbers),))


def event(number: int, opened: float, closed: float | None) -> Event:
    return Event(
        id=f"{number:016x}", pipeline="p", source="s", rule="r", priority=Priority.NOTICE,
        label=None, zone=None, text="", opened=opened, seen=opened, closed=closed,
        close_reason=None if closed is None else "cleared", score_max=0.5, score_median=0.5,
        track=None, count=1, box=None, frame=0, decisions=(GATE,),
    )  # fmt: skip


def known(state: Path, time: float, *batches: Batch) -> Hindsight:
    """What is known of `time` from a store with these batches. It follows its schema."""
    with open_store(state) as store:
        for batch in batches:
            store.record(batch)
    with open_reader(state) as reader:
        found = hindsight(reader, "p", time, NOW)
    schema = resources.files("edge_agent") / "schemas" / "why.json"
    jsonschema.validate(document(found), json.loads(schema.read_text("utf-8")))
    return found


def test_of_each_rule_and_each_reason_the_closest_is_told(tmp_path: Path) -> None:
    found = known(
        tmp_path,
        500.0,
        Batch(
            frames=(FramesRow("p", 480.0, 540.0, 5, {}),),
            judged=(
                miss("a", 440.5, stop("label")),
                miss("a", 470.0, stop("score"), stop("zone")),
                miss("a", 505.0, stop("score")),
                miss("b", 495.0, stop("score"), stop("zone"), stop("dwell")),
                miss("c", 801.0, stop("label")),  # too far
                miss("d", 561.0, *[stop("score")] * 3),  # a near one, and too far
                skip(480.0, "rate"),
                skip(490.0, "motion"),
                skip(499.0, "rate"),
            ),
        ),
    )
    assert [(each.rule, each.time) for each in found.misses] == [("b", 495.0), ("a", 505.0)]
    assert [each.time for each in found.skips] == [490.0, 499.0]
    assert found.verdict == "No event: every rule stopped somewhere."
    assert found.oldest is None


def test_an_event_that_was_open_then_is_named_however_old(tmp_path: Path) -> None:
    events = (event(1, 100.0, 200.0), event(2, 120.0, 501.0), event(3, 130.0, None))
    batch = Batch(
        opened=tuple(Opened(replace(e, closed=None, close_reason=None), ABOUT) for e in events)
    )
    closing = Batch(closed=tuple(each for each in events if each.closed is not None))
    found = known(tmp_path, 500.0, batch, closing)
    assert [int(each.event.id, 16) for each in found.events] == [2, 3]
    assert found.verdict == "An event was open at that moment."


def test_an_event_shortly_before_or_after_is_no_event_at_that_moment(tmp_path: Path) -> None:
    near = event(1, 530.0, None)
    found = known(tmp_path, 500.0, Batch(opened=(Opened(near, ABOUT),)))
    assert [each.event.id for each in found.events] == [near.id]
    assert found.verdict == "No event at that moment, but within a minute of it."


def test_the_window_of_the_ledger_is_the_one_that_holds_the_moment(tmp_path: Path) -> None:
    rows = tuple(FramesRow("p", at, at + 60.0, at // 60, {"rate": 3}) for at in (0, 60, 120))
    other = FramesRow("q", 60.0, 120.0, 1, {})
    found = known(tmp_path, 60.0, Batch(frames=(*rows, other)))
    assert found.window == rows[1]
    assert found.gap == ""


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (FramesRow("p", 480.0, 540.0, 0, {"paused": 40, "rate": 2}), "40 of them: paused"),
        (FramesRow("p", 480.0, 540.0, 0, {}, failed=9), "9 of them: failed"),
    ],
)
def test_frames_that_nobody_looked_at_are_the_reason(
    tmp_path: Path, row: FramesRow, said: str
) -> None:
    found = known(tmp_path, 500.0, Batch(frames=(row,)))
    assert found.verdict == f"No event: not one frame was inferred, {said}."


def test_a_moment_that_a_power_cut_took_is_told_so(tmp_path: Path) -> None:
    rows = (
        FramesRow("p", 0.0, 60.0, 5, {}),
        FramesRow("p", 60.0, 121.0, 0, {}, unaccounted_s=61.0),
    )
    found = known(tmp_path, 90.0, Batch(frames=rows))
    assert found.window is None
    assert found.gap.startswith("the agent was killed or lost power: up to 1 min 1 s of the ledger")


@pytest.mark.parametrize(
    ("time", "said"),
    [
        (NOW + 1, "that moment is yet to come"),
        (9_400.0, "the ledger was last written 1 h 0 min ago"),
        (50.0, "the agent was off then"),
        (6_200.0, "the agent was off then"),
    ],
)
def test_without_a_window_it_says_why(tmp_path: Path, time: float, said: str) -> None:
    rows = (FramesRow("p", 100.0, 160.0, 1, {}), FramesRow("p", 6_340.0, 6_400.0, 1, {}))
    old = Batch(frames=rows, judged=(skip(6_350.0, "rate"),))
    found = known(tmp_path, time, old)
    assert found.window is None
    assert found.gap.startswith(said)
    assert found.oldest == 6_350.0
    assert found.verdict == "No event, and nothing was kept that says why."
