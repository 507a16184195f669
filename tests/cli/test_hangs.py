"""Whatever hangs, somebody watches again soon: the real process under a manager like systemd."""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cameras import MjpegCamera, children
from manager import Manager

pytestmark = pytest.mark.slow
HANGING = Path(__file__).parents[1] / "hanging.py"
PATIENCE_S = 120.0

CONFIG = """\
sources:
  yard: {{kind: scene, uri: "built-in:?seed=11&fps=20"}}
pipelines:
  yard:
    source: yard
    model: scene-detector
    gate: {{max_fps: 10}}
    rules: [{{name: seen, confirm: [2, 3], priority: alert, cooldown_s: 0}}]
store: {{flush_s: 1}}
summary: {{every_s: 2}}
mqtt: {{host: 127.0.0.1, port: {port}}}
"""


class Site:
    """A service that hangs on demand."""

    def __init__(self, manager: Manager, folder: Path, port: int) -> None:
        self.manager = manager
        self.state, self.hang = folder / "state", folder / "hang"
        (folder / "config.yaml").write_text(CONFIG.format(port=port))
        manager.start([sys.executable, HANGING, folder / "config.yaml", self.state, self.hang])

    def count(self, words: str) -> int:
        return self.manager.log.read_text("utf-8").count(words)

    def logged(self, words: str, times: int = 1) -> bool:
        return self.count(words) >= times

    def delivers(self) -> int:
        return self.count("source delivers")

    def inferred(self) -> int:
        with sqlite3.connect(self.state / "edge.db") as database:
            (count,) = database.execute("SELECT coalesce(sum(inferred), 0) FROM frames").fetchone()
        return int(count)


Eventually = Callable[..., Any]


@pytest.fixture
def site(manager: Manager, tmp_path: Path, shared_mosquitto: Any, eventually: Eventually) -> Site:
    site = Site(manager, tmp_path, shared_mosquitto.port)
    eventually(lambda: manager.heard("READY=1"), "READY=1", PATIENCE_S)
    eventually(lambda: manager.logged("event opened"), "an event", PATIENCE_S)
    return site


def test_a_model_that_hangs_ends_the_process_which_starts_anew(
    site: Site, eventually: Eventually
) -> None:
    site.hang.write_text("invoke")
    eventually(lambda: site.manager.ends == [1], "the end", PATIENCE_S)
    eventually(lambda: site.delivers() == 2, "pictures again", PATIENCE_S)
    assert site.manager.logged("name='pipeline yard' doing='working on a frame'")
    assert site.manager.logged("hanging.py")  # the line of code
    assert site.manager.heard("pipeline yard hangs: the agent ends, and starts anew")


@pytest.mark.acceptance
def test_a_disk_that_hangs_ends_the_process_which_starts_anew(
    site: Site, eventually: Eventually
) -> None:
    site.hang.write_text("writer")
    eventually(lambda: site.manager.ends == [1], "the end", PATIENCE_S)
    eventually(lambda: site.delivers() == 2, "pictures again", PATIENCE_S)
    assert site.manager.logged("database.py")  # whoever waited longest for the lock is told


@pytest.mark.acceptance
def test_the_keeper_of_the_store_that_hangs_ends_the_process_which_starts_anew(
    site: Site, eventually: Eventually
) -> None:
    site.hang.write_text("keeper")
    eventually(lambda: site.manager.ends == [1], "the end", PATIENCE_S)
    eventually(lambda: site.delivers() == 2, "pictures again", PATIENCE_S)
    assert site.manager.logged("name='keeper' doing='keeping the store within its limits'")


@pytest.mark.acceptance
def test_a_stopped_process_is_killed_by_the_watchdog(site: Site, eventually: Eventually) -> None:
    assert site.manager.process is not None
    site.manager.process.send_signal(signal.SIGSTOP)
    eventually(lambda: site.manager.ends == [-signal.SIGKILL], "the end", PATIENCE_S)
    eventually(lambda: site.delivers() == 2, "pictures again", PATIENCE_S)


def test_what_a_thread_can_be_renewed_for_restarts_nothing(
    site: Site, eventually: Eventually
) -> None:
    """One after the other: the publisher hangs, the source, and another program locks the store."""
    site.hang.write_text("mqtt")
    eventually(lambda: site.logged("thread renewed name='publisher'"), "a new one", PATIENCE_S)
    eventually(lambda: site.logged("connected broker=", 2), "a connection", PATIENCE_S)
    site.hang.write_text("capture")
    eventually(lambda: site.logged("thread renewed name='source yard'"), "a new one", PATIENCE_S)
    before = site.inferred()
    eventually(lambda: site.inferred() > before + 10, "pictures", PATIENCE_S)
    other = sqlite3.connect(site.state / "edge.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    eventually(lambda: site.logged("wait for the disk"), "a refusal", PATIENCE_S)
    fed = site.manager.meals
    eventually(lambda: site.manager.meals > fed + 6, "three more seconds", PATIENCE_S)
    other.execute("ROLLBACK")
    opened = site.count("event opened")
    eventually(lambda: site.logged("event opened", opened + 1), "what waited", PATIENCE_S)
    assert site.manager.ends == []


def test_a_stopped_camera_process_is_replaced_and_the_agent_lives(
    manager: Manager, tmp_path: Path, mjpeg_camera: MjpegCamera, eventually: Eventually
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(
        f"sources: {{dock: {{kind: camera, uri: '{mjpeg_camera.uri}'}}}}\n"
        "pipelines: {dock: {source: dock, model: scene-detector,"
        " rules: [{name: seen, confirm: [2, 3]}]}}\n"
    )
    run = [sys.executable, "-m", "edge_agent", "run", "-c", config, "--state", tmp_path / "state"]
    manager.start(run)
    eventually(lambda: manager.logged("source delivers"), "pictures", PATIENCE_S)
    assert manager.process is not None
    (child,) = children(manager.process.pid)
    os.kill(child, signal.SIGSTOP)
    eventually(lambda: manager.logged("does not run"), "the loss", PATIENCE_S)
    eventually(
        lambda: manager.log.read_text("utf-8").count("source delivers") == 2, "it", PATIENCE_S
    )
    assert manager.ends == []
