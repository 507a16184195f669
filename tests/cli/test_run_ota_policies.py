"""A policy from the desk's command to the real agent: tried, in charge, committed, taken back."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from policies import CONFIG, Site
from rollout_desk import Desk, steps_told

from edge_agent.errors import EdgeError
from edge_agent.service.control import ask
from edge_agent.service.policy_charge import in_charge

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
PATIENCE_S = 90.0
HERE = """\
device: {{id: dock-07}}
ota: {{repository: "{repo}", root: "{repo}/metadata/1.root.json", check_every_s: 10}}
"""
PLAN = """\
id: {id}
policy: night
version: "{version}"
probation: {{minutes: 0.05}}
stages:
  - {{name: shadow, mode: shadow, percent: 100, at_least: {{devices: 1, hours: 0.0001}}}}
  - {{name: all, percent: 100, at_least: {{devices: 1, hours: 0.0001}}}}
"""


#: A probation wants 200 frames.
FAST = CONFIG.replace("fps=10", "fps=25")


class Both(Site):
    """A site and the desk that ships policies to it."""

    def __init__(self, folder: Path, eventually: Callable[..., Any]) -> None:
        super().__init__(folder)
        self.desk = Desk(folder)
        self.config.write_text(HERE.format(repo=self.desk.depot.repo) + FAST)
        self.eventually = eventually

    def roll_out(self, version: str, *changes: tuple[str, str]) -> None:
        self.desk("publish", "--policy", self.offered(version, *changes))
        plan = self.folder / f"r{version}.yaml"
        plan.write_text(PLAN.format(id=f"r{version}", version=version))
        self.desk("rollout", "create", plan)

    def steps(self) -> list[tuple[str, str, str]]:
        return steps_told(self.state)

    def until(self, step: str) -> tuple[str, str, str]:
        def told() -> tuple[str, str, str] | None:
            return next((each for each in reversed(self.steps()) if each[0] == step), None)

        found: tuple[str, str, str] = self.eventually(told, step, PATIENCE_S)
        return found

    def said(self, edge: Callable[..., Any], *words: str) -> str:
        """Without the folds of long lines."""
        return " ".join(edge(*words, "-c", self.config, "--state", self.state).stdout.split())

    @property
    def told(self) -> dict[str, Any]:
        """What `status` says of the policy."""
        try:
            policies: dict[str, Any] = ask(self.state, "status")["ota"]["policies"]
        except EdgeError:
            return {}
        return policies.get("night") or {}

    @property
    def at_work(self) -> list[str]:
        try:
            return [each["version"] for each in ask(self.state, "status")["policies"]]
        except EdgeError:
            return []


@pytest.fixture
def both(tmp_path: Path, eventually: Callable[..., Any]) -> Both:
    return Both(tmp_path, eventually)


def test_a_policy_is_tried_put_in_charge_committed_and_an_abort_takes_it_back(
    both: Both, edge: Callable[..., Any], service: Callable[..., Any]
) -> None:
    both.roll_out("1", ("max_fps: 5", "max_fps: 0"))
    agent = service(both.config)
    assert both.until("shadow") == ("shadow", "ok", "no case is pinned here")
    assert both.at_work == []
    waits = "night 1 is ordered by rollout r1, stage shadow: waits for the next stage"
    both.eventually(lambda: waits in both.said(edge, "ota", "status"), waits, PATIENCE_S)
    assert waits in both.said(edge, "status")
    here = ("-c", both.config, "--state", both.state)
    document = json.loads(edge("ota", "status", *here, "--json").stdout)
    schema = json.loads((ROOT / "edge_agent/schemas/ota-status.json").read_text())
    jsonschema.validate(document, schema)
    assert document["policies"]["night"]["version"] is None
    both.desk("rollout", "advance", "r1")
    probation = both.eventually(lambda: both.told.get("probation"), "its probation", PATIENCE_S)
    assert (probation["before"], probation["rollout"]) == (None, "r1")
    both.until("committed")
    assert both.at_work == ["1"]
    both.desk("rollout", "abort", "r1")
    assert both.until("rolled_back") == ("rolled_back", "ok", "rollout r1 was aborted")
    # The slots have it, and say so; the reload that follows them takes a moment.
    both.eventually(lambda: both.at_work == [], "the reload without it", PATIENCE_S)
    assert [step for step, _, _ in both.steps()] == [
        "offered", "downloaded", "verified", "tested", "shadow",
        "tested", "swapped", "committed", "rolled_back",
    ]  # fmt: skip
    assert agent.stop()[0] == 0
    message = json.loads((ROOT / "edge_agent/schemas/mqtt-ota.json").read_text())
    with sqlite3.connect(both.state / "edge.db") as store:
        bodies = store.execute("SELECT body FROM outbox WHERE topic = 'ota'").fetchall()
    assert len(bodies) == 9
    for (body,) in bodies:
        jsonschema.validate(json.loads(body), message["properties"]["data"])
        assert json.loads(body)["kind"] == "policy"


def test_one_that_does_not_fit_is_refused_once_by_a_stick_too(
    both: Both, edge: Callable[..., Any], service: Callable[..., Any]
) -> None:
    both.roll_out("1", ("label: person", "label: preson"))
    place = ("-c", both.config, "--state", both.state)
    done = edge("ota", "install", both.desk.depot.repo, *place)
    assert done.returncode == 4
    assert 'has no label "preson"' in done.stderr
    service(both.config)
    time.sleep(5)
    refused = [each for each in both.steps() if each[0] == "refused"]
    assert len(refused) == 1
    assert "policy.yaml:7:29: pipelines.yard.rules[0].label" in refused[0][2]
    assert in_charge("night", both.state) is None
