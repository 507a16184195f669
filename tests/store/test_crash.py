"""What was acknowledged survives kill -9 and a full disk; readers never see a torn state."""

from __future__ import annotations

import json
import random
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from edge_agent.errors import NoRoom
from edge_agent.store.query import open_reader
from edge_agent.store.record import open_store


@pytest.fixture
def start(state: Path, device: SimpleNamespace) -> Iterator[Callable[[], subprocess.Popen[str]]]:
    """Start writer.py on the state directory; returns once it records."""
    running: list[subprocess.Popen[str]] = []

    def begin() -> subprocess.Popen[str]:
        child = subprocess.Popen(
            [sys.executable, device.path, state], stdout=subprocess.PIPE, text=True
        )
        running.append(child)
        assert child.stdout is not None
        assert child.stdout.readline().startswith("boot ")
        return child

    yield begin
    for child in running:
        with child:  # closes the pipe and waits
            child.kill()


def test_kill_at_any_instant_loses_nothing_that_was_told(
    state: Path, start: Callable[[], subprocess.Popen[str]]
) -> None:
    told: dict[str, list[list[str]]] = {"opened": [], "closed": [], "sent": [], "interrupted": []}
    chance = random.Random(3)
    for _ in range(10):
        child = start()
        time.sleep(chance.uniform(0.0, 0.15))
        child.kill()
        lines = child.communicate()[0].splitlines(keepends=True)
        for line in lines:
            if line.endswith("\n"):
                kind, *words = line.split()
                told[kind].append(words)

    database = sqlite3.connect(state / "edge.db")
    assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    seqs = [seq for (seq,) in database.execute("SELECT seq FROM outbox ORDER BY seq")]
    assert seqs == list(range(1, len(seqs) + 1))
    messages = dict(database.execute("SELECT seq, id FROM outbox"))
    for id_, seq in told["opened"]:
        assert messages[int(seq)] == f"{id_}/open"
    for id_, seq in told["closed"]:
        assert messages[int(seq)] == f"{id_}/close"
    for (seq,) in told["sent"]:
        assert database.execute("SELECT sent FROM outbox WHERE seq = ?", (seq,)).fetchone() == (1,)
    assert len(told["opened"]) > 10

    # Every event and its messages agree; what a boot left open, the next one closed.
    ids = list(messages.values())
    assert len(set(ids)) == len(ids)
    events = database.execute("SELECT id, closed, close_reason FROM events").fetchall()
    expected = {f"{id_}/open" for id_, _, _ in events}
    expected |= {f"{id_}/close" for id_, closed, _ in events if closed is not None}
    assert set(ids) == expected
    interrupted = {id_ for id_, _, reason in events if reason == "interrupted"}
    assert {id_ for (id_,) in told["interrupted"]} <= interrupted
    boots = [boot for (boot,) in database.execute("SELECT boot FROM events WHERE closed IS NULL")]
    assert set(boots) <= {10}
    database.close()


def test_readers_see_whole_transactions_while_the_writer_writes(
    state: Path,
    start: Callable[[], subprocess.Popen[str]],
    sqlite_utils: Callable[..., str],
) -> None:
    child = start()
    law = """
        SELECT (SELECT count(*) FROM outbox) AS messages,
               (SELECT count(*) FROM events) + (SELECT count(closed) FROM events) AS due,
               (SELECT coalesce(max(seq), 0) FROM outbox) AS last
    """
    seen = [json.loads(sqlite_utils("query", state / "edge.db", law))[0] for _ in range(3)]
    with open_reader(state) as reader:
        for _ in range(20):
            status = reader.last_status()
            assert status.outbox.depth <= status.outbox.last_seq
    assert all(row["messages"] == row["due"] == row["last"] for row in seen)
    assert seen[-1]["last"] > seen[0]["last"]
    assert child.poll() is None  # no reader disturbed it


def test_full_disk_is_said_loses_nothing_and_passes(
    state: Path, device: SimpleNamespace, mounted: Callable[..., None]
) -> None:
    state.mkdir()
    mounted("-t", "tmpfs", "-o", "size=1m", "tmpfs", state)
    with open_store(state) as store:
        store.start()
        filler = state / "filler"
        filler.write_bytes(bytes(300_000))
        recorded: list[str] = []

        def record_until_full() -> None:
            for number in range(5000):
                store.record(device.opening(device.event(number)))
                recorded.append(device.event(number).id)

        with pytest.raises(NoRoom, match="no space is left on the disk of") as full:
            record_until_full()
        assert full.value.exit_code == 5
        assert len(recorded) > 20
        assert store.outbox.depth().depth == len(recorded)  # reading goes on
        filler.unlink()
        refused = device.event(len(recorded))
        assert store.record(device.opening(refused)) == (len(recorded) + 1,)
    with open_reader(state) as reader:
        assert len(reader.open_events()) == len(recorded) + 1


def test_no_room_for_a_new_store_is_said(state: Path, mounted: Callable[..., None]) -> None:
    state.mkdir()
    mounted("-t", "tmpfs", "-o", "size=16k", "tmpfs", state)
    with pytest.raises(NoRoom):
        open_store(state)
