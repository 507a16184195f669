"""The power fails at any moment: nothing that was told is lost, and nothing is damaged.

A small device and the real agent are recorded once each (`power_cut.py`) and cut at many points;
what is then on the medium is opened with the real store. The long form is `make acceptance`.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from power_cut import Disk, Recording, record
from running import squares

from edge_agent.errors import EdgeError
from edge_agent.store.record import Store, open_store

pytestmark = pytest.mark.slow

#: Events that the recorded agent acknowledges before it is stopped.
ENOUGH = 25
#: Cuts of the short form; the long one has so many times more.
SHORT = {"young": 200, "writer": 150, "calm": 150, "agent": 50}
LONG = 20
AGENT = """\
sources: {yard: {kind: scene, uri: "built-in:?seed=11&fps=20"}}
store: {flush_s: 1}
summary: {every_s: 1}
pipelines:
  yard:
    source: yard
    model: scene-detector
    gate: {max_fps: 0, motion: false, stationary: false}
"""


@pytest.fixture
def memory() -> Iterator[Path]:
    """A folder in memory: thousands of stores are laid down, and syncing them would take long."""
    beside = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(dir=beside) as folder:
        yield Path(folder)


@pytest.fixture
def recorded(
    strace: str, memory: Path, device: SimpleNamespace
) -> Callable[..., tuple[Path, Recording]]:
    """`recorded("young" | "writer" | "calm" | "agent", …)`: the folder and what was done in it."""

    def run(who: str, *words: str) -> tuple[Path, Recording]:
        state = memory / who
        state.mkdir()
        if who != "agent":
            program = device.path.with_name("calm_writer.py") if who == "calm" else device.path
            command = [sys.executable, program, state, *words]
            return state, record(strace, command, state, 60)
        config = memory / "config.yaml"
        config.write_text(AGENT + squares())
        command = [sys.executable, "-m", "edge_agent", "run", "-c", config, "--state", state]
        return state, record(strace, command, state, 120, ("event opened", ENOUGH))

    return run


class Finding:
    """What the cuts of one recording came to."""

    def __init__(self) -> None:
        self.points = self.told = self.lost = 0
        self.damaged: list[str] = []

    def look(self, state: Path, told: set[tuple[str, ...]], device: SimpleNamespace) -> None:
        """Open what a cut left, as the service does, and compare it with what was told."""
        self.points += 1
        self.told += len(told)
        try:
            with open_store(state) as store:
                store.start()
                store.interrupt_open(lambda stored: device.message(stored.event))
                self.lost += len(told - kept(store))
                self.damaged += damages(store, state)
        except (EdgeError, LookupError, sqlite3.Error, ValueError) as fault:
            self.damaged.append(f"cut {self.points}: {type(fault).__name__}: {fault}")


def kept(store: Store) -> set[tuple[str, ...]]:
    """What can be told now, as `told_by` reads it."""
    with store.database.reading() as connection:
        rows = connection.execute("SELECT id, seq, sent FROM outbox").fetchall()
        found = {("opened", id_) for (id_,) in connection.execute("SELECT id FROM events")}
    for id_, seq, sent in rows:
        found.add(("message", id_, str(seq)))
        if sent:
            found.add(("sent", str(seq)))
    return found


def damages(store: Store, state: Path) -> list[str]:
    with store.database.reading() as connection:
        found = [row[0] for row in connection.execute("PRAGMA integrity_check") if row[0] != "ok"]
        found += [f"foreign key {row}" for row in connection.execute("PRAGMA foreign_key_check")]
        seqs = [row[0] for row in connection.execute("SELECT seq FROM outbox ORDER BY seq")]
        due = {f"{id_}/open" for (id_,) in connection.execute(
            "SELECT id FROM events WHERE priority = 'alert'")}  # fmt: skip
        ids = {id_ for (id_,) in connection.execute("SELECT id FROM outbox")}
        files = connection.execute("SELECT evidence FROM events WHERE evidence <> '[]'").fetchall()
    if seqs != list(range(1, len(seqs) + 1)):
        found.append(f"seq has gaps: {seqs}")
    found += [f"{id_} has no row in the outbox" for id_ in due - ids]
    for (text,) in files:
        for item in json.loads(text):
            path = state / item["path"]
            if not path.exists() or hashlib.sha256(path.read_bytes()).hexdigest() != item["sha256"]:
                found.append(f"evidence {item['path']} is not what the event says")
    return found


def told_by(said: str) -> set[tuple[str, ...]]:
    """What whole lines of the writer, or of the agent's log, have acknowledged."""
    found: set[tuple[str, ...]] = set()
    for line in said.splitlines(keepends=True):
        if not line.endswith("\n"):
            continue
        match line.split():
            case ["opened", id_, seq]:
                found |= {("opened", id_), ("message", f"{id_}/open", seq)}
            case ["closed", id_, seq]:
                found.add(("message", f"{id_}/close", seq))
            case ["noted", id_, seq]:
                found.add(("message", id_, seq))
            case ["sent", seq]:
                found.add(("sent", seq))
        if match := re.search(r"event opened id=(\w+)", line):
            found.add(("opened", match[1]))
    return found


@pytest.fixture
def cut(memory: Path, device: SimpleNamespace) -> Callable[..., Finding]:
    def run(recording: Recording, folder: Path, points: int) -> Finding:
        finding, chance = Finding(), random.Random(points)
        disk = Disk(recording, folder)
        for moment in recording.cuts(points, chance):
            disk.play(moment)
            disk.lay_down(memory / "cut", chance)
            finding.look(memory / "cut", told_by(disk.told), device)
        return finding

    return run


@pytest.mark.parametrize(
    "factor",
    [1, pytest.param(LONG, marks=pytest.mark.acceptance(minutes=2))],
    ids=["short", "long"],
)
@pytest.mark.parametrize(
    ("who", "words"), [("young", ["3"]), ("writer", ["200"]), ("calm", ["150"]), ("agent", [])]
)
def test_a_power_cut_loses_nothing_that_was_told(
    recorded: Callable[..., tuple[Path, Recording]],
    cut: Callable[..., Finding],
    who: str,
    words: list[str],
    factor: int,
) -> None:
    folder, recording = recorded(who, *words)
    finding = cut(recording, folder, SHORT[who] * factor)
    print(
        f"{who}: {finding.points} power cuts, {finding.told} times something acknowledged before,"
        f" {finding.lost} lost, {len(finding.damaged)} damaged"
    )
    assert finding.damaged == []
    assert finding.lost == 0
    assert finding.told > finding.points  # otherwise it proved nothing


def test_the_harness_reports_losses_where_there_are_some(
    recorded: Callable[..., tuple[Path, Recording]], cut: Callable[..., Finding]
) -> None:
    """With `synchronous=NORMAL` SQLite does not sync a commit: whoever trusts it loses events."""
    folder, recording = recorded("writer", "60", "PRAGMA synchronous = NORMAL")
    finding = cut(recording, folder, 60)
    print(f"NORMAL: {finding.points} power cuts, {finding.lost} lost")
    assert finding.lost > 0
