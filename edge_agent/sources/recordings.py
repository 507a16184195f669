"""Files of samples for one model: every window of a CSV, WAV or NumPy file.

Rules of a NumPy file: its rows are windows where each has as many numbers as one, whatever their
shape; the whole is one window where it has as many; else it is samples, one a row, that are cut
like any others. What is no number (NaN, infinite) is a missing sample, as it is in any signal.
Objects are never loaded (they would run code).
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from edge_agent.config.signal_uri import SignalUri
from edge_agent.errors import UsageError
from edge_agent.sources.signal import Framing, Signal
from edge_agent.sources.signal_kinds import Access, samples_of
from edge_agent.sources.windower import mended
from edge_agent.types import Broken, Frame, SourceInfo

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge_agent.ports import Source
    from edge_agent.types import SignalSpec

SUFFIXES = frozenset({".csv", ".tsv", ".wav", ".npy"})


def open_windows(path: Path, wanted: SignalSpec, uri: SignalUri | None = None) -> Source:
    """Every window of a file, as the model wants it; not opened yet. Any name that is neither .npy
    nor .wav is one of CSV, unless a `uri` says what it is and which of its channels.

    Where neither the file nor the model tells the rate, the times are those of one sample a second.
    """
    name, suffix = path.name, path.suffix.lower()
    if uri is None and suffix == ".npy":
        return NumpyFile(name, path, wanted)
    uri = uri or SignalUri("wav" if suffix == ".wav" else "csv", str(path), {}, str(path))
    framing = Framing(wanted.window, wanted.hop, wanted.rate_hz, wanted.channels, assumed_hz=1.0)
    return Signal(name, samples_of(name, uri, Access()), framing)


class NumpyFile:
    """The windows of an .npy file as a `Source`."""

    live = False

    def __init__(self, name: str, path: Path, wanted: SignalSpec) -> None:
        self.name = name
        self._path = path
        self._wanted = wanted
        self._windows: NDArray[Any] | None = None
        self._fault = ""  # why it has none
        self._index = 0

    def open(self) -> SourceInfo:
        """Raises UsageError when the file is not there; a wrong one delivers one `Broken`."""
        self._index, self._fault, self._windows = 0, "", None
        try:
            array = np.load(self._path, mmap_mode="r", allow_pickle=False)
            self._windows = self._cut(array)
        except OSError as fault:
            raise UsageError(f"{self._path} cannot be read: {fault.strerror}") from None
        except (ValueError, EOFError, TypeError) as fault:
            self._fault = str(fault) if isinstance(fault, _WrongArray) else _NOT_NUMPY
        count = None if self._windows is None else len(self._windows)
        return SourceInfo(None, None, self._rate / self._wanted.hop, count)

    def read(self) -> Frame | Broken | None:
        index = self._index
        self._index += 1
        if self._fault:
            return self._broken(0, self._fault) if index == 0 else None
        if self._windows is None or index >= len(self._windows):
            return None
        with np.errstate(over="ignore"):  # what float32 cannot hold is infinite, and so missing
            window = mended(np.array(self._windows[index], np.float32))
        if isinstance(window, str):
            return self._broken(index, f"window {index}: {window}")
        return Frame(self.name, index, self._time(index), window, self._path.name)

    def close(self) -> None:
        self._windows = None

    @property
    def _rate(self) -> float:
        return self._wanted.rate_hz or 1.0

    def _time(self, index: int) -> float:
        """Of the last sample of a window."""
        return (index * self._wanted.hop + self._wanted.window - 1) / self._rate

    def _broken(self, index: int, reason: str) -> Broken:
        return Broken(self.name, index, self._time(index), self._path.name, reason)

    def _cut(self, array: NDArray[Any]) -> NDArray[Any]:
        """(n, window, channels) of the file's own type, as a view. Raises ValueError."""
        wanted = self._wanted
        one = (wanted.window, wanted.channels)
        numbers = wanted.window * wanted.channels
        if array.dtype.kind not in "biuf":
            raise _WrongArray(f"it holds {array.dtype}, not numbers")
        if array.size == numbers:
            return array.reshape(1, *one)
        if array.ndim > 1 and len(array) and math.prod(array.shape[1:]) == numbers:
            return array.reshape(-1, *one)
        samples = array.reshape(-1, 1) if array.ndim == 1 else array
        if samples.ndim != 2 or samples.shape[1] != wanted.channels or len(samples) < one[0]:
            shape = " x ".join(map(str, array.shape)) or "one number"
            raise _WrongArray(
                f"its shape {shape} holds no window of {wanted.window} x {wanted.channels}"
            )
        return sliding_window_view(samples, wanted.window, axis=0)[:: wanted.hop].swapaxes(1, 2)


class _WrongArray(ValueError):
    """A sound file whose array is none of windows."""


_NOT_NUMPY = "not a NumPy file that can be read: damaged, cut short, or one of objects"
