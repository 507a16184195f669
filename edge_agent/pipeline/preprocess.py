"""A frame becomes the model's input tensor, and the model's boxes find back into the frame.

How is part of the model (`InputSpec`), never of the pipeline. The order is: crop, resize, colour,
pad, numbers, layout; numbers last, so that normalisation and quantization together are one table
of 256 entries per channel. A `Preprocessor` keeps nothing but where frames of a size go: every
tensor it returns is fresh and stays valid, and several threads may share it. Read
`decode/__init__.py` next.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

import cv2
import numpy as np

from edge_agent.errors import Refused
from edge_agent.frozen import frozen
from edge_agent.pipeline.quantize import describe, quantize

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge_agent.types import Array, Box, Image, InputSpec, TensorSpec

#: Pixels (x0, y0, x1, y1), ends exclusive.
Window: TypeAlias = tuple[int, int, int, int]


@frozen
class Geometry:
    """Where the model's picture lies: `view` is its outline in 0..1 of the frame.

    Inside the frame after a crop, reaching beyond it after a letterbox. Along each axis the way
    between the two is a straight line, so both directions are exact.
    """

    view: Box = (0.0, 0.0, 1.0, 1.0)

    def to_frame(self, boxes: Array) -> NDArray[np.float64]:
        """Boxes (N, 4) as x0, y0, x1, y1 in 0..1 of the model's picture, in 0..1 of the frame."""
        x0, y0, x1, y1 = self.view
        return np.asarray(boxes * (x1 - x0, y1 - y0, x1 - x0, y1 - y0) + (x0, y0, x0, y0))

    def to_model(self, boxes: Array) -> NDArray[np.float64]:
        """The inverse of `to_frame`."""
        x0, y0, x1, y1 = self.view
        return np.asarray((boxes - (x0, y0, x0, y0)) / (x1 - x0, y1 - y0, x1 - x0, y1 - y0))


@frozen
class Prepared:
    """The input tensor [1, height, width, channels] (nchw: [1, channels, height, width])."""

    tensor: Array
    geometry: Geometry


@frozen
class Placement:
    """Which pixels of the frame (`shown`) fill which pixels of the model's picture (`filled`)."""

    shown: Window
    filled: Window

    def geometry(self, frame: tuple[int, int], picture: tuple[int, int]) -> Geometry:
        """The same in 0..1, for sizes (width, height) of the frame and of the model's picture."""
        x0, x1 = self._outline(0, frame[0], picture[0])
        y0, y1 = self._outline(1, frame[1], picture[1])
        return Geometry((x0, y0, x1, y1))

    def _outline(self, axis: int, frame: int, picture: int) -> tuple[float, float]:
        """The picture's two ends along one axis, in 0..1 of the frame."""
        shown = self.shown[axis + 2] - self.shown[axis]
        filled = self.filled[axis + 2] - self.filled[axis]
        start = self.shown[axis] * filled - self.filled[axis] * shown
        return start / (filled * frame), (start + picture * shown) / (filled * frame)


def place(spec: InputSpec, width: int, height: int) -> Placement:
    """How a frame of that size goes into the model's picture, in whole pixels."""
    whole, picture = (0, 0, width, height), (0, 0, spec.width, spec.height)
    if spec.resize == "letterbox":
        ratio = min(spec.width / width, spec.height / height)
        return Placement(whole, _centred(picture, width * ratio, height * ratio))
    if spec.resize == "crop":
        ratio = min(width / spec.width, height / spec.height)
        return Placement(_centred(whole, spec.width * ratio, spec.height * ratio), picture)
    return Placement(whole, picture)


def _centred(outer: Window, width: float, height: float) -> Window:
    """A window of about that size, at least one pixel, in the middle of another."""
    w, h = max(1, round(width)), max(1, round(height))
    x, y = (outer[2] - w) // 2, (outer[3] - h) // 2
    return (x, y, x + w, y + h)


class Preprocessor:
    """Turns BGR frames of any size into the model's input tensor.

    Making one raises Refused when the tensor does not hold such a picture.
    """

    def __init__(self, spec: InputSpec, tensor: TensorSpec) -> None:
        channels = 1 if spec.color == "gray" else 3
        size, planes = (spec.height, spec.width), spec.layout == "nchw"
        shape = (1, channels, *size) if planes else (1, *size, channels)
        if tensor.shape != shape:
            raise Refused(
                f"input tensor {describe(tensor)} does not hold a {spec.color} picture of "
                f"{spec.width}x{spec.height} in {spec.layout}",
                "correct size, color or layout of the model's input",
            )
        self._spec = spec
        self._shape = shape
        self._numbers = _apply(_table(spec, tensor, channels))
        self._place = functools.lru_cache(maxsize=8)(self._placed)  # by the size of frames

    def __call__(self, image: Image) -> Prepared:
        """`image` is (height, width, 3) uint8 in BGR."""
        height, width = image.shape[:2]
        placement, geometry = self._place(width, height)
        picture = self._numbers(_draw(self._spec, image, placement))
        if self._spec.layout == "nchw":
            picture = np.array(cv2.split(picture))
        return Prepared(picture.reshape(self._shape), geometry)

    def _placed(self, width: int, height: int) -> tuple[Placement, Geometry]:
        placement = place(self._spec, width, height)
        size = self._spec.width, self._spec.height
        return placement, placement.geometry((width, height), size)


# --- the picture -------------------------------------------------------------------------------

_COLORS = {"rgb": cv2.COLOR_BGR2RGB, "gray": cv2.COLOR_BGR2GRAY}
_INTERPOLATIONS = {
    "area": cv2.INTER_AREA,
    "linear": cv2.INTER_LINEAR,
    "nearest": cv2.INTER_NEAREST,
}


def _draw(spec: InputSpec, image: Image, placement: Placement) -> Image:
    """The model's picture in its own size and colours: (height, width[, 3]) uint8."""
    x0, y0, x1, y1 = placement.shown
    left, top, right, bottom = placement.filled
    size = (right - left, bottom - top)
    how = _INTERPOLATIONS[_interpolation(spec, placement)]
    picture = cv2.resize(image[y0:y1, x0:x1], size, interpolation=how)
    if spec.color in _COLORS:
        picture = cv2.cvtColor(picture, _COLORS[spec.color])
    if size == (spec.width, spec.height):
        return np.asarray(picture)
    canvas = np.full((spec.height, spec.width, *picture.shape[2:]), spec.pad, np.uint8)
    canvas[top:bottom, left:right] = picture
    return canvas


def _interpolation(spec: InputSpec, placement: Placement) -> str:
    """`auto`: linear into a letterbox, as YOLO was trained; else area to shrink, linear to grow."""
    if spec.interpolation != "auto":
        return spec.interpolation
    (x0, y0, x1, y1), (left, top, right, bottom) = placement.shown, placement.filled
    shrinks = right - left <= x1 - x0 and bottom - top <= y1 - y0
    return "area" if shrinks and spec.resize != "letterbox" else "linear"


# --- the numbers -------------------------------------------------------------------------------


def _table(spec: InputSpec, tensor: TensorSpec, channels: int) -> Array:
    """What the tensor stores for each pixel value: (256, channels) in the tensor's dtype."""
    if tensor.dtype not in ("uint8", "int8", "int16", "float16", "float32"):
        raise Refused(f"input tensor {describe(tensor)} is of a type that pictures do not come in")
    pixels = np.arange(256)[:, None].repeat(channels, axis=1)
    if spec.mean is None and spec.std is None:
        return (pixels - (128 if tensor.dtype == "int8" else 0)).astype(tensor.dtype)
    mean, std = (0.0,) if spec.mean is None else spec.mean, (1.0,) if spec.std is None else spec.std
    if not {len(mean), len(std)} <= {1, channels} or 0 in std:
        raise Refused(
            f"the normalization of input tensor {describe(tensor)} needs one mean and one std "
            f"(not 0), or {channels} of each"
        )
    # In the table the channel is axis 1, wherever the tensor has it.
    return quantize((pixels - np.array(mean)) / np.array(std), replace(tensor, axis=1))


def _apply(table: Array) -> Callable[[Image], Array]:
    """The cheapest function that puts every pixel of a picture through the table."""
    pixels = np.arange(256, dtype=np.uint8)[:, None]
    if table.itemsize == 1 and (table.view(np.uint8) == pixels).all():
        return lambda picture: picture.view(table.dtype)
    if table.itemsize == 1 and (table.view(np.uint8) == pixels ^ 0x80).all():
        return lambda picture: np.bitwise_xor(picture, np.uint8(0x80)).view(table.dtype)
    if (table == table[:, :1]).all():  # one for all channels is faster than one for each
        table = np.ascontiguousarray(table[:, :1])
    lut: NDArray[Any] = table[None]
    return lambda picture: np.asarray(cv2.LUT(picture, lut))
