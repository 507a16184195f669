"""Did anything move? A cheap answer from a small grey picture, before any model runs.

The picture is shrunk to a *thumbnail* (some 256 pixels wide, one grey byte each) and compared with
a *reference*: the thumbnail of `AGE_S` seconds ago, smoothed over time. That long ago, an object
that creeps was some pixels away, while slow light had hardly changed; and when all stands still, so
it does for the gate soon after, whatever passed before. The difference is averaged over small
overlapping *windows*; a window is active when it differs by `contrast` more than the noise, which
is learned from the picture's median window.

When much of the picture differs, its cause is sought before anything is said to have moved: one
gain and offset over the whole picture (lights, auto exposure) is fitted robustly, and only what it
leaves unexplained is motion. A picture that nothing explains is a new scene: motion once, then the
new reference.

Rules: pure (time is an argument); what is remembered depends on the time between frames, not on
their number, so every frame rate works. Read `light.py` for the fit, `gate.py` next.
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_agent.frozen import frozen
from edge_agent.pipeline.light import Light, fit, median
from edge_agent.types import Box, Number, Numbers, Polygon

if TYPE_CHECKING:
    from edge_agent.types import Array, Image

Gray: TypeAlias = NDArray[np.uint8]
Floats: TypeAlias = NDArray[np.float32]

#: Most pixels that a thumbnail is wide.
THUMBNAIL_WIDTH = 288
#: Side of a cell in pixels; a window is 2 x 2 cells, and there is one around every cell's corner.
CELL = 4
#: The reference is the newest picture kept that is this old, in seconds.
AGE_S = 2.5
#: A picture is kept this often, in seconds.
KEEP_S = 0.5
#: Time constant of the smoothing of what is kept, in seconds.
SMOOTH_S = 0.3
#: Time constants of the noise estimate in seconds: when it sinks, when it rises.
NOISE_MEMORY_S = (2.0, 10.0)
#: Grey levels; what is more is not noise.
MOST_NOISE = 25.0
#: Noise is not the same all over a picture: a window may have this many times the median's.
NOISE_SPREAD = 1.5
#: From this share of active windows on, a change of light is considered.
WIDE = 0.15
#: From this share on, a change that light does not explain is a new scene.
SCENE = 0.5
#: Beyond these gains too little is left of the old picture to compare with.
GAINS = (0.4, 2.5)
#: Grey levels beyond these may have been cut off by the camera: a gain says nothing about them.
CLIPPED = (4.0, 230.0)


@frozen
class MotionSpec:
    """How motion is judged.

    `keepalive_s`: a frame is inferred at least this often, moved or not (the gate sees to it).
    `sensitivity` in 0..1 sets both thresholds, on a logarithmic scale:

    | sensitivity                                    | 0    | 0.5   | 1      |
    |------------------------------------------------|------|-------|--------|
    | `contrast`, grey levels beyond the noise       | 20   | 7     | 2.5    |
    | `least_area` of a region, 1 = the whole picture | 0.01 | 0.001 | 0.0001 |
    """

    keepalive_s: float = 30.0
    sensitivity: float = 0.5

    @property
    def contrast(self) -> float:
        return float(20.0 * 8.0**-self.sensitivity)

    @property
    def least_area(self) -> float:
        return float(0.01 * 100.0**-self.sensitivity)


@frozen
class Movement:
    """What moved in one picture.

    `area` is the share of the picture that is active in `regions` (boxes in 0..1). `numbers` says
    why: `change` (none, local, global = light, scene, first), `area`, `threshold` (the least area),
    `noise` in grey levels, and `gain` and `offset` where the light changed.
    """

    moved: bool
    area: float
    regions: tuple[Box, ...]
    numbers: Numbers


def thumbnail(image: Image) -> Gray:
    """A grey picture (h, w), at most 288 wide, of every n-th pixel of `image` (height, width, 3).

    Grey is the green of BGR, which carries most of the brightness: this costs half of OpenCV's
    nearest neighbour and gray, and a twentieth of averaging all pixels (benchmarks/motion.py). The
    windows average afterwards. Sides are multiples of 4 pixels; what is left over at the right and
    lower edge, less than 4, is cut off.
    """
    height, width = image.shape[:2]
    step = -(-width // THUMBNAIL_WIDTH)
    least = CELL * step
    if min(height, width) < least:
        size = max(width, least), max(height, least)
        image = cv2.resize(image, size, interpolation=cv2.INTER_NEAREST)
    small = image[::step, ::step, 1]
    height, width = (side // CELL * CELL for side in small.shape)
    return small[:height, :width].copy()


class Motion:
    """What one camera showed a moment ago, and what differs from it now."""

    def __init__(self, spec: MotionSpec, masks: tuple[Polygon, ...] = ()) -> None:
        """`masks`: polygons in 0..1 of the picture, inside which nothing counts as motion."""
        self._spec = spec
        self._masks = masks
        self._kept: deque[tuple[float, Gray]] = deque()  # (time, picture); the reference first
        self._smooth: Floats = np.empty((0, 0), np.float32)
        self._time = 0.0
        self._noise: float | None = None  # None until this scene was seen twice
        self._open: Gray = np.empty((0, 0), np.uint8)  # per pixel: 255 where no mask lies
        self._open_cells: NDArray[np.bool_] = np.empty((0, 0), np.bool_)
        self._open_count = 1  # at least 1, to divide by

    def observe(self, thumb: Gray, time: float) -> Movement:
        """Compare one `thumbnail` with the reference, then learn from it. In order of time."""
        if thumb.shape != self._smooth.shape:
            self._lay_masks(thumb.shape[0], thumb.shape[1])
            return self._new_scene(thumb, time, "first")
        reference = self._reference(time)
        windows = self._difference(thumb, reference)
        typical = self._median(windows)
        if self._noise is None:
            self._noise = min(typical, MOST_NOISE)
        active = self._active(windows)
        share = self._share(active)
        # The median window differs by more than noise: the light changed, if only a little.
        if share > WIDE or (share and typical > NOISE_SPREAD * self._noise):
            return self._wide(thumb, time, reference, windows)
        self._learn(thumb, time, typical)
        return self._movement(active)

    # --- below, in call order -----------------------------------------------------------------

    def _wide(self, thumb: Gray, time: float, reference: Gray, windows: Floats) -> Movement:
        """Much of the picture differs: other light, another scene, or just something large."""
        active = self._active(windows)
        light = self._light(reference, thumb)
        if light is not None:
            relit = self._difference(thumb, _relit(reference, thumb, light))
            unexplained = self._active(relit)
            if self._share(unexplained) < 0.5 * self._share(active):
                self._learn(thumb, time, self._median(relit))
                gain, offset = round(light.gain, 3), round(light.offset, 1)
                return self._movement(unexplained, change="global", gain=gain, offset=offset)
        if self._share(active) > SCENE:
            return self._new_scene(thumb, time, "scene")
        self._learn(thumb, time, self._median(windows))
        return self._movement(active)

    def _reference(self, time: float) -> Gray:
        while len(self._kept) > 1 and self._kept[1][0] <= time - AGE_S:
            self._kept.popleft()
        return self._kept[0][1]

    def _lay_masks(self, height: int, width: int) -> None:
        self._open = np.full((height, width), 255, np.uint8)
        for mask in self._masks:
            corners = np.round(np.array(mask) * (width, height)).astype(np.int32)
            cv2.fillPoly(self._open, [corners], 0)
        self._open_cells = _shrink(self._open) > 127
        self._open_count = max(1, np.count_nonzero(self._open_cells))

    def _new_scene(self, thumb: Gray, time: float, change: str) -> Movement:
        self._kept = deque([(time, thumb)])
        self._smooth = thumb.astype(np.float32)
        self._time = time
        self._noise = None
        area = float(np.mean(self._open_cells))
        regions: tuple[Box, ...] = ((0.0, 0.0, 1.0, 1.0),) if area else ()
        return Movement(bool(regions), area, regions, self._numbers(area, change=change))

    def _difference(self, thumb: Gray, reference: Gray) -> Floats:
        """Grey levels by which each window differs, 0 under masks; one window a cell."""
        pixels = cv2.absdiff(thumb, reference)
        if self._masks:
            pixels = cv2.bitwise_and(pixels, self._open)
        return np.asarray(cv2.boxFilter(_shrink(pixels), cv2.CV_32F, (2, 2)), np.float32)

    def _median(self, windows: Floats) -> float:
        """The median open window: noise, as long as less than half of the picture moves."""
        values = windows[::2, ::2]  # every second window: these do not overlap
        values = values[self._open_cells[::2, ::2]] if self._masks else values.ravel()
        return median(values) if values.size else 0.0

    def _active(self, windows: Floats) -> Gray:
        bar = NOISE_SPREAD * (self._noise or 0.0) + self._spec.contrast
        return np.asarray(cv2.threshold(windows, bar, 1, cv2.THRESH_BINARY)[1], np.uint8)

    def _share(self, active: Gray) -> float:
        return cv2.countNonZero(active) / self._open_count

    def _light(self, reference: Gray, thumb: Gray) -> Light | None:
        """What the light did since the reference; None where that cannot be said."""
        before, after = _shrink(reference)[::2, ::2], _shrink(thumb)[::2, ::2]
        usable = self._open_cells[::2, ::2] & ~_clipped(before) & ~_clipped(after)
        if 2 * np.count_nonzero(usable) < max(1, np.count_nonzero(self._open_cells[::2, ::2])):
            return None
        light = fit(before[usable].astype(np.float32), after[usable].astype(np.float32))
        return light if GAINS[0] <= light.gain <= GAINS[1] else None

    def _learn(self, thumb: Gray, time: float, typical: float) -> None:
        """Keep the picture when it is time to, and move the noise towards the `typical` window."""
        passed, self._time = max(0.0, time - self._time), time
        cv2.accumulateWeighted(thumb, self._smooth, _weight(passed, SMOOTH_S))
        if time - self._kept[-1][0] >= KEEP_S:
            self._kept.append((time, cv2.convertScaleAbs(self._smooth)))
        if self._noise is not None:
            memory = NOISE_MEMORY_S[typical > self._noise]
            self._noise += (min(typical, MOST_NOISE) - self._noise) * _weight(passed, memory)

    def _movement(self, active: Gray, **found: Number) -> Movement:
        """The regions of `active` that are large enough."""
        regions, area = _regions(active, self._spec.least_area)
        found.setdefault("change", "local" if regions else "none")
        return Movement(bool(regions), area, regions, self._numbers(area, **found))

    def _numbers(self, area: float, **found: Number) -> Numbers:
        noise = None if self._noise is None else round(self._noise, 2)
        threshold = self._spec.least_area
        return {**found, "area": round(area, 5), "threshold": threshold, "noise": noise}


def _weight(passed: float, memory: float) -> float:
    """The weight of what is new when `passed` seconds went by since the last."""
    return 1.0 - math.exp(-passed / memory)


def _clipped(levels: Array) -> NDArray[np.bool_]:
    return (levels < CLIPPED[0]) | (levels > CLIPPED[1])


def _relit(reference: Gray, thumb: Gray, light: Light) -> Gray:
    """The reference in the new light; where grey levels are cut off, `thumb` itself."""
    levels = np.arange(256)
    lit = light.gain * levels + light.offset
    cut_off = (255 * (_clipped(levels) | _clipped(lit))).astype(np.uint8)
    relit = cv2.LUT(reference, np.clip(lit, 0, 255).astype(np.uint8))
    return np.asarray(cv2.copyTo(thumb, cv2.LUT(reference, cut_off), relit), np.uint8)


def _shrink(pixels: Gray) -> Gray:
    """Average over cells of 4 x 4. Halving twice is the path that OpenCV has vectorised."""
    height, width = pixels.shape
    half = cv2.resize(pixels, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    size = width // CELL, height // CELL
    return np.asarray(cv2.resize(half, size, interpolation=cv2.INTER_AREA), np.uint8)


def _regions(active: Gray, least_area: float) -> tuple[tuple[Box, ...], float]:
    """Connected active windows of at least `least_area` as boxes in 0..1, and their share."""
    if not cv2.countNonZero(active):
        return (), 0.0
    rows, columns = active.shape
    boxes, cells = [], 0
    found = cv2.connectedComponentsWithStats(active, connectivity=8)[2]
    for left, top, width, height, size in found[1:].tolist():  # the first is what is not active
        if size >= least_area * active.size:
            cells += size
            # Window i lies around the corner before cell i; half a window on either side counts.
            x0, y0 = max(0.0, left - 0.5) / columns, max(0.0, top - 0.5) / rows
            x1, y1 = (left + width - 0.5) / columns, (top + height - 0.5) / rows
            boxes.append((x0, y0, x1, y1))
    return tuple(boxes), cells / active.size
