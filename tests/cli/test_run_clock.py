"""The real process while its wall clock is wrong and steps, with a real broker."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from running import Service
from shifted_clock import Shift

from edge_agent.policy.documents import parse_rfc3339

pytestmark = pytest.mark.slow

TEN_YEARS = 10 * 365 * 86400
CONFIG = """\
device: {{id: clock}}
sources:
  yard: {{kind: scene, uri: "built-in:?seed=11&fps=20"}}
pipelines:
  yard:
    source: yard
    model: scene-detector
    gate: {{max_fps: 10}}
    rules:
      - {{name: seen, confirm: [2, 3], priority: alert, cooldown_s: 0, dwell_s: 1}}
store: {{flush_s: 1}}
summary: {{every_s: 2}}
mqtt: {{host: 127.0.0.1, port: {port}}}
"""


def ask(state: Path, *words: str) -> Any:
    command = [sys.executable, "-m", "edge_agent", *words, "--state", str(state), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def told(envelope: dict[str, Any], *keys: str) -> list[float]:
    """The moments of a message."""
    texts = [envelope["time"], *(envelope["data"][key] for key in keys)]
    return [parse_rfc3339(text) for text in texts if text is not None]


def test_steps_of_both_signs_in_mid_run_are_put_right_at_the_receiver(
    service: Callable[..., Service],
    shifted: Shift,
    new_mosquitto: Callable[..., Any],
    receive: Callable[..., Any],
    eventually: Callable[..., Any],
    tmp_path: Path,
) -> None:
    broker = new_mosquitto()  # it comes when the clock is right: until then everything waits
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG.format(port=broker.port))
    began = time.time()
    shifted.to(30 - began, synced=False)
    running = service(config, env=shifted.environment)

    def opened() -> int:
        return running.log.read_text().count("event opened") if running.log.exists() else 0

    eventually(opened, "an event in 1970", 60)
    assert ask(running.state, "events", "list")[0]["opened"].startswith("1970-01-01")
    for step in (TEN_YEARS, -3600):
        shifted.to(step, synced=False)
        before = opened()
        eventually(lambda before=before: opened() > before, f"an event after {step} s", 60)
    assert ask(running.state, "status")[0]["clock"] == "unsynced"
    shifted.to(0, synced=True)
    eventually(lambda: running.said("clock synced"), "it hears of a time server", 20)
    before = opened()
    shifted.to(TEN_YEARS, synced=False)  # by hand, and wrong
    eventually(lambda: opened() > before + 1, "two more events", 60)
    broker.start()
    receiver = receive(broker.port, "clock")
    eventually(
        lambda: any(each["clock"] == "synced" for each in receiver.on("alert")), "the rest", 90
    )
    status = ask(running.state, "status")[0]
    assert status["clock"] == "synced"
    assert began - 1 <= parse_rfc3339(status["sources"]["yard"]["since"]) <= time.time()
    assert running.stop()[0] == 0
    eventually(lambda: receiver.on("status")[-1]["data"]["status"] == "offline", "offline")
    ended = time.time()

    alerts, summaries = receiver.on("alert"), receiver.on("summary")
    every = {each["seq"]: each for each in (*alerts, *summaries)}
    assert sorted(every) == list(range(1, len(every) + 1))
    in_order = [every[seq] for seq in sorted(every)]
    words = [each["clock"] for each in in_order]
    assert set(words) == {"corrected", "synced"}
    assert words == sorted(words)  # corrected ones first
    for each in alerts:
        assert all(began - 1 <= at <= ended + 1 for at in told(each, "opened", "closed"))
    for each in summaries:
        assert all(began - 1 <= at <= ended + 1 for at in told(each, "from", "to"))
    ends = [told(each, "from", "to")[1:] for each in in_order if "from" in each["data"]]
    assert all(start < end <= start + 30 for start, end in ends)
    assert all(before[1] == after[0] for before, after in pairwise(ends))
    openings = [told(each)[0] for each in in_order if each["data"].get("phase") == "open"]
    assert openings == sorted(openings)
    listed = ask(running.state, "events", "list", "-n", "1000")
    assert [each["id"] for each in reversed(listed)] == [
        each["data"]["id"] for each in in_order if each["data"].get("phase") == "open"
    ]
    assert all(began - 1 <= parse_rfc3339(each["opened"]) <= ended for each in listed)
    (rule,) = ask(running.state, "coverage")[0]["rules"]
    seconds = rule["watching_s"] + sum(rule["degraded_s"].values()) + sum(rule["blind_s"].values())
    first, last = parse_rfc3339(rule["from"]), parse_rfc3339(rule["to"])
    assert seconds == pytest.approx(last - first, abs=0.01)
    assert began - 1 <= first < last <= ended + 1


def test_a_restart_hears_of_the_server_for_the_start_that_was_killed(
    service: Callable[..., Service],
    shifted: Shift,
    new_mosquitto: Callable[..., Any],
    receive: Callable[..., Any],
    eventually: Callable[..., Any],
    tmp_path: Path,
) -> None:
    """Ten years ahead, killed, started again in 1970, and only then put right."""
    broker = new_mosquitto()
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG.format(port=broker.port))
    began = time.time()
    shifted.to(TEN_YEARS, synced=False)
    first = service(config, env=shifted.environment)
    eventually(lambda: first.log.exists() and first.said("event opened"), "an event", 60)
    first.kill()
    shifted.to(30 - began, synced=False)
    second = service(config, env=shifted.environment)
    eventually(lambda: second.said("boot=2"), "the second start", 60)
    shifted.to(0, synced=True)
    eventually(lambda: second.said("clock synced"), "it hears of a time server", 20)
    broker.start()
    receiver = receive(broker.port, "clock")
    eventually(
        lambda: (
            {(each["boot"], each["clock"]) for each in receiver.on("alert")}
            >= {(1, "corrected"), (2, "synced")}
        ),
        "alerts of both",
        90,
    )
    second.stop()
    alerts = sorted(receiver.on("alert"), key=lambda each: (each["boot"], each["seq"]))
    assert {each["clock"] for each in alerts if each["boot"] == 1} == {"corrected"}
    times = [told(each)[0] for each in alerts if each["data"]["phase"] == "open"]
    assert times == sorted(times)
    assert began - 1 <= times[0] <= times[-1] <= time.time()
    (rule,) = ask(second.state, "coverage")[0]["rules"]
    assert 0 < rule["blind_s"]["power_off"] < 60
    seconds = rule["watching_s"] + sum(rule["degraded_s"].values()) + sum(rule["blind_s"].values())
    first_at, last_at = parse_rfc3339(rule["from"]), parse_rfc3339(rule["to"])
    assert seconds == pytest.approx(last_at - first_at, abs=0.01)
