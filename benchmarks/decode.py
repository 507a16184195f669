"""Decoding and suppression against the plain loop over the same numbers, in one run.

    python benchmarks/decode.py

Made-up heads of the usual shapes, with people in the middle of much background. Prints the median
per frame of the decoder and of the plain reference of the tests, and their ratio (smaller is
better); then suppression alone beside cv2.dnn.NMSBoxes called straight.
"""

from __future__ import annotations

import sys
import timeit
from collections.abc import Callable
from pathlib import Path
from statistics import median

import cv2
import numpy as np

from edge_agent.pipeline.decode import decoder
from edge_agent.pipeline.nms import nms
from edge_agent.pipeline.preprocess import Geometry, Prepared
from edge_agent.types import InputSpec, ModelSpec, TensorSpec

sys.path.insert(0, str(Path(__file__).parents[1] / "tests/pipeline/decode"))
import plain  # the tests' independent reference

VIEW = (0.0, -1 / 6, 1.0, 7 / 6)  # a letterboxed 4:3 frame


def main() -> None:
    print(f"{'decode + suppression':34}{'found':>6}{'ms':>9}{'plain ms':>10}{'ratio':>8}")
    for name, candidates, classes, objectness, dtype, objects in (
        ("yolov8n 192, [1,5,756] float32", 756, 1, False, "float32", 6),
        ("yolov8n 192, [1,5,756] int8", 756, 1, False, "int8", 6),
        ("the same, 25 objects", 756, 1, False, "int8", 25),
        ("yolov8n 320, [1,84,2100] int8", 2100, 80, False, "int8", 10),
        ("yolov5n 320, [1,6300,85] uint8", 6300, 80, True, "uint8", 10),
    ):
        rows = head(candidates, classes + objectness, objects)
        model, raw = stored(rows, dtype, objectness)
        decode, prepared = decoder(model), Prepared(raw, Geometry(VIEW))
        found = decode([raw], prepared)
        fast = timed(lambda decode=decode, raw=raw, way=prepared: decode([raw], way), 200)
        slow = timed(lambda raw=raw, model=model, o=objectness: plainly(raw, model, o), 3)
        print(f"{name:34}{len(found):6}{fast:9.3f}{slow:10.2f}{fast / slow:8.4f}")

    print(
        f"\n{'suppression alone':34}{'kept':>6}{'ms':>9}{'cv2 ms':>10}{'ratio':>8}{'plain ms':>10}"
    )
    for count, objects in ((10, 3), (30, 6), (100, 10), (300, 20), (300, 300)):
        boxes, scores = clusters(count, objects)
        ours, cv, loop = suppressions(boxes, scores)
        kept = len(nms(boxes, scores, None, 0.45, 300))
        name = f"{count} boxes of {objects} objects"
        print(f"{name:34}{kept:6}{ours:9.3f}{cv:10.3f}{ours / cv:8.2f}{loop:10.2f}")


def timed(call: Callable[[], object], number: int) -> float:
    """Median of seven rounds, in ms per call."""
    call()
    return median(timeit.repeat(call, number=number, repeat=7)) / number * 1000


def clusters(count: int, objects: int) -> tuple[np.ndarray, np.ndarray]:
    """Boxes (N, 4) that lie about as many objects, and their scores."""
    random = np.random.default_rng(7)
    centre = random.uniform(0.1, 0.9, (objects, 2))[random.integers(objects, size=count)]
    centre = centre + random.normal(0, 0.006, (count, 2))
    half = random.uniform(0.04, 0.055, (count, 2))
    boxes = np.concatenate((centre - half, centre + half), axis=1).astype(np.float32)
    return boxes, random.uniform(0.25, 1, count).astype(np.float32)


def head(candidates: int, scores: int, objects: int) -> np.ndarray:
    """Candidates in rows: three at each object, the rest background."""
    random = np.random.default_rng(3)
    rows = random.uniform(0, 1, (candidates, 4 + scores)) * ([1, 1, 0.3, 0.3] + [0.1] * scores)
    boxes, sure = clusters(3 * objects, objects)
    places = random.choice(candidates, 3 * objects, replace=False)
    rows[places, :2] = (boxes[:, :2] + boxes[:, 2:]) / 2
    rows[places, 2:4] = boxes[:, 2:] - boxes[:, :2]
    rows[places, 4] = rows[places, -1] = sure
    return rows


def stored(rows: np.ndarray, dtype: str, objectness: bool) -> tuple[ModelSpec, np.ndarray]:
    """A model with that head, v5 in rows and v8 in columns, and its raw output."""
    scales, zeros = ((), ()) if dtype == "float32" else ((1 / 255,), (-128 * (dtype == "int8"),))
    if scales:
        rows = np.rint(rows / scales[0] + zeros[0])
    raw = np.ascontiguousarray((rows if objectness else rows.T)[None].astype(dtype))
    classes = tuple(map(str, range(rows.shape[1] - 4 - objectness)))
    picture = TensorSpec(0, "input", (1, 192, 192, 3), "uint8")
    tensor = TensorSpec(1, "head", raw.shape, dtype, scales, zeros)
    model = ModelSpec("m", "1", "yolo", "", InputSpec(192, 192), picture, (tensor,), classes, 0.25)
    return model, raw


def plainly(raw: np.ndarray, model: ModelSpec, objectness: bool) -> object:
    candidates = plain.real((raw[0] if objectness else raw[0].T).tolist(), model.output_tensors[0])
    return plain.yolo(
        candidates,
        objectness=objectness,
        pixels=False,
        size=(192, 192),
        min_score=model.min_score,
        view=VIEW,
    )


def suppressions(boxes: np.ndarray, scores: np.ndarray) -> tuple[float, float, float]:
    """ms of our suppression, of cv2's on the same arrays, and of the plain loop."""
    rectangles = np.concatenate((boxes[:, :2], boxes[:, 2:] - boxes[:, :2]), axis=1)
    listed, one = boxes.tolist(), [0] * len(boxes)
    return (
        timed(lambda: nms(boxes, scores, None, 0.45, 300), 100),
        timed(lambda: cv2.dnn.NMSBoxes(rectangles, scores, 0.0, 0.45), 100),
        timed(lambda: plain.nms(listed, scores, one, 0.45, 300), 3),
    )


if __name__ == "__main__":
    main()
