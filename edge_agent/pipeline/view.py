"""What a camera usually shows, and how far from it is what it shows now: sharpness and place.

The *usual* picture is the average of the thumbnails (`motion.py`) of the last minutes, the
*present* one that of the last second, in which whatever passes has faded. Once a second both are
compared cell by cell: has its detail gone (soft), or are its edges elsewhere (lost)? Edges are
gradients, compared by correlation, and detail is measured against the brightness of the
cell and the contrast of the picture: so neither light nor exposure counts as a change.

Rules: pure (time is an argument). Nothing is learned from a picture that is not as usual, so a
camera that was moved stays moved until it is turned back. Read `health.py` next.
"""

from __future__ import annotations

import math
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_agent.frozen import frozen
from edge_agent.pipeline.motion import Floats, Gray
from edge_agent.types import Polygon

Pixels = TypeVar("Pixels", Gray, Floats)

#: Side of a cell in pixels of the thumbnail.
CELL = 16
#: Time constant of the present picture, in seconds.
PRESENT_S = 1.0
#: Time constant of the usual picture, in seconds: sun and shadows wander more slowly.
USUAL_S = 300.0
#: It has been learned after so many seconds.
LEARN_S = 5.0
#: Its edges are found anew after this part of its memory: it has hardly changed before.
RENEW = 0.1
#: Both are compared this often, in seconds.
CHECK_S = 1.0
#: Mean squared gradient from which on a cell has detail: edges of some 3 grey levels.
DETAIL = 240.0
#: So many cells with detail are needed for any judgement: a bare wall says nothing.
LEAST_CELLS = 12
#: A cell is soft when less than this part of its detail is left.
SOFT = 0.5
#: The correlation of a cell's edges below which they are lost, and above which they are kept.
LOST, KEPT = 0.3, 0.8
#: From this share of soft cells on the detail is gone: a large smooth thing in front is not enough.
MOST_SOFT = 0.75
#: Below this contrast, or this correlation of what is coarse, the scene itself is gone as well.
LEAST_CONTRAST, LEAST_COARSE = 0.4, 0.5
#: The view is another one when this share of the cells is lost, and hardly any is kept.
MOST_LOST, LEAST_KEPT = 0.5, 0.15
#: From this part of either share on nothing is learned.
DOUBT = 0.7


@frozen
class Likeness:
    """How the present picture compares with the usual one; shares are 0..1.

    `soft`: of the cells that usually have detail, those that have lost it. `sharp`: those that have
    detail now. `lost` and `kept`: of the sharp ones, those whose edges are elsewhere, and those
    whose edges are where they were. `contrast`: now / usually. `coarse`: the correlation of both
    pictures with all detail left out.
    """

    soft: float
    sharp: float
    lost: float
    kept: float
    contrast: float
    coarse: float

    @property
    def veiled(self) -> bool:
        """Detail and scene are gone: something is in front of the lens."""
        return self.soft >= MOST_SOFT and not self._scene_is_there

    @property
    def blurred(self) -> bool:
        """The detail is gone, and the scene is there."""
        return self.soft >= MOST_SOFT and self._scene_is_there

    @property
    def elsewhere(self) -> bool:
        """There is detail, and nowhere where it was."""
        return self.sharp >= 0.5 and self.lost >= MOST_LOST and self.kept <= LEAST_KEPT

    @property
    def usual(self) -> bool:
        """It may be learned from: half a trouble is no usual picture either."""
        return self.soft < DOUBT * MOST_SOFT and self.lost < DOUBT * MOST_LOST

    @property
    def _scene_is_there(self) -> bool:
        return self.contrast >= LEAST_CONTRAST and self.coarse >= LEAST_COARSE


@frozen
class Edges:
    """The gradients of a picture: per pixel, smoothed so that a pixel's shift is forgiven; and of
    each cell their energy (`detail`), their smoothed mean and variance, and the cell's brightness.
    """

    smooth: Floats
    detail: Floats
    mean: Floats
    variance: Floats
    coarse: Floats


class View:
    """The usual and the present picture of one camera."""

    def __init__(self, masks: tuple[Polygon, ...] = ()) -> None:
        """`masks`: polygons in 0..1 that were blackened; cells that they touch do not count."""
        self._masks = masks
        self._open = np.empty((0, 0), np.bool_)
        self._present: Floats = np.empty((0, 0), np.float32)
        self._usual: Floats = self._present
        self._time = 0.0  # of the latest thumbnail
        self._checked = 0.0
        self._learned_s = 0.0
        self._then: Edges | None = None  # of the usual picture, as of `_renew_s`
        self._renew_s = 0.0  # seconds of learning
        self._likeness: Likeness | None = None

    def see(self, thumb: Gray, time: float) -> Likeness | None:
        """One thumbnail, in order of time. None: not yet learned, or too bare to say anything."""
        if thumb.shape != self._present.shape:
            self._begin(thumb, time)
            return None
        passed, self._time = max(0.0, time - self._time), time
        cv2.accumulateWeighted(thumb, self._present, _weight(passed, PRESENT_S))
        if time - self._checked >= CHECK_S:
            self._check(time)
        return self._likeness

    def look_away(self, thumb: Gray, time: float) -> None:
        """Nothing is to be seen in `thumb`; what is present begins anew with the next one."""
        if thumb.shape == self._present.shape:
            self._time, self._checked = -math.inf, time
            self._likeness = None

    def stand_still(self, seconds: float) -> None:
        """Nobody looked for so long."""
        self._time += seconds
        self._checked += seconds

    def _begin(self, thumb: Gray, time: float) -> None:
        self._open = open_blocks(self._masks, thumb, CELL)
        self._present = thumb.astype(np.float32)
        self._usual = self._present.copy()
        self._time = self._checked = time
        self._learned_s = self._renew_s = 0.0
        self._then = self._likeness = None

    def _check(self, time: float) -> None:
        passed, self._checked = time - self._checked, time
        if self._then is not None:
            self._likeness = _compare(edges(self._present), self._then, self._open)
        if self._likeness is None or self._likeness.usual:
            self._learn(passed)

    def _learn(self, passed: float) -> None:
        """At first a plain average: all that was seen counts alike."""
        self._learned_s += passed
        memory = min(self._learned_s, USUAL_S)
        cv2.accumulateWeighted(self._present, self._usual, min(1.0, passed / memory))
        if self._learned_s >= max(LEARN_S, self._renew_s):
            self._then = edges(self._usual)
            self._renew_s = self._learned_s + RENEW * memory


# --- below: the comparison -----------------------------------------------------------------------


def open_blocks(masks: tuple[Polygon, ...], thumb: Gray, side: int) -> NDArray[np.bool_]:
    """Of each whole block of a thumbnail: is it clear of every mask, and of the masks' edges?"""
    covered = np.zeros(thumb.shape, np.uint8)
    for mask in masks:
        corners = np.round(np.array(mask) * thumb.shape[::-1]).astype(np.int32)
        cv2.fillPoly(covered, [corners], 255)
        cv2.polylines(covered, [corners], True, 255, thickness=5)
    return np.asarray(block_means(covered.astype(np.float32), side) == 0)


def block_means(values: Pixels, side: int) -> Pixels:
    """The mean of each whole block of `side`; what is smaller than a block is one.

    Halving again and again is the path that OpenCV has vectorised.
    """
    height, width = (max(1, length // side) for length in values.shape)
    whole = values[: height * side, : width * side]
    halves = whole.shape == (height * side, width * side)
    while halves and side > 2 and side % 2 == 0:
        side //= 2
        whole = _resized(whole, width * side, height * side)
    return _resized(whole, width, height)


def _resized(values: Pixels, width: int, height: int) -> Pixels:
    means = cv2.resize(values, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(means, values.dtype)


def edges(picture: Floats) -> Edges:
    """Gradients are sums of both ways (Sobel), of whole grey levels: that is faster by far."""
    across, down = cv2.spatialGradient(cv2.convertScaleAbs(picture))
    gradient = np.asarray(np.abs(across) + np.abs(down), np.float32)
    smooth = np.asarray(cv2.blur(gradient, (3, 3)), np.float32)
    mean = _cells(smooth)
    variance = _cells(smooth * smooth) - mean * mean
    return Edges(smooth, _cells(gradient * gradient), mean, variance, _cells(picture))


def _compare(now: Edges, then: Edges, counts: NDArray[np.bool_]) -> Likeness | None:
    textured = counts & (then.detail >= DETAIL)
    count = int(np.count_nonzero(textured))
    if count < LEAST_CELLS:
        return None
    contrast = float(now.coarse[counts].std() / max(float(then.coarse[counts].std()), 1e-3))
    # Light scales detail as it scales the cell, haze and exposure scale the whole picture.
    light = np.minimum(now.coarse / np.maximum(then.coarse, 1.0), contrast)
    soft = textured & (now.detail < SOFT * light * light * then.detail)
    sharp = textured & ~soft & (now.detail >= DETAIL / 2)
    agreement = _agreement(now, then)[sharp]
    seen = max(1, agreement.size)
    return Likeness(
        soft=np.count_nonzero(soft) / count,
        sharp=agreement.size / count,
        lost=np.count_nonzero(agreement < LOST) / seen,
        kept=np.count_nonzero(agreement > KEPT) / seen,
        contrast=contrast,
        coarse=_correlation(now.coarse[counts], then.coarse[counts]),
    )


def _agreement(now: Edges, then: Edges) -> Floats:
    """The correlation of the edges of both pictures, cell by cell."""
    common = _cells(now.smooth * then.smooth) - now.mean * then.mean
    scale = np.sqrt(np.maximum(now.variance * then.variance, 1e-6))
    return np.asarray(common / scale, np.float32)


def _cells(values: Floats) -> Floats:
    return block_means(values, CELL)


def _correlation(one: Floats, other: Floats) -> float:
    one, other = one - one.mean(), other - other.mean()
    scale = float(np.sqrt((one @ one) * (other @ other)))
    return float(one @ other) / scale if scale > 1e-6 else 0.0


def _weight(passed: float, memory: float) -> float:
    """The weight of what is new when `passed` seconds went by since the last."""
    return 1.0 - math.exp(-passed / memory)
