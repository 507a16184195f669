"""Events that the disk refuses wait in order; those given up are given up whole."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_agent.config.explain import pipeline_spec
from edge_agent.config.load import load
from edge_agent.pipeline.why import explain
from edge_agent.policy.documents import About
from edge_agent.service.hindsight import hindsight
from edge_agent.service.recorder import Desk, Recorder
from edge_agent.service.waiting import MOST_WAITING
from edge_agent.store.query import open_reader
from edge_agent.store.record import Store, open_store
from edge_agent.store.rows import EventFilter
from edge_agent.types import Decision, Event, Frame, Outcome, Priority, Skip

CONFIG = """\
sources: {s: {kind: scene, uri: "built-in:"}}
pipelines: {p: {source: s, model: scene-detector, rules: [{name: r, priority: alert}]}}
"""
ABOUT = About("people", "1.0.0", "a" * 64, "litert", "b" * 64)
GATE = Decision("gate", "pass")
#: More than fits into a page: each needs a new one.
TEXT = "x" * 10_000


def event(number: int, closed: float | None = None, priority: Priority = Priority.ALERT) -> Event:
    return Event(
        id=f"{number:016x}", pipeline="p", source="s", rule="r", priority=priority,
        label=None, zone=None, text=TEXT, opened=float(number), seen=float(number), closed=closed,
        close_reason=None if closed is None else "cleared", score_max=0.5, score_median=0.5,
        track=None, count=1, box=None, frame=number, decisions=(GATE,),
    )  # fmt: skip


def outcome(*, opened: tuple[Event, ...] = (), closed: tuple[Event, ...] = ()) -> Outcome:
    frame = Frame("s", 0, 0.0, np.zeros((1, 1, 3), np.uint8))
    return Outcome(frame, None, GATE, opened=opened, closed=closed)


class Disk:
    """A store whose disk is full when we say so, and a recorder that writes to it."""

    def __init__(self, store: Store, config: Path) -> None:
        self.store = store
        self.desk = desk = Desk(store, pipeline_spec(load(config), "p"), ABOUT, patient=True)
        self.recorder = Recorder(desk)

    def is_full(self, full: bool) -> None:
        pages = 1 if full else 1 << 30  # SQLite never takes less than there are
        with self.store.database.reading() as connection:
            connection.execute(f"PRAGMA max_page_count = {pages}").fetchall()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG, "utf-8")
    with open_store(tmp_path) as store:
        store.start()
        yield Disk(store, config)


def stored(state: Path) -> dict[int, bool]:
    """Events by their number, and whether they are closed."""
    with open_reader(state) as reader:
        found = reader.events(EventFilter(limit=None))
    return {int(each.event.id, 16): each.event.closed is not None for each in found}


def test_what_the_disk_refuses_is_written_in_order_when_there_is_room(
    disk: Disk, tmp_path: Path
) -> None:
    disk.is_full(True)
    disk.recorder.record(outcome(opened=(event(1),)))
    disk.recorder.record(outcome(opened=(event(2),), closed=(event(1, 1.5),)))
    assert disk.recorder.waiting == 2
    assert stored(tmp_path) == {}
    disk.is_full(False)
    disk.recorder.record(outcome(closed=(event(2, 2.5),)))
    assert disk.recorder.waiting == 0
    assert stored(tmp_path) == {1: True, 2: True}


def test_an_event_that_was_given_up_is_never_closed_in_the_store(
    disk: Disk, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    disk.is_full(True)
    disk.recorder.record(outcome(opened=(event(0),)))  # stays open for long
    for number in range(1, MOST_WAITING + 3):  # and each of these for a frame
        closed = (event(number - 1, number - 0.5),) if number > 1 else ()
        disk.recorder.record(outcome(opened=(event(number),), closed=closed))
    assert disk.recorder.waiting == MOST_WAITING
    lost = [record for record in caplog.records if "event given up" in record.message]
    assert [record.levelno for record in lost] == [logging.ERROR] * 3
    disk.is_full(False)
    last = MOST_WAITING + 2
    disk.recorder.record(outcome(closed=(event(last, last + 0.5), event(0, 999.0))))
    assert disk.recorder.waiting == 0
    assert stored(tmp_path) == dict.fromkeys(range(3, last + 1), True)
    assert disk.recorder.given_up == {"alert": 3}


def test_alerts_are_the_last_to_be_given_up(disk: Disk, tmp_path: Path) -> None:
    """Of each three events one is an alert, one a notice, one a record; each closes at once."""
    priorities = (Priority.RECORD, Priority.ALERT, Priority.NOTICE)
    many = MOST_WAITING * 3 // 2
    disk.is_full(True)
    for number in range(1, many + 1):
        opened = event(number, None, priorities[number % 3])
        disk.recorder.record(outcome(opened=(opened,)))
        closed = event(number, number + 0.5, priorities[number % 3])
        disk.recorder.record(outcome(closed=(closed,)))
    assert disk.recorder.waiting == MOST_WAITING
    assert disk.recorder.given_up == {"record": MOST_WAITING // 2}
    for number in range(many + 1, many + MOST_WAITING):
        disk.recorder.record(outcome(opened=(event(number),)))
    half = MOST_WAITING // 2
    assert disk.recorder.given_up == {"alert": half - 1, "notice": half, "record": half}
    disk.is_full(False)
    disk.recorder.record(outcome(opened=(event(9999),)))
    kept = stored(tmp_path)
    assert all(number % 3 == 1 or number > many for number in kept)
    assert len(kept) == MOST_WAITING + 1


def test_what_was_given_up_is_told_in_the_store_when_it_takes_that(
    disk: Disk, tmp_path: Path
) -> None:
    disk.is_full(True)
    for number in range(MOST_WAITING + 1):
        disk.recorder.record(outcome(opened=(event(number),)))
    undeclared = disk.recorder.undeclared
    assert (undeclared.counts, undeclared.since) == ({"alert": 1}, 0.0)
    disk.is_full(False)
    disk.recorder.record(outcome(opened=(event(9999),)))
    assert disk.recorder.undeclared.total == 0
    assert disk.recorder.given_up == {"alert": 1}  # since the start
    with open_reader(tmp_path) as reader:
        found = hindsight(reader, "p", 0.0, 9999.0)
    assert "could not be kept: the disk took no writes" in found.verdict
    (miss,) = found.misses
    assert [decision.stage for decision in miss.decisions] == ["gate", "store"]
    assert miss.decisions[-1].numbers["event"] == event(0).id
    assert explain(miss.decisions)[1].startswith("stop   store: event 0000000000000000 was given")


def test_what_waits_when_a_pipeline_ends_is_given_up_and_told_by_the_next(
    disk: Disk, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    disk.is_full(True)
    disk.recorder.record(outcome(opened=(event(1),)))
    disk.recorder.close((event(1, 1.5),))
    left = disk.recorder.abandon()
    assert "event given up" in caplog.text
    assert (left.counts, disk.recorder.given_up) == ({"alert": 1}, {"alert": 1})
    disk.is_full(False)
    disk.store.keep_wear("[]")
    following = Recorder(disk.desk)
    following.undeclared = left
    following.retry()
    with open_reader(tmp_path) as reader:
        assert "could not be kept" in hindsight(reader, "p", 1.0, 9.0).verdict
    assert stored(tmp_path) == {}


def test_what_waits_is_written_without_a_further_event(disk: Disk, tmp_path: Path) -> None:
    disk.is_full(True)
    disk.recorder.record(outcome(opened=(event(1),)))
    disk.recorder.retry()
    disk.is_full(False)
    disk.recorder.record(outcome())  # nobody has written anything yet: the disk is left alone
    assert stored(tmp_path) == {}
    disk.store.keep_wear("[]")
    disk.recorder.record(outcome())
    assert stored(tmp_path) == {1: False}


def test_a_snapshot_of_a_frame_without_a_picture_is_the_latest_there_is(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG.replace("alert}", "alert, evidence: [snapshot]}"), "utf-8")
    seen = Frame("s", 7, 7.0, np.full((16, 16, 3), 99, np.uint8), paced=(5.0,))
    unseen = Frame("s", 8, 8.0, np.empty((0, 0, 3), np.uint8), paced=())
    with open_store(tmp_path) as store:
        store.start()
        desk = Desk(store, pipeline_spec(load(config), "p"), ABOUT, evidence=tmp_path)
        recorder = Recorder(desk)
        recorder.record(Outcome(seen, None, GATE))
        recorder.record(Outcome(unseen, Skip.RATE, GATE, opened=(event(1),)))
        (closed,) = recorder.record(Outcome(unseen, Skip.RATE, GATE, closed=(event(1, 9.0),)))
    picture = cv2.imread(str(tmp_path / closed.evidence[0]["path"]))
    assert picture.shape == (16, 16, 3)
    notes = (tmp_path / closed.evidence[0]["path"]).with_suffix(".json")
    assert json.loads(notes.read_text())["frame"] == 7
