"""A sync that fails, or that the process does not survive, at each of its calls in turn.

strace makes the n-th fsync or fdatasync fail with EIO or kill the process there. What was told is
kept, nothing is torn, and the next start works. (A retry of a failed sync proves nothing on Linux:
SQLite writes the frames again, at another place of the log or over the failed ones.)
"""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from running import squares

from edge_agent.store.record import open_store

pytestmark = pytest.mark.slow

#: Syncs of a device that makes its store and records three alerts: a few more than that.
CALLS = 24
AGENT = """\
sources: {yard: {kind: scene, uri: "built-in:?seed=12&fps=20"}}
store: {flush_s: 1}
pipelines:
  yard:
    source: yard
    model: scene-detector
    gate: {max_fps: 0, motion: false, stationary: false}
"""


def broken(strace: str, what: str, command: list[Any], *paths: Path) -> list[str]:
    """The command; `paths`: only syncs of these files."""
    inject = f"inject=fsync,fdatasync:{what}"
    quiet = ["-f", "-o", "/dev/null", "-e", "trace=fsync,fdatasync", "-e", inject]
    quiet += [word for path in paths for word in ("-P", str(path))]
    return [strace, *quiet, *map(str, command)]


@pytest.mark.parametrize("what", ["error=EIO", "signal=KILL"])
@pytest.mark.parametrize("step", [7, pytest.param(1, marks=pytest.mark.acceptance(minutes=2))])
def test_whatever_sync_fails_nothing_told_is_lost(
    strace: str, tmp_path: Path, device: SimpleNamespace, what: str, step: int
) -> None:
    hit = 0
    for call in range(1, CALLS, step):
        state = tmp_path / f"{call}"
        first = [sys.executable, device.path, state, "3"]
        done = subprocess.run(
            broken(strace, f"{what}:when={call}", first), capture_output=True, text=True
        )
        hit += done.returncode != 0
        again = subprocess.run(first, capture_output=True, text=True)  # and no fault any more
        assert again.returncode == 0, again.stderr
        with closing(sqlite3.connect(state / "edge.db")) as database:
            assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            rows = dict(database.execute("SELECT seq, id FROM outbox").fetchall())
        assert sorted(rows) == list(range(1, len(rows) + 1))
        for line in (done.stdout + again.stdout).splitlines():
            match line.split():
                case ["opened", id_, seq]:
                    assert rows[int(seq)] == f"{id_}/open"
                case ["closed", id_, seq]:
                    assert rows[int(seq)] == f"{id_}/close"
    print(f"{what}: {len(range(1, CALLS, step))} calls in turn, {hit} ended the process")
    assert hit >= 2


def test_the_agent_goes_on_when_every_sync_fails(
    strace: str, tmp_path: Path, eventually: Callable[..., Any]
) -> None:
    """From each thread's twentieth sync of the database on: it watches, and says what waits."""
    config, state, log = (tmp_path / name for name in ("config.yaml", "state", "log"))
    config.write_text(AGENT + squares())
    open_store(state).close()
    command = [sys.executable, "-m", "edge_agent", "run", "-c", config, "--state", state]
    with log.open("wb") as told:
        process = subprocess.Popen(
            broken(strace, "error=EIO:when=20+", command, state / "edge.db", state / "edge.db-wal"),
            stdout=told,
            stderr=told,
        )
    try:
        eventually(lambda: b"events wait for the disk" in log.read_bytes(), "a refusal", 60)
        eventually(lambda: len(list(state.glob("evidence/*/*/*.jpg"))) > 12, "more events", 60)
        assert process.poll() is None
        assert b"Traceback" not in log.read_bytes()
    finally:
        (child,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        subprocess.run(["kill", "-KILL", child], check=True)
        process.wait(30)
    with closing(sqlite3.connect(state / "edge.db")) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
