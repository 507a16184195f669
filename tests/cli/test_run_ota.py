"""Rollouts end to end: the desk's command writes a repository, the real agent obeys it."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import rollout_desk
import yard

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
PATIENCE_S = 90.0
CONFIG = """\
device: {{id: dock-07, tags: {{ring: canary}}}}
sources: {{yard: {{kind: scene, uri: "built-in:?seed=11&fps=10"}}}}
store: {{flush_s: 1}}
pipelines:
  yard:
    source: yard
    model: yard
    gate: {{max_fps: 0, motion: false, stationary: false}}
    rules: [{{name: seen, label: person, priority: alert, evidence: [clip]}}]
ota: {{repository: "{repo}", root: "{repo}/metadata/1.root.json", check_every_s: 10}}
"""
PLAN = """\
id: {id}
model: yard
version: "{version}"
shadow: {{every: 1, frames: 30}}
probation: {{minutes: 0.05}}
stages:
  - {{name: shadow, mode: shadow, percent: 100, at_least: {{devices: 1, hours: 0.0001}}}}
  - {{name: canary, tags: {{ring: canary}}, at_least: {{devices: 1, hours: 0.0001}}}}
  - {{name: all, percent: 100, at_least: {{devices: 1, hours: 0.0001}}}}
"""


class Desk(rollout_desk.Desk):
    """One that rolls out versions of the yard's model."""

    def roll_out(self, version: str, id_: str, **said: Any) -> None:
        self("publish", yard.offered(self.folder / f"bundle-{version}", version, **said))
        plan = self.folder / f"{id_}.yaml"
        plan.write_text(PLAN.format(id=id_, version=version))
        self("rollout", "create", plan)


class Device:
    """One agent on one state directory, with version 1 in charge."""

    def __init__(self, service: Callable[..., Any], desk: Desk, folder: Path) -> None:
        self._service = service
        self.config, self.state = folder / "config.yaml", folder / "state"
        self.config.write_text(CONFIG.format(repo=desk.depot.repo))
        yard.installed(self.state, "1")

    def start(self) -> None:
        self.agent = self._service(self.config)

    def steps(self) -> list[tuple[str, str, str]]:
        return rollout_desk.steps_told(self.state)

    def until(self, step: str) -> tuple[str, str, str]:
        """Wait until it has told a step."""
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            found = [each for each in self.steps() if each[0] == step]
            if found:
                return found[-1]
            time.sleep(0.2)
        raise AssertionError(f"no {step}: {self.steps()}\n{self.agent.log.read_text()[-3000:]}")


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.fixture
def device(service: Callable[..., Any], desk: Desk, tmp_path: Path) -> Device:
    return Device(service, desk, tmp_path)


def test_a_good_model_is_staged_compared_put_in_charge_and_committed_and_an_abort_takes_it_back(
    desk: Desk, device: Device, edge: Callable[..., Any]
) -> None:
    desk.roll_out("2", "r2")
    device.start()
    assert device.until("shadow")[1] == "ok"
    time.sleep(2)  # the next turn finds nothing to do
    here = ("-c", device.config, "--state", device.state)
    document = json.loads(edge("ota", "status", *here, "--json").stdout)
    schema = json.loads((ROOT / "edge_agent/schemas/ota-status.json").read_text())
    jsonschema.validate(document, schema)
    assert document["models"]["yard"]["ordered"] == {
        "rollout": "r2", "version": "2", "stage": "shadow", "says": "waits for the next stage"
    }  # fmt: skip
    assert document["shadows"]["yard"]["version"] == "2"
    shadow = json.loads((ROOT / "edge_agent/schemas/shadow.json").read_text())
    jsonschema.Draft202012Validator(shadow).validate(document["shadows"]["yard"])
    told = edge("ota", "status", *here).stdout
    assert "in shadow   yard: passed: 30 frames compared" in told
    assert "stage shadow: waits for the" in edge("status", *here).stdout
    assert "yard: passed: 30 frames" in edge("models", "show", "yard", *here).stdout
    assert yard.in_charge(device.state) == "1"  # a shadow changes nothing
    desk("rollout", "advance", "r2")
    device.until("committed")
    assert yard.in_charge(device.state) == "2"
    assert [step for step, _, _ in device.steps()] == [
        "offered", "downloaded", "verified", "tested", "golden", "shadow",
        "tested", "golden", "swapped", "committed",
    ]  # fmt: skip
    desk("rollout", "abort", "r2")
    assert device.until("rolled_back")[2] == "rollout r2 was aborted"
    assert yard.in_charge(device.state) == "1"
    code, _ = device.agent.stop()
    assert code == 0
    with sqlite3.connect(device.state / "edge.db") as store:
        reports = [json.loads(body) for (body,) in store.execute(
            "SELECT body FROM outbox WHERE topic = 'ota' ORDER BY seq"
        )]  # fmt: skip
        ledger = store.execute(
            "SELECT sum(captured), sum(inferred), sum(failed) FROM frames"
        ).fetchone()
        skipped = [json.loads(row) for (row,) in store.execute("SELECT skipped FROM frames")]
    message = json.loads((ROOT / "edge_agent/schemas/mqtt-ota.json").read_text())
    schema = message["properties"]["data"]
    for report in reports:
        jsonschema.validate(report, schema)
        assert (report["rollout"], report["name"]) == ("r2", "yard")
    assert ledger[0] == ledger[1] + ledger[2] + sum(n for row in skipped for n in row.values())
    assert sum(row.get("swap", 0) for row in skipped) >= 2
    assert ledger[2] == 0


def test_a_pinned_case_refuses_a_model_that_lost_a_class(
    desk: Desk, device: Device, edge: Callable[..., Any]
) -> None:
    """Its golden set is its own, so only this site's case speaks against it."""
    replayed = edge(
        "replay", "built-in:?seed=11&frames=120", "-c", device.config, "--state", device.state,
        "--store", desk.folder / "replayed",
    )  # fmt: skip
    assert replayed.returncode == 0, replayed.stderr
    clip = next((desk.folder / "replayed" / "evidence").rglob("*.mkv"))
    pinned = edge(
        "events", "pin", "--file", clip, "--pipeline", "yard", "-c", device.config,
        "--state", device.state,
    )  # fmt: skip
    assert pinned.returncode == 0, pinned.stderr
    folder = desk.folder / "bundle-4"
    yard.offered(folder, "4")
    labels = folder / "labels.txt"
    labels.write_text(labels.read_text().replace("person", "shadow"))
    (folder / "golden.npz").unlink()
    made = edge("models", "import", folder, "--state", desk.folder / "maker")
    assert made.returncode == 0, made.stderr
    (installed,) = (desk.folder / "maker" / "models" / "yard").glob("4-*")
    desk("publish", installed)
    plan = desk.folder / "r4.yaml"
    plan.write_text(PLAN.format(id="r4", version="4"))
    desk("rollout", "create", plan)
    desk("rollout", "advance", "r4")
    device.start()
    step, verdict, reason = device.until("refused")
    assert verdict == "failed"
    assert f"case {clip.stem}: lost seen (person)" in reason or "does not fit" in reason
    time.sleep(3)
    assert [each for each in device.steps() if each[0] == "refused"] == [(step, verdict, reason)]
    assert yard.in_charge(device.state) == "1"


def test_a_stick_without_an_agent_and_then_its_start(
    desk: Desk, device: Device, edge: Callable[..., Any]
) -> None:
    desk.roll_out("5", "r5")
    desk("rollout", "advance", "r5")
    done = edge(
        "ota", "install", desk.depot.repo, "-c", device.config, "--state", device.state, "--json"
    )
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    schema = json.loads((ROOT / "edge_agent/schemas/ota-installed.json").read_text())
    jsonschema.validate(document, schema)
    assert any("charge: rollout r5" in each for each in document["done"])
    assert yard.in_charge(device.state) == "5"
    device.start()
    device.until("committed")
    again = edge("ota", "install", desk.depot.repo, "-c", device.config, "--state", device.state)
    assert "in charge" in again.stdout
