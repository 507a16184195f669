"""Outputs that are programs: real ones, that obey, fail, hang and chatter."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_agent.errors import EdgeError
from edge_agent.host.command import Command

Script = Callable[[str], str]


@pytest.fixture
def script(tmp_path: Path) -> Script:
    """`script("echo $1")`: the path of an executable shell script."""

    def write(body: str) -> str:
        path = tmp_path / "lamp"
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
        return str(path)

    return write


def refusal(command: Command, on: bool = True) -> EdgeError:
    with pytest.raises(EdgeError) as caught:
        command.turn(on, {})
    return caught.value


def test_the_word_comes_after_the_arguments_and_the_facts_in_the_environment(
    script: Script, tmp_path: Path
) -> None:
    lamp = Command([script(f'echo "$@ $EDGE_RULE" >> {tmp_path}/said'), "a b", "$HOME"], 5)
    lamp.turn(True, {"EDGE_RULE": "侵入"})
    lamp.turn(False, {})
    assert (tmp_path / "said").read_text() == "a b $HOME on 侵入\na b $HOME off \n"  # no shell


def test_nothing_else_of_the_agents_environment_is_passed_on(
    script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "hunter2")
    Command([script(f"env > {tmp_path}/env")], 5).turn(True, {"EDGE_OUTPUT": "lamp"})
    names = {line.split("=")[0] for line in (tmp_path / "env").read_text().splitlines()}
    assert "EDGE_OUTPUT" in names
    assert names <= {"PATH", "HOME", "LANG", "TZ", "EDGE_OUTPUT", "PWD", "OLDPWD", "SHLVL", "_"}


def test_a_failure_is_told_with_the_end_of_what_the_program_said(script: Script) -> None:
    fault = refusal(Command([script("echo first >&2; echo no relay on port 3 >&2; exit 7")], 5))
    assert fault.message.endswith("lamp on ended with exit code 7: no relay on port 3")
    assert "ended by signal 15" in refusal(Command([script("kill -TERM $$")], 5)).message


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("no relay\\n\\n", ": no relay"),
        ("\\033[2Jno\\033[0m\\000relay", ": [2Jno [0m relay"),
        ("\\000", ""),
    ],
)
def test_what_it_said_moves_no_cursor(script: Script, said: str, told: str) -> None:
    fault = refusal(Command([script(f"printf '{said}' >&2; exit 7")], 5))
    assert fault.message.endswith(f"ended with exit code 7{told}")


def test_who_was_killed_by_another_was_not_late(script: Script) -> None:
    assert "on was ended by signal 9" in refusal(Command([script("kill -9 $$")], 5)).message


def test_one_that_cannot_be_killed_is_left_alone_and_none_started_beside_it(
    script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with sudo in argv: only another user's processes refuse to be killed, so it is told."""

    def refuse(group: int, number: int) -> None:
        raise PermissionError

    hangs = f"[ $1 = on ] || exit 0; echo $$ >> {tmp_path}/pid; exec sleep 300"
    lamp = Command([script(hangs)], 0.5)
    monkeypatch.setattr(os, "killpg", refuse)
    assert "cannot be killed" in refusal(lamp).message
    assert "cannot be killed" in refusal(lamp).message
    (process,) = map(int, (tmp_path / "pid").read_text().split())
    os.kill(process, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while _runs(process) and time.monotonic() < deadline:
        time.sleep(0.02)
    lamp.turn(False, {})


def test_a_program_that_is_not_there_is_told(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_text("no program")
    assert "cannot be run: No such file" in refusal(Command(["/nowhere/lamp"], 5)).message
    assert "cannot be run: Permission denied" in refusal(Command([str(plain)], 5)).message
    assert "cannot be run" in refusal(Command(["/bin/echo", "a\0b"], 5)).message


def test_one_that_hangs_is_killed_with_its_children(script: Script, tmp_path: Path) -> None:
    lamp = Command([script(f"sleep 300 & echo $! > {tmp_path}/child; wait")], 0.5)
    assert "did not end in time and was killed" in refusal(lamp).message
    child = int((tmp_path / "child").read_text())
    deadline = time.monotonic() + 10
    while _runs(child) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not _runs(child)


def test_one_that_says_more_than_a_pipe_holds_ends_all_the_same(script: Script) -> None:
    Command([script("head -c 1000000 /dev/zero >&2; head -c 1000000 /dev/zero")], 30).turn(True, {})


def test_a_child_that_stays_does_not_hold_it_up(script: Script) -> None:
    lamp = Command([script("sleep 2 & exit 0")], 30)
    began = time.monotonic()
    lamp.turn(True, {})
    lamp.turn(False, {})
    assert time.monotonic() - began < 30


def test_who_is_hurried_ends_soon(script: Script) -> None:
    lamp = Command([script("sleep 300")], 60)
    threading.Timer(0.2, lamp.hurry).start()
    assert "was killed" in refusal(lamp).message
    assert "was killed" in refusal(lamp, on=False).message  # and is not waited for again


def _runs(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z" and os.path.exists(f"/proc/{process}")
