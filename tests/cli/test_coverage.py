"""`edge-agent coverage` of a real service: blind seconds have their cause, the sum is exact."""

from __future__ import annotations

import itertools
import json
import re
import signal
import time
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from running import Service

pytestmark = pytest.mark.slow

CONFIG = """\
store: {flush_s: 1}
sources: {yard: {kind: scene}}
pipelines:
  people:
    source: yard
    model: scene-detector
    gate: {max_fps: 5}
    rules:
      - {name: seen, label: person}
      - {name: 夜, label: person}
"""


def stretches(edge: Callable[..., Any], state: Path, rule: str) -> list[dict[str, Any]]:
    done = edge("coverage", "--state", state, "--rule", rule, "--json")
    document = json.loads(done.stdout)
    schema = resources.files("edge_agent") / "schemas" / "coverage.json"
    jsonschema.validate(document, json.loads(schema.read_text("utf-8")))
    (found,) = document["rules"]
    life: list[dict[str, Any]] = found["stretches"]
    for before, after in itertools.pairwise(life):
        assert before["to"] == after["from"]
    told = found["watching_s"] + sum(found["degraded_s"].values()) + sum(found["blind_s"].values())
    assert told == pytest.approx(sum(each["seconds"] for each in life), abs=0.01)
    return life


def test_every_second_of_a_rule_is_accounted_for_across_a_pause_a_kill_and_a_stop(
    service: Callable[..., Service],
    edge: Callable[..., Any],
    eventually: Callable[..., Any],
    tmp_path: Path,
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG, "utf-8")
    running = service(config)
    eventually(lambda: running.said("source delivers"), "frames", 60)
    time.sleep(2.0)
    edge("pause", "--state", running.state)
    paused = time.time()
    time.sleep(3.0)
    edge("resume", "--state", running.state)
    paused = time.time() - paused
    time.sleep(2.0)
    running.process.send_signal(signal.SIGKILL)
    running.process.wait()
    killed = time.time()
    time.sleep(2.0)
    again = service(config)
    eventually(lambda: again.log.read_text("utf-8").count("source delivers") == 2, "frames", 60)
    away = time.time() - killed
    time.sleep(1.0)
    again.stop()

    life = stretches(edge, running.state, "seen")
    seconds: dict[str, float] = {}
    for each in life:
        key = each["cause"] or each["state"]
        seconds[key] = seconds.get(key, 0.0) + each["seconds"]
    assert seconds["paused"] == pytest.approx(paused, abs=1.0)
    assert 1.0 <= seconds["power_off"] <= away + 1.0
    assert seconds["watching"] >= 4.0
    assert sum(seconds.values()) == pytest.approx(
        sum(each["seconds"] for each in stretches(edge, running.state, "夜")), abs=0.01
    )

    text = edge("coverage", "--state", running.state).stdout
    assert re.search(r"blind +[\d.]+ s +[\d.]+ %  paused", text), text
    assert "夜 of pipeline people" in text
    assert max(map(len, text.splitlines())) <= 80
    wrong = edge("coverage", "--state", running.state, "--rule", "sen")
    assert wrong.returncode == 2
    assert "those with: seen, 夜" in wrong.stderr
