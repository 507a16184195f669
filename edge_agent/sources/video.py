"""A recorded video: any file that FFmpeg reads.

Rules: every frame in order, none dropped; times are the container's own. What cannot be decoded is
one `Broken` item per damaged stretch, and reading goes on behind it. A file that ends before the
length that its container states is one `Broken` item too. Told the rates of its pipelines, it makes
pictures only of frames that keep one; what that saves depends on the codec (docs/performance.md).
Read `motion_jpeg.py` next.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from edge_agent.errors import UsageError
from edge_agent.frozen import frozen
from edge_agent.pipeline.pace import Paces, no_picture
from edge_agent.sources.motion_jpeg import undecoded
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
    rates: tuple[float, ...] = ()  # those at which anybody looks at it; empty: every frame
    packets: bool = False  # motion JPEG may be taken undecoded


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
        self._held: Frame | None = None  # the good frame behind a damaged stretch
        self._paces = Paces(spec.rates)
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
        rates = self._spec.rates if self._spec.packets else ()
        capture = undecoded(
            lambda: cv2.VideoCapture(str(path), cv2.CAP_FFMPEG), rates, self._spec.fps
        )
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
            held, self._held = self._held, None
            return self._taken(held)
        for attempt in range(GIVE_UP_AFTER):
            # A damaged stretch is one item, so the good frame behind it is the one after that.
            frame = self._next(self._index + (attempt > 0))
            if frame is not None:
                if attempt == 0:
                    return self._taken(frame)
                self._passed_over += attempt - 1
                self._held = frame
                return self._broken("damaged frames")
            if self._at_end():
                break
        return self._end_of_round()

    def close(self) -> None:
        if self._capture is not None:
            self._capture.release()
            self._capture = None

    def _next(self, index: int) -> Frame | None:
        """The next frame of the file, to which that number belongs; None when it is damaged."""
        if not self._capture.grab():
            return None
        time = self._moment(index)
        paced = self._paces.keeps(time)
        frame = Frame(self.name, index, time, no_picture(), self._spec.path.name, paced)
        if not frame.seen:
            return frame
        good, image = self._capture.retrieve()
        return replace(frame, data=image) if good else None

    def _taken(self, frame: Frame) -> Frame:
        self._index, self._last = frame.index + 1, frame.time
        return frame

    def _broken(self, reason: str) -> Broken:
        item = Broken(self.name, self._index, self._last, self._spec.path.name, reason)
        self._index += 1
        return item

    def _moment(self, index: int) -> float:
        """The time of the frame just grabbed; never before the one in front of it."""
        import cv2

        if self._spec.fps:
            offset = (index - self._round_start) / self._spec.fps
        else:
            offset = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000.0
            if offset <= 0.0 and index > self._round_start:  # the container has no times
                offset = (index - self._round_start) / (self._info.fps or 25.0)
        return max(self._last, self._round_origin + round(offset, 6))

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
