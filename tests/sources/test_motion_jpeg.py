"""Motion JPEG whose frames are taken undecoded: the same pictures, times and ends, and cheaper."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from videos import read_all, write_video

from edge_agent.sources.motion_jpeg import MotionJpeg, undecoded
from edge_agent.sources.video import Video, VideoSpec
from edge_agent.types import Broken, Frame

FEW = (2.0,)


def spec(path: Path, **more: Any) -> VideoSpec:
    return VideoSpec(path, rates=FEW, packets=True, **more)


def test_pictures_and_times_are_those_of_ffmpeg_but_for_rounding(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.avi")
    ffmpegs, ours = read_all(Video("cam", VideoSpec(path))), read_all(Video("cam", spec(path)))
    assert [(each.index, each.time) for each in ffmpegs] == [
        (each.index, each.time) for each in ours
    ]
    pairs = [
        (a.data, b.data)
        for a, b in zip(ffmpegs, ours, strict=True)
        if isinstance(a, Frame) and isinstance(b, Frame) and b.seen
    ]
    assert len(pairs) == 7  # of three seconds at two a second, each a little before it is due
    for theirs, own in pairs:
        assert np.abs(theirs.astype(int) - own).mean() < 4  # grain, and its colour at half the size
        assert abs(theirs.astype(int).mean() - own.mean()) < 2


def opened(path: Path, rates: tuple[float, ...], fps: float | None = None) -> Any:
    return undecoded(lambda: cv2.VideoCapture(str(path), cv2.CAP_FFMPEG), rates, fps)


def test_only_few_pictures_of_motion_jpeg_are_made_here(tmp_path: Path) -> None:
    jpeg, other = write_video(tmp_path / "v.avi"), tmp_path / "o.avi"
    codec = cv2.VideoWriter_fourcc(*"mp4v")  # type: ignore[attr-defined]
    writer = cv2.VideoWriter(str(other), codec, 10.0, (64, 48))
    for level in range(10):
        writer.write(np.full((48, 64, 3), level, np.uint8))
    writer.release()
    assert isinstance(opened(jpeg, (5.0,)), MotionJpeg)
    assert isinstance(opened(jpeg, (30.0,), fps=60.0), MotionJpeg)
    for path, rates in ((jpeg, ()), (jpeg, (5.1,)), (other, FEW)):
        assert not isinstance(opened(path, rates), MotionJpeg)


def test_a_frame_that_holds_another_size_than_ffmpeg_shows_is_left_to_ffmpeg(
    tmp_path: Path,
) -> None:
    """As two fields in one frame would: here half the lines are missing in each JPEG."""
    path = write_video(tmp_path / "v.avi", frames=4)
    whole = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    halved = Halved(str(path))
    captures = iter((halved, whole))
    capture = MotionJpeg(halved, lambda: next(captures))
    next(captures)
    assert capture.grab()
    good, picture = capture.retrieve()
    assert good
    assert picture.shape == (48, 64, 3)
    assert [capture.grab() for _ in range(4)] == [True, True, True, False]


class Halved:
    """Packets with JPEGs of half the height."""

    def __init__(self, path: str) -> None:
        self._capture = cv2.VideoCapture(path, cv2.CAP_FFMPEG)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._capture, name)

    def retrieve(self) -> tuple[bool, Any]:
        return True, cv2.imencode(".jpg", np.zeros((24, 64, 3), np.uint8))[1]


@pytest.mark.parametrize("rates", [(), FEW])
def test_a_picture_that_is_damaged_is_broken_where_somebody_looks_at_it(
    tmp_path: Path, rates: tuple[float, ...]
) -> None:
    path = write_video(tmp_path / "v.avi")
    data = bytearray(path.read_bytes())
    starts = [at for at in range(len(data) - 2) if data[at : at + 3] == b"\xff\xd8\xff"]
    data[starts[9] : starts[10] - 8] = bytes(starts[10] - 8 - starts[9])  # it keeps a slot
    path.write_bytes(data)
    items = read_all(Video("cam", VideoSpec(path, rates=rates, packets=True)))
    assert [item.index for item in items if isinstance(item, Broken)] == [9]
    assert len(items) == 30
