"""The demo: everything real, and a summary that a newcomer understands."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import cv2
import jsonschema
import pytest

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def demo(edge: Run, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    return edge("demo", "--seconds", "30", "--out", tmp_path / "out")


def test_it_ends_with_a_summary_and_the_run_report(
    demo: subprocess.CompletedProcess[str], tmp_path: Path
) -> None:
    assert demo.returncode == 0, demo.stderr
    assert demo.stderr == ""
    lines = demo.stdout.splitlines()
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
        assert f"{model} on litert" in demo.stdout
    assert all(len(line) <= 80 for line in lines if "/" not in line)


def test_the_machine_s_wear_is_reported_before_it_fails(
    demo: subprocess.CompletedProcess[str], edge: Run, tmp_path: Path
) -> None:
    text = " ".join(demo.stdout.split())
    told = re.search(
        r"from (\d\d:\d\d) on, and fails at 08:00: reported at (\d\d:\d\d), ([\d.]+) h", text
    )
    assert told is not None, text
    began, reported, early = told.groups()
    assert began < reported < "07:00"
    assert float(early) >= 1.0
    state = tmp_path / "out" / "state"
    alerts = edge("events", "list", "--state", state, "--rule", "motor-worn", "--json")
    (event,) = map(json.loads, alerts.stdout.splitlines())
    assert event["model"]["name"] == "machine-anomaly"
    why = edge("why", event["id"][:8], "--state", state)
    assert "score of anomaly" in why.stdout


def test_what_it_names_is_there(
    demo: subprocess.CompletedProcess[str], edge: Run, tmp_path: Path
) -> None:
    out = tmp_path / "out"
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


def test_it_can_be_run_again_and_touches_nobody_elses_files(edge: Run, tmp_path: Path) -> None:
    out = tmp_path / "mine"
    (out / "state").mkdir(parents=True)
    (out / "state" / "precious").write_text("keep me")
    refused = edge("demo", "--seconds", "5", "--out", out)
    assert refused.returncode == 1
    assert "holds files that no demo made" in refused.stderr
    assert (out / "state" / "precious").read_text() == "keep me"
    for _ in range(2):
        assert edge("demo", "--seconds", "5", "--out", tmp_path / "again").returncode == 0
