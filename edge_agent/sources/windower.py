"""Samples in a row are cut into overlapping windows.

Pure. Rules: window k of an uninterrupted run covers the samples from k * hop to k * hop + window,
however the run is dealt out in blocks. A gap in time begins a new run: no window reaches over it;
a step within `slack` of the usual one is jitter of the clock that wrote the times, and none.
What the sensor did not give (NaN, infinite) is filled in on a straight line up to a twentieth of a
window; beyond that the window is spoilt. Read `signal.py` next.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from edge_agent.frozen import frozen

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: This many sample periods between two samples are a gap.
GAP_PERIODS = 1.5
#: This part of a window may be missing, in each channel.
FILLED_AT_MOST = 0.05


@frozen
class Window:
    """`values` (window, channels) float32, all finite; `last` counts its last sample from the very
    first one of the source, `time` is that sample's own."""

    values: NDArray[np.float32]
    last: int
    time: float


@frozen
class Spoilt:
    """A window in which too much is missing."""

    reason: str
    last: int
    time: float


class Windower:
    """Cuts one source's samples. `gaps` counts interruptions, `jitter` times that were off and yet
    none, `missing` samples that were not given in at least one channel, `samples` all of them."""

    def __init__(self, window: int, hop: int, period: float) -> None:
        self._window = window
        self._hop = hop
        self._period = period  # seconds from sample to sample
        self._values: NDArray[np.float32] | None = None  # of this run, from the next window on
        self._times: NDArray[np.float64] = np.empty(0)
        self._latest: float | None = None  # time of the latest sample
        self._pass_over = 0  # samples between two windows that belong to none
        self._step: float | None = None  # of the clock that wrote the times
        self.samples = 0
        self.gaps = 0
        self.jitter = 0
        self.missing = 0

    def add(
        self, values: NDArray[np.float32], times: NDArray[np.float64], slack: float = 0.0
    ) -> Iterator[Window | Spoilt]:
        """The windows that (n, channels) more samples complete; `times` (n,) in seconds, each of
        which may be `slack` too early or too late behind the one before."""
        if not len(values):
            return
        cuts = self._cuts(times, slack)
        self.gaps += len(cuts)
        self.missing += int((~np.isfinite(values)).any(axis=1).sum())
        for begin, end in pairwise([0, *cuts, len(values)]):
            if begin in cuts:
                self.restart()
            yield from self._cut(values[begin:end], times[begin:end])
        self._latest = float(times[-1])

    def restart(self) -> None:
        """A new run begins: what waits for its window is dropped."""
        self._values, self._times, self._pass_over = None, np.empty(0), 0

    def _cuts(self, times: NDArray[np.float64], slack: float) -> list[int]:
        """Where a gap lies, or time runs backwards, before a sample of this block."""
        steps = np.diff(times, prepend=times[0] if self._latest is None else self._latest)
        if self._step is None and len(steps) > 2:
            self._step = self._coarse(steps if self._latest is not None else steps[1:])
        usual = max(self._step or 0.0, self._period)
        # A block's times are the sum of many roundings: the limit itself is still jitter.
        slack = slack * (1 + 1e-9)
        odd = (steps > GAP_PERIODS * usual) | (steps < 0)
        jumps = (steps > max(GAP_PERIODS * usual, usual + slack)) | (steps < min(0, usual - slack))
        self.jitter += int((odd & ~jumps).sum())
        return [int(place) for place in np.flatnonzero(jumps)]

    def _coarse(self, steps: NDArray[np.float64]) -> float:
        """The step of a clock that stands still for several samples; 0 of a finer one."""
        step = usual_step(steps) or 0.0
        still = float((steps == 0).mean())
        return step if still >= 0.5 * (1 - self._period / max(step, self._period)) else 0.0

    def _cut(
        self, values: NDArray[np.float32], times: NDArray[np.float64]
    ) -> Iterator[Window | Spoilt]:
        self.samples += len(values)
        passed = min(self._pass_over, len(values))
        self._pass_over -= passed
        values, times = values[passed:], times[passed:]
        if self._values is not None:
            values = np.concatenate([self._values, values])
            times = np.concatenate([self._times, times])
        count = max(0, (len(values) - self._window) // self._hop + 1)
        for begin in range(0, count * self._hop, self._hop):
            end = begin + self._window
            last = self.samples - len(values) + end - 1
            yield self._made(values[begin:end], last, float(times[end - 1]))
        used = count * self._hop
        self._pass_over += max(0, used - len(values))
        self._values, self._times = values[used:], times[used:]

    def _made(self, values: NDArray[np.float32], last: int, time: float) -> Window | Spoilt:
        whole = mended(values)
        return Spoilt(whole, last, time) if isinstance(whole, str) else Window(whole, last, time)


def mended(values: NDArray[np.float32]) -> NDArray[np.float32] | str:
    """A window with what is missing filled in; why not, where too much is."""
    finite = np.isfinite(values)
    if finite.all():
        return values
    worst = int((~finite).sum(axis=0).max())
    if worst > FILLED_AT_MOST * len(values):
        return f"{worst} of {len(values)} samples {'are' if worst > 1 else 'is'} missing"
    return _filled(values, finite)


def _filled(values: NDArray[np.float32], finite: NDArray[np.bool_]) -> NDArray[np.float32]:
    """A straight line over what is missing; at the ends the nearest sample."""
    filled, place = values.copy(), np.arange(len(values))
    for channel, known in enumerate(finite.T):
        if not known.all():
            line = np.interp(place[~known], place[known], values[known, channel])
            filled[~known, channel] = line
    return filled


def usual_step(steps: NDArray[np.float64]) -> float | None:
    """Seconds from time to time; more than a period where the clock is coarser than the samples."""
    rising = steps[steps > 0]
    return float(np.median(rising)) if len(rising) else None


def rate_of(times: NDArray[np.float64], slack: float = 0.0) -> float | None:
    """Samples a second by their own times, gaps left out; None where they do not tell.

    With a slack the slope of a line through them, which jitter at either end does not turn.
    """
    steps = np.diff(times)
    step = usual_step(steps)
    if step is None:
        return None
    usual = steps[
        (steps >= min(0.0, step - slack)) & (steps <= max(GAP_PERIODS * step, step + slack))
    ]
    if not slack:
        return len(usual) / float(usual.sum())
    whole = np.concatenate([[0.0], np.cumsum(usual)])
    slope = float(np.polyfit(np.arange(len(whole)), whole, 1)[0])
    return 1 / slope if slope > 0 else None
