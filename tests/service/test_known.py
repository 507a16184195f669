"""`known.json` in the state directory: there for the next start, and missed by nobody."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from policies import Site

from edge_agent.bundles import slots
from edge_agent.bundles.slots import POLICIES
from edge_agent.config import known as config_known
from edge_agent.config.known import Known
from edge_agent.config.schema import Device
from edge_agent.service import known
from edge_agent.service.known import FILE, keep, recall

START = """\
import sys
from pathlib import Path
from edge_agent.service.check import check
from edge_agent.service.known import keep, recall
path, state = map(Path, sys.argv[1:])
recall(state)
report = check(path, state)
keep(state)
print(report.mistakes, report.warnings, report.overridden, report.config, sep="\\n")
print("pydantic" in sys.modules)
"""
BY_HAND = "pipelines: {yard: {rules: [{name: seen, min_score: 0.6}]}}\n"
MANY = """\
device: {timezone: Asia/Tokyo}
sources:
  cam: {kind: camera, uri: "rtsp://cam/s", username: u, password: "${file:secret}"}
  motor: {kind: signal, uri: "csv:motor.csv"}
pipelines:
  people:
    source: cam
    model: scene-detector
    lines: {door: {from: [0.1, 0.5], to: [0.9, 0.5]}}
    camera_health: true
    rules: [{name: in, label: person, line: door, evidence: [{clip: {pre_s: 1}}]}]
  machine: {source: motor, model: machine-anomaly, rules: [{name: ill, score_above: model}]}
mqtt:
  {host: h, username: u, password: "${file:secret}", commands: [{snapshot: {publish: true}}]}
"""


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (config_known, known):
        monkeypatch.setattr(module, "KNOWN", Known())


def start(path: Path, state: Path) -> list[str]:
    """What a process finds, and as the last line whether it loaded pydantic."""
    done = subprocess.run(
        [sys.executable, "-c", START, path, state], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_with_policies_and_what_was_set_by_hand_the_second_start_judges_nothing(
    tmp_path: Path,
) -> None:
    site = Site(tmp_path)
    slot = site.kept().slot
    slots.change(site.state, "night", lambda found: found.with_active(slot, 0.0, None), POLICIES)
    site.local.write_text(BY_HAND)
    *first, loaded = start(site.config, site.state)
    assert (first[0], loaded) == ("()", "True")
    assert start(site.config, site.state) == [*first, "False"]


def test_nor_does_it_of_cameras_signals_and_secrets_but_for_a_change(tmp_path: Path) -> None:
    path, state = tmp_path / "config.yaml", tmp_path / "state"
    state.mkdir()
    path.write_text(MANY)
    (tmp_path / "motor.csv").write_text("x\n" + "0.5\n" * 4000)
    secret = tmp_path / "secret"
    secret.write_text("hunter2")
    secret.chmod(0o644)
    *first, _ = start(path, state)
    assert first[0] == "()"
    assert "every user of this machine may read" in first[1]
    assert start(path, state) == [*first, "False"]
    assert (state / FILE).stat().st_mode & 0o777 == 0o600
    assert "hunter2" not in (state / FILE).read_text()
    path.write_text(MANY.replace("score_above: model", "score_above: high"))
    wrong = start(path, state)
    assert (wrong[0].count("score_above"), wrong[-1]) == (1, "True")
    path.write_text(MANY)
    secret.unlink()
    gone = start(path, state)
    assert ("there is no file" in gone[0], gone[-1]) == (True, "True")


@pytest.mark.parametrize("content", [None, b"\xff\xfe", b"{}", b" " * 8_000_001])
def test_what_cannot_be_used_is_passed_over(
    tmp_path: Path, content: bytes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known, "KNOWN", Known())
    if content is not None:
        (tmp_path / FILE).write_bytes(content)
    recall(tmp_path)
    assert known.KNOWN.part(Device, {"id": "a"}, tmp_path).id == "a"
    assert known.KNOWN.news() is not None  # it was judged


def test_what_somebody_else_wrote_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known.KNOWN.part(Device, {"id": "a"}, tmp_path)
    keep(tmp_path)
    another = Known()
    monkeypatch.setattr(known, "KNOWN", another)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    recall(tmp_path)
    another.part(Device, {"id": "a"}, tmp_path)
    assert another.news() is not None  # it was judged
    monkeypatch.undo()
    monkeypatch.setattr(known, "KNOWN", Known())
    recall(tmp_path)
    known.KNOWN.part(Device, {"id": "a"}, tmp_path)
    assert known.KNOWN.news() is None


def test_nobody_waits_for_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / FILE)
    recall(tmp_path)


def test_where_it_cannot_be_written_a_line_of_the_log_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / FILE).mkdir()
    known.KNOWN.part(Device, {}, tmp_path)
    keep(tmp_path)
    assert "not kept" in caplog.text


def test_it_is_written_only_when_something_is_new(tmp_path: Path) -> None:
    known.KNOWN.part(Device, {}, tmp_path)
    keep(tmp_path)
    (tmp_path / FILE).unlink()
    keep(tmp_path)
    assert not (tmp_path / FILE).exists()
