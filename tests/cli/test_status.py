"""`edge-agent status`, `pause`, `resume`, `reload`: of an agent that runs, hangs, or is down."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from edge_agent.service import control

Ask = Callable[..., Any]

CONFIG = """\
device: {{id: status-test, timezone: Asia/Tokyo}}
sources:
  庭カメラ: {{kind: scene, uri: "built-in:?seed=11&fps=20"}}
  録画: {{kind: video, uri: recording.mp4}}
pipelines:
  庭:
    source: 庭カメラ
    model: scene-detector
    gate: {{max_fps: 10}}
    rules:
      - {{name: 侵入, confirm: [2, 3], priority: alert, cooldown_s: 0}}
      - {{name: crowd, count: 50}}
  録画: {{source: 録画, model: scene-detector, rules: [{{name: any}}]}}
store: {{flush_s: 1}}
summary: {{every_s: 1}}
mqtt: {{host: 127.0.0.1, port: {port}}}
"""
PATIENCE_S = 60.0


def schema(name: str) -> Any:
    file = resources.files("edge_agent") / "schemas" / f"{name}.json"
    return json.loads(file.read_text("utf-8"))


def until(true: Callable[[], Any], what: str) -> Any:
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        if found := true():
            return found
        time.sleep(0.2)
    raise AssertionError(f"not within {PATIENCE_S:.0f} s: {what}")


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory, shared_mosquitto: Any) -> Iterator[Path]:
    """A running agent, one of its two sources at its end; its state directory in the site's."""
    site = tmp_path_factory.mktemp("site")
    (site / "recording.mp4").write_text("no video: one broken item, and the end")
    (site / "config.yaml").write_text(CONFIG.format(port=shared_mosquitto.port), "utf-8")
    state = site / "state"
    with (site / "log").open("wb") as log:
        child = subprocess.Popen(
            [sys.executable, "-m", "edge_agent", "run", "-c", "config.yaml", "--state", state],
            stdout=log,
            stderr=log,
            cwd=site,
        )
    try:
        until((state / control.NAME).exists, f"the agent runs: {(site / 'log').read_text()}")
        yield state
    finally:
        child.send_signal(signal.SIGTERM)
        assert child.wait(30) == 0


@pytest.fixture
def status(ask: Ask, agent: Path) -> Callable[[], dict[str, Any]]:
    def now() -> dict[str, Any]:
        told: dict[str, Any] = json.loads(ask("status", "--json", "--state", agent).out)
        jsonschema.validate(told, schema("status"))
        return told

    return now


def codes(status: dict[str, Any]) -> list[str]:
    return [reason["code"] for reason in status["reasons"]]


# --- an agent that runs --------------------------------------------------------------------------


def test_a_running_agent_says_in_words_how_it_is(
    ask: Ask, agent: Path, status: Callable[[], dict[str, Any]]
) -> None:
    until(lambda: codes(status()) == ["source_ended"], "the video ends, the broker is there")
    until(lambda: status()["pipelines"]["庭"]["ledger"]["inferred"] > 5, "frames are inferred")
    told = ask("status", "--state", agent)
    lines = told.out.splitlines()
    assert (told.code, told.err) == (0, "")
    assert told.widest <= 80
    assert lines[0] == "It works, but:"
    assert lines[1].startswith("  - source 録画 came to its end ")
    assert any(line.startswith("    next: ") for line in lines)
    assert "pipeline 庭" in lines
    assert any("broker    127.0.0.1:" in line and "connected" in line for line in lines)
    check = ask("status", "--check", "--state", agent)
    assert (check.code, check.err) == (1, "")
    assert check.out.startswith("degraded: source 録画 came to its end ")
    assert check.out.count("\n") == 1


def test_the_ledger_of_every_answer_balances(status: Callable[[], dict[str, Any]]) -> None:
    for _ in range(20):
        for pipeline in status()["pipelines"].values():
            ledger = pipeline["ledger"]
            decided = ledger["inferred"] + sum(ledger["skipped"].values()) + ledger["failed"]
            assert ledger["captured"] == decided + ledger["pending"]


def test_pause_and_resume_and_what_is_seen_of_them(
    ask: Ask, agent: Path, status: Callable[[], dict[str, Any]]
) -> None:
    here = ("--state", agent)
    assert ask("pause", "庭", *here).out == "paused: 庭\n"
    try:
        assert "paused" in codes(status())
        assert "next: edge-agent resume 庭" in ask("status", *here).out
        answer = json.loads(ask("pause", *here, "--json").out)
        jsonschema.validate(answer, schema("pause"))
        assert answer["paused"] == ["庭", "録画"]
        moment = until(lambda: _paused_window(ask, here), "a whole window was paused")
        assert "paused (edge-agent resume)" in moment
    finally:
        assert ask("resume", *here).out == "nothing is paused\n"
    assert "paused" not in codes(status())


def _paused_window(ask: Ask, here: tuple[str, Path]) -> str:
    told: str = ask("why", "--pipeline", "庭", "--at", "2s", *here).out
    # Whether an event was open then depends on the machine's speed; the window does not.
    return told if "= 0 inferred" in told and "(paused" in told else ""


def test_an_unknown_pipeline_is_exit_2(ask: Ask, agent: Path) -> None:
    wrong = ask("pause", "niwa", "--state", agent)
    assert (wrong.code, wrong.out) == (2, "")
    assert "there is no pipeline 'niwa'" in wrong.err
    assert "庭" in wrong.err.splitlines()[1]


def test_a_reload_with_a_wrong_file_says_what_stays(ask: Ask, agent: Path) -> None:
    config = agent.with_name("config.yaml")
    right = config.read_text("utf-8")
    config.write_text(right.replace("max_fps", "max_fsp"), "utf-8")
    try:
        refused = ask("reload", "--state", agent)
        assert (refused.code, refused.out) == (2, "")
        assert refused.err.startswith("edge-agent: not reloaded, the last good configuration stays")
        assert "max_fsp" in refused.err
    finally:
        config.write_text(right, "utf-8")
    answer = json.loads(ask("reload", "--state", agent, "--json").out)
    jsonschema.validate(answer, schema("reload"))
    assert answer == {"schema": "reload/1", "pipelines": ["庭", "録画"], "needs_restart": []}


def test_what_it_sends_follows_the_schemas(
    agent: Path, shared_mosquitto: Any, receive: Callable[..., Any]
) -> None:
    receiver = receive(shared_mosquitto.port, "status-test")
    for topic in ("status", "state", "health", "alert", "summary"):
        for message in until(lambda topic=topic: receiver.on(topic), f"a message on {topic}"):  # type: ignore[misc]
            jsonschema.validate(message, schema(f"mqtt-{topic}"))


@pytest.mark.parametrize("words", [("status", "--watch"), ("status", "--watch", "--json")])
def test_watch_goes_on_until_ctrl_c(agent: Path, words: tuple[str, ...]) -> None:
    child = subprocess.Popen(
        [sys.executable, "-u", "-m", "edge_agent", *words, "--state", agent],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "NO_COLOR": "1"},
    )
    assert child.stdout is not None
    seen = 0
    while seen < 2:
        line = child.stdout.readline()  # two rounds are two seconds
        assert line, "it ended by itself"
        assert not line.startswith("Nobody"), "the agent ended"
        seen += line.startswith(("It works", "All is", '{"schema": "status/1"'))
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=30)
    assert child.returncode == 130
    assert "Traceback" not in err


# --- an agent that does not ----------------------------------------------------------------------


def test_of_an_agent_that_is_down_the_database_tells(ask: Ask, replayed: Path) -> None:
    told = ask("status", "--state", replayed)
    lines = told.out.splitlines()
    assert (told.code, told.err) == (0, "")
    assert told.widest <= 80 or str(replayed) in told.out
    assert lines[0] == "Nobody is watching:"
    assert "no agent is running on" in lines[1]
    assert "What follows is from its database, as of its last write." in lines
    assert any("120 captured" in line for line in lines)
    check = ask("status", "--check", "--state", replayed)
    assert (check.code, check.err) == (2, "")
    assert check.out.startswith("down: no agent is running on")
    assert check.out.count("\n") == 1
    document = json.loads(ask("status", "--json", "--state", replayed).out)
    jsonschema.validate(document, schema("status"))
    assert (document["verdict"], codes(document)) == ("down", ["not_running"])


def test_an_agent_that_hangs_is_not_called_absent(
    ask: Ask, replayed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "ANSWER_S", 0.3)
    state = tmp_path / "state"
    state.mkdir()
    (state / "edge.db").write_bytes((replayed / "edge.db").read_bytes())
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(state / control.NAME))
        silent.listen()
        told = ask("status", "--json")
        assert codes(json.loads(told.out)) == ["not_answering"]
        assert "does not answer" in ask("pause").err
        assert ask("pause").code == 3
        assert ask("status", "--check").code == 2


def test_without_an_agent_and_a_database_it_is_one_sentence(ask: Ask) -> None:
    absent = ask("status")
    assert (absent.code, absent.out) == (2, "")
    assert "no agent has run there" in absent.err


def test_a_monitor_is_never_told_that_what_cannot_be_known_works(ask: Ask, tmp_path: Path) -> None:
    nothing = ask("status", "--check")
    assert (nothing.code, nothing.err) == (2, "")
    assert nothing.out.startswith("down: there is no database in ")
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "edge.db").write_bytes(b"damaged" * 1000)
    damaged = ask("status", "--check")
    assert (damaged.code, damaged.out.count("\n")) == (2, 1)
    assert "is damaged" in damaged.out
    assert ask("status", "--check", "--json").code == 2
    assert ask("status").code == 1
