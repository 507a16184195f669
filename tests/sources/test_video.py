"""Recorded video: every frame, the container's times, and damage that is counted by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_agent.errors import UsageError
from edge_agent.sources.video import Video, VideoSpec
from edge_agent.types import Broken, Frame


def write_video(path: Path, frames: int = 30, fps: float = 10.0) -> Path:
    """Frame i is 4 * i brighter than the first, so that a frame can be told from its neighbours."""
    codec = cv2.VideoWriter_fourcc(*"MJPG")  # type: ignore[attr-defined]
    writer = cv2.VideoWriter(str(path), codec, fps, (64, 48))
    grain = np.random.default_rng(1).integers(0, 60, (48, 64, 3))  # so that frames have a size
    for index in range(frames):
        writer.write((grain + 4 * index).astype(np.uint8))
    writer.release()
    return path


def read_all(source: Video) -> list[Frame | Broken]:
    source.open()
    items = []
    while (item := source.read()) is not None:
        items.append(item)
    source.close()
    return items


def test_every_frame_comes_in_order_with_the_times_of_the_container(tmp_path: Path) -> None:
    items = read_all(Video("cam", VideoSpec(write_video(tmp_path / "v.avi"), origin=100.0)))
    assert [item.index for item in items] == list(range(30))
    assert [item.time for item in items] == pytest.approx([100 + i / 10 for i in range(30)])
    assert all(isinstance(item, Frame) and item.name == "v.avi" for item in items)
    levels = [float(item.data.mean()) for item in items if isinstance(item, Frame)]
    assert levels == pytest.approx([levels[0] + 4 * i for i in range(30)], abs=3)


def test_a_stated_rate_wins_over_the_container(tmp_path: Path) -> None:
    items = read_all(Video("cam", VideoSpec(write_video(tmp_path / "v.avi"), fps=2.0)))
    assert [item.time for item in items[:3]] == [0.0, 0.5, 1.0]


def test_a_truncated_video_is_one_failure_with_its_name_and_the_rest_is_read(
    tmp_path: Path,
) -> None:
    path = write_video(tmp_path / "v.avi")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    items = read_all(Video("cam", VideoSpec(path)))
    broken = [item for item in items if isinstance(item, Broken)]
    assert len(broken) == 1
    assert broken[0].name == "v.avi"
    assert "of 30 frames" in broken[0].reason
    assert 5 < len(items) < 30


def test_damage_in_the_middle_is_counted_and_reading_goes_on_behind_it(
    realdata: Callable[[str], Path], tmp_path: Path
) -> None:
    data = bytearray(realdata("video/vtest.avi").read_bytes()[:3_000_000])
    data[1_000_000:1_100_000] = bytes(100_000)
    path = tmp_path / "holes.avi"
    path.write_bytes(data)
    items = read_all(Video("cam", VideoSpec(path)))
    assert [item.index for item in items] == list(range(len(items)))
    assert isinstance(items[-1], Broken)
    assert sum(isinstance(item, Frame) for item in items) > 200


def test_what_is_no_video_is_one_failure(tmp_path: Path) -> None:
    (tmp_path / "notes.mp4").write_text("not a video")
    items = read_all(Video("cam", VideoSpec(tmp_path / "notes.mp4")))
    assert len(items) == 1
    assert isinstance(items[0], Broken)
    assert items[0].name == "notes.mp4"


def test_a_file_that_is_not_there_is_a_mistake_of_the_user(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no file"):
        Video("cam", VideoSpec(tmp_path / "none.avi")).open()


def test_a_loop_goes_on_with_index_and_time(tmp_path: Path) -> None:
    source = Video("cam", VideoSpec(write_video(tmp_path / "v.avi", frames=4), loop=True))
    source.open()
    items = [source.read() for _ in range(10)]
    source.close()
    assert [item.index for item in items if item] == list(range(10))
    assert [item.time for item in items if item] == pytest.approx([i / 10 for i in range(10)])
