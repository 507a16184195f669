"""Pictures: file, folder, glob; natural order; what is broken is counted by name."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_agent.errors import UsageError
from edge_agent.sources.images import Images, ImagesSpec
from edge_agent.types import Broken, Frame


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for index in (1, 2, 10):
        picture = np.full((8, 8, 3), index, np.uint8)
        cv2.imwrite(str(tmp_path / f"shot{index}.png"), picture)
    (tmp_path / "shot3.jpg").write_bytes(b"\xff\xd8 not really")
    (tmp_path / "shot4.png").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("no picture")
    return tmp_path


def read_all(uri: str) -> list[Frame | Broken]:
    source = Images("pics", ImagesSpec(uri, fps=2.0, origin=10.0))
    source.open()
    items = []
    while (item := source.read()) is not None:
        items.append(item)
    return items


def test_a_folder_is_read_in_natural_order_and_broken_pictures_are_named(folder: Path) -> None:
    items = read_all(str(folder))
    assert [item.name for item in items] == [
        "shot1.png",
        "shot2.png",
        "shot3.jpg",
        "shot4.png",
        "shot10.png",
    ]
    broken = {item.name: item.reason for item in items if isinstance(item, Broken)}
    assert broken == {"shot3.jpg": "not a picture, or damaged", "shot4.png": "the file is empty"}
    assert [item.time for item in items] == [10.0, 10.5, 11.0, 11.5, 12.0]
    assert [int(item.data[0, 0, 0]) for item in items if isinstance(item, Frame)] == [1, 2, 10]


def test_a_glob_and_a_single_file(folder: Path) -> None:
    assert [item.name for item in read_all(f"{folder}/shot1*.png")] == ["shot1.png", "shot10.png"]
    assert len(read_all(f"{folder}/shot2.png")) == 1


def test_names_in_any_script(tmp_path: Path) -> None:
    data = cv2.imencode(".png", np.zeros((4, 4, 3), np.uint8))[1].tobytes()
    (tmp_path / "人.png").write_bytes(data)
    assert [item.name for item in read_all(str(tmp_path))] == ["人.png"]


def test_nothing_there_is_a_mistake_of_the_user(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no picture at"):
        Images("pics", ImagesSpec(str(tmp_path / "*.png"))).open()
