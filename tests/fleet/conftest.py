"""A device with a real store, a stick, and a desk with a real archive; see `tests/desk.py`."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from desk import Device, command, surroundings

from edge_fleet.archive import Archive, open_archive


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Device]:
    device = Device(tmp_path / "state")
    yield device
    device.close()


@pytest.fixture
def media(tmp_path: Path) -> Path:
    (tmp_path / "stick").mkdir()
    return tmp_path / "stick"


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    with open_archive(tmp_path / "desk.db") as archive:
        yield archive


@pytest.fixture
def fleet(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """`fleet("collect", "--gaps")`: the finished process, its archive under tmp_path."""

    def run(*arguments: str | Path, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command(*arguments),
            capture_output=True,
            text=True,
            timeout=timeout,
            env=surroundings(tmp_path),
            cwd=tmp_path,
        )

    return run
