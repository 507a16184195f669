"""The command line as a person uses it: a process, its output, its exit code."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from unicodedata import east_asian_width

import pytest

from edge_agent import cli

Run = Callable[..., "subprocess.CompletedProcess[str]"]

SCENE = "built-in:?seed=11&frames=120"
CONFIG = """\
sources:
  yard: {kind: scene, uri: "built-in:?seed=11"}
pipelines:
  yard:
    source: yard
    model: scene-detector
    gate: {max_fps: 5}
    zones: {left: [[0, 0], [0.6, 0], [0.6, 1], [0, 1]]}
    rules:
      - {name: 侵入, confirm: [2, 3], zone: left, priority: alert, evidence: [snapshot],
         cooldown_s: 0}
      - {name: any, confirm: [1, 1], cooldown_s: 0}
"""


@pytest.fixture
def edge(edge_in: Callable[[Path], Run], tmp_path: Path) -> Run:
    """`edge("status", "--json")`: the finished process. Its state is under tmp_path."""
    return edge_in(tmp_path)


@pytest.fixture(scope="session")
def edge_in() -> Callable[[Path], Run]:
    """`edge_in(folder)`: the same for a folder that several tests share."""
    return _edge


def _edge(folder: Path) -> Run:
    environment = {
        **os.environ,
        "EDGE_AGENT_STATE": str(folder / "state"),
        "HOME": str(folder),
        "NO_COLOR": "1",
    }
    environment.pop("EDGE_AGENT_CONFIG", None)

    def run(*arguments: str | Path, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "edge_agent", *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=timeout,
            env=environment,
            cwd=folder,
        )

    return run


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration of the built-in scene with the shipped model."""
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG, "utf-8")
    return path


@dataclass(frozen=True)
class Answer:
    """What one command line, run within this process, came to."""

    code: int
    out: str
    err: str

    @property
    def widest(self) -> int:
        """Columns of the widest line of stdout, in which a wide letter takes two."""
        return max(
            (
                sum(1 + (east_asian_width(letter) in "WF") for letter in line)
                for line in self.out.splitlines()
            ),
            default=0,
        )


@pytest.fixture
def ask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Answer]:
    """`ask("events", "list")`: as `edge` without the cost of a process, in Tokyo's zone."""
    monkeypatch.setenv("EDGE_AGENT_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    monkeypatch.delenv("EDGE_AGENT_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str | Path) -> Answer:
        capsys.readouterr()
        code = cli.obey([str(argument) for argument in arguments])
        return Answer(code, *capsys.readouterr())

    return run


@pytest.fixture(scope="session")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state directory with the events of twelve seconds from 2026-01-31T08:00:00Z on. Read only.

    Nothing in it came from an agent: its boot is 0.
    """
    folder = tmp_path_factory.mktemp("replayed")
    (folder / "config.yaml").write_text(CONFIG, "utf-8")
    state = folder / "state"
    command = [sys.executable, "-m", "edge_agent", "replay", SCENE, "-c", folder / "config.yaml"]
    subprocess.run(
        [*command, "--store", state, "--start", "2026-01-31T08:00:00Z"],
        check=True,
        capture_output=True,
        timeout=120,
    )
    return state
