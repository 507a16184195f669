"""A restart loop is broken: what ended the real process three times is left out at the fourth."""

from __future__ import annotations

import json
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml
from manager import Manager

from edge_agent.bundles.bundle import sha256_of
from edge_agent.errors import EdgeError
from edge_agent.policy.blame import SERIES
from edge_agent.service.control import ask

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
ANOMALY = ROOT / "models" / "machine-anomaly"
PATIENCE_S = 120.0
KILLED = -signal.SIGSEGV

CONFIG = """\
device: {site: here}
sources:
  yard: {kind: scene, uri: "built-in:?seed=11"}
  motor: {kind: signal, uri: "built-in:?seed=7"}
pipelines:
  yard: {source: yard, model: scene-detector, rules: [{name: seen}]}
  motor: {source: motor, model: machine-anomaly, rules: [{name: worn, score_above: model}]}
store: {flush_s: 1}
"""


class Site:
    """A service that dies on demand."""

    def __init__(self, manager: Manager, folder: Path, eventually: Callable[..., Any]) -> None:
        self.manager = manager
        self.config, self.state = folder / "config.yaml", folder / "state"
        self._orders = folder / "orders"
        self._eventually = eventually
        self.config.write_text(CONFIG)

    def start(self) -> None:
        script = ROOT / "tests" / "crashing.py"
        self.manager.start([sys.executable, script, self.config, self.state, self._orders])

    def order(self, **orders: Any) -> None:
        self._orders.write_text(json.dumps(orders))

    def status(self) -> dict[str, Any]:
        try:
            return ask(self.state, "status")
        except EdgeError:
            return {"reasons": [], "pipelines": {}}

    def until(self, condition: Callable[[dict[str, Any]], object], what: str) -> dict[str, Any]:
        def holds() -> dict[str, Any] | None:
            status = self.status()
            return status if condition(status) else None

        found: dict[str, Any] = self._eventually(holds, what, PATIENCE_S)
        return found

    def until_told(self, code: str) -> str:
        status = self.until(lambda status: code in codes(status), code)
        (said,) = [each["message"] for each in status["reasons"] if each["code"] == code]
        return str(said)


def codes(status: dict[str, Any]) -> list[str]:
    return [reason["code"] for reason in status["reasons"]]


def inferred(status: dict[str, Any], pipeline: str) -> int:
    found = status["pipelines"].get(pipeline)
    return found["ledger"]["inferred"] if found else 0


@pytest.fixture
def site(manager: Manager, tmp_path: Path, eventually: Callable[..., Any]) -> Site:
    return Site(manager, tmp_path, eventually)


def test_a_model_that_kills_is_set_aside_the_others_watch_and_a_reload_tries_it_again(
    site: Site,
) -> None:
    site.order(model=sha256_of(ANOMALY / "model.tflite"))
    site.start()
    said = site.until_told("set_aside")
    assert said.startswith("pipeline motor is set aside: its model machine-anomaly")
    assert site.manager.ends == [KILLED] * SERIES
    status = site.until(lambda status: inferred(status, "yard") > 3, "the other pipeline")
    assert (status["verdict"], list(status["pipelines"])) == ("degraded", ["yard"])
    site.order()
    assert ask(site.state, "reload")["pipelines"] == ["motor", "yard"]
    status = site.until(lambda status: inferred(status, "motor") > 0, "the pipeline again")
    assert codes(status) == []
    assert site.manager.ends == [KILLED] * SERIES


@pytest.mark.acceptance
def test_a_configuration_that_kills_gives_way_to_the_one_that_held(site: Site) -> None:
    site.order(settles=True)
    site.start()
    good = site.state / "config.good.yaml"
    site.until(lambda status: good.exists(), "a configuration that held")
    site.order(site="poisoned")
    site.config.write_text(CONFIG.replace("site: here", "site: poisoned"))
    assert site.manager.process is not None
    site.manager.process.kill()
    said = site.until_told("config_replaced")
    assert str(site.config) in said
    assert site.manager.ends == [-signal.SIGKILL, *[KILLED] * SERIES]
    site.until(lambda status: inferred(status, "yard") > 3, "pictures")
    assert good.read_text() == CONFIG


@pytest.mark.acceptance
def test_a_version_that_kills_gives_way_to_the_shipped_one(site: Site) -> None:
    folder = site.state / "models" / "machine-anomaly" / "9.9.9-new"
    shutil.copytree(ANOMALY, folder)
    model = folder / "model.tflite"
    model.write_bytes(model.read_bytes() + bytes(16))
    manifest = yaml.safe_load((folder / "manifest.yaml").read_text())
    manifest |= {"version": "9.9.9", "sha256": sha256_of(model)}
    (folder / "manifest.yaml").write_text(yaml.safe_dump(manifest))
    (folder.parent / "slots.json").write_text(json.dumps({"active": folder.name}))
    site.order(model=manifest["sha256"])
    site.start()
    said = site.until_told("model_replaced")
    assert "model machine-anomaly 9.9.9 ended the agent" in said
    site.until(lambda status: inferred(status, "motor") > 0, "the shipped one")
    assert site.manager.ends == [KILLED] * SERIES


@pytest.mark.acceptance
def test_a_picture_that_kills_is_passed_over(site: Site, tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    for number in range(4):
        picture = random.integers(0, 255, (96, 128, 3), np.uint8)
        cv2.imwrite(str(tmp_path / f"{number}.png"), picture)
    cv2.imwrite(str(tmp_path / "2.png"), np.full((96, 128, 3), 255, np.uint8))
    site.config.write_text(
        f"sources: {{stack: {{kind: images, uri: '{tmp_path}/*.png', fps: 5, loop: true}}}}\n"
        "pipelines: {stack: {source: stack, model: scene-detector,"
        " gate: {motion: false, max_fps: 0}, rules: [{name: seen}]}}\n"
    )
    site.order(frame=True)
    site.start()
    said = site.until_told("frame_skipped")
    assert said.startswith("pipeline stack passes over a frame")
    status = site.until(lambda status: inferred(status, "stack") > 8, "the other pictures")
    assert status["pipelines"]["stack"]["ledger"]["failed"] >= 2
    assert site.manager.ends == [KILLED] * SERIES
