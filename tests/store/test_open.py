"""Opening a store: what is made, what is kept, what is refused and left as it was."""

from __future__ import annotations

import shutil
import sqlite3
import stat
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_agent.errors import EdgeError, Refused, UsageError
from edge_agent.store.db import APPLICATION_ID
from edge_agent.store.migrate import LATEST
from edge_agent.store.query import open_reader
from edge_agent.store.record import Store, open_store


def set_version(path: Path, version: int, *, in_log: bool = False) -> None:
    """Make the database one of another version; `in_log` leaves that in the write-ahead log."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    connection.execute(f"PRAGMA user_version = {version}")
    if in_log:  # as a crash leaves it: the log beside a database that does not know yet
        beside = path.with_name("crashed")
        beside.mkdir()
        for name in (path.name, f"{path.name}-wal"):
            shutil.copy(path.with_name(name), beside)
        connection.close()
        for name in (path.name, f"{path.name}-wal"):
            shutil.move(beside / name, path.with_name(name))
    else:
        connection.close()


def test_folder_is_made_for_its_owner_alone(state: Path) -> None:
    open_store(state / "of" / "its own").close()
    assert stat.S_IMODE((state / "of" / "its own").stat().st_mode) == 0o700
    assert [path.name for path in (state / "of" / "its own").iterdir()] == ["edge.db"]


def test_commits_reach_the_disk_and_readers_see_them(store: Store) -> None:
    setting = {
        name: store.database.connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("journal_mode", "synchronous", "page_size", "application_id", "user_version")
    }
    assert setting == {
        "journal_mode": "wal",
        "synchronous": 2,
        "page_size": 512,
        "application_id": APPLICATION_ID,
        "user_version": LATEST,
    }


def test_name_of_the_store_stays_and_boots_count_starts_of_the_service(state: Path) -> None:
    with open_store(state) as store:
        first = store.identity
        assert first.boot == 0
        assert str(uuid.UUID(first.store)) == first.store
    for boot in (1, 2):
        with open_store(state) as store:
            assert store.identity.boot == boot - 1  # opening alone does not count
            assert store.start() == store.identity
            assert (store.identity.store, store.identity.boot) == (first.store, boot)
        with open_reader(state) as reader:
            assert reader.last_status().identity.boot == boot


def test_second_service_on_the_same_folder_is_refused(state: Path, store: Store) -> None:
    code = f"""
from pathlib import Path
from edge_agent.store.record import open_store
open_store(Path({str(state)!r})).start()
"""
    second = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert f"another edge-agent is running on {state}" in second.stderr
    store.close()
    with open_store(state) as after:
        assert after.start().boot == 2  # the refused one was not counted


@pytest.mark.parametrize("in_log", [False, True])
@pytest.mark.parametrize("opening", [open_store, open_reader])
def test_newer_version_is_refused_untouched(state: Path, opening: object, in_log: bool) -> None:
    open_store(state).close()
    set_version(state / "edge.db", LATEST + 1, in_log=in_log)
    files = [state / "edge.db"] + [state / "edge.db-wal"] * in_log
    before = [file.read_bytes() for file in files]
    with pytest.raises(Refused, match="newer edge-agent") as refused:
        opening(state)  # type: ignore[operator]
    assert refused.value.exit_code == 4
    assert refused.value.next
    assert [file.read_bytes() for file in files] == before


def test_database_of_another_program_is_refused_untouched(state: Path) -> None:
    state.mkdir()
    with sqlite3.connect(state / "edge.db") as connection:
        connection.execute("CREATE TABLE theirs (a)")
    connection.close()
    before = (state / "edge.db").read_bytes()
    with pytest.raises(Refused, match="another program"):
        open_store(state)
    assert (state / "edge.db").read_bytes() == before


def test_what_is_no_database_is_said_to_be_damaged(state: Path) -> None:
    state.mkdir()
    (state / "edge.db").write_bytes(b"\x00garbage" * 1000)
    with pytest.raises(EdgeError, match="damaged"):
        open_store(state)


def test_damage_inside_is_one_sentence(state: Path) -> None:
    open_store(state).close()
    content = bytearray((state / "edge.db").read_bytes())
    content[512:4096] = b"\xff" * (4096 - 512)
    (state / "edge.db").write_bytes(content)
    with pytest.raises(EdgeError, match=r"edge\.db is damaged"):
        open_store(state)


def test_crash_while_it_was_made_is_no_obstacle(state: Path) -> None:
    state.mkdir()
    (state / "edge.db").touch()
    with pytest.raises(UsageError, match="no agent has run there"):
        open_reader(state)
    with open_store(state) as store:
        assert store.start().boot == 1


@pytest.mark.parametrize("opening", [open_store, open_reader])
def test_folder_of_another_user_is_a_usage_error(
    state: Path, opening: object, someone_else: Callable[[Path], None]
) -> None:
    open_store(state).close()
    someone_else(state)
    with pytest.raises(UsageError, match="Permission denied") as refused:
        opening(state)  # type: ignore[operator]
    assert "run as the user" in refused.value.next


@pytest.mark.parametrize("name", ["file", "file/below"])
def test_file_in_the_place_of_the_folder_is_a_usage_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="file: Not a directory"):
        open_store(tmp_path / name)


def test_folder_in_the_place_of_the_database_is_a_usage_error(state: Path) -> None:
    (state / "edge.db").mkdir(parents=True)
    with pytest.raises(UsageError, match=r"edge\.db: Is a directory"):
        open_store(state)
