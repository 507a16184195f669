"""Killed at every step of the way, or the power cut: exactly one valid model is in charge then."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import way
from power_cut import Disk, record

from edge_agent.bundles import slots
from edge_agent.bundles.bundle import open_bundle
from edge_agent.service.marker import LastEnd
from edge_agent.service.resume import resume

DIED = LastEnd(asked=False)
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


def in_charge(state: Path) -> str:
    """The version that a start loads; it opens, so its hash is right."""
    active = slots.read_slots(state, way.NAME).active
    assert active is not None, "nothing is in charge"
    return open_bundle(slots.models_folder(state) / way.NAME / active).manifest.version


def judge(state: Path, told: list[str]) -> None:
    """As the next start finds it: once more changes nothing."""
    resume(state, DIED)
    found = slots.read_slots(state, way.NAME)
    assert found.probation is None
    last = told[-1] if told else ""
    after = way.STEPS[way.STEPS.index(last) + 1] if last and last != way.STEPS[-1] else last
    allowed = way.RIGHT[last] | (way.RIGHT[after] if after.startswith("committed") else set())
    assert in_charge(state) in allowed, (told, found)
    assert resume(state, DIED) == ()


@pytest.fixture
def memory() -> Iterator[Path]:
    beside = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(dir=beside) as folder:
        yield Path(folder)


def told_by(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def go(state: Path, diary: Path) -> None:
    descriptor = os.open(diary, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    way.go(state, lambda step: os.write(descriptor, f"{step}\n".encode()))


@pytest.mark.parametrize(
    "stride", [5, pytest.param(1, marks=pytest.mark.acceptance)], ids=["short", "long"]
)
def test_killed_at_any_step_twice_one_valid_model_is_in_charge(memory: Path, stride: int) -> None:
    """Each step twice: the start after the first kill goes on, and is killed at the same one."""
    number = 1 - stride
    while True:
        number += stride
        state, diary = memory / f"state-{number}", memory / f"diary-{number}"
        state.mkdir()
        way.begin(state)
        was_killed = killed_at(number, lambda s=state, d=diary: go(s, d))  # type: ignore[misc]
        if not was_killed:
            break
        judge(state, told_by(diary))
        killed_at(number, lambda s=state, d=diary: go(s, d))  # type: ignore[misc]
        judge(state, told_by(diary))
        go(state, diary)  # and in the end it comes through
        assert in_charge(state) == "2"
    assert number > 40
    assert told_by(diary) == list(way.STEPS)


def test_killed_at_any_step_of_the_start_that_puts_it_back(memory: Path) -> None:
    number = 0
    while True:
        number += 1
        state = memory / f"state-{number}"
        state.mkdir()
        way.begin(state)
        way.put(state, "2")
        folder = slots.models_folder(state) / way.NAME / "2-x"
        request = way.Request(folder, way.CLI, (), begun=True)
        way.switch(request, open_bundle(folder), state)
        if not killed_at(number, lambda s=state: resume(s, DIED)):  # type: ignore[misc]
            break
        killed_at(number, lambda s=state: resume(s, DIED))  # type: ignore[misc]
        resume(state, DIED)
        assert in_charge(state) == "1"
    assert number > 3


@pytest.mark.slow
@pytest.mark.parametrize(
    "factor", [1, pytest.param(LONG, marks=pytest.mark.acceptance)], ids=["short", "long"]
)
def test_a_power_cut_leaves_one_valid_model_in_charge(
    strace: str, memory: Path, factor: int
) -> None:
    state = memory / "state"
    state.mkdir()
    way.begin(state)
    before = shutil.copytree(state, memory / "before")
    script = Path(way.__file__)
    recording = record(strace, [sys.executable, script, state], state, 60)
    chance, disk = random.Random(factor), Disk(recording, state)
    disk.holds(before)
    end = max(op.end for op in recording.ops)
    for moment in (*recording.cuts(SHORT * factor, chance), end):
        disk.play(moment)
        disk.lay_down(memory / "cut", chance)
        judge(memory / "cut", disk.told.splitlines(keepends=False))
    assert disk.told.splitlines() == list(way.STEPS)
