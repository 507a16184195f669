"""An output that is a program: `argv on` and `argv off`, no shell, bounded in time.

The program gets an environment of its own: PATH, HOME, LANG, TZ of the agent and the facts, nothing
else, so no secret of the agent reaches it. It runs in a process group of its own, which is killed
when its time is up. One that cannot be killed (it runs as another user, or hangs in a driver) is
left alone, and none is started beside it. What it says on stdout is nobody's; the end of its stderr
explains a failure.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from time import monotonic, sleep

from edge_agent.errors import EdgeError

#: What the program gets of the agent's own environment.
PASSED_ON = ("PATH", "HOME", "LANG", "TZ")
#: How long a program may take while the agent stops.
HURRIED_S = 1.0
#: A program that was killed is gone within this time, if anything can kill it.
DYING_S = 0.5
#: How often a running program is looked at.
LOOK_S = 0.05
#: Bytes of its stderr that are kept, from the end.
KEPT_BYTES = 400


class Command:
    """`ports.Switch` by a program."""

    def __init__(self, argv: Sequence[str], timeout_s: float) -> None:
        self._argv = tuple(argv)
        self._timeout_s = timeout_s
        self._hurried = threading.Event()
        self._killed = False  # the latest program, by us
        self._undead: subprocess.Popen[bytes] | None = None

    def open(self) -> None:
        """Nothing has to be made ready."""

    def turn(self, on: bool, facts: Mapping[str, str]) -> None:
        """Run it and wait. Raises EdgeError: not started, a failure's exit code, out of time."""
        self._refuse_undead()
        word = "on" if on else "off"
        environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        try:
            process = subprocess.Popen(
                [*self._argv, word],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env=environment | dict(facts),
                cwd="/",
                start_new_session=True,
            )
        except (OSError, ValueError) as fault:
            reason = getattr(fault, "strerror", None) or str(fault)
            raise EdgeError(
                f"{self._argv[0]} cannot be run: {reason}", f"look at it: ls -l {self._argv[0]}"
            ) from None
        assert process.stderr is not None
        with process.stderr:
            said = self._wait(process)
        if process.returncode is None:
            self._undead = process
            self._refuse_undead()
        self._judge(process.returncode, word, said)

    def hurry(self) -> None:
        """What runs now, and what is run from now on, is killed after `HURRIED_S`."""
        self._hurried.set()

    def close(self) -> None:
        """Nothing is held."""

    def _refuse_undead(self) -> None:
        if self._undead is not None and self._undead.poll() is None:
            raise EdgeError(
                f"{self._argv[0]} did not end in time and cannot be killed",
                f"end it by hand: it is process {self._undead.pid}",
            )
        self._undead = None

    def _wait(self, process: subprocess.Popen[bytes]) -> bytes:
        """Until it has ended, one way or the other, or cannot be ended; the end of what it said on
        stderr."""
        assert process.stderr is not None
        pipe = process.stderr.fileno()
        os.set_blocking(pipe, False)
        said, self._killed = b"", False
        began, hurried = monotonic(), None
        while process.poll() is None:
            if self._hurried.is_set():
                hurried = hurried or monotonic()
            late = hurried is not None and monotonic() - hurried > HURRIED_S
            if late or monotonic() - began > self._timeout_s:
                self._killed = True
                if not _kill(process):
                    break
            if select.select([pipe], [], [], LOOK_S)[0]:
                chunk = _read(pipe)
                said = (said + chunk)[-KEPT_BYTES:]
                if not chunk:  # it closed its stderr: nothing is left to wait for but its end
                    sleep(LOOK_S)
        return (said + _read(pipe))[-KEPT_BYTES:]

    def _judge(self, code: int, word: str, said: bytes) -> None:
        if code == 0:
            return
        program = f"{self._argv[0]} … {word}" if len(self._argv) > 1 else f"{self._argv[0]} {word}"
        if self._killed:
            message = f"{program} did not end in time and was killed"
            raise EdgeError(message, f"make it faster, or raise timeout_s ({self._timeout_s:g} s)")
        last = _last_line(said)
        how = f"ended with exit code {code}" if code > 0 else f"was ended by signal {-code}"
        message = f"{program} {how}: {last}" if last else f"{program} {how}"
        raise EdgeError(message, "run it by hand as the agent's user")


def _kill(process: subprocess.Popen[bytes]) -> bool:
    """The whole group; False when it does not die of it. One that has just ended is no fault."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return True
    except PermissionError:  # sudo, and whatever else runs as another user
        return False
    try:
        process.wait(DYING_S)
    except subprocess.TimeoutExpired:
        return False
    return True


def _last_line(said: bytes) -> str:
    """The last one with something in it, and nothing that could move a terminal's cursor."""
    lines = [
        "".join(letter if letter.isprintable() else " " for letter in line).strip()
        for line in said.decode("utf-8", "replace").splitlines()
    ]
    return next((line for line in reversed(lines) if line), "")


def _read(pipe: int) -> bytes:
    """What is there to read; b"" at the end, or when there is nothing."""
    try:
        return os.read(pipe, 65536)
    except BlockingIOError:
        return b""
