"""What the tests of the store share: a state directory, alerts to record, odd disks."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from edge_agent.store.record import Store, open_store

WRITER = Path(__file__).with_name("writer.py")


@pytest.fixture(scope="session")
def device() -> SimpleNamespace:
    """The alerts of writer.py and their batches: event, closed, message, opening, closing, …"""
    return SimpleNamespace(path=WRITER, **runpy.run_path(str(WRITER)))


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def store(state: Path) -> Iterator[Store]:
    with open_store(state) as store:
        store.start()
        yield store


@pytest.fixture
def sqlite_utils() -> Callable[..., str]:
    """Run the sqlite-utils command, as a user does; its output."""

    def run(*arguments: str | Path) -> str:
        command = [sys.executable, "-m", "sqlite_utils", *map(str, arguments)]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    return run


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Callable[..., None]]:
    """`mounted("-t", "tmpfs", …, folder)` for the time of the test; skips without the right."""
    folders: list[str] = []

    def mount(*arguments: str | Path) -> None:
        if os.geteuid() != 0:
            pytest.skip("only root may mount the small and the read-only disk of this test")
        words = [str(argument) for argument in arguments]
        done = subprocess.run(["mount", *words], capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")
        if "remount" not in " ".join(words):
            folders.append(words[-1])

    yield mount
    for folder in reversed(folders):
        subprocess.run(["umount", folder], check=True)


@pytest.fixture
def someone_else() -> Iterator[Callable[[Path], None]]:
    """Become a user who may not enter that folder, until the test ends."""
    locked: list[Path] = []
    user = os.geteuid()

    def become(folder: Path) -> None:
        locked.append(folder)
        folder.chmod(0)
        if user == 0:
            os.seteuid(65534)

    yield become
    os.seteuid(user)
    for folder in locked:
        folder.chmod(0o700)
