"""Steps from version to version: each whole or not at all, each once."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest

from edge_agent.errors import EdgeError
from edge_agent.store.migrate import LATEST, STEPS, Step, migrate, version
from edge_agent.store.query import open_reader
from edge_agent.store.record import open_store

FIRST = Step("first", "CREATE TABLE a (x);\nINSERT INTO a VALUES (1);  -- kept\n")
SECOND = Step("second", "ALTER TABLE a ADD COLUMN y DEFAULT 2;\nCREATE TABLE b (z);\n")
BROKEN = Step("broken", "CREATE TABLE c (z);\nINSERT INTO nowhere VALUES (1);\n")


def connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None, timeout=10)


def test_only_missing_steps_are_applied_and_rows_stay(tmp_path: Path) -> None:
    connection = connect(tmp_path / "a.db")
    assert migrate(connection, (FIRST,)) == ("first",)
    assert migrate(connection, (FIRST, SECOND)) == ("second",)
    assert migrate(connection, (FIRST, SECOND)) == ()
    assert version(connection) == 2
    assert connection.execute("SELECT x, y FROM a").fetchall() == [(1, 2)]


def test_step_that_fails_leaves_the_step_before_it(tmp_path: Path) -> None:
    connection = connect(tmp_path / "a.db")
    with pytest.raises(sqlite3.OperationalError, match="nowhere"):
        migrate(connection, (FIRST, BROKEN))
    assert version(connection) == 1
    tables = connection.execute("SELECT name FROM sqlite_master").fetchall()
    assert tables == [("a",)]
    assert migrate(connection, (FIRST, SECOND)) == ("second",)


def test_two_that_open_at_once_apply_a_step_once(tmp_path: Path) -> None:
    applied: list[str] = []
    barrier = threading.Barrier(4)

    def open_one() -> None:
        connection = connect(tmp_path / "a.db")
        barrier.wait()
        applied.extend(migrate(connection, (FIRST, SECOND)))

    threads = [threading.Thread(target=open_one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(applied) == ["first", "second"]
    assert connect(tmp_path / "a.db").execute("SELECT count(*) FROM a").fetchone() == (1,)


def test_trigger_is_one_statement(tmp_path: Path) -> None:
    connection = connect(tmp_path / "a.db")
    trigger = Step(
        "trigger",
        "CREATE TRIGGER t AFTER INSERT ON a\nBEGIN\n  DELETE FROM a WHERE x = 1;\nEND;\n",
    )
    migrate(connection, (FIRST, trigger))
    connection.execute("INSERT INTO a VALUES (5)")
    assert connection.execute("SELECT x FROM a").fetchall() == [(5,)]


def test_reader_does_not_migrate(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A newer command on the database of an older service says so, until the service starts."""
    open_store(state).close()
    monkeypatch.setattr("edge_agent.store.query.LATEST", LATEST + 1)
    with pytest.raises(EdgeError, match="older version and not yet migrated"):
        open_reader(state)


def test_every_step_has_a_name_of_its_own() -> None:
    assert len({step.name for step in STEPS}) == len(STEPS) == LATEST
