"""The demo: everything real, and a summary that a newcomer understands."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import cv2
import jsonschema
import pytest

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@dataclass(frozen=True)
class Demo:
    """One demo for all tests that only look at it."""

    done: subprocess.CompletedProcess[str]
    out: Path


@pytest.fixture(scope="module")
def demo(edge_in: Callable[[Path], Run], tmp_path_factory: pytest.TempPathFactory) -> Demo:
    folder = tmp_path_factory.mktemp("demo")
    out = folder / "out"
    return Demo(edge_in(folder)("demo", "--seconds", "30", "--out", out), out)


def test_it_ends_with_a_summary_and_the_run_report(
    demo: Demo,
) -> None:
    assert demo.done.returncode == 0, demo.done.stderr
    assert demo.done.stderr == ""
    lines = demo.done.stdout.splitlines()
    report: dict[str, Any] = json.loads(lines[-1])
    schema = resources.files("edge_agent") / "schemas" / "run-report.json"
    jsonschema.validate(report, json.loads(schema.read_text()))
    yard, motor = report["pipelines"]["yard"], report["pipelines"]["motor"]
    assert yard["frames"]["captured"] == 300
    assert yard["frames"]["skipped"]  # the gate at work
    assert yard["events"]["opened"] > 0
    assert motor["frames"]["inferred"] == 600  # ten hours, a window a minute
    assert motor["events"]["opened"] == 1
    for word in (
        "Seen", "Frames", "Heard", "Windows", "Events", "Models", "Buffer", "Picture", "Database",
        "Look at it:",
    ):  # fmt: skip
        assert any(line.startswith(word) for line in lines), word
    for model in ("scene-detector", "machine-anomaly"):
        assert f"{model} on litert" in demo.done.stdout
    assert all(len(line) <= 80 for line in lines if "/" not in line)


def test_the_machine_s_wear_is_reported_before_it_fails(demo: Demo, edge: Run) -> None:
    text = " ".join(demo.done.stdout.split())
    told = re.search(
        r"from (\d\d:\d\d) on, and fails at 08:00: reported at (\d\d:\d\d), ([\d.]+) h", text
    )
    assert told is not None, text
    began, reported, early = told.groups()
    assert began < reported < "07:00"
    assert float(early) >= 1.0
    state = demo.out / "state"
    alerts = edge("events", "list", "--state", state, "--rule", "motor-worn", "--json")
    (event,) = map(json.loads, alerts.stdout.splitlines())
    assert event["model"]["name"] == "machine-anomaly"
    why = edge("why", event["id"][:8], "--state", state)
    assert "score of anomaly" in why.stdout


def test_what_it_names_is_there(demo: Demo, edge: Run) -> None:
    out = demo.out
    picture = cv2.imread(str(out / "seen.png"))
    assert picture is not None
    assert picture.shape == (360, 640, 3)
    with sqlite3.connect(out / "state" / "edge.db") as database:
        (waiting,) = database.execute("SELECT count(*) FROM outbox WHERE sent IS NULL").fetchone()
        assert waiting > 0
    listed = edge("events", "list", "--state", out / "state", "--json")
    first = json.loads(listed.stdout.splitlines()[0])
    why = edge("why", first["id"][:8], "--state", out / "state")
    assert why.returncode == 0
    assert "confirm" in why.stdout
    assert edge("check", "-c", out / "config.yaml").returncode == 0


def test_it_can_be_run_again(demo: Demo, edge: Run, tmp_path: Path) -> None:
    shutil.copytree(demo.out, tmp_path / "again")
    assert edge("demo", "--seconds", "5", "--out", tmp_path / "again").returncode == 0


def test_it_touches_nobody_elses_files(edge: Run, tmp_path: Path) -> None:
    out = tmp_path / "mine"
    (out / "state").mkdir(parents=True)
    (out / "state" / "precious").write_text("keep me")
    refused = edge("demo", "--seconds", "5", "--out", out)
    assert refused.returncode == 1
    assert "holds files that no demo made" in refused.stderr
    assert (out / "state" / "precious").read_text() == "keep me"
