"""`edge-fleet rollout run` as a process: a real broker, kill -9 in the middle, a second one."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import reports
from depot import PASSPHRASE, Depot, make_depot
from desk import command, surroundings
from paho.mqtt import publish

from edge_agent.cli import obey
from edge_agent.policy.rollout import Mode, State
from edge_fleet.archive import open_archive
from edge_fleet.change import changing
from edge_fleet.cli import root
from edge_fleet.decide import newcomers
from edge_fleet.standing import rollout

FLEET = {f"d{n}": {"ring": "canary"} if n < 2 else {} for n in range(6)}
SECOND = 1 / 3600
PLAN = f"""\
id: r1
model: person
version: "1"
stages:
  - {{name: shadow, mode: shadow, percent: 60, at_least: {{hours: {SECOND}}}}}
  - {{name: canary, tags: {{ring: canary}}, at_least: {{devices: 2, hours: {SECOND}}}}}
  - {{name: all, percent: 100, at_least: {{devices: 4, hours: {SECOND}}}}}
"""


@pytest.fixture
def depot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Depot:
    depot = make_depot(tmp_path / "depot", time.time())
    with changing(depot.repo, depot.keyring(), time.time()) as change:
        custom = {"name": "person", "version": "1", "sha256": "1" * 64}
        change.add("models", "models/person/1.tar", b"one", custom)
    for name, value in settings(depot, tmp_path).items():
        monkeypatch.setenv(name, value)
    return depot


def settings(depot: Depot, folder: Path) -> dict[str, str]:
    return {
        "EDGE_FLEET_REPO": str(depot.repo),
        "EDGE_FLEET_KEYS": str(depot.keys),
        "EDGE_FLEET_PASSPHRASE": PASSPHRASE,
        "EDGE_FLEET_STORE": f"sqlite:///{folder / 'desk.db'}",
    }


@pytest.fixture
def controller(depot: Depot, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    running: list[subprocess.Popen[str]] = []

    def start(port: int | None, *until: str) -> subprocess.Popen[str]:
        broker = [] if port is None else ["--broker", f"mqtt://127.0.0.1:{port}"]
        words = command("rollout", "run", *broker, "--every", "0.2")
        process = subprocess.Popen(
            words,
            env={**surroundings(tmp_path), **settings(depot, tmp_path)},
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        assert process.stderr is not None
        waiting = set(until or ("receiving from", "at work on"))
        for line in process.stderr:
            waiting = {each for each in waiting if each not in line}
            if not waiting:
                break
        return process

    yield start
    for process in running:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.mark.slow
def test_it_leads_a_rollout_to_its_end_however_often_it_dies(
    new_mosquitto, depot: Depot, controller, tmp_path: Path, eventually
) -> None:
    broker = new_mosquitto(f"persistence true\npersistence_location {tmp_path}/\n").start()

    def standing():
        return rollout(depot.opened(), "r1").standing.order

    def send(payload: bytes) -> None:
        message = reports.messages(payload)[0]
        topic = f"edge/v1/{message.device}/{message.topic}"
        retain = message.topic == "status"
        publish.single(topic, payload, qos=1, retain=retain, hostname="127.0.0.1", port=broker.port)

    def succeed() -> None:
        order = standing()
        for device, mode in newcomers(order, FLEET).items():
            step = "shadow" if mode is Mode.SHADOW else "committed"
            send(reports.report(device, order, step))

    for name, tags in FLEET.items():
        send(reports.status(name, tags))
    process = controller(broker.port)
    plan = tmp_path / "plan.yaml"
    plan.write_text(PLAN)
    assert obey(["rollout", "create", str(plan)], root, "edge-fleet") == 0
    succeed()
    eventually(lambda: standing().stage == 1, "the canaries take it")
    process.kill()
    process.wait()
    succeed()  # while nobody leads: the broker keeps them
    assert standing().stage == 1
    process = controller(broker.port)
    eventually(lambda: standing().stage == 2, "everybody takes it")

    second = controller(broker.port, "another controller")
    assert second.wait(20) == 1
    succeed()
    eventually(lambda: standing().state is State.DONE, "it is done")
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    moves = [each.move for each in rollout(depot.opened(), "r1").steps]
    assert moves == ["create", "advance", "advance", "finish"]


def test_a_broker_that_is_not_there_ends_it_with_a_sentence(depot: Depot, tmp_path: Path) -> None:
    done = subprocess.run(
        command("rollout", "run", "--broker", "mqtt://127.0.0.1:9", "--every", "0.2"),
        env={**surroundings(tmp_path), **settings(depot, tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert "127.0.0.1:9 cannot be reached" in done.stderr
    assert "Traceback" not in done.stderr


def test_without_a_broker_it_reads_what_collect_stored(
    depot: Depot, controller, tmp_path: Path, eventually
) -> None:
    plan = tmp_path / "plan.yaml"
    plan.write_text(PLAN)
    assert obey(["rollout", "create", str(plan)], root, "edge-fleet") == 0
    order = rollout(depot.opened(), "r1").standing.order
    said = [reports.report(name, order, "shadow") for name in newcomers(order, FLEET)]
    said += [reports.status(name, tags) for name, tags in FLEET.items()]
    with open_archive(tmp_path / "desk.db") as archive:
        archive.keep(reports.messages(*said), "mqtt", time.time())
    process = controller(None, "at work on")
    eventually(
        lambda: rollout(depot.opened(), "r1").standing.order.stage == 1, "the canaries take it"
    )
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "rollout r1: advance" in err


@pytest.mark.parametrize("what", ["rollout status", "devices"])
def test_watching_tells_it_again(depot: Depot, tmp_path: Path, what: str) -> None:
    process = subprocess.Popen(
        command(*what.split(), "--watch", "--json"),
        env={**surroundings(tmp_path), **settings(depot, tmp_path)},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        first, second = (json.loads(process.stdout.readline()) for _ in range(2))
        assert first["schema"] == second["schema"]
    finally:
        process.kill()
        process.communicate()
