"""The real agent on a disk that fills up, is read-only, or comes back: it watches all the while."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from running import Service, squares

pytestmark = pytest.mark.slow

CONFIG = """\
sources: {yard: {kind: scene, uri: "built-in:?seed=12&fps=20"}}
store: {flush_s: 1, free_floor_mb: 0}
summary: {every_s: 1}
outputs: {lamp: {kind: command, argv: [/bin/sh, -c, "echo $EDGE_AGENT_STATE >> LAMP"], hold_s: 0}}
pipelines:
  yard:
    source: yard
    model: scene-detector
    gate: {max_fps: 0, motion: false, stationary: false}
    rules: [{name: seen, priority: alert, evidence: [snapshot], output: lamp}]
"""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """The state directory, on a disk of 2 MB."""
    folder = tmp_path / "state"
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("only root may mount the small disk of this test")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder]).returncode:
        pytest.skip("nothing can be mounted here")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


@pytest.fixture
def agent(service: Callable[..., Service], disk: Path, tmp_path: Path) -> Callable[[], Service]:
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG.replace("LAMP", str(tmp_path / "lamp")))
    return lambda: service(config)


def fill(disk: Path) -> None:
    with (disk / "filler").open("ab", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            return


def status(disk: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "edge_agent", "status", "--json", "--state", str(disk)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    found: dict[str, Any] = json.loads(done.stdout) if done.stdout else {}
    return found


def codes(disk: Path) -> set[str]:
    return {reason["code"] for reason in status(disk).get("reasons", [])}


def test_a_disk_that_fills_up_costs_no_frame_and_no_event(
    agent: Callable[[], Service], disk: Path, eventually: Callable[..., Any], tmp_path: Path
) -> None:
    running = agent()
    eventually(lambda: running.log.exists() and running.said("source delivers"), "frames", 60)
    eventually(lambda: (disk / "reserve").exists(), "the reserve", 30)
    fill(disk)
    eventually(lambda: "disk_full" in codes(disk), "that the disk is full", 60)
    fill(disk)  # the reserve too
    before = status(disk)["pipelines"]["yard"]["ledger"]["inferred"]
    eventually(lambda: (tmp_path / "lamp").exists(), "the lamp", 60)
    eventually(
        lambda: status(disk)["pipelines"]["yard"]["ledger"]["inferred"] > before + 20, "frames", 60
    )
    assert running.process.poll() is None
    (disk / "filler").unlink()
    eventually(lambda: not codes(disk) & {"disk_full", "disk_refuses"}, "that it is well", 60)
    eventually(lambda: (disk / "reserve").exists(), "the reserve again", 30)
    eventually(lambda: running.said("event opened"), "the events that waited", 60)
    assert running.stop()[0] == 0
    assert not running.said("event given up")


@pytest.mark.acceptance
def test_what_a_disk_that_stays_full_costs_is_told(
    service: Callable[..., Service], disk: Path, eventually: Callable[..., Any], tmp_path: Path
) -> None:
    """Thousands of small zones: more events than may wait. Those that are gone are told."""
    config = tmp_path / "config.yaml"
    start = CONFIG[: CONFIG.index("    rules:")].replace("LAMP", str(tmp_path / "lamp"))
    config.write_text(start + squares(16, 12).replace("priority: alert", "priority: notice"))
    running = service(config)
    eventually(lambda: running.log.exists() and running.said("event opened"), "events", 60)
    eventually(lambda: (disk / "reserve").exists(), "the reserve", 30)
    fill(disk)
    eventually(lambda: "disk_full" in codes(disk), "that the disk is full", 60)
    fill(disk)
    eventually(lambda: "events_given_up" in codes(disk), "more than may wait", 400)
    (disk / "filler").unlink()
    eventually(lambda: running.said("events given up are told of"), "the account", 60)
    eventually(lambda: not codes(disk) & {"disk_full", "events_given_up"}, "that it is well", 60)
    counts = status(disk)["pipelines"]["yard"]["given_up"]
    time.sleep(2.0)  # for a summary
    assert running.stop()[0] == 0
    gone = re.findall(r"event given up, .* id=(\w+)", running.log.read_text("utf-8"))
    assert counts == {"notice": len(gone)}
    with sqlite3.connect(disk / "edge.db") as db:
        stored = {row[0] for row in db.execute("SELECT id FROM events")}
        told = [row[0] for row in db.execute("SELECT stages FROM decisions WHERE kind = 'miss'")]
        summaries = [json.loads(row[0]) for row in db.execute("SELECT body FROM summaries")]
    assert not stored & set(gone)
    assert all(any(f'"event":"{each}"' in text for text in told) for each in gone[-200:])
    assert sum(body.get("given_up", {}).get("notice", 0) for body in summaries) == len(gone)
    print(f"{len(gone)} events given up, each told; {len(stored)} kept")


def test_a_read_only_disk_is_watched_on_from_memory(
    agent: Callable[[], Service], disk: Path, eventually: Callable[..., Any], tmp_path: Path
) -> None:
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    running = agent()
    eventually(lambda: running.log.exists() and running.said("event opened"), "an event", 60)
    assert running.said("kept in memory only")
    assert running.said("no commands are taken")
    assert "Traceback" not in running.log.read_text("utf-8")
    subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
    eventually(lambda: "store_in_memory" in codes(disk), "the socket", 60)
    assert running.stop()[0] == 0
