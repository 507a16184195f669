"""A picture that somebody asked for, out of the frames that pass by: none is held otherwise."""

from __future__ import annotations

import threading

from edge_agent.types import Frame


class Still:
    """`offer` is the worker's and costs nothing while nobody asks; `take` may be anybody's."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._wanted = False
        self._frame: Frame | None = None

    def offer(self, frame: Frame) -> None:
        """The frame as the pipeline saw it: with its privacy masks blackened."""
        if self._wanted and frame.seen:
            with self._changed:
                self._wanted = False
                self._frame = frame
                self._changed.notify_all()

    def take(self, wait_s: float) -> Frame | None:
        """The next frame, if it comes in time. If not, it is kept for whoever asks again."""
        with self._changed:
            if self._frame is None:
                self._wanted = True
                self._changed.wait_for(lambda: self._frame is not None, wait_s)
            frame, self._frame = self._frame, None
        return frame
