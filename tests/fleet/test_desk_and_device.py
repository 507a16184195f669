"""What the desk writes, read by the device's own code: repository, bundle, order, and its turns."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path

import pytest
from depot import PASSPHRASE, Depot, make_depot
from desk import ROOT
from ota_box import Box

from edge_agent.bundles.bundle import open_bundle
from edge_agent.bundles.unpack import unpacked
from edge_agent.cli import obey
from edge_agent.config.policy import read_policy
from edge_agent.policy.rollout import Mode, State
from edge_agent.updates.offer import Offer
from edge_agent.updates.place import Place
from edge_agent.updates.trust import Now
from edge_fleet.cli import root

PLAN = """\
id: r1
model: scene-detector
version: "1.0.0"
stages:
  - {name: shadow, mode: shadow, percent: 100, at_least: {hours: 1}}
  - {name: all, percent: 100, at_least: {hours: 1}}
"""
POLICY = "name: yard\nversion: 3\npipelines: {people: {gate: {max_fps: 2}}}\n"
DEVICE = ("dock-07", {"ring": "canary"})


@pytest.fixture
def depot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Depot:
    depot = make_depot(tmp_path / "depot", time.time())
    monkeypatch.setenv("EDGE_FLEET_REPO", str(depot.repo))
    monkeypatch.setenv("EDGE_FLEET_KEYS", str(depot.keys))
    monkeypatch.setenv("EDGE_FLEET_PASSPHRASE", PASSPHRASE)
    monkeypatch.setenv("EDGE_FLEET_STORE", f"sqlite:///{tmp_path / 'desk.db'}")
    return depot


def fleet(*words: str | Path) -> None:
    assert obey([str(each) for each in words], root, "edge-fleet") == 0


def test_a_device_obeys_what_the_desk_signed(depot: Depot, tmp_path: Path) -> None:
    bootstrap = (depot.repo / "metadata" / "1.root.json").read_bytes()
    box = Box(tmp_path / "state", bootstrap, Place.parse(str(depot.repo)))
    assert box.check(time.time()).orders == ()
    fleet("publish", ROOT / "models" / "scene-detector")
    policy = tmp_path / "yard.yaml"
    policy.write_text(POLICY)
    fleet("publish", "--policy", policy)
    plan = tmp_path / "plan.yaml"
    plan.write_text(PLAN)
    fleet("rollout", "create", plan)

    def mode(offer: Offer) -> tuple[State, Mode | None]:
        (order,) = offer.orders
        assert order.fault == ""
        assert order.rollout is not None
        return order.rollout.state, order.rollout.mode_for(*DEVICE)

    offer = box.check(time.time())
    assert mode(offer) == (State.RUNNING, Mode.SHADOW)
    target = offer.orders[0].target
    assert target is not None
    bundle = open_bundle(unpacked(box.fetch(target, time.time())))
    order = offer.orders[0].rollout
    assert order is not None
    assert (bundle.name, bundle.manifest.version) == (order.name, order.version)
    assert bundle.manifest.sha256 == order.sha256
    fleet("rollout", "advance", "r1")
    assert mode(box.check(time.time())) == (State.RUNNING, Mode.CHARGE)
    fleet("keys", "rotate", depot.keys, "rollouts")
    fleet("keys", "rotate", depot.keys, "timestamp")
    fleet("rollout", "abort", "r1")
    assert mode(box.check(time.time()))[0] is State.ABORTED
    with closing(box.repository(time.time())) as repository:
        repository.refresh(Now(time.time()))
        file = repository.fetch_path("policies/yard/3.yaml", tmp_path / "downloads")
    found = read_policy(file).value
    assert found is not None
    assert found.pipelines["people"].stated == {"gate"}
