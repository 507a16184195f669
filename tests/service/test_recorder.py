"""Events that the disk refuses wait in order; those given up are given up whole."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edge_agent.config.explain import pipeline_spec
from edge_agent.config.load import load
from edge_agent.policy.documents import About
from edge_agent.service.recorder import MOST_WAITING, Desk, Recorder
from edge_agent.store.query import open_reader
from edge_agent.store.record import Store, open_store
from edge_agent.store.rows import EventFilter
from edge_agent.types import Decision, Event, Frame, Outcome, Priority

CONFIG = """\
sources: {s: {kind: scene, uri: "built-in:"}}
pipelines: {p: {source: s, model: scene-detector, rules: [{name: r, priority: alert}]}}
"""
ABOUT = About("people", "1.0.0", "a" * 64, "litert", "b" * 64)
GATE = Decision("gate", "pass")
#: More than fits into a page: each needs a new one.
TEXT = "x" * 10_000


def event(number: int, closed: float | None = None) -> Event:
    return Event(
        id=f"{number:016x}", pipeline="p", source="s", rule="r", priority=Priority.ALERT,
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
        self._store = store
        desk = Desk(store, pipeline_spec(load(config), "p"), ABOUT, patient=True)
        self.recorder = Recorder(desk)

    def is_full(self, full: bool) -> None:
        pages = 1 if full else 1 << 30  # SQLite never takes less than there are
        with self._store.database.reading() as connection:
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
    assert [record.levelno for record in lost] == [logging.ERROR] * 4  # 0, 1, 2 and the end of 1
    disk.is_full(False)
    last = MOST_WAITING + 2
    disk.recorder.record(outcome(closed=(event(last, last + 0.5), event(0, 999.0))))
    assert disk.recorder.waiting == 0
    assert stored(tmp_path) == dict.fromkeys(range(3, last + 1), True)
