"""`edge-agent outputs`, and an alert that lights a lamp while nobody can be reached."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from running import Service

Ask = Callable[..., Any]

CONFIG = """\
device: {{id: lamp-1}}
sources:
  yard: {{kind: scene, uri: "built-in:?seed=11&fps=20"}}
pipelines:
  yard:
    source: yard
    model: scene-detector
    gate: {{max_fps: 10}}
    camera_health: {{output: horn}}
    rules:
      - {{name: seen, confirm: [2, 3], priority: alert, cooldown_s: 0, output: lamp}}
outputs:
  lamp: {{kind: command, argv: [{program}, "3"], on_stop: off, timeout_s: 30}}
  horn: {{kind: gpio, chip: gpiochip99, line: 17}}
mqtt: {{host: 127.0.0.1, port: 9}}
"""


@pytest.fixture
def lamp(tmp_path: Path) -> Path:
    """A program that writes what it is told into `said`."""
    program = tmp_path / "lamp"
    program.write_text(f'#!/bin/sh\necho "$2 $EDGE_RULE" >> {tmp_path}/said\n')
    program.chmod(0o755)
    return program


@pytest.fixture
def config(tmp_path: Path, lamp: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG.format(program=lamp))
    return path


def said(config: Path) -> list[str]:
    path = config.with_name("said")
    return path.read_text().splitlines() if path.exists() else []


# --- the command ---------------------------------------------------------------------------------


def test_a_list_says_what_each_output_switches_and_who_switches_it(ask: Ask, config: Path) -> None:
    answer = ask("outputs", "list", "-c", config)
    assert answer.code == 0
    assert answer.widest <= 80
    assert "yard/seen" in answer.out
    assert "yard/camera-health" in answer.out
    document = json.loads(ask("outputs", "list", "--json", "-c", config).out)
    jsonschema.validate(document, json.loads(ask("schema", "outputs").out))
    assert document["outputs"][1] == {
        "name": "horn",
        "kind": "gpio",
        "switches": "line 17 of gpiochip99",
        "rules": ["yard/camera-health"],
    }


def test_a_test_switches_it_on_and_off(ask: Ask, config: Path) -> None:
    answer = ask("outputs", "test", "lamp", "--seconds", "0.1", "-c", config)
    assert (answer.code, answer.out) == (0, "lamp is on for 0.1 s\nlamp is off\n")
    assert said(config) == ["on ", "off "]


def test_a_test_that_cannot_be_made_is_one_sentence(ask: Ask, config: Path, lamp: Path) -> None:
    wrong = ask("outputs", "test", "lmap", "-c", config)
    assert wrong.code == 2
    assert wrong.err.splitlines()[0] == (
        "edge-agent: there is no output 'lmap' (did you mean lamp?)"
    )
    pin = ask("outputs", "test", "horn", "-c", config)
    assert pin.code == 1
    assert "GPIO" in pin.err
    lamp.write_text("#!/bin/sh\necho no relay >&2\nexit 3\n")
    failed = ask("outputs", "test", "lamp", "-c", config)
    assert failed.code == 1
    assert "ended with exit code 3: no relay" in failed.err


def test_check_warns_of_what_is_not_here(ask: Ask, config: Path, lamp: Path) -> None:
    answer = ask("check", "-c", config)
    assert answer.code == 0
    assert ":14:28: outputs.horn.chip: there is no /dev/gpiochip99 here (a warning)" in answer.err
    lamp.chmod(0o644)
    assert "may not be executed (chmod +x helps)" in ask("check", "-c", config).err
    config.write_text(config.read_text().replace(str(lamp), "lamp"))
    assert "lamp is no absolute path, the service may not find it" in ask("check", "-c", config).err


def test_a_rule_whose_output_is_not_there_is_a_mistake(ask: Ask, config: Path) -> None:
    config.write_text(config.read_text().replace("output: lamp", "output: lmap"))
    answer = ask("check", "-c", config)
    assert answer.code == 2
    assert (
        'pipelines.yard.rules[0].output: there is no output "lmap", allowed: lamp, horn '
        "(did you mean lamp?)" in answer.err
    )


# --- the service ---------------------------------------------------------------------------------


@pytest.mark.slow
def test_an_alert_lights_the_lamp_while_the_broker_cannot_be_reached(
    service: Callable[..., Service],
    config: Path,
    ask: Ask,
    eventually: Callable[..., Any],
) -> None:
    first = service(config)
    eventually(lambda: "on seen" in said(config), "the lamp")
    assert said(config)[0] == "off "  # whoever left it on before
    status = json.loads(ask("status", "--json").out)
    jsonschema.validate(status, json.loads(ask("schema", "status").out))
    assert status["verdict"] == "degraded"
    reasons = {reason["code"]: reason["message"] for reason in status["reasons"]}
    assert reasons["output_failing"].startswith("output horn fails: ")
    assert "broker_away" in reasons
    assert status["outputs"]["lamp"]["failures"] == 0
    assert status["outputs"]["horn"]["on"] is None
    words = ask("status").out
    assert "output    horn (gpio): unknown, the last change failed" in words

    first.kill()  # it crashes while it is on, or not: the next start does not care
    before = len(said(config))
    second = service(config)
    eventually(lambda: len(said(config)) > before, "a word at the next start")
    assert said(config)[before] == "off "
    eventually(lambda: "on seen" in said(config)[before:], "the lamp again")
    assert second.stop()[0] == 0
    assert said(config)[-1].startswith("off")
    log = second.log.read_text("utf-8")
    assert "Traceback" not in log
    assert log.count("output fails name=horn") == 2  # once a start
