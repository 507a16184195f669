"""The child process in which a model is tried is confined: what it writes, and what it opens."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from edge_agent.engines.child import Limits, call
from edge_agent.errors import Refused

DEEDS = """\
def write(at, path, size):
    at("writing")
    with open(path, "wb") as file:
        file.write(bytes(size))
    return {}

def open_many(at, number):
    at("opening")
    return {"open": len([open("/dev/null") for _ in range(number)])}
"""


@pytest.fixture
def deeds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A module that both sides can import."""
    (tmp_path / "deeds.py").write_text(DEEDS)
    before = os.environ.get("PYTHONPATH", "")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), before]))
    monkeypatch.syspath_prepend(tmp_path)
    import deeds  # type: ignore[import-not-found]

    return deeds


def test_it_writes_no_large_file(deeds: Any, tmp_path: Path) -> None:
    path = tmp_path / "file"
    assert call("m", deeds.write, (path, 1000), Limits()) == {}
    with pytest.raises(Refused, match=r"(?i)m .*file (size limit exceeded|too large)"):
        call("m", deeds.write, (path, 100_000_000), Limits())
    assert path.stat().st_size <= 1 << 20


def test_it_opens_no_thousand_files(deeds: Any) -> None:
    assert call("m", deeds.open_many, (50,), Limits()) == {"open": 50}
    with pytest.raises(Refused, match=r"m failed while opening: OSError: .*Too many open files"):
        call("m", deeds.open_many, (1000,), Limits())
