"""Segmentation: a class for every cell of the picture, and how much of the frame each class fills.

The output is a map of classes [1, H, W] or [1, H, W, 1] of whole numbers, or a score for each class
[1, H, W, C], of which the best counts. Each class that is there is one finding: its score is its
part of the frame's area (cells in a letterbox's border do not count, and those it reaches only in
part count in part), its box the outline of all its cells in the frame, `extra["index"]` the class.

What the output does not say itself is taken from `ModelSpec.output`:

- `background` true | false: whether class 0 is the background, which is no finding; `auto` (the
  default): true without labels, or if the first label says so (`background`, `???`), or if there is
  one label less than scores. In that last case the labels begin with class 1, else with class 0.

`class_map` gives the classes as a picture. Classes number up to 254; 255 stands where the model did
not look, or said nonsense, as in the masks of Pascal VOC.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias

import cv2
import numpy as np

from edge_agent.pipeline.decode import BACKGROUND, is_score_map, name, only_output, says_background
from edge_agent.pipeline.quantize import dequantize
from edge_agent.types import Detection

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge_agent.pipeline.decode import Decoder
    from edge_agent.pipeline.preprocess import Prepared
    from edge_agent.types import Array, Box, Image, ModelSpec, TensorSpec

    Reals: TypeAlias = NDArray[np.float64]

#: No class.
VOID = 255


def decoder(model: ModelSpec) -> Decoder:
    """Raises Refused when no output, or more than one, can be a map of classes."""
    place = find_output(model)
    tensor = model.output_tensors[place]
    labels = all_labels(model, tensor)
    nothing = {VOID, 0} if _has_background(model, tensor) else {VOID}

    def decode(outputs: Sequence[Array], prepared: Prepared) -> tuple[Detection, ...]:
        areas, boxes = _extents(_classes(outputs[place], tensor), prepared)
        best = [int(index) for index in np.argsort(-areas, kind="stable") if areas[index] > 0]
        return tuple(
            Detection(name(labels, index), float(areas[index]), boxes[index], {"index": index})
            for index in best
            if index not in nothing and areas[index] >= model.min_score
        )

    return decode


def class_map(model: ModelSpec) -> Callable[[Sequence[Array], Prepared, tuple[int, int]], Image]:
    """A function of the outputs, the input, and the picture's size (width, height): the class of
    every pixel (height, width), of the cell that its centre lies in."""
    place = find_output(model)
    tensor = model.output_tensors[place]

    def show(outputs: Sequence[Array], prepared: Prepared, size: tuple[int, int]) -> Image:
        classes = _classes(outputs[place], tensor)
        x0, y0, x1, y1 = prepared.geometry.view
        rows = _cells(size[1], y0, y1, classes.shape[0])
        columns = _cells(size[0], x0, x1, classes.shape[1])
        bordered = np.pad(classes, (0, 1), constant_values=VOID)  # what lies outside is the last
        return np.asarray(bordered[rows[:, None], columns])

    return show


# --- once per model ----------------------------------------------------------------------------


def find_output(model: ModelSpec) -> int:
    """Position of the one output that holds the classes. Raises Refused."""
    return only_output(
        model,
        lambda tensor: _is_map(tensor) or _is_scores(tensor, len(model.labels)),
        "a map of classes [1,H,W] or of scores [1,H,W,C] with a label for each of up to 255",
    )


def all_labels(model: ModelSpec, tensor: TensorSpec) -> Sequence[str]:
    """A label for each class from 0 on."""
    unnamed = len(model.labels) == tensor.shape[-1] - 1 and not _is_map(tensor)
    return (BACKGROUND, *model.labels) if unnamed else model.labels


def _has_background(model: ModelSpec, tensor: TensorSpec) -> bool:
    wanted = model.output.get("background", "auto")
    if wanted != "auto":
        return bool(wanted)
    return not model.labels or says_background(all_labels(model, tensor))


def _is_map(tensor: TensorSpec) -> bool:
    shape = tensor.shape
    flat = len(shape) == 3 or (len(shape) == 4 and shape[3] == 1)
    return flat and shape[0] == 1 and tensor.dtype.startswith(("int", "uint"))


def _is_scores(tensor: TensorSpec, labels: int) -> bool:
    return is_score_map(tensor, labels) and tensor.shape[3] <= VOID


# --- per frame ---------------------------------------------------------------------------------


def _classes(output: Array, tensor: TensorSpec) -> NDArray[np.uint8]:
    """The class of each cell (H, W)."""
    if not _is_map(tensor):
        # Under one scale the largest stored number means the largest score.
        scores = output if len(tensor.scales) <= 1 else dequantize(output, tensor)
        return np.asarray(scores[0].argmax(axis=-1).astype(np.uint8))
    raw = output.reshape(tensor.shape[1:3])
    whole = np.rint(dequantize(raw, tensor)) if tensor.scales else raw
    classes = whole.astype(np.uint8)
    classes[(whole < 0) | (whole > VOID)] = VOID
    return np.asarray(classes)


def _extents(classes: NDArray[np.uint8], prepared: Prepared) -> tuple[Reals, dict[int, Box]]:
    """Part of the frame that each class fills (256,), and the box of each that is there."""
    x0, y0, x1, y1 = prepared.geometry.view
    across = np.linspace(x0, x1, classes.shape[1] + 1).clip(0.0, 1.0)
    down = np.linspace(y0, y1, classes.shape[0] + 1).clip(0.0, 1.0)
    # A box must not be stretched by cells in a letterbox's border.
    columns, rows = _inside(across), _inside(down)
    within = np.ascontiguousarray(classes[rows, columns])
    sizes = np.outer(np.diff(down)[rows], np.diff(across)[columns])
    areas = np.bincount(within.ravel(), sizes.ravel(), VOID + 1).astype(np.float64)
    boxes = {}
    for index in np.flatnonzero(areas).tolist():
        x, y, w, h = cv2.boundingRect((within == index).view(np.uint8))
        x, y = x + columns.start, y + rows.start
        boxes[index] = (
            float(across[x]), float(down[y]), float(across[x + w]), float(down[y + h]),
        )  # fmt: skip
    return areas, boxes


def _inside(edges: Reals) -> slice:
    """The cells between these edges that have an extent."""
    cells = np.flatnonzero(np.diff(edges) > 0)
    return slice(int(cells[0]), int(cells[-1]) + 1)


def _cells(pixels: int, start: float, end: float, cells: int) -> NDArray[np.intp]:
    """The cell that each pixel's centre lies in along one axis; `cells` for those in none."""
    centres = (np.arange(pixels) + 0.5) / pixels
    found = np.floor((centres - start) / (end - start) * cells).astype(np.intp)
    return np.where((found >= 0) & (found < cells), found, cells)
