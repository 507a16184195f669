"""YOLO: the raw heads of v5, v7, v8 and v11, one output that holds every candidate.

A candidate is centre x, centre y, width, height[, objectness], one score per class; the output is
[1, N, C] (candidates in rows) or [1, C, N] (in columns). What it does not say itself is taken from
`ModelSpec.output`, where `auto` (the default) means:

- `head` rows | columns: the way that fits the labels; without labels, the longer way is N.
- `objectness` true | false: C is 5 or 4 more than the labels. Without labels: none in columns (v8)
  nor with C = 5 (one class), else there is one (v5).
- `boxes` normalized | pixel: pixels if the quantized range goes beyond 2; for float outputs, if any
  width or height of this frame does.
- `iou`: 0.45, of the suppression among the boxes of one class.

Each candidate has the class that scores best; its score is that, times objectness.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import product
from math import isfinite
from typing import TYPE_CHECKING

import numpy as np

from edge_agent.errors import Refused
from edge_agent.frozen import frozen
from edge_agent.pipeline.decode import MOST, detections, in_manifest, picture_of
from edge_agent.pipeline.nms import nms
from edge_agent.pipeline.quantize import dequantize, describe, least_raw

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge_agent.pipeline.decode import Decoder
    from edge_agent.pipeline.preprocess import Prepared
    from edge_agent.types import Array, Detection, ModelSpec, TensorSpec

#: Shape of the exports that suppress by themselves: x0, y0, x1, y1, score, class. No raw head.
_END_TO_END = (1, 300, 6)


@frozen
class Head:
    """How to read the one output that counts."""

    position: int  # among the model's outputs
    tensor: TensorSpec
    rows: bool  # [1, N, C]; else [1, C, N]
    objectness: bool

    @property
    def candidates(self) -> int:
        return self.tensor.shape[1 if self.rows else 2]

    @property
    def numbers(self) -> int:
        return self.tensor.shape[2 if self.rows else 1]

    @property
    def classes(self) -> slice:
        """The columns that hold the scores of the classes."""
        return slice(5 if self.objectness else 4, None)


def decoder(model: ModelSpec) -> Decoder:
    """Raises Refused when no output, or more than one, can be read as a head."""
    head = find_head(model)
    pixels = _pixels(head.tensor, model.output.get("boxes", "auto"))
    iou = model.output.get("iou", 0.45)
    least = least_raw(model.min_score, head.tensor)
    several = head.numbers > head.classes.start + 1
    sound_already = _all_sound(head, model.min_score)
    picture = picture_of(model)
    size = np.array((picture.width, picture.height) * 2, np.float64)

    def decode(outputs: Sequence[Array], prepared: Prepared) -> tuple[Detection, ...]:
        raw = outputs[head.position][0]
        columns = raw.T if head.rows else raw
        # Most candidates are nothing: they are told by their raw numbers, and left there.
        likely = (_upper_bound(head, columns) >= least).nonzero()[0]
        if not len(likely):
            return ()
        real = dequantize(columns[:, likely], head.tensor).astype(np.float64)
        scores, classes = _judge(head, real)
        if not sound_already(real, scores):
            sound = (scores >= model.min_score) & np.isfinite(real[:4]).all(axis=0)
            sound &= (real[2:4] > 0).all(axis=0)
            real, scores, classes = real[:, sound], scores[sound], classes[sound]
        boxes = _corners(real)
        if (columns[2:4] > 2).any() if pixels is None else pixels:
            boxes /= size
        best = nms(boxes, scores, classes if several else None, iou, MOST)
        kept = boxes[best], scores[best], classes[best]
        return detections(*kept, model.labels, prepared.geometry)

    return decode


# --- per frame ---------------------------------------------------------------------------------


def _upper_bound(head: Head, columns: Array) -> Array:
    """Raw numbers (N,) that no candidate's score exceeds: a class score is at most 1."""
    named: Array = columns[4:5] if head.objectness else columns[4:]
    return named[0] if len(named) == 1 else np.asarray(named.max(axis=0))


def _judge(head: Head, real: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Score and class of each column. Quantization may carry a number a little over 1."""
    named = np.minimum(real[head.classes], 1.0)
    if len(named) == 1:
        scores, classes = named[0], np.zeros(len(named[0]), np.intp)
    else:
        scores, classes = named.max(axis=0), named.argmax(axis=0)
    if head.objectness:
        scores *= np.minimum(real[4], 1.0)
    return scores, classes


def _all_sound(
    head: Head, least: float
) -> Callable[[NDArray[np.float64], NDArray[np.float64]], bool]:
    """Whether every candidate has an area, is finite and scores, as nearly always.

    As few calls of numpy as can be, for they are what decoding costs: integers are finite, and
    without objectness the raw number has told the score exactly.
    """
    whole = head.tensor.dtype.startswith(("int", "uint"))

    def all_sound(real: NDArray[np.float64], scores: NDArray[np.float64]) -> bool:
        if not real[2:4].min() > 0 or not (whole or isfinite(real[:4].sum())):
            return False
        return not head.objectness or bool(scores.min() >= least)

    return all_sound


def _corners(real: NDArray[np.float64]) -> NDArray[np.float64]:
    """Centre and size, the first four of (C, N), to the corners of boxes (N, 4)."""
    boxes = np.empty((real.shape[1], 4))
    corners, half = boxes.T, real[2:4] / 2
    np.subtract(real[:2], half, out=corners[:2])
    np.add(real[:2], half, out=corners[2:])
    return boxes


# --- once per model ----------------------------------------------------------------------------


def find_head(model: ModelSpec) -> Head:
    """The one way to read the model's outputs. Raises Refused where there is none, or several."""
    heads = list(_readings(model))
    if len(heads) == 1:
        return heads[0]
    named = " and ".join(describe(tensor) for tensor in model.output_tensors)
    if heads:
        raise Refused(
            f"model {model.name}: output {named} can be read as a YOLO head in several ways",
            in_manifest(model, "head: rows or columns, and objectness: true or false"),
        )
    if any(tensor.shape == _END_TO_END for tensor in model.output_tensors):
        raise Refused(
            f"model {model.name}: output {named} holds boxes already suppressed, no raw YOLO head",
            "export the model with the raw head (nms=False, end2end=False)",
        )
    expected = f"4 or 5 + {len(model.labels)}" if model.labels else "5 or more"
    raise Refused(
        f"model {model.name}: output {named} is no YOLO head [1,N,C] or [1,C,N] with C {expected}",
        "give the number of labels the model was trained with, and head and objectness if set",
    )


def _readings(model: ModelSpec) -> Iterator[Head]:
    """Every way to read an output that agrees with its type, the labels and the settings."""
    for position, tensor in enumerate(model.output_tensors):
        if _readable(tensor):
            for rows, objectness in product((True, False), repeat=2):
                head = Head(position, tensor, rows, objectness)
                if _agrees(head, model):
                    yield head


def _readable(tensor: TensorSpec) -> bool:
    one_scale = len(tensor.scales) == 1 and tensor.dtype in ("uint8", "int8", "int16")
    numbers = one_scale or tensor.dtype in ("float16", "float32")
    return numbers and len(tensor.shape) == 3 and tensor.shape[0] == 1


def _agrees(head: Head, model: ModelSpec) -> bool:
    """Whether labels and settings allow this reading; without labels, whether it is the usual."""
    layout = model.output.get("head", "auto")
    objectness = model.output.get("objectness", "auto")
    classes, labels = head.numbers - head.classes.start, len(model.labels)
    if classes < 1 or (labels and classes != labels):
        return False
    if layout != "auto" and head.rows != (layout == "rows"):
        return False
    if objectness != "auto" and head.objectness != objectness:
        return False
    if objectness == "auto" and head.tensor.shape == _END_TO_END:
        return False
    long_enough = layout != "auto" or head.candidates >= head.numbers
    usual = objectness != "auto" or head.objectness == (head.rows and head.numbers > 5)
    return bool(labels) or (long_enough and usual)


def _pixels(tensor: TensorSpec, wanted: str) -> bool | None:
    """Whether boxes are in pixels of the input; None: to be seen from each frame's numbers."""
    if wanted != "auto":
        return wanted == "pixel"
    if tensor.dtype.startswith("float"):
        return None
    largest = np.array([np.iinfo(tensor.dtype).max]).astype(tensor.dtype)
    return bool(dequantize(largest, tensor)[0] > 2)
