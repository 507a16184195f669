"""Windows that were kept with an event: `.npz` with `times` and `windows` (a clip), or one `.npy`.

Rules: each window as it was, at the distance in time that it had from the first one, which stands
at the origin. Nothing is cut anew, so a model gets exactly what it got then.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import BadZipFile

import numpy as np

from edge_agent.errors import UsageError
from edge_agent.types import Frame, SourceInfo

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge_agent.types import Array


class KeptWindows:
    """A file of windows (samples, channels) of float32 as a source of frames."""

    live = False

    def __init__(self, path: Path, window: int, origin: float) -> None:
        self.name = path.name
        self._path = path
        self._window = window
        self._origin = origin
        self._index = 0
        self._windows: Array = np.empty((0, window, 1), np.float32)
        self._times: NDArray[np.float64] = np.empty(0)

    def open(self) -> SourceInfo:
        """Raises UsageError when the file is not there or holds something else."""
        try:
            self._times, self._windows = _read(self._path)
        except FileNotFoundError:
            raise UsageError(f"there is no file {self._path}") from None
        except (OSError, ValueError, KeyError, EOFError, BadZipFile):
            raise UsageError(
                f"{self._path} holds no windows of a signal", "give a clip or window of an event"
            ) from None
        samples = self._windows.shape[1]
        if samples != self._window:
            raise UsageError(
                f"{self._path} has windows of {samples} samples, the model wants {self._window}",
                "give a clip of a pipeline with the same window",
            )
        self._index = 0
        return SourceInfo(None, None, None, len(self._windows))

    def read(self) -> Frame | None:
        index, self._index = self._index, self._index + 1
        if index >= len(self._windows):
            return None
        time = self._origin + float(self._times[index] - self._times[0])
        return Frame(self.name, index, round(time, 6), self._windows[index], self._path.name)

    def close(self) -> None:
        self._windows = self._windows[:0]


def _read(path: Path) -> tuple[NDArray[np.float64], Array]:
    """Times (n) and windows (n, samples, channels)."""
    with path.open("rb") as file:
        loaded = np.load(file, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            times, windows = np.zeros(1), loaded[None]
        else:
            times, windows = loaded["times"], loaded["windows"]
    if windows.ndim != 3 or len(windows) == 0 or times.shape != windows.shape[:1]:
        raise ValueError("not (n, samples, channels)")
    return times.astype(np.float64), windows.astype(np.float32)
