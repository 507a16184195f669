"""The brush that the built-in scene's backdrop is painted with: places in 0..1, noise by seed.

Everything works on a canvas of one fixed size, `WIDTH` x `HEIGHT`. Masks are (HEIGHT, WIDTH)
uint8, 255 where there is paint; points are (x, y) in 0..1. Read `scene_backdrop.py` next.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge_agent.types import Box, Image, Point

    Floats: TypeAlias = NDArray[np.float32]

Color: TypeAlias = tuple[int, int, int]  # BGR

WIDTH, HEIGHT = 1280, 720

_BYTES, _ADD = np.uint64(0x00FF00FF00FF00FF), np.uint64(0x0001000100010001)


def grain(seed: int, height: int, width: int) -> Floats:
    """Noise of about unit deviation, (height, width) float32, the same for a seed for ever."""
    raw = np.random.PCG64(seed).random_raw(height * width).reshape(height, width)
    # The eight bytes of each number, added up within it: nearly normal, and eight times as fast
    # as a sum over an axis.
    pairs = (raw & _BYTES) + ((raw >> np.uint64(8)) & _BYTES)
    summed = ((pairs * _ADD) >> np.uint64(48)).astype(np.float32)
    return np.asarray((summed - 1020.0) / 209.0, np.float32)


def cloudy(noise: Floats, spread: tuple[int, int]) -> Floats:
    """Soft shapes of about unit deviation, `spread` (x, y) pixels in size, out of `noise`."""
    height, width = noise.shape
    few = noise[: height // spread[1] + 3, : width // spread[0] + 3]
    return np.asarray(cv2.resize(few, (width, height), interpolation=cv2.INTER_CUBIC))


def blend(canvas: Image, mask: Image, color: Color, strength: float) -> None:
    """Paint `color` through `mask`, so thin that the ground's grain stays."""
    x, y, w, h = cv2.boundingRect(mask)
    part = canvas[y : y + h, x : x + w]
    share = mask[y : y + h, x : x + w, None] * (strength / 255)
    part[:] = (part * (1 - share) + np.array(color) * share).astype(np.uint8)


def block(layer: Image, box: Box, color: Color | int) -> None:
    """A filled rectangle."""
    cv2.rectangle(layer, px(box[0], box[1]), px(box[2], box[3]), color, -1)


def ellipse(x: float, y: float, rx: float, ry: float) -> Image:
    """The mask of an ellipse with a soft edge."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.ellipse(mask, px(x, y), px(rx, ry), 0, 0, 360, 255, -1, cv2.LINE_AA)
    return cv2.GaussianBlur(mask, (0, 0), 2)  # type: ignore[no-any-return]


def polygon(points: Sequence[Point]) -> Image:
    """The mask of a filled polygon."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.fillPoly(mask, [ring(points)], 255, cv2.LINE_AA)
    return mask


def stripe(start: Point, end: Point, width: int) -> Image:
    """The mask of a line, `width` pixels wide."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.line(mask, px(*start), px(*end), 255, width, cv2.LINE_AA)
    return mask


def ring(points: Sequence[Point]) -> NDArray[np.int32]:
    """Points as OpenCV takes them, (n, 2) int32 pixels."""
    return np.array([px(x, y) for x, y in points], np.int32)


def px(x: float, y: float) -> tuple[int, int]:
    """A point in pixels."""
    return round(float(x) * WIDTH), round(float(y) * HEIGHT)
