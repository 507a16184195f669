"""The service with a camera: lost in words, found again, stopped while it hangs, killed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from broker import eventually
from cameras import MjpegCamera, children, is_alive
from running import Service

Ask = Callable[..., Any]
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


class Watched:
    """A service with one camera, and what `status` says of it."""

    def __init__(self, service: Service, ask: Ask) -> None:
        self.service = service
        self._ask = ask

    def status(self) -> dict[str, Any]:
        asked = self._ask("status", "--json")
        return json.loads(asked.out) if asked.code == 0 else {"sources": {}}

    def until(self, state: str) -> dict[str, Any]:
        def reached() -> dict[str, Any] | None:
            source: dict[str, Any] = self.status()["sources"].get("dock", {"state": "none"})
            return source if source["state"] == state else None

        found: dict[str, Any] = eventually(reached, f"the camera is {state}", PATIENCE_S)
        return found


@pytest.fixture
def watched(
    tmp_path: Path, service: Callable[..., Service], ask: Ask, mjpeg_camera: MjpegCamera
) -> Watched:
    (tmp_path / "cam.pass").write_text("hunter2")
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG.format(uri=mjpeg_camera.uri))
    return Watched(service(config), ask)


def test_a_camera_is_lost_in_words_comes_back_and_the_agent_stops_while_it_hangs(
    watched: Watched, mjpeg_camera: MjpegCamera
) -> None:
    watched.until("delivering")
    eventually(
        lambda: watched.status()["pipelines"]["dock"]["ledger"]["inferred"] > 5,
        "inferred frames",
        PATIENCE_S,
    )
    mjpeg_camera.silent = True
    lost = watched.until("lost")
    assert lost["reason"] in ("no picture within 2 s", "no answer in time")
    (reason,) = [each for each in watched.status()["reasons"] if each["code"] == "source_lost"]
    assert "source dock is lost for" in reason["message"]
    assert reason["next"]
    mjpeg_camera.silent = False
    back = watched.until("delivering")
    assert (back["reason"], back["losses"]) == ("", 1)
    mjpeg_camera.silent = True
    (child,) = children(watched.service.process.pid)
    code, took = watched.service.stop()
    assert code == 0
    assert took < 30  # it did not wait for the camera's time-outs of a minute
    assert not is_alive(child)
    assert not watched.service.said("hunter2")
    assert not watched.service.said("Traceback")


def test_a_killed_agent_leaves_no_camera_process(watched: Watched) -> None:
    watched.until("delivering")
    (child,) = children(watched.service.process.pid)
    watched.service.kill()
    eventually(lambda: not is_alive(child), "the end of the child", PATIENCE_S)
