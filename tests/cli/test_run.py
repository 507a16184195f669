"""The service as systemd runs it: a process, a real broker, signals, a cut, a kill."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from running import Service

Run = Callable[..., "subprocess.CompletedProcess[str]"]
pytestmark = pytest.mark.slow

CONFIG = """\
device: {{id: {device}, site: osaka-1, tags: {{floor: 2}}}}
sources:
  yard: {{kind: scene, uri: "built-in:?seed=11&fps=20"}}
pipelines:
  yard:
    source: yard
    model: scene-detector
    gate: {{max_fps: 10}}
    rules:
      - {{name: seen, confirm: [2, 3], priority: alert, cooldown_s: 0}}
store: {{flush_s: 1}}
summary: {{every_s: 2}}
mqtt: {{host: 127.0.0.1, port: {port}}}
"""


@pytest.fixture
def service(service: Callable[..., Service], tmp_path: Path) -> Callable[..., Service]:
    """`service(port, device)`: one of this file's configuration."""

    def start(port: int, device: str) -> Service:
        config = tmp_path / "config.yaml"
        if not config.exists():
            config.write_text(CONFIG.format(device=device, port=port))
        return service(config)

    return start


def alerts(receiver: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = receiver.on("alert")
    return found


def test_alerts_summaries_and_status_arrive_and_a_stop_says_offline(
    service: Callable[..., Service],
    shared_mosquitto: Any,
    receive: Callable[..., Any],
    eventually: Callable[..., Any],
) -> None:
    receiver = receive(shared_mosquitto.port, "run-1")
    running = service(shared_mosquitto.port, "run-1")
    eventually(lambda: alerts(receiver), "an alert", 60)
    eventually(lambda: receiver.on("summary"), "a summary", 30)
    eventually(lambda: receiver.on("health") and receiver.on("state"), "health and state", 30)
    code, took = running.stop()
    assert code == 0
    assert took < 5
    eventually(lambda: receiver.on("status")[-1]["data"]["status"] == "offline", "offline")
    told = receiver.on("status")[0]["data"]
    assert (told["site"], told["tags"]) == ("osaka-1", {"floor": "2"})
    sequenced = [each["seq"] for topic in ("alert", "summary") for each in receiver.on(topic)]
    assert sorted(sequenced) == list(range(1, len(sequenced) + 1))
    phases = {each["id"]: each["data"]["phase"] for each in alerts(receiver)}
    opened = {name.split("/")[0] for name, phase in phases.items() if phase == "open"}
    closed = {name.split("/")[0] for name, phase in phases.items() if phase == "close"}
    assert opened == closed  # what was open at the stop was closed as stopped


def test_it_starts_without_a_broker_and_delivers_when_one_comes(
    service: Callable[..., Service],
    new_mosquitto: Callable[..., Any],
    receive: Callable[..., Any],
    eventually: Callable[..., Any],
) -> None:
    broker = new_mosquitto()
    running = service(broker.port, "run-2")
    eventually(lambda: running.log.exists() and running.said("event opened"), "an event", 60)
    broker.start()
    receiver = receive(broker.port, "run-2")
    eventually(lambda: alerts(receiver), "the alert that waited", 90)
    # Everything from the very first message on.
    eventually(lambda: min(each["seq"] for each in alerts(receiver)) <= 2, "the oldest", 30)
    assert running.stop()[0] == 0


def test_what_a_kill_left_open_is_closed_as_interrupted(
    service: Callable[..., Service],
    shared_mosquitto: Any,
    receive: Callable[..., Any],
    eventually: Callable[..., Any],
) -> None:
    receiver = receive(shared_mosquitto.port, "run-3")
    first = service(shared_mosquitto.port, "run-3")
    eventually(lambda: alerts(receiver), "an alert", 60)
    first.process.kill()
    first.process.wait()
    eventually(
        lambda: receiver.on("status")[-1]["data"]["status"] == "offline", "the last will", 60
    )
    second = service(shared_mosquitto.port, "run-3")
    eventually(lambda: second.said("boot=2"), "the second start", 60)
    second.stop()
    with sqlite3.connect(second.state / "edge.db") as database:
        assert database.execute("SELECT count(*) FROM events WHERE closed IS NULL").fetchone() == (
            0,
        )
        logged = {
            line.split("id=")[1].split()[0]
            for line in second.log.read_text().splitlines()
            if "event opened" in line
        }
        stored = {row[0] for row in database.execute("SELECT id FROM events")}
    assert logged <= stored  # what the log acknowledged is kept


def test_what_a_kill_took_of_the_ledger_is_declared_and_a_stop_takes_nothing(
    service: Callable[..., Service],
    shared_mosquitto: Any,
    receive: Callable[..., Any],
    eventually: Callable[..., Any],
) -> None:
    def run_once(summaries: int) -> Service:
        running = service(shared_mosquitto.port, "run-7")
        eventually(lambda: len(receiver.on("summary")) >= summaries, "a summary", 60)
        return running

    def declared() -> list[float]:
        found = [each["data"]["ledger"] for each in receiver.on("summary")]
        return [each["unaccounted_s"] for each in found if "unaccounted_s" in each]

    receiver = receive(shared_mosquitto.port, "run-7")
    assert run_once(1).stop()[0] == 0
    killed = run_once(len(receiver.on("summary")) + 1)
    assert declared() == []
    killed.kill()
    third = run_once(len(receiver.on("summary")) + 1)
    third.stop()
    with sqlite3.connect(third.state / "edge.db") as database:
        rows = database.execute("SELECT boot, unaccounted_s FROM frames WHERE unaccounted_s > 0")
        ((boot, seconds),) = rows.fetchall()
    assert boot == 2
    assert 0 < seconds <= 3  # flush_s and one look of the housekeeping
    assert declared() == [round(seconds, 1)]


def test_pause_resume_reload_and_status_while_it_runs(
    service: Callable[..., Service],
    shared_mosquitto: Any,
    edge: Run,
    eventually: Callable[..., Any],
    tmp_path: Path,
) -> None:
    running = service(shared_mosquitto.port, "run-4")
    state = ("--state", str(running.state))

    def status() -> dict[str, Any]:
        done = edge("status", "--json", *state)
        found: dict[str, Any] = json.loads(done.stdout) if done.returncode == 0 else {}
        return found

    def skipped() -> dict[str, int]:
        found: dict[str, int] = status()["pipelines"]["yard"]["ledger"]["skipped"]
        return found

    eventually(lambda: status().get("verdict") == "well", "well", 60)
    assert edge("status", "--check", *state).returncode == 0
    assert edge("pause", "yard", *state).stdout == "paused: yard\n"
    eventually(lambda: skipped().get("paused", 0) > 3, "paused frames", 30)
    assert edge("status", "--check", *state).returncode == 1
    assert edge("pause", "none", *state).returncode == 2
    assert edge("resume", *state).stdout == "nothing is paused\n"
    config = tmp_path / "config.yaml"
    good = config.read_text()
    config.write_text(good.replace("max_fps", "max_fsp"))
    refused = edge("reload", *state)
    assert refused.returncode == 2
    assert "max_fsp" in refused.stderr
    config.write_text(good.replace("name: seen", "name: noticed"))
    assert edge("reload", *state).stdout == "reloaded: yard\n"
    eventually(lambda: running.said("rule=noticed"), "an event of the new rule", 60)
    assert not running.said("Traceback")  # ids go on: nothing is recorded twice
    ledger = status()["pipelines"]["yard"]["ledger"]
    decided = ledger["inferred"] + sum(ledger["skipped"].values()) + ledger["failed"]
    assert ledger["captured"] == decided + ledger["pending"]
    assert running.stop()[0] == 0
    assert edge("status", "--check", *state).returncode == 2
    assert edge("pause", *state).returncode == 3
    with sqlite3.connect(running.state / "edge.db") as database:
        rows = database.execute("SELECT inferred, skipped, failed FROM frames").fetchall()
    assert sum(row[0] for row in rows) > 0


def test_a_second_service_on_the_same_state_is_refused(
    service: Callable[..., Service], shared_mosquitto: Any, eventually: Callable[..., Any]
) -> None:
    first = service(shared_mosquitto.port, "run-5")
    eventually(lambda: first.log.exists() and first.said("started"), "the start", 60)
    second = service(shared_mosquitto.port, "run-5")
    assert second.process.wait(60) == 1
    assert second.said("another edge-agent is running")
    assert first.stop()[0] == 0


def test_ctrl_c_stops_it_too(
    service: Callable[..., Service], shared_mosquitto: Any, eventually: Callable[..., Any]
) -> None:
    running = service(shared_mosquitto.port, "run-6")
    eventually(lambda: running.log.exists() and running.said("started"), "the start", 60)
    assert running.stop(signal.SIGINT)[0] == 130
    assert os.listdir(running.state)
