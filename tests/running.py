"""`edge-agent run` as a process: what it logs, how it stops, and that none is left.

A pytest plugin (`tests/conftest.py` loads it): `service(config)` starts one on the state directory
that the tests of the command line ask.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

LYING = Path(__file__).with_name("lying.py")


class Service:
    """A running `edge-agent run` and its state directory; `lie`: the one of `lying.py`."""

    def __init__(self, config: Path, state: Path, lie: Path | None = None, **process: Any) -> None:
        self.state = state
        self.log = state.with_suffix(".log")
        run = ["-m", "edge_agent", "run", "-c", config, "--state", state]
        program = run if lie is None else [LYING, config, state, lie]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, *program], stdout=log, stderr=log, **process
            )

    def said(self, words: str) -> bool:
        return words in self.log.read_text("utf-8")

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, float]:
        """Exit code, and how long it took."""
        began = time.monotonic()
        self.process.send_signal(number)
        code = self.process.wait(60)
        return code, time.monotonic() - began

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def squares(columns: int = 8, rows: int = 6) -> str:
    """The scene in squares, each with an alert: something opens or closes all the time."""
    zones, rules = "    zones:\n", "    rules:\n"
    for number in range(columns * rows):
        x, y = number % columns / columns, number // columns / rows
        right, below = x + 1 / columns, y + 1 / rows
        corners = [[x, y], [right, y], [right, below], [x, below]]
        zones += f"      z{number}: {corners}\n"
        rules += f"      - {{name: r{number}, zone: z{number}, priority: alert, "
        rules += "evidence: [snapshot]}\n"
    return zones + rules


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Callable[..., Service]]:
    """`service(config, stdin=...)`: killed at the end of the test where it still runs."""
    running: list[Service] = []

    def start(config: Path, **process: Any) -> Service:
        running.append(Service(config, tmp_path / "state", **process))
        return running[-1]

    yield start
    for each in running:
        each.kill()
