"""The unit as systemd reads it, and the agent under those of its settings that need no systemd."""

from __future__ import annotations

import ctypes
import grp
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from manager import RESTART_S, WATCHDOG_S, Manager

from edge_agent.engines import available

ROOT = Path(__file__).parents[2]
UNITS = ROOT / "systemd"
UNIT = UNITS / "edge-agent.service"
MOST_EXPOSED = 20  # tenths, as `systemd-analyze security --threshold` counts
PATIENCE_S = 60.0
PR_GET_MDWE = 66


def settings(name: str) -> list[str]:
    return re.findall(rf"^{name}=(.*)$", UNIT.read_text("utf-8"), re.MULTILINE)


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not here; it comes with Debian's package systemd")
    return subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True)


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The unit with a program that is there."""
    copy = tmp_path / UNIT.name
    program = settings("ExecStart")[0].split()[0]
    copy.write_text(UNIT.read_text("utf-8").replace(program, "/bin/true"), "utf-8")
    return copy


def test_systemd_knows_every_line_of_it(installed: Path) -> None:
    verified = analyze("verify", installed)
    assert (verified.returncode, verified.stdout, verified.stderr) == (0, "", "")


def test_a_line_that_systemd_does_not_know_would_be_found(installed: Path) -> None:
    installed.write_text(installed.read_text().replace("UMask=", "UMaks="))
    assert "UMaks" in analyze("verify", installed).stderr


def test_it_is_exposed_little(installed: Path) -> None:
    judged = analyze(
        "security", "--offline=true", f"--threshold={MOST_EXPOSED}", "--no-pager", installed
    )
    assert judged.returncode == 0, judged.stdout


def test_the_user_is_one_that_sysusers_makes() -> None:
    if shutil.which("systemd-sysusers") is None:
        pytest.skip("systemd-sysusers is not here; it comes with Debian's package systemd")
    made = subprocess.run(
        ["systemd-sysusers", "--dry-run", UNITS / "edge-agent.sysusers.conf"],
        capture_output=True,
        text=True,
    )
    assert made.returncode == 0, made.stderr
    known = {group.gr_name for group in grp.getgrall()}
    assert settings("User") == ["edge-agent"]
    assert set(settings("SupplementaryGroups")[0].split()) <= known  # base-passwd has these


def test_the_manager_of_the_other_tests_is_as_strict() -> None:
    assert settings("WatchdogSec") == [f"{WATCHDOG_S:g}s"]
    assert settings("RestartSec") == [f"{1000 * RESTART_S:g}ms"]
    assert settings("RestartPreventExitStatus") == ["2"]
    assert settings("StartLimitIntervalSec") == ["0"]


def confinement() -> str:
    """Why the settings cannot be tried here; "" when they can."""
    if os.geteuid() or shutil.which("unshare") is None:
        return "a read-only tree needs root and unshare (util-linux)"
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode:
        return "this sandbox allows no mount namespace"
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_GET_MDWE, 0, 0, 0, 0) < 0:
        return "this kernel has no PR_SET_MDWE (Linux 6.3)"
    return ""


CONFIG = """\
sources: {{yard: {{kind: scene}}, motor: {{kind: signal, uri: "built-in:?seed=7"}}}}
pipelines:
  yard: {{source: yard, model: scene-detector, engine: {engine}, rules: [{{name: seen}}]}}
  motor: {{source: motor, model: {model}, engine: {engine}, rules: [{{name: x, score_above: 9}}]}}
store: {{flush_s: 1}}
"""


@pytest.mark.slow
@pytest.mark.parametrize("engine", available())
def test_the_agent_works_in_a_read_only_tree_without_executable_memory(
    manager: Manager, tmp_path: Path, eventually: Callable[..., Any], engine: str
) -> None:
    if reason := confinement():
        pytest.skip(reason)
    # One model that nobody vouched for: its first run is in a child process, as confined.
    shutil.copytree(ROOT / "models" / "machine-anomaly", tmp_path / "anomaly")
    (tmp_path / "config.yaml").write_text(
        CONFIG.format(engine=engine, model=tmp_path / "anomaly"), "utf-8"
    )
    run = ["run", "-c", tmp_path / "config.yaml", "--state", tmp_path / "state"]
    confined = ["unshare", "--mount", sys.executable, ROOT / "tests" / "confined.py", tmp_path]
    manager.start([*confined, *run])
    eventually(lambda: manager.heard("READY=1"), "READY=1", PATIENCE_S)
    eventually(lambda: inferred(tmp_path / "state") == {"yard", "motor"}, "frames", PATIENCE_S)
    assert manager.ends == []


def inferred(state: Path) -> set[str]:
    """The pipelines that inferred frames, by the store."""
    with sqlite3.connect(state / "edge.db") as database:
        rows = database.execute("SELECT DISTINCT pipeline FROM frames WHERE inferred > 0")
        return {name for (name,) in rows}


def test_the_script_is_plain_shell() -> None:
    if shutil.which("shellcheck") is None:
        pytest.skip("there is no shellcheck (apt install shellcheck)")
    checked = subprocess.run(
        ["shellcheck", "-s", "sh", UNITS / "install.sh"], capture_output=True, text=True
    )
    assert checked.stdout == ""
