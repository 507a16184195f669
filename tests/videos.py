"""Small videos that are made up, and everything that a source makes of one."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from edge_agent.sources.video import Video
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
