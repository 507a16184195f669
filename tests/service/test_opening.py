"""A store in all cases: a disk that is full, read-only or locked does not stop the service."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from edge_agent.errors import EdgeError
from edge_agent.service.opening import is_back, open_for_service
from edge_agent.store.record import open_store
from edge_agent.store.retention import RESERVE


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 2 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("only root may mount the small disk of this test")
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder])
    if done.returncode:
        pytest.skip("nothing can be mounted here")
    yield folder
    subprocess.run(["umount", folder], check=True)


def fill(disk: Path) -> None:
    with (disk / "filler").open("wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            return


def code(store: object) -> list[str]:
    return [each.code for each in store.troubles]  # type: ignore[attr-defined]


def test_a_full_disk_is_stood_in_for_until_there_is_room(disk: Path) -> None:
    state = disk / "state"
    fill(disk)
    with open_for_service(state) as store:
        assert code(store) == ["store_in_memory"]
        assert store.identity.boot == 1
        assert not is_back(state)
        (disk / "filler").unlink()
        assert is_back(state)
    with open_for_service(state) as store:
        assert code(store) == []
        assert store.database.path.parent == state


def test_the_reserve_is_given_back_for_the_start(disk: Path) -> None:
    state = disk / "state"
    open_store(state).close()
    (state / RESERVE).write_bytes(bytes(200_000))
    fill(disk)
    with open_for_service(state) as store:
        assert code(store) == []
    assert not (state / RESERVE).exists()


def test_a_store_that_was_there_before_the_disk_was_full_is_stood_in_for(disk: Path) -> None:
    """Opening it writes nothing; counting the start does, and must not end the process."""
    state = disk / "state"
    open_store(state).close()
    fill(disk)
    with open_for_service(state) as store:
        assert code(store) == ["store_in_memory"]
        assert not is_back(state)
    (disk / "filler").unlink()
    assert is_back(state)


def test_a_read_only_disk_is_stood_in_for(disk: Path) -> None:
    state = disk / "state"
    open_store(state).close()
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    try:
        with open_for_service(state) as store:
            assert code(store) == ["store_in_memory"]
            assert "can only be read" in store.troubles[0].message
    finally:
        subprocess.run(["mount", "-o", "remount,rw", disk], check=True)


def test_a_locked_file_is_stood_in_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_agent.store.db.PATIENCE_S", 0.2)
    open_store(tmp_path).close()
    with closing(sqlite3.connect(tmp_path / "edge.db", isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        with open_for_service(tmp_path) as store:
            assert code(store) == ["store_in_memory"]
            assert "keeps" in store.troubles[0].message
        other.execute("ROLLBACK")
    assert is_back(tmp_path)


def test_another_agent_at_work_is_refused(tmp_path: Path) -> None:
    with open_store(tmp_path) as first:
        first.start()
        with pytest.raises(EdgeError, match="another edge-agent"):
            open_for_service(tmp_path)
