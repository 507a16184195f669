"""Reading: while the agent runs, while it is down, on a disk that cannot be written."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from edge_agent.errors import EdgeError, UsageError
from edge_agent.store.query import open_reader
from edge_agent.store.record import Store, open_store
from edge_agent.store.rows import Batch, Depth, EventFilter, FramesRow, Judged, Opened
from edge_agent.types import Decision, Ledger, Priority


@pytest.fixture
def filled(store: Store, device: SimpleNamespace) -> list[str]:
    """Twenty events, 10 s apart, of two rules, priorities and pipelines; the ids by time."""
    for number in range(20):
        event = device.event(
            number,
            rule=("gate", "crowd")[number % 2],
            priority=(Priority.ALERT, Priority.RECORD)[number % 2],
            pipeline=("people", "cars")[number // 10],
        )
        store.record(Batch(opened=(Opened(event, device.ABOUT),)))
    return [device.event(number).id for number in range(20)]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (EventFilter(limit=3), [19, 18, 17]),
        (EventFilter(limit=None), list(range(19, -1, -1))),
        (EventFilter(since=1_700_000_170.25), [19, 18, 17]),
        (EventFilter(until=1_700_000_010.25), [0]),
        (EventFilter(since=1_700_000_020.25, until=1_700_000_040.25), [3, 2]),
        (EventFilter(rule="gate", pipeline="cars", limit=2), [18, 16]),
        (EventFilter(priority="record", pipeline="people"), [9, 7, 5, 3, 1]),
        (EventFilter(priority=Priority.ALERT, limit=1), [18]),
        (EventFilter(rule="none"), []),
    ],
)
def test_events_are_listed_newest_first(
    state: Path, filled: list[str], wanted: EventFilter, expected: list[int]
) -> None:
    with open_reader(state) as reader:
        assert [stored.event.id for stored in reader.events(wanted)] == [
            filled[number] for number in expected
        ]


def test_event_is_found_by_a_unique_prefix(
    state: Path, store: Store, device: SimpleNamespace
) -> None:
    for id_ in ("00aa000000000001", "00ab000000000002", "ff00000000000003", "ffffffffffffffff"):
        event = replace(device.event(1), id=id_)
        store.record(Batch(opened=(Opened(event, device.ABOUT),)))
    with open_reader(state) as reader:
        for prefix, id_ in (("00aa", "00aa"), ("FF0", "ff00"), ("fff", "ffff")):
            assert reader.event(prefix).event.id.startswith(id_)
        with pytest.raises(UsageError, match="00aa000000000001, 00ab000000000002") as several:
            reader.event("00")
        assert several.value.next == "write more digits"
        with pytest.raises(UsageError, match="no event has an id that begins with ab"):
            reader.event("ab")
        for wrong in ("", "xyz", "0' OR 1=1 --", "ff%"):
            with pytest.raises(UsageError, match="is no event id"):
                reader.event(wrong)


def test_many_candidates_are_not_all_named(
    state: Path, store: Store, device: SimpleNamespace
) -> None:
    opened = [
        Opened(replace(device.event(1), id=f"ab{number:014x}"), device.ABOUT)
        for number in range(12)
    ]
    store.record(Batch(opened=tuple(opened)))
    with open_reader(state) as reader, pytest.raises(UsageError, match=r"…$") as several:
        reader.event("ab")
    assert several.value.message.count("ab0000") == 5


def test_near_gathers_events_misses_and_skips_around_a_time(
    state: Path, store: Store, device: SimpleNamespace
) -> None:
    why = (Decision("score", "fail", {"score": 0.4, "needed": 0.5}),)
    judged = [Judged("miss", "people", float(at), at, why, "gate", at, "人") for at in range(100)]
    skip = Judged("skip", "people", 50.5, 51, (Decision("gate", "motion", {"changed": 0.0}),))
    other = Judged("skip", "cars", 50.4, 51, ())
    store.record(Batch(judged=(*judged, skip, other)))
    event = device.event(1, opened=49.5, seen=49.5)
    store.record(device.opening(event))
    with open_reader(state) as reader:
        near = reader.near("people", 50.25, limit=4)
        assert [found.time for found in near] == [49.5, 50.0, 50.5, 51.0]
        assert [found.kind for found in near] == ["event", "miss", "skip", "miss"]
        assert near[0].event == event.id
        assert near[0].decisions == event.decisions
        assert (near[1], near[2]) == (judged[50], skip)
        assert [found.time for found in reader.near("people", -9.0, limit=2)] == [0.0, 1.0]
        assert [found.time for found in reader.near("people", 1e12, limit=2)] == [98.0, 99.0]
        assert reader.near("nobody", 50.0) == ()


def test_ledger_is_the_sum_of_its_windows_and_balances(
    state: Path, device: SimpleNamespace
) -> None:
    windows = (
        FramesRow("people", 0, 60, 20, {"motion": 270, "rate": 8}, failed=1, pending=1),
        FramesRow("cars", 0, 60, 300, {}),
        FramesRow("people", 60, 120, 10, {"motion": 280, "busy": 5}, pending=2),
    )
    with open_store(state) as store:
        store.start()
        for row in windows:
            store.record(Batch(frames=(row,)))
    with open_reader(state) as reader:
        everything = reader.ledger()
        assert everything == {
            "cars": Ledger(300, 300),
            "people": Ledger(596, 30, {"busy": 5, "motion": 550, "rate": 8}, 1, 2),
        }
        assert all(ledger.balanced for ledger in everything.values())
        assert reader.ledger(since=60) == {
            "people": Ledger(297, 10, {"busy": 5, "motion": 280}, 0, 2)
        }
        assert reader.windows(since=60) == (windows[2],)
        found = [reader.window_at("people", moment) for moment in (0, 59.9, 60, 120)]
        assert found == [windows[0], windows[0], windows[2], None]
        assert reader.pipelines() == ("cars", "people")


def test_last_status_is_what_the_last_write_left(state: Path, device: SimpleNamespace) -> None:
    row = FramesRow("people", 0, 60, 20, {"motion": 270}, pending=1)
    with open_store(state) as store:
        identity = store.start()
        store.record(Batch(frames=(row,)))
    with open_store(state) as store:
        store.start()
        event = device.event(1)
        store.record(device.opening(event))
        later = FramesRow("people", 60, 120, 7, {})
        store.record(Batch(frames=(later,)))
    with open_reader(state) as reader:
        status = reader.last_status()
    assert status.identity == replace(identity, boot=2)
    assert (status.written, status.windows) == (120, {"people": later})
    assert status.ledgers == {"people": Ledger(7, 7)}  # since the last start
    assert [stored.event for stored in status.open] == [event]
    assert status.outbox == Depth(1, 1, 1, 1)


def test_new_store_has_nothing_to_say(state: Path) -> None:
    open_store(state).close()
    with open_reader(state) as reader:
        status = reader.last_status()
        assert (status.written, status.windows, status.open) == (None, {}, ())
        assert (reader.events(), reader.ledger(), reader.pipelines()) == ((), {}, ())


def test_absent_store_is_a_usage_error_with_a_next_step(tmp_path: Path) -> None:
    for state in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(UsageError, match=f"no database in {state}") as absent:
            open_reader(state)
        assert "--state" in absent.value.next
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_is_just_being_made_is_not_there_yet(state: Path) -> None:
    """Its tables are there before its name is: `status` may ask in between."""
    open_store(state).close()
    with closing(sqlite3.connect(state / "edge.db")) as connection, connection:
        connection.execute("DELETE FROM meta")
    with pytest.raises(UsageError, match="no database in"):
        open_reader(state)


def test_reader_sees_each_commit_of_a_running_writer_and_writes_nothing(
    state: Path, store: Store, device: SimpleNamespace
) -> None:
    with open_reader(state) as reader:
        for number in range(5):
            store.record(device.opening(device.event(number)))
            assert len(reader.events()) == number + 1
        # No read stays open: the log can be brought into the file while the reader lives on.
        with store.database.reading() as connection:
            log = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        assert log == (0, 0, 0)


def crashed(state: Path, device: SimpleNamespace) -> None:
    """Leave `state` as kill -9 does: the last event only in the log."""
    with open_store(state.with_name("alive")) as store:
        store.start()
        store.record(device.opening(device.event(1)))
        shutil.copytree(state.with_name("alive"), state)


def test_store_of_a_dead_agent_is_read_with_its_log(state: Path, device: SimpleNamespace) -> None:
    crashed(state, device)
    (state / "edge.db-shm").unlink()
    with open_reader(state) as reader:
        assert reader.events()[0].event == device.event(1)


@pytest.mark.parametrize("stopped", [True, False])
def test_read_only_disk(
    state: Path, device: SimpleNamespace, mounted: Callable[..., None], stopped: bool
) -> None:
    """A card in a reader: readable after a clean stop, or with the log's index beside it."""
    if stopped:
        with open_store(state) as store:
            store.start()
            store.record(device.opening(device.event(1)))
    else:
        crashed(state, device)
    mounted("--bind", state, state)
    mounted("-o", "remount,ro,bind", state)
    with open_reader(state) as reader:
        assert reader.events()[0].event == device.event(1)
        assert reader.last_status().outbox.depth == 1
    with pytest.raises(EdgeError, match="on a disk that can only be read") as refused:
        open_store(state)
    assert "--state" in refused.value.next


def test_read_only_disk_with_a_log_to_replay_says_so(
    state: Path, device: SimpleNamespace, mounted: Callable[..., None]
) -> None:
    crashed(state, device)
    (state / "edge.db-shm").unlink()
    mounted("--bind", state, state)
    mounted("-o", "remount,ro,bind", state)
    with pytest.raises(EdgeError, match="directory is read-only") as refused:
        open_reader(state)
    assert "copy" in refused.value.next


def test_sqlite_utils_reads_tables_and_the_view(
    state: Path, store: Store, device: SimpleNamespace, sqlite_utils: Callable[..., str]
) -> None:
    event = device.event(1, label="人", rule="侵入")
    store.record(device.opening(event))
    store.record(device.closing(device.closed(event)))
    store.record(device.flush(1))
    database = state / "edge.db"
    (row,) = json.loads(sqlite_utils("rows", database, "events"))
    assert (row["id"], row["label"], row["rule"]) == (event.id, "人", "侵入")
    (line,) = json.loads(sqlite_utils("rows", database, "event_log"))
    assert line["opened_utc"] == "2023-11-14 22:13:30"
    assert line["lasted_s"] == 4.5
    queue = json.loads(sqlite_utils("rows", database, "outbox"))
    assert list(queue[0])[:6] == ["seq", "id", "topic", "created", "sent", "body"]
    assert [(each["seq"], each["sent"]) for each in queue] == [(1, None), (2, None)]
    (why,) = json.loads(
        sqlite_utils(
            "query",
            database,
            "SELECT stages FROM decisions JOIN events ON decision = decisions.n WHERE id = :id",
            "-p",
            "id",
            event.id,
        )
    )
    assert json.loads(why["stages"])[0]["stage"] == "gate"
    (frames,) = json.loads(sqlite_utils("rows", database, "frames"))
    assert frames["captured"] == frames["inferred"] + 294 + frames["failed"]
