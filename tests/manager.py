"""A service manager of a page: it hears what the agent says, and restarts it as systemd would.

`Manager` holds NOTIFY_SOCKET's other end, kills what does not feed its watchdog, and starts again
what did not stop as asked. `tests/conftest.py` loads it; the fixture is `manager`.
"""

from __future__ import annotations

import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

#: As systemd/edge-agent.service has them.
WATCHDOG_S = 6.0
RESTART_S = 0.5
USAGE = 2


class Manager:
    """One service. `ends` are the exit codes so far, `log` is what it wrote."""

    def __init__(self, folder: Path) -> None:
        self.said: list[str] = []
        self.meals = 0
        self.ends: list[int] = []
        self.log = folder / "service.log"
        self.process: subprocess.Popen[bytes] | None = None
        self._fed = 0.0  # 0: not yet ready
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(folder / "notify"))
        self._socket.settimeout(0.1)
        self._over = False
        self._environment = {
            **os.environ,
            "NOTIFY_SOCKET": str(folder / "notify"),
            "WATCHDOG_USEC": str(round(1e6 * WATCHDOG_S)),
            "RUNTIME_DIRECTORY": str(folder / "run"),
        }
        (folder / "run").mkdir(exist_ok=True)
        self._thread = threading.Thread(target=self._manage, daemon=True)
        self._command: Sequence[object] = ()

    def start(self, command: Sequence[object]) -> None:
        self._command = command
        self._spawn()
        self._thread.start()

    def heard(self, words: str) -> bool:
        return any(words in said for said in self.said)

    def logged(self, words: str) -> bool:
        return words in self.log.read_text("utf-8")

    def close(self) -> None:
        """Stop it, and restart it no more."""
        self._over = True
        if self.process is not None:
            self._thread.join()
            self.process.kill()
            self.process.wait()
        self._socket.close()

    def _spawn(self) -> None:
        self._fed = 0.0
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [str(word) for word in self._command],
                stdout=log,
                stderr=log,
                env=self._environment,
            )

    def _manage(self) -> None:
        while not self._over:
            self._listen()
            assert self.process is not None
            if self._fed and time.monotonic() - self._fed > WATCHDOG_S:
                self.process.kill()
                self.process.wait()
            code = self.process.poll()
            if code is not None:
                self.ends.append(code)
                if code in (0, USAGE):
                    return
                time.sleep(RESTART_S)
                self._spawn()

    def _listen(self) -> None:
        try:
            said = self._socket.recv(4096).decode()
        except TimeoutError:
            return
        if said in ("WATCHDOG=1", "READY=1"):
            self._fed = time.monotonic()
        self.meals += said == "WATCHDOG=1"
        if said != "WATCHDOG=1":
            self.said.append(said)


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    manager = Manager(tmp_path)
    yield manager
    manager.close()
