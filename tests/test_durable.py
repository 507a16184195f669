"""Files that are whole or not there, and one at a time who changes them."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from edge_agent import durable


def test_what_is_written_is_there_under_its_name_alone(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    durable.write_durably(file, b"old")
    durable.write_durably(file, b"new")
    assert file.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["x.json"]


@pytest.mark.parametrize("writing", [durable.whole, durable.durable])
def test_who_fails_leaves_what_was_there_and_no_draft(tmp_path: Path, writing) -> None:
    file = tmp_path / "x.jpg"
    file.write_bytes(b"old")

    def cut_short(draft: Path) -> None:
        assert draft.suffix == ".jpg"  # some writers go by it
        draft.write_bytes(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), writing(file) as draft:
        cut_short(draft)
    assert file.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["x.jpg"]


def test_each_step_is_on_the_disk_before_the_next(tmp_path: Path, monkeypatch) -> None:
    steps: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def noted_fsync(handle: int) -> None:
        steps.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file")
        fsync(handle)

    def noted_replace(draft: Path, path: Path) -> Path:
        steps.append("rename")
        return replace(draft, path)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(Path, "replace", noted_replace)
    durable.write_document(tmp_path / "a" / "b" / "x.json", {"a": 1})
    assert steps == ["folder", "folder", "file", "rename", "folder"]


@pytest.mark.parametrize("content", [None, b"", b'{"a": ', b"[1]", b"\xff\xfe", b"[" * 100_000])
def test_a_document_that_is_absent_or_damaged_is_empty(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "x.json"
    if content is not None:
        file.write_bytes(content)
    assert durable.read_document(file) == {}


def test_a_secret_is_nobody_elses_from_its_first_byte_on(tmp_path: Path) -> None:
    durable.write_durably(tmp_path / "key", b"secret", 0o600)
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600


def test_one_at_a_time_and_a_killed_one_lets_go(tmp_path: Path) -> None:
    code = (
        "import pathlib, sys, time; from edge_agent.durable import locked\n"
        "with locked(pathlib.Path(sys.argv[1]), 0.0, RuntimeError()):\n"
        "    print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with (
            pytest.raises(TimeoutError, match="taken"),
            durable.locked(tmp_path, 0.1, TimeoutError("taken")),
        ):
            raise AssertionError
        other.kill()
    with durable.locked(tmp_path, 5.0, TimeoutError("taken")):
        pass
