"""The objects of the built-in scene as cut-out pictures, shaded, in the size they are needed in.

A soft shadow and, for the night, the lamps of vehicles belong to the picture. Nothing here knows
where an object is. Read `scene_draw.py` next.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import cv2
import numpy as np

from edge_agent.frozen import frozen
from edge_agent.sources.scene_figures import FIGURES, MARGIN, PIXELS, Pen, pixels
from edge_agent.sources.scene_world import KINDS

if TYPE_CHECKING:
    from edge_agent.types import Image

CYCLES = 8  # pictures per cycle of the legs


@frozen
class Sprite:
    """A cut-out: `color` is already multiplied by its alpha, `clear` is 255 minus alpha.

    All are (h, w, 3) uint8. `glow` shines by itself at night; None where there are no lamps.
    """

    color: Image
    clear: Image
    glow: Image | None


@lru_cache(maxsize=128)
def sprite(
    label: str, look: int, faces_right: bool, step: int | None, size: tuple[int, int]
) -> Sprite:
    """The picture of one object, its box `size` (width, height) pixels, with its margin around it.

    `step` is the leg position 0..CYCLES-1, or None for standing.
    """
    pen = _drawn(label, look, step)
    kind = KINDS[label]
    width = round(size[0] * (1 + 2 * MARGIN / kind.width))
    height = round(size[1] * (1 + 2 * MARGIN / kind.height))
    way = 1 if faces_right else -1
    color, alpha, glow = (
        cv2.resize(layer, (width, height), interpolation=cv2.INTER_AREA)[:, ::way]
        for layer in (pen.color, pen.alpha, pen.glow)
    )
    clear = cv2.cvtColor(255 - np.ascontiguousarray(alpha), cv2.COLOR_GRAY2BGR)
    shines = np.ascontiguousarray(glow) if glow.any() else None
    return Sprite(np.ascontiguousarray(color), clear, shines)


@lru_cache(maxsize=64)
def _drawn(label: str, look: int, step: int | None) -> Pen:
    """One object in full size: shaded, with its shadow, colour multiplied by alpha."""
    kind = KINDS[label]
    pen = Pen(kind.width, kind.height)
    cycle = None if step is None else step / CYCLES
    FIGURES[label](pen, look, cycle)
    _shade(pen)
    _cast_shadow(pen, kind.width)
    if pen.glow.any():
        pen.glow = cv2.add(pen.glow, _soft(pen.glow, PIXELS * 0.09))
    return pen


def _shade(pen: Pen) -> None:
    """Light from above: brighter on top, darker below, and a thin dark outline."""
    height, width = pen.alpha.shape
    inner = cv2.GaussianBlur(cv2.erode(pen.alpha, np.ones((3, 3), np.uint8)), (5, 5), 0)
    outline = cv2.addWeighted(inner, 0.38, inner, 0, 255 * 0.62)
    ramp = np.linspace(142, 107, height).astype(np.uint8)[:, None].repeat(width, 1)
    light = cv2.cvtColor(cv2.multiply(outline, ramp, scale=1 / 255), cv2.COLOR_GRAY2BGR)
    pen.color = cv2.multiply(pen.color, light, scale=1 / 127)


def _cast_shadow(pen: Pen, width: float) -> None:
    """A soft dark pool on the ground, under everything else."""
    pool = np.zeros_like(pen.alpha)
    axes = (pixels(width * 0.5), pixels(0.07 + 0.03 * width))
    middle = (pool.shape[1] // 2, pool.shape[0] - pixels(MARGIN - 0.02))
    cv2.ellipse(pool, middle, axes, 0, 0, 360, 150, -1, cv2.LINE_AA)
    pen.alpha = np.maximum(pen.alpha, _soft(pool, PIXELS * 0.06))


def _soft(layer: Image, sigma: float) -> Image:
    """Blurred by `sigma` pixels, at a quarter of the size: eight times as fast, and as soft."""
    height, width = layer.shape[:2]
    small = cv2.resize(layer, (width // 4, height // 4), interpolation=cv2.INTER_AREA)
    blurred = cv2.GaussianBlur(small, (0, 0), sigma / 4)
    return np.asarray(cv2.resize(blurred, (width, height), interpolation=cv2.INTER_LINEAR))
