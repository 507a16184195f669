"""What is deferred is as safe as what is committed: whatever happens, the database comes to the
same rows as one that committed each step at once."""

from __future__ import annotations

import random
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.errors import EdgeError
from edge_agent.store import database as grouping
from edge_agent.store.erase import erase
from edge_agent.store.query import open_reader
from edge_agent.store.record import Store, open_store
from edge_agent.store.redo import MOST_BYTES, PAGE
from edge_agent.store.renew import hold_log
from edge_agent.store.retention import MB, Limits, Retention
from edge_agent.store.rows import Batch, Draft, FramesRow, Judged
from edge_agent.store.salvage import mark, open_sound

TABLES = ("frames", "totals", "decisions", "events", "outbox", "coverage")
CALM = Path(__file__).with_name("calm_writer.py")
#: In whole pages of the page cache, and in sectors past it.
WAYS = pytest.mark.parametrize("in_pages", [False, True], ids=["sectors", "pages"])


def minute(number: int) -> Batch:
    """A ledger row, a near miss and a message, as housekeeping writes them."""
    row = FramesRow("people", 60.1 * number, 60.1 * number + 60, 2, {"motion": 298})
    miss = Judged("miss", "people", 60.1 * number, number, (), "gate", None, "人")
    draft = Draft(f"summary/{number}", "summary", 60.1 * number, '{"score": 0.1}')
    return Batch(messages=(draft,), frames=(row,), judged=(miss,))


def defer(store: Store, number: int) -> int:
    with store.database.deferred():
        (seq,) = store.record(minute(number))
    return seq


def rows(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """What any program sees that reads the file."""
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
        found = {name: database.execute(f"SELECT * FROM {name}").fetchall() for name in TABLES}
    database.close()
    return found


def crashed(state: Path, name: str = "crashed") -> Path:
    """The state directory as a crash leaves it now."""
    copy = state.with_name(name)
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(state, copy, ignore=shutil.ignore_patterns("*-shm"))
    return copy


@contextmanager
def full_disk(size: int) -> Iterator[None]:
    """No file of this process grows beyond that size."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def plain(tmp_path: Path) -> Iterator[Store]:
    """A store that commits at once."""
    with open_store(tmp_path / "plain") as store:
        store.start()
        yield store


@WAYS
def test_after_a_crash_the_next_one_who_opens_the_store_finds_what_was_deferred(
    store: Store, plain: Store, state: Path, in_pages: bool
) -> None:
    if in_pages:
        store.database._redo._sector = PAGE
    for number in range(5):
        plain.record(minute(number))
        assert defer(store, number) == number + 1
        store.outbox.acknowledge([number + 1])
        plain.outbox.acknowledge([number + 1])
    assert rows(state / "edge.db")["frames"] == []
    left = crashed(state)
    with open_reader(left) as reader:
        assert [message.seq for message in reader.unsent(0, 9, urgent=False)] == [5]
        assert len(reader.windows()) == 5
    assert rows(left / "edge.db") == rows(plain.database.path)
    store.database.commit()
    assert rows(state / "edge.db") == rows(plain.database.path)


def test_the_writer_itself_sees_it_at_once(store: Store) -> None:
    defer(store, 1)
    assert [message.id for message in store.outbox.pending()] == ["summary/1"]
    store.outbox.acknowledge([1])
    assert store.outbox.depth().depth == 0
    assert store.outbox.pending() == []


def test_what_waits_is_counted_right_whatever_becomes_of_the_group(
    store: Store, state: Path, device: SimpleNamespace
) -> None:
    """Also where the count was first asked for within it, and the disk then refused it."""
    store.record(minute(0))
    defer(store, 1)
    assert store.outbox.depth().depth == 2
    with full_disk((state / "edge.db-wal").stat().st_size), pytest.raises(EdgeError):
        store.database.commit()
    assert store.outbox.depth().depth == 1
    assert store.record(device.opening(device.event(0))) == (3,)
    assert store.outbox.depth().depth == 3
    defer(store, 4)
    assert store.outbox.depth().depth == 4
    store.outbox.acknowledge([1, 4])
    store.database.commit()
    store.outbox.settle()
    assert store.outbox.depth().depth == 2


def test_an_event_takes_everything_along_in_one_commit(
    store: Store, state: Path, device: SimpleNamespace
) -> None:
    defer(store, 1)
    defer(store, 2)
    assert store.record(device.opening(device.event(0))) == (3,)
    found = rows(state / "edge.db")
    assert [row[0] for row in found["outbox"]] == [1, 2, 3]
    assert len(found["events"]) == 1
    assert rows(crashed(state) / "edge.db") == found


def test_a_record_that_was_committed_is_never_done_again(store: Store, state: Path) -> None:
    for number in range(3):
        defer(store, number)
    store.database.commit()
    found = rows(state / "edge.db")
    left = crashed(state)
    for _ in range(2):
        open_store(left).close()
    assert rows(left / "edge.db") == found
    defer(store, 3)  # over the first of the three
    left = crashed(state)
    open_store(left).close()
    assert [row[0] for row in rows(left / "edge.db")["outbox"]] == [1, 2, 3, 4]


@WAYS
def test_a_torn_record_costs_itself_alone(store: Store, state: Path, in_pages: bool) -> None:
    if in_pages:
        store.database._redo._sector = PAGE
    for number in range(3):
        defer(store, number)
    left = crashed(state)
    redo = left / "edge.db-redo"
    data = bytearray(redo.read_bytes())
    last = data.rindex(b"redo")
    data[last + 100] ^= 1
    redo.write_bytes(data)
    open_store(left).close()
    assert [row[0] for row in rows(left / "edge.db")["outbox"]] == [1, 2]


def test_a_step_that_fails_leaves_the_others(store: Store, state: Path) -> None:
    defer(store, 1)
    with store.database.deferred():
        store.record(minute(2))
        with pytest.raises(sqlite3.IntegrityError):
            store.record(minute(1))  # the same id once more
    assert defer(store, 3) == 3
    left = crashed(state)
    open_store(left).close()
    assert [row[1] for row in rows(left / "edge.db")["outbox"]] == [
        "summary/1", "summary/2", "summary/3",
    ]  # fmt: skip


def test_when_nothing_was_written_the_database_is_free_again(store: Store, state: Path) -> None:
    with store.database.deferred():
        pass
    once_more = Batch(messages=(*minute(1).messages, *minute(1).messages))
    with pytest.raises(sqlite3.IntegrityError), store.database.deferred():
        store.record(once_more)
    with sqlite3.connect(state / "edge.db", timeout=0) as other:
        other.execute("BEGIN IMMEDIATE")
    other.close()


def test_it_is_committed_when_it_has_become_much(
    store: Store, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grouping, "MOST_RECORDS", 4)
    for number in range(5):
        assert rows(state / "edge.db")["frames"] == []
        defer(store, number)
    assert len(rows(state / "edge.db")["frames"]) == 5
    noise = random.Random(1).randbytes(MOST_BYTES).hex()
    with store.database.deferred():  # more than the file holds
        store.record(Batch(messages=(Draft("long", "summary", 0.0, noise),)))
    assert len(rows(state / "edge.db")["outbox"]) == 6


def test_where_no_log_can_be_written_it_is_committed_at_once(store: Store, state: Path) -> None:
    (state / "edge.db-redo").mkdir()
    defer(store, 1)
    assert len(rows(state / "edge.db")["frames"]) == 1


def test_a_disk_that_refuses_the_commit_gets_it_all_later(
    store: Store, state: Path, device: SimpleNamespace
) -> None:
    store.record(minute(0))
    defer(store, 1)
    defer(store, 2)
    log = (state / "edge.db-wal").stat().st_size
    with full_disk(log):
        for _ in range(2):
            with pytest.raises(EdgeError):
                store.record(device.opening(device.event(0)))
        with pytest.raises(EdgeError):
            defer(store, 3)  # asked for a commit, so that it shows
    assert store.record(device.opening(device.event(0))) == (4,)
    assert defer(store, 3) == 5
    store.database.commit()
    assert [row[1].split("/")[0] for row in rows(state / "edge.db")["outbox"][:3]] == [
        "summary"
    ] * 3
    assert len(rows(state / "edge.db")["frames"]) == 4


def test_what_somebody_else_did_after_a_refused_commit_is_not_done_twice(
    store: Store, state: Path
) -> None:
    """The file is unlocked then, and a command of ours opens it: it finds the records."""
    store.record(minute(0))
    defer(store, 1)
    log = (state / "edge.db-wal").stat().st_size
    with full_disk(log), pytest.raises(EdgeError):
        store.database.commit()
    other = crashed(state)  # as nobody holds the directory there
    open_store(other).close()
    for name in ("edge.db", "edge.db-wal", "edge.db-shm"):
        (state / name).unlink()
    shutil.copy(other / "edge.db", state / "edge.db")
    store.database._file = None  # the same file, as far as the store knows
    defer(store, 2)
    store.database.commit()
    assert [row[0] for row in rows(state / "edge.db")["outbox"]] == [1, 2, 3]


def test_a_sweep_that_finds_nothing_commits_nothing(store: Store, state: Path) -> None:
    retention = Retention(store.database, store.outbox, store.identity)
    defer(store, 1)
    store.outbox.acknowledge([1])
    while retention.look(Limits(100 * MB, 1e9, 1e9, 0), 100.0):
        pass
    assert rows(state / "edge.db")["frames"] == []
    with store.database.reading() as connection:
        assert connection.in_transaction


def test_the_log_is_held_also_while_something_is_deferred(store: Store, state: Path) -> None:
    store.record(minute(0))
    defer(store, 1)
    hold_log(store.database, limit=0)
    assert (state / "edge.db-wal").stat().st_size == 0
    assert len(rows(state / "edge.db")["frames"]) == 2


def test_what_is_erased_is_not_left_in_the_log(
    store: Store, state: Path, device: SimpleNamespace
) -> None:
    one = device.event(0)
    store.record(device.opening(one))
    with store.database.deferred():
        store.record(Batch(seen=(one,)))
        store.record(minute(1))
    store.record(device.closing(device.closed(one)))
    assert (state / "edge.db-redo").read_bytes().strip(b"\0")
    erase(store, [one.id], 100.0)
    assert (state / "edge.db-redo").read_bytes().strip(b"\0") == b""


def test_a_damaged_database_is_salvaged_with_what_was_deferred(store: Store, state: Path) -> None:
    store.record(minute(0))
    defer(store, 1)
    left = crashed(state)
    mark(left)
    with open_sound(left) as salvaged:
        told = [message.body for message in salvaged.outbox.pending() if message.topic == "lost"]
        assert told[0]["previous_seq"] == 2
        assert [message.id for message in salvaged.outbox.pending()][1:] == [
            "summary/0", "summary/1",
        ]  # fmt: skip
        defer(salvaged, 7)  # the log of another store is written over
    assert len(rows(left / "edge.db")["frames"]) == 3


def test_a_killed_device_loses_nothing_that_was_told(state: Path) -> None:
    command = [sys.executable, str(CALM), str(state)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = [next(process.stdout) for _ in range(150)]
        process.send_signal(signal.SIGKILL)
    with open_reader(state) as reader:
        messages = {str(each.seq): each.id for each in reader.messages(1, 10_000)}
    told = [line.split() for line in said if line.startswith("noted")]
    assert len(told) > 40
    assert all(messages[seq] == id_ for _, id_, seq in told)


STEPS = st.lists(
    st.tuples(st.sampled_from(["defer", "two", "record", "fail", "commit", "crash", "ack"])),
    max_size=25,
)


@settings(max_examples=10, deadline=None)
@given(STEPS)
def test_deferring_never_changes_what_the_store_comes_to(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str]]
) -> None:
    folder = tmp_path_factory.mktemp("law")
    later, at_once = open_store(folder / "later"), open_store(folder / "at-once")
    for number, (step,) in enumerate(steps):
        for store in (later, at_once):
            context: Callable[[], Any] = store.database.deferred if store is later else nullcontext
            match step:
                case "defer":
                    with context():
                        store.record(minute(number))
                case "two":
                    with context():
                        store.record(minute(number))
                        store.record(minute(1000 + number))
                case "record":
                    store.record(minute(number))
                case "fail":
                    with context():
                        store.record(minute(number))
                        with pytest.raises(sqlite3.IntegrityError):
                            store.record(minute(number))
                case "ack":
                    store.outbox.acknowledge([store.outbox.depth().oldest_seq or 1])
                    with context():
                        store.record(minute(number))
        match step:
            case "commit":
                later.database.commit()
            case "crash":
                copy = crashed(folder / "later", f"later-{number}")
                later.close()
                shutil.rmtree(folder / "later")
                copy.rename(folder / "later")
                later = open_store(folder / "later")
    later.close()
    at_once.close()
    assert rows(folder / "later" / "edge.db") == rows(folder / "at-once" / "edge.db")
