"""Recorded video: every frame, the container's times, and damage that is counted by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from videos import read_all, write_video

from edge_agent.errors import UsageError
from edge_agent.pipeline.pace import Pace
from edge_agent.sources.video import Video, VideoSpec
from edge_agent.types import Broken, Frame


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


def test_pictures_are_made_of_the_frames_that_keep_a_rate_and_no_frame_is_lost(
    tmp_path: Path,
) -> None:
    path = write_video(tmp_path / "v.avi")  # 10 a second
    every = [item for item in read_all(Video("cam", VideoSpec(path))) if isinstance(item, Frame)]
    few = read_all(Video("cam", VideoSpec(path, rates=(2.0, 5.0))))
    assert [(item.index, item.time) for item in few] == [(item.index, item.time) for item in every]
    pace = {rate: Pace() for rate in (2.0, 5.0)}
    for whole, item in zip(every, few, strict=True):
        assert isinstance(item, Frame)
        assert item.paced == tuple(r for r, each in pace.items() if each.admits(item.time, r))
        assert item.seen == (item.data.size > 0)
        assert not item.seen or np.array_equal(item.data, whole.data)
    assert 0 < sum(item.seen for item in few if isinstance(item, Frame)) < len(few)


def test_damage_is_the_same_whether_pictures_are_made_or_not(
    realdata: Callable[[str], Path], tmp_path: Path
) -> None:
    data = bytearray(realdata("video/vtest.avi").read_bytes()[:1_500_000])
    data[600_000:700_000] = bytes(100_000)
    path = tmp_path / "holes.avi"
    path.write_bytes(data)
    every, few = (read_all(Video("cam", VideoSpec(path, rates=rates))) for rates in ((), (1.0,)))
    assert [(type(each), each.index, each.time) for each in every] == [
        (type(each), each.index, each.time) for each in few
    ]
