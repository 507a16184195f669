"""A change of light over the whole picture: one gain and one offset, fitted robustly.

After auto exposure or a lamp, a pixel that showed `before` shows `gain * before + offset`. Things
that move at the same time are outliers to the fit. Part of `motion.py`.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float32]

#: Quartiles of a picture that lie closer together, in grey levels, say nothing about a gain.
FLAT = 5.0
ROUNDS = 4


class Light(NamedTuple):
    """`after = gain * before + offset`, in grey levels."""

    gain: float
    offset: float


def fit(before: Floats, after: Floats) -> Light:
    """The light that changed (N,) grey levels `before` into `after`; N is at least 1.

    Starts from the quartiles of both, which things that change places do not alter, then
    iteratively reweighted least squares with Cauchy weights (Holland and Welsch 1977,
    doi 10.1080/03610927708827533). Where `before` has no contrast the gain is 1.
    """
    low, high = _quartiles(before)
    lower, upper = _quartiles(after)
    flat = high - low < FLAT
    gain = 1.0 if flat else (upper - lower) / (high - low)
    offset = median(after - gain * before)
    for _ in range(ROUNDS):
        residual = np.abs(after - gain * before - offset)
        scale = max(2.0, 1.5 * median(residual))
        weight = 1.0 / (1.0 + (residual / scale) ** 2)
        weight /= weight.sum()
        x, y = float(weight @ before), float(weight @ after)
        if not flat:
            lever = weight * (before - x)
            gain = float(lever @ after) / max(float(lever @ before), 1e-6)
        offset = y - gain * x
    return Light(gain, offset)


def median(values: Floats) -> float:
    """The upper median of (N,) values; numpy's own costs several times as much."""
    middle = values.size // 2
    return float(np.partition(values, middle)[middle])


def _quartiles(values: Floats) -> tuple[float, float]:
    low, high = values.size // 4, 3 * values.size // 4
    parted = np.partition(values, (low, high))
    return float(parted[low]), float(parted[high])
