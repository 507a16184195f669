"""A reader that never ends does not let the log grow: the database goes on in a new file."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest

from edge_agent.store import renew
from edge_agent.store.query import open_reader
from edge_agent.store.record import Store, open_store
from edge_agent.store.renew import NEXT, hold_log
from edge_agent.store.salvage import open_sound

LIMIT = 300_000


@pytest.fixture
def endless(store: Store, state: Path, device: SimpleNamespace) -> Iterator[sqlite3.Connection]:
    """A foreign session in the middle of reading one event."""
    store.record(device.opening(device.event(0)))
    with closing(sqlite3.connect(state / "edge.db", isolation_level=None)) as reader:
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM events").fetchone() == (1,)
        yield reader


def grow(store: Store, device: SimpleNamespace, first: int, number: int) -> int:
    """Record so many; the largest log there was."""
    most, log = 0, store.database.path.with_name("edge.db-wal")
    for each in range(first, first + number):
        store.record(device.opening(device.event(each)))
        hold_log(store.database, LIMIT)
        most = max(most, log.stat().st_size)
    return most


def test_the_log_stays_within_its_limit_and_nothing_is_lost(
    store: Store, state: Path, device: SimpleNamespace, endless: sqlite3.Connection
) -> None:
    store.database.wait_at_most(0.01)
    with open_reader(state) as ours:
        assert grow(store, device, 1, 200) < LIMIT * 1.1
        assert len(ours.open_events()) == 201  # our own readers follow
    assert endless.execute("SELECT count(*) FROM events").fetchone() == (1,)  # its old state
    endless.execute("COMMIT")
    endless.close()  # and its end leaves the new log alone
    grow(store, device, 201, 10)
    store.close()
    with closing(sqlite3.connect(state / "edge.db")) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert database.execute("SELECT count(*), max(seq) FROM outbox").fetchone() == (211, 211)
        for name, value in (("page_size", 512), ("auto_vacuum", 2), ("application_id", 1162102597)):
            assert database.execute(f"PRAGMA {name}").fetchone() == (value,)


def test_another_writer_follows_into_the_new_file(
    store: Store, state: Path, device: SimpleNamespace, endless: sqlite3.Connection
) -> None:
    store.database.wait_at_most(0.01)
    with open_store(state) as other:
        grow(store, device, 1, 100)
        other.record(device.opening(device.event(500)))
    store.record(device.opening(device.event(501)))
    with open_reader(state) as reader:
        ids = {stored.event.id for stored in reader.open_events()}
    assert {device.event(500).id, device.event(501).id} <= ids
    assert len(ids) == 103


@pytest.mark.parametrize("at", ["copied", "named", "cleared"])
def test_a_crash_in_the_middle_is_finished_by_the_next_start(
    state: Path, device: SimpleNamespace, at: str
) -> None:
    """The process dies behind each step of the exchange."""
    code = f"""
import os, sys, sqlite3
sys.path.insert(0, {str(Path(device.path).parent)!r})
import writer
from pathlib import Path
from edge_agent.store import renew
from edge_agent.store.record import open_store

state = Path({str(state)!r})
store = open_store(state)
store.start()
for number in range(50):
    store.record(writer.opening(writer.event(number)))
copy, finish, rename = renew._copy, renew.finish, Path.rename
if {at!r} == "copied":
    renew._copy = lambda *paths: (copy(*paths), os._exit(9))
if {at!r} == "named":
    renew.finish = lambda state: os._exit(9)
if {at!r} == "cleared":
    Path.rename = lambda self, to: os._exit(9) if self.name == renew.NEXT else rename(self, to)
renew._exchange(store.database)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 9, done.stderr
    assert (state / NEXT).exists() == (at != "copied")
    with open_sound(state) as store:
        assert store.start().boot == 2
        assert store.troubles == ()
        with store.database.reading() as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert connection.execute("SELECT count(*) FROM events").fetchone() == (50,)
    assert not (state / NEXT).exists()


def test_without_a_reader_the_log_is_only_emptied(store: Store, device: SimpleNamespace) -> None:
    file = store.database.path.stat().st_ino
    grow(store, device, 0, 60)
    assert not renew.hold_log(store.database, 1000)
    assert store.database.path.stat().st_ino == file
    assert store.database.path.with_name("edge.db-wal").stat().st_size == 0
