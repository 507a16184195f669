"""SQLite's locks stay while the service has its database open: whoever closes one of its files in
the same process takes them away, and the next program that comes believes that it is alone."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from edge_agent.store import wal
from edge_agent.store.query import reader_beside
from edge_agent.store.record import Store

#: Whether another process could lock these bytes (https://www.sqlite.org/src, os_unix.c).
TRY = """
import fcntl, sys
with open(sys.argv[1], "r+b") as file:
    fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, int(sys.argv[3]), int(sys.argv[2]))
"""
SHARED = ("edge.db", 0x40000000 + 2, 510)  # held by every connection in WAL mode
ALIVE = ("edge.db-shm", 128, 1)  # "the dead man's switch": whoever gets it makes the index anew
WRITER = ("edge.db-shm", 120, 1)


def is_held(state: Path, name: str, start: int, length: int) -> bool:
    words = [sys.executable, "-c", TRY, str(state / name), str(start), str(length)]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0 or "BlockingIOError" in done.stderr, done.stderr
    return done.returncode != 0


def look_at_log(store: Store) -> None:
    assert wal.to_copy(store.database) > 0
    wal.relieve(store.database)


def read_beside(store: Store) -> None:
    with reader_beside(store.database) as reader:
        assert reader.identity() == store.identity


def see_what_waits(store: Store) -> None:
    assert store.outbox.pending() != []
    store.outbox.close()


@pytest.mark.parametrize("act", [look_at_log, read_beside, see_what_waits])
def test_what_the_service_does_beside_its_writer_leaves_sqlite_its_locks(
    store: Store, state: Path, device: SimpleNamespace, act: Callable[[Store], None]
) -> None:
    store.record(device.opening(device.event(0)))
    act(store)
    assert is_held(state, *SHARED)
    assert is_held(state, *ALIVE)
    assert not is_held(state, *WRITER)
    with store.database.deferred():
        store.record(device.opening(device.event(1)))
    act(store)
    assert is_held(state, *WRITER)
