"""The real service as a child process, looked at from outside. Part of the benchmarks beside it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PATIENCE_S = 60.0
TICKS = os.sysconf("SC_CLK_TCK")


@contextmanager
def running(
    config: str, state: Path, program: Sequence[str] = ("-m", "edge_agent")
) -> Iterator[subprocess.Popen[bytes]]:
    """`edge-agent run` on that configuration, stopped as systemd would."""
    state.mkdir(parents=True, exist_ok=True)
    path = state / "config.yaml"
    path.write_text(config)
    command = [sys.executable, *program, "run", "-c", str(path), "--state", str(state)]
    with (state / "log").open("wb") as log:
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log)
    try:
        yield child
        if child.poll() is not None:
            raise SystemExit((state / "log").read_text())
    finally:
        child.send_signal(signal.SIGTERM)
        child.wait(20)


def status(state: Path) -> dict[str, Any]:
    """As the agent tells it; empty while nobody answers."""
    from edge_agent.errors import EdgeError
    from edge_agent.service.control import ask

    try:
        return ask(state, "status")
    except (EdgeError, json.JSONDecodeError):
        return {}


def inferred(state: Path) -> dict[str, int]:
    pipelines = status(state).get("pipelines", {})
    return {name: each["ledger"]["inferred"] for name, each in pipelines.items()}


def wait_for(true: Callable[[], object], what: str) -> None:
    until = time.monotonic() + PATIENCE_S
    while not true():
        if time.monotonic() > until:
            raise SystemExit(f"waited {PATIENCE_S:.0f} s for {what}")
        time.sleep(0.02)


def cpu_s(pid: int) -> float:
    """Of a process with all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def pss_mb(pid: int) -> float:
    """Of a process and its children."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    own = next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return own + sum(pss_mb(int(child)) for child in children)
