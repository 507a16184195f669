"""A stop at a bad moment: during the start, and in every phase of a reload."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from running import Service

from edge_agent.errors import EdgeError
from edge_agent.service.control import NAME as CONTROL
from edge_agent.service.control import ask

pytestmark = pytest.mark.slow

CONFIG = """\
sources:
  motor: {{kind: signal, uri: "built-in:?seed=7"}}
pipelines:
  motor: {{source: motor, model: machine-anomaly, rules: [{{name: worn, score_above: model}}]}}
outputs:
  lamp: {{kind: command, argv: [{program}], timeout_s: 30}}
"""


@pytest.fixture
def started(
    service: Callable[..., Service], eventually: Callable[..., Any], tmp_path: Path
) -> Callable[[str], Service]:
    """`started(script)`: a service with a lamp that obeys by this script."""

    def start(script: str) -> Service:
        program = tmp_path / "lamp"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        config = tmp_path / "config.yaml"
        config.write_text(CONFIG.format(program=program))
        running = service(config)
        eventually(lambda: running.said("started version"), "the start", 60)
        return running

    return start


def reload_in_vain(running: Service) -> None:
    """Who asks for a reload that the stop overtakes gets an error, or no answer."""
    with pytest.raises(EdgeError):
        ask(running.state, "reload")


def blocked(state: Path) -> Path:
    """Make whoever wants to load a model wait, as for one that is tried for a minute."""
    measured = state / "measurements.json"
    os.mkfifo(measured)
    return measured


def held(pipe: Path) -> BinaryIO | None:
    """The end of it that nothing comes from; None as long as nobody waits at the other one."""
    try:
        return os.fdopen(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK), "wb")
    except OSError:
        return None


@pytest.mark.parametrize("way", ["control socket", "SIGHUP"])
def test_a_reload_that_cannot_go_on_holds_up_no_stop(
    started: Callable[[str], Service], eventually: Callable[..., Any], way: str
) -> None:
    running = started("exit 0")
    measured = blocked(running.state)
    eventually((running.state / CONTROL).exists, "the control socket", 60)
    if way == "SIGHUP":
        running.process.send_signal(signal.SIGHUP)
    else:
        threading.Thread(target=reload_in_vain, args=(running,), daemon=True).start()
    with eventually(lambda: held(measured), "the reload", 60):
        code, _ = running.stop()
    assert code == 0, running.log.read_text("utf-8")


def test_a_stop_during_a_reload_starts_nothing_anew(
    started: Callable[[str], Service], eventually: Callable[..., Any], tmp_path: Path
) -> None:
    said = tmp_path / "said"
    # The lamp hangs. When the old parts are being stopped it is told once more to go off, hangs
    # again, and by itself asks the agent to stop: nobody is quicker.
    ask_to_stop = f"[ $(wc -l < {said}) = 2 ] && kill -TERM $PPID"
    running = started(f"echo $1 >> {said}; {ask_to_stop}; exec sleep 300")
    eventually(said.exists, "the lamp's first program", 60)
    threading.Thread(target=reload_in_vain, args=(running,), daemon=True).start()
    assert running.process.wait(60) == 0, running.log.read_text("utf-8")
    assert not running.said("reloaded")
    assert said.read_text() == "off\noff\n"


def test_a_stop_before_anything_has_begun_is_no_failure(
    service: Callable[..., Service], eventually: Callable[..., Any], tmp_path: Path
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG.format(program="/bin/true"))
    running = service(config)
    eventually(lambda: catches(running.process.pid, signal.SIGTERM), "Python's own start", 60)
    assert running.stop()[0] == 0


def catches(process: int, number: int) -> bool:
    status = Path(f"/proc/{process}/status").read_text("utf-8")
    mask = int(status.split("SigCgt:")[1].split()[0], 16)
    return bool(mask >> (number - 1) & 1)
