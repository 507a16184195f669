"""The real process with a day's budget that is soon spent: told, kept over a kill, alerts go on."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from running import Service, squares

pytestmark = pytest.mark.slow

CONFIG = """\
device: {{id: {device}}}
sources:
  yard: {{kind: scene, uri: "built-in:?seed=12&fps=20"}}
store: {{flush_s: 1}}
summary: {{every_s: 1}}
mqtt: {{host: 127.0.0.1, port: {port}, discovery: homeassistant, budget: {{mb_per_day: 0.03}}}}
pipelines:
  yard:
    source: yard
    model: scene-detector
    gate: {{max_fps: 0, motion: false, stationary: false}}
"""


def asked(running: Service, config: Path, *words: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", "edge_agent", *words, "--state", running.state, "--json"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    return json.loads(done.stdout)


def test_a_spent_budget_is_told_everywhere_and_outlives_a_kill(
    shared_mosquitto: Any,
    receive: Callable[..., Any],
    service: Callable[..., Service],
    eventually: Callable[..., Any],
    tmp_path: Path,
) -> None:
    device = "budget-run"
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG.format(device=device, port=shared_mosquitto.port) + squares())
    receiver = receive(shared_mosquitto.port, device)
    running = service(config)

    def spent_health() -> Any:
        found = [
            each["data"] for each in receiver.on("health")
            if any(reason["code"] == "budget_spent" for reason in each["data"]["reasons"])
        ]  # fmt: skip
        return found[-1] if found else None

    health = eventually(spent_health, "health says that it is spent", 90)
    (expires,) = health["expires"]
    assert expires["what"] == "budget_spent"
    status = asked(running, config, "status")
    assert "budget_spent" in [reason["code"] for reason in status["reasons"]]
    budget = status["broker"]["budget"]
    assert budget["sent_mb"] >= budget["mb_per_day"] == 0.03
    assert budget["opens"] > budget["spent_since"]
    found = asked(running, config, "doctor", "-c", str(config), "--only", "broker")
    (said,) = [each for each in found["checks"] if each["name"] == "broker budget"]
    assert (said["verdict"], "until" in said["message"]) == ("warn", True)
    summaries, alerts = len(receiver.on("summary")), len(receiver.on("alert"))
    eventually(lambda: len(receiver.on("alert")) >= alerts + 3, "alerts go on", 60)
    assert len(receiver.on("summary")) <= summaries + 1
    running.kill()
    again = service(config)
    eventually(lambda: again.said("connected broker"), "it is back", 60)
    alerts = len(receiver.on("alert"))
    eventually(lambda: len(receiver.on("alert")) >= alerts + 2, "alerts go on", 60)
    after = asked(again, config, "status")["broker"]["budget"]
    assert after["sent_mb"] >= budget["sent_mb"]
    assert after["opens"] is not None
    assert len(receiver.on("summary")) <= summaries + 1
    assert again.stop()[0] == 0
