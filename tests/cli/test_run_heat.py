"""`edge-agent run` on a board of files that is heated and cooled: a process, a real broker."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from board import SysBoard

from edge_agent.bundles.find import find
from edge_agent.engines import version
from edge_agent.engines.measure import Measurement, save
from edge_agent.errors import EdgeError
from edge_agent.service.control import ask

Run = Callable[..., "subprocess.CompletedProcess[str]"]
Start = Callable[[float], "subprocess.Popen[str]"]

CONFIG = """\
device: {{id: heat-1}}
sources:
  yard: {{kind: scene, uri: "built-in:?seed=11&fps=20"}}
pipelines:
  gate:
    source: yard
    model: scene-detector
    gate: {{max_fps: 5, motion: false}}
    rules: [{{name: seen, priority: alert, cooldown_s: 3600}}]
  tally:
    source: yard
    model: scene-detector
    gate: {{max_fps: 10, motion: false}}
thermal: {{min_fps: 0.5, sysfs: {sysfs}}}
store: {{flush_s: 1}}
summary: {{every_s: 2}}
mqtt: {{host: 127.0.0.1, port: {port}}}
"""
#: The same agent, whose minute lasts for so many seconds.
AGENT = """
import sys
from pathlib import Path
from edge_agent.policy import thermal
from edge_agent.service.agent import Agent

minute = float(sys.argv[3])
thermal.HOLD_S *= minute / 60
thermal.RAISE_HOLD_S *= minute / 60
agent = Agent(Path(sys.argv[1]), Path(sys.argv[2]))
agent.install_signals()
sys.exit(agent.run())
"""


@pytest.fixture
def board(tmp_path: Path) -> SysBoard:
    board = SysBoard(tmp_path / "sys")
    board.zone(0, "cpu-thermal", 52.1)
    board.firmware("0")
    return board


@pytest.fixture
def agent(
    tmp_path: Path, board: SysBoard, shared_mosquitto: Any
) -> Iterator[Callable[[float], subprocess.Popen[str]]]:
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG.format(sysfs=board.root, port=shared_mosquitto.port))
    running: list[subprocess.Popen[str]] = []

    def start(minute_s: float) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", AGENT, config, tmp_path / "state", str(minute_s)]
        log = (tmp_path / "agent.log").open("w")
        running.append(subprocess.Popen(list(map(str, command)), stdout=log, stderr=log, text=True))
        return running[-1]

    yield start
    for each in running:
        each.kill()
        each.wait()


@pytest.mark.parametrize(
    "minute_s",
    [
        pytest.param(4.0, marks=pytest.mark.slow),
        pytest.param(60.0, marks=pytest.mark.acceptance(minutes=4)),
    ],
)
def test_rates_fall_with_heat_and_come_back_and_the_ledger_balances(
    agent: Callable[[float], subprocess.Popen[str]],
    board: SysBoard,
    shared_mosquitto: Any,
    edge: Run,
    receive: Callable[..., Any],
    eventually: Callable[..., Any],
    tmp_path: Path,
    minute_s: float,
) -> None:
    state = ("--state", str(tmp_path / "state"))

    def status() -> dict[str, Any]:
        done = edge("status", "--json", *state)
        found: dict[str, Any] = json.loads(done.stdout) if done.returncode == 0 else {}
        for pipeline in found.get("pipelines", {}).values():
            ledger = pipeline["ledger"]
            decided = ledger["inferred"] + sum(ledger["skipped"].values()) + ledger["failed"]
            assert ledger["captured"] == decided + ledger["pending"]
        return found

    def codes() -> list[str]:
        return [reason["code"] for reason in status().get("reasons", [])]

    def limits() -> list[float | None]:
        pipelines = status()["pipelines"]
        return [pipelines[name]["point"]["max_fps"] for name in ("gate", "tally")]

    def thermal() -> int:
        return sum(
            each["ledger"]["skipped"].get("thermal", 0) for each in status()["pipelines"].values()
        )

    receiver = receive(shared_mosquitto.port, "heat-1")
    running = agent(minute_s)
    eventually(lambda: status().get("verdict") == "well", "well", 60)
    eventually(lambda: status()["temperature_c"] == 52.1, "a temperature", 10)
    assert (limits(), thermal()) == ([None, None], 0)

    board.heat(88.3)
    eventually(lambda: limits() == [0.5, 0.5], "the floor", 30 + minute_s)
    eventually(lambda: thermal() > 20, "frames skipped by heat", 30)
    shown = edge("status", *state).stdout
    assert "next: give it shade and air" in shown
    assert "heat level 10 of 10" in shown
    assert codes() == ["hot"]

    board.heat(-87.9)
    eventually(lambda: "sensor_broken" in codes(), "a sensor that lies", 30)
    assert status()["temperature_c"] is None
    assert limits()[0] is not None  # what the heat allowed is not given back at once

    board.heat(50.2)
    board.firmware("1")
    eventually(lambda: limits() == [None, None], "cool again", 60 + 5 * minute_s)
    held = thermal()
    eventually(lambda: codes() == ["undervoltage"], "under-voltage", 30)
    eventually(lambda: status()["pipelines"]["tally"]["fps"] > 5, "the old rate", 60)
    assert thermal() == held

    told = {reason["code"] for each in receiver.on("health") for reason in each["data"]["reasons"]}
    assert {"hot", "sensor_broken", "undervoltage"} <= told
    points = [each["data"]["point"] for each in receiver.on("summary")]
    lowest = [point for point in points if point["level"] == 10]
    assert lowest  # its reason says how warm it was at that moment
    for point in lowest:
        assert point["max_fps"] == 0.5
        assert point["reason"].endswith(" C of 75 C")
    warmth = [each["data"]["temperature"] for each in receiver.on("summary")]
    assert any(each is not None and each["max"] == 88.3 for each in warmth)
    running.terminate()
    assert running.wait(30) == 0
    log = (tmp_path / "agent.log").read_text("utf-8")
    assert "board code=hot" in log
    assert "Traceback" not in log


@pytest.mark.slow
def test_threads_go_before_rates_and_come_back(
    board: SysBoard,
    agent: Callable[[float], subprocess.Popen[str]],
    tmp_path: Path,
    eventually: Any,
) -> None:
    """As measured, two threads take as long as one: so one costs half."""
    state, config = tmp_path / "state", tmp_path / "config.yaml"
    state.mkdir()
    text = config.read_text("utf-8").split("  tally:")[0] + "thermal: {min_fps: 0.5, sysfs: "
    chosen = "model: scene-detector\n    engine: litert\n    threads: 2"
    text = text.replace("model: scene-detector", chosen)
    config.write_text(f"{text}{board.root}}}\n", "utf-8")
    took = [Measurement("litert", version("litert"), threads, 1.0, 1.0, 9) for threads in (1, 2)]
    save(state, find("scene-detector", state, tmp_path).manifest.sha256, took)
    agent(2.0)

    def gate() -> dict[str, Any]:
        try:
            found: dict[str, Any] = ask(state, "status")["pipelines"]["gate"]
        except EdgeError:
            return {}
        return found

    eventually(lambda: gate().get("threads") == 2 and gate()["ledger"]["inferred"] > 5, "two", 60)
    board.heat(90.0)
    eventually(lambda: gate()["threads"] == 1, "one thread", 60)
    assert gate()["point"]["threads"] == 1
    board.heat(40.0)
    eventually(lambda: gate()["threads"] == 2, "two threads again", 120)
    assert gate()["ledger"]["failed"] == 0
