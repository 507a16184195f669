"""Writes a configuration into a folder of its own and reads it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from edge_agent.config.load import Loaded, read

#: Something to stand around the part under test.
SOURCES = "sources: {yard: {kind: scene}}\n"
PIPELINE = SOURCES + "pipelines:\n  people:\n    source: yard\n    model: scene-detector\n"


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path / "site.yaml"
        path.write_text(dedent(text), encoding="utf-8")
        return path

    return write


@pytest.fixture
def reading(written: Callable[[str], Path]) -> Callable[[str], Loaded]:
    return lambda text: read(written(text))


@pytest.fixture
def pipeline(reading: Callable[[str], Loaded]) -> Callable[[str], Loaded]:
    """A whole file around the keys of one pipeline; their first line is line 6 of it."""

    def around(keys: str) -> Loaded:
        body = "".join(f"    {line}\n" for line in dedent(keys).strip("\n").splitlines())
        return reading(PIPELINE + body)

    return around
