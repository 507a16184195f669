"""Killed at every step of the way, or the power cut: exactly one valid model is in charge then, and
of policies exactly one configuration counts, without a mistake."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
import way_of_model
import way_of_policy
from power_cut import Disk, record

WAYS, IDS = (way_of_model, way_of_policy), ("model", "policy")
#: Whatever changes the disk goes through one of these.
CALLS = ("fsync", "replace", "rename", "unlink", "rmdir", "mkdir", "open")
SHORT, LONG = 60, 20


def killed_at(number: int, deed: Callable[[], object]) -> bool:
    """Do it in a fork that kills itself before its so many-th call; False where it came through."""
    pid = os.fork()
    if pid == 0:
        left = number

        def counted(name: str, real: Callable[..., object]) -> Callable[..., object]:
            def call(*words: object, **more: object) -> object:
                nonlocal left
                writes = name != "open" or bool(int(str(words[1])) & os.O_WRONLY)
                if writes:
                    left -= 1
                    if left == 0:
                        os.kill(os.getpid(), signal.SIGKILL)
                return real(*words, **more)

            return call

        for name in CALLS:
            setattr(os, name, counted(name, getattr(os, name)))
        try:
            deed()
        except BaseException:
            os._exit(3)
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        return True
    assert os.WEXITSTATUS(status) == 0, "the way itself failed"
    return False


def judge(way: ModuleType, state: Path, told: list[str]) -> None:
    """As the next start finds it: once more changes nothing."""
    way.restart(state)
    assert way.in_charge(state) in way.RIGHT[told[-1] if told else ""], told
    assert way.restart(state) == 0


@pytest.fixture
def memory() -> Iterator[Path]:
    beside = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(dir=beside) as folder:
        yield Path(folder)


def told_by(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def go(way: ModuleType, state: Path, diary: Path) -> None:
    descriptor = os.open(diary, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    way.go(state, lambda step: os.write(descriptor, f"{step}\n".encode()))


def begun(way: ModuleType, folder: Path) -> Path:
    """A state directory of its own, as it is before anything is done."""
    folder.mkdir()
    state = folder / "state"
    state.mkdir()
    way.begin(state)
    return state


@pytest.mark.parametrize("way", WAYS, ids=IDS)
@pytest.mark.parametrize(
    "stride", [5, pytest.param(1, marks=pytest.mark.acceptance)], ids=["short", "long"]
)
def test_killed_at_any_step_twice_one_valid_one_is_in_charge(
    memory: Path, stride: int, way: ModuleType
) -> None:
    """Each step twice: the start after the first kill goes on, and is killed at the same one."""
    number = 1 - stride
    while True:
        number += stride
        state, diary = begun(way, memory / f"{number}"), memory / f"diary-{number}"
        was_killed = killed_at(number, lambda s=state, d=diary: go(way, s, d))  # type: ignore[misc]
        if not was_killed:
            break
        judge(way, state, told_by(diary))
        killed_at(number, lambda s=state, d=diary: go(way, s, d))  # type: ignore[misc]
        judge(way, state, told_by(diary))
        go(way, state, diary)  # and in the end it comes through
        assert way.in_charge(state) == way.END
    assert number > 40
    assert told_by(diary) == list(way.STEPS)


@pytest.mark.parametrize("way", WAYS, ids=IDS)
def test_killed_at_any_step_of_the_start_that_puts_it_back(memory: Path, way: ModuleType) -> None:
    number = 0
    while True:
        number += 1
        state = begun(way, memory / f"{number}")
        before = way.in_charge(state)
        way.try_another(state)
        if not killed_at(number, lambda s=state: way.restart(s)):  # type: ignore[misc]
            break
        killed_at(number, lambda s=state: way.restart(s))  # type: ignore[misc]
        way.restart(state)
        assert way.in_charge(state) == before
    assert number > 3


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS, ids=IDS)
@pytest.mark.parametrize(
    "factor", [1, pytest.param(LONG, marks=pytest.mark.acceptance)], ids=["short", "long"]
)
def test_a_power_cut_leaves_one_valid_one_in_charge(
    strace: str, memory: Path, factor: int, way: ModuleType
) -> None:
    state = begun(way, memory / "here")
    before = shutil.copytree(state, memory / "before")
    script = Path(str(way.__file__))
    recording = record(strace, [sys.executable, script, state], state, 60)
    chance, disk = random.Random(factor), Disk(recording, state)
    disk.holds(before)
    end = max(op.end for op in recording.ops)
    for moment in (*recording.cuts(SHORT * factor, chance), end):
        disk.play(moment)
        disk.lay_down(state.with_name("cut"), chance)
        judge(way, state.with_name("cut"), disk.told.splitlines(keepends=False))
    assert disk.told.splitlines() == list(way.STEPS)
