"""The service with a camera: lost in words, found again, stopped while it hangs, killed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from broker import eventually
from cameras import MjpegCamera, children, is_alive

Run = Callable[..., "subprocess.CompletedProcess[str]"]
pytestmark = pytest.mark.slow

PATIENCE_S = 90.0
CONFIG = """\
sources:
  dock:
    kind: camera
    uri: {uri}
    username: joe
    password: "${{file:cam.pass}}"
    stall_s: 2
    max_age_s: 30
    open_timeout_s: 60
pipelines:
  dock:
    source: dock
    model: scene-detector
    gate: {{max_fps: 0, motion: false}}
    rules: [{{name: seen, confirm: [2, 3]}}]
"""


class Service:
    """`edge-agent run` on one state directory."""

    def __init__(self, folder: Path, edge: Run, uri: str) -> None:
        (folder / "cam.pass").write_text("hunter2")
        config = folder / "config.yaml"
        config.write_text(CONFIG.format(uri=uri))
        self._edge = edge
        self.log = folder / "log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "edge_agent", "run", "-c", config,
                 "--state", folder / "state"],
                stdout=log, stderr=log,
            )  # fmt: skip

    def status(self) -> dict[str, Any]:
        asked = self._edge("status", "--json")
        return json.loads(asked.stdout) if asked.returncode == 0 else {"sources": {}}

    def source(self) -> dict[str, Any]:
        found: dict[str, Any] = self.status()["sources"].get("dock", {"state": "none"})
        return found

    def until(self, state: str) -> dict[str, Any]:
        eventually(lambda: self.source()["state"] == state, f"the camera is {state}", PATIENCE_S)
        return self.source()


@pytest.fixture
def service(tmp_path: Path, edge: Run, mjpeg_camera: MjpegCamera) -> Iterator[Service]:
    running = Service(tmp_path, edge, mjpeg_camera.uri)
    yield running
    if running.process.poll() is None:
        running.process.kill()
        running.process.wait()


def test_a_camera_is_lost_in_words_comes_back_and_the_agent_stops_while_it_hangs(
    service: Service, mjpeg_camera: MjpegCamera
) -> None:
    service.until("delivering")
    eventually(
        lambda: service.status()["pipelines"]["dock"]["ledger"]["inferred"] > 5,
        "inferred frames",
        PATIENCE_S,
    )
    mjpeg_camera.silent = True
    lost = service.until("lost")
    assert lost["reason"] in ("no picture within 2 s", "no answer in time")
    (reason,) = [each for each in service.status()["reasons"] if each["code"] == "source_lost"]
    assert "source dock is lost for" in reason["message"]
    assert reason["next"]
    mjpeg_camera.silent = False
    back = service.until("delivering")
    assert (back["reason"], back["losses"]) == ("", 1)
    mjpeg_camera.silent = True
    (child,) = children(service.process.pid)
    began = time.monotonic()
    service.process.send_signal(signal.SIGTERM)
    assert service.process.wait(PATIENCE_S) == 0
    assert time.monotonic() - began < 30  # it did not wait for the camera's time-outs of a minute
    assert not is_alive(child)
    said = service.log.read_text()
    assert "hunter2" not in said
    assert "Traceback" not in said


def test_a_killed_agent_leaves_no_camera_process(service: Service) -> None:
    service.until("delivering")
    (child,) = children(service.process.pid)
    service.process.kill()
    service.process.wait()
    eventually(lambda: not is_alive(child), "the end of the child", PATIENCE_S)
