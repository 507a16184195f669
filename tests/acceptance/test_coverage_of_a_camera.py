"""Coverage of the real process on an RTSP camera: whatever blinds it is told, to the second.

In a row: the server is away, the process is stopped (SIGSTOP), the picture is blackened, the engine
lies, the agent is killed (-9). Then `edge-agent coverage` is held against what was done, moment by
moment, and its sum against the wall clock.
"""

from __future__ import annotations

import itertools
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from broker import eventually
from cameras import RtspCamera, stop_and_go
from running import Service

pytestmark = pytest.mark.slow

PATIENCE_S = 90.0
#: How far a told moment may be from the true one; in the short form a busy machine decides nothing.
WITHIN_S = {"long": 1.0, "short": 3.0}
#: Seconds of each; between two of them the camera is well for `CALM_S`.
LONG = {"away": 40.0, "suspended": 10.0, "black": 10.0, "lying": 10.0, "power_off": 5.0}
SHORT = {"silent": 2.0, "suspended": 2.5, "lying": 1.5}
#: What `coverage` calls the deeds that do not bear its name.
CAUSES = {"away": "source_lost", "silent": "source_lost"}
CALM_S = {"long": 5.0, "short": 1.0}
CONFIG = """\
store: {{flush_s: 1}}
sources: {{dock: {{kind: camera, uri: "{uri}", stall_s: 4}}}}
pipelines:
  dock:
    source: dock
    model: scene-detector
    camera_health: true
    gate: {{max_fps: 5, motion: false, stationary: false}}
    rules: [{{name: seen, label: person}}]
"""


@dataclass(frozen=True, slots=True)
class Blindness:
    """From when to when nobody watched, and why."""

    cause: str
    began: float
    ended: float


class Site:
    """A camera, an agent, and what befalls them."""

    def __init__(self, camera: RtspCamera, start: Callable[[], Service], lie: Path) -> None:
        self.camera = camera
        self._start = start
        self._lie = lie
        self.agent = start()
        self.deliveries = 0
        self.delivers()

    def delivers(self) -> float:
        """Wait until the source delivers once more; when that was."""
        self.deliveries += 1
        log = self.agent.log
        eventually(
            lambda: log.read_text("utf-8").count("source delivers") == self.deliveries,
            "pictures",
            PATIENCE_S,
        )
        return time.time()

    def silent(self, seconds: float) -> float:
        """The connection stays, nothing comes."""
        stop_and_go(self.camera, seconds)
        return time.time()

    def away(self, seconds: float) -> float:
        self.camera.kill()
        time.sleep(seconds)
        self.camera.start()
        return self.delivers()

    def suspended(self, seconds: float) -> float:
        self.agent.process.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        self.agent.process.send_signal(signal.SIGCONT)
        return time.time()

    def black(self, seconds: float) -> float:
        self.camera.tell(signal.SIGUSR1)
        time.sleep(seconds)
        self.camera.tell(signal.SIGUSR2)
        return time.time()

    def lying(self, seconds: float) -> float:
        self._lie.touch()
        time.sleep(seconds)
        self._lie.unlink()
        return time.time()

    def power_off(self, seconds: float) -> float:
        self.agent.kill()
        time.sleep(seconds)
        self.agent = self._start()
        return self.delivers()


@pytest.mark.parametrize(
    "form", ["short", pytest.param("long", marks=pytest.mark.acceptance(minutes=3))]
)
def test_every_blind_second_is_told_with_its_cause_and_the_sum_is_exact(
    form: str,
    service: Callable[..., Service],
    rtsp_camera: Callable[..., RtspCamera],
    tmp_path: Path,
) -> None:
    camera, config, lie = rtsp_camera("320x240", 10), tmp_path / "config.yaml", tmp_path / "lie"
    config.write_text(CONFIG.format(uri=camera.uri))
    site = Site(camera, lambda: service(config, lie=lie), lie)
    done = []
    for deed, seconds in (LONG if form == "long" else SHORT).items():
        time.sleep(CALM_S[form])
        began = time.time()
        ended = getattr(site, deed)(seconds)
        done.append(Blindness(CAUSES.get(deed, deed), began, ended))
    time.sleep(CALM_S[form])
    stopped = time.time()
    assert site.agent.stop()[0] == 0

    rule = coverage(site.agent.state)
    off = differences(done, blindnesses(rule["stretches"]))
    print(f"{len(done)} of {len(LONG)} kinds of blindness, beginning and end off by s: {off}")
    assert all(abs(each) <= WITHIN_S[form] for ends in off.values() for each in ends)
    seconds = rule["watching_s"] + sum(rule["blind_s"].values()) + sum(rule["degraded_s"].values())
    assert seconds == pytest.approx(moment(rule["to"]) - moment(rule["from"]), abs=0.01)
    assert moment(rule["to"]) == pytest.approx(stopped, abs=WITHIN_S[form])


def coverage(state: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "edge_agent", "coverage", "--rule", "seen", "--json"]
    done = subprocess.run([*command, "--state", state], capture_output=True, text=True, timeout=60)
    (found,) = json.loads(done.stdout)["rules"]
    return dict(found)


def blindnesses(life: list[dict[str, Any]]) -> list[Blindness]:
    """What `coverage` tells, after the first picture; a start belongs to what made it necessary."""
    for before, after in itertools.pairwise(life):
        assert before["to"] == after["from"]
    assert life[0]["cause"] == "starting"
    found: list[Blindness] = []
    for each in life[1:]:
        if each["cause"] == "starting":
            assert found[-1].ended == moment(each["from"])
            found[-1] = Blindness(found[-1].cause, found[-1].began, moment(each["to"]))
        elif each["state"] == "blind" and each["cause"] != "busy":  # a starved machine: it is true
            found.append(Blindness(each["cause"], moment(each["from"]), moment(each["to"])))
    return found


def moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def differences(done: list[Blindness], told: list[Blindness]) -> dict[str, tuple[float, float]]:
    """Per deed how far its beginning and its end as told are from the truth."""
    assert [each.cause for each in told] == [each.cause for each in done]
    return {
        mine.cause: (round(theirs.began - mine.began, 2), round(theirs.ended - mine.ended, 2))
        for mine, theirs in zip(done, told, strict=True)
    }
