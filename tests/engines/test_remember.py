"""Small JSON files that survive a power cut, and whose loss stops nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge_agent.engines.remember import keep, recall


def test_what_is_kept_is_recalled(tmp_path: Path) -> None:
    file = tmp_path / "new" / "folder" / "x.json"
    keep(file, {"a": 1})
    keep(file, {"b": [2, "人"]})
    assert recall(file) == {"b": [2, "人"]}
    assert os.listdir(file.parent) == ["x.json"]


@pytest.mark.parametrize("content", [None, b"", b'{"a": ', b"[1]", b"\xff\xfe"])
def test_an_absent_or_damaged_file_means_that_nothing_is_known(
    tmp_path: Path, content: bytes | None
) -> None:
    file = tmp_path / "x.json"
    if content is not None:
        file.write_bytes(content)
    assert recall(file) == {}


def test_a_failed_write_leaves_the_old_file_and_no_draft(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    keep(file, {"a": 1})
    with pytest.raises(TypeError):
        keep(file, {"a": object()})
    assert recall(file) == {"a": 1}
    assert os.listdir(tmp_path) == ["x.json"]
