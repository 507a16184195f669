"""A recorded video: any file that FFmpeg reads.

Rules: every frame in order, none dropped; times are the container's own. What cannot be decoded is
one `Broken` item per damaged stretch, and reading goes on behind it. A file that ends before the
length that its container states is one `Broken` item too. Read `images.py` next.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edge_agent.errors import UsageError
from edge_agent.frozen import frozen
from edge_agent.types import Broken, Frame, SourceInfo

#: Consecutive failed reads after which a damaged file is taken to have ended.
GIVE_UP_AFTER = 64
#: A container's frame count may be an estimate (duration x rate): this share may be missing.
COUNT_TOLERANCE = 0.02


@frozen
class VideoSpec:
    path: Path
    fps: float | None = None  # where given, times are index / fps and not the container's
    loop: bool = False
    origin: float = 0.0  # seconds since the epoch of the first frame


class Video:
    """One video file as a source of frames."""

    live = False

    def __init__(self, name: str, spec: VideoSpec) -> None:
        self.name = name
        self._spec = spec
        self._capture: Any = None
        self._info = SourceInfo(None, None, None, None)
        self._index = 0  # of the next item, over all rounds of a loop
        self._round_start = 0  # index of the first item of this round
        self._round_origin = spec.origin
        self._last = spec.origin
        self._ended = False
        self._held: Any = None  # the good frame behind a damaged stretch
        self._passed_over = 0  # frames of this round that could not be decoded
        self._told = False  # that this round was truncated

    def open(self) -> SourceInfo:
        """Raises UsageError when the file is not there. A file that is no video opens too: it then
        delivers one `Broken` item with its name, so that a batch goes on behind it."""
        path = self._spec.path
        if not path.exists():
            raise UsageError(f"source {self.name}: there is no file {path}", "check its `uri`")
        import cv2

        self.close()
        capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
        if not capture.isOpened():
            return self._info
        self._capture = capture
        self._info = SourceInfo(
            width=int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)) or None,
            height=int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT)) or None,
            fps=self._spec.fps or capture.get(cv2.CAP_PROP_FPS) or None,
            frames=max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT))) or None,
        )
        return self._info

    def read(self) -> Frame | Broken | None:
        if self._ended:
            return None
        if self._capture is None:
            self._ended = True
            return self._broken("FFmpeg cannot read it as a video")
        if self._held is not None:
            image, self._held = self._held, None
            return self._frame(image)
        for attempt in range(GIVE_UP_AFTER):
            good, image = self._capture.read()
            if good:
                # A damaged stretch was passed: count it, and hand the good frame out next.
                if attempt == 0:
                    return self._frame(image)
                self._passed_over += attempt - 1
                return self._after_damage(image)
            if self._at_end():
                break
        return self._end_of_round()

    def close(self) -> None:
        if self._capture is not None:
            self._capture.release()
            self._capture = None

    def _after_damage(self, image: Any) -> Broken:
        self._held = image
        return self._broken("damaged frames")

    def _frame(self, image: Any) -> Frame:
        frame = Frame(self.name, self._index, self._moment(), image, self._spec.path.name)
        self._index += 1
        return frame

    def _broken(self, reason: str) -> Broken:
        item = Broken(self.name, self._index, self._last, self._spec.path.name, reason)
        self._index += 1
        return item

    def _moment(self) -> float:
        """The time of the frame just decoded; never before the one in front of it."""
        import cv2

        if self._spec.fps:
            offset = (self._index - self._round_start) / self._spec.fps
        else:
            offset = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000.0
            if offset <= 0.0 and self._index > self._round_start:  # the container has no times
                offset = (self._index - self._round_start) / (self._info.fps or 25.0)
        self._last = max(self._last, self._round_origin + round(offset, 6))
        return self._last

    def _at_end(self) -> bool:
        stated = self._info.frames
        return stated is None or self._index - self._round_start >= stated

    def _end_of_round(self) -> Frame | Broken | None:
        """The file has no more: it may be shorter than stated, and a loop begins again."""
        read, stated = self._index - self._round_start, self._info.frames or 0
        missing = stated - read - self._passed_over
        self._ended = not self._spec.loop or read == 0
        if missing > stated * COUNT_TOLERANCE + 1 and not self._told:
            self._told = True
            return self._broken(f"truncated: it ended after {read} of {stated} frames")
        if self._ended:
            return None
        self._round_start = self._index
        self._round_origin = self._last + 1 / (self._info.fps or 25.0)
        self._passed_over, self._told = 0, False
        self.open()
        return self.read()
