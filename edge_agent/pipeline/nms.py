"""Non-maximum suppression: of boxes that overlap too much, the best one stays.

Greedy in order of score, ties by index. The order is fixed here and only the comparing is left to
OpenCV, which is several times faster than numpy at the usual few dozen boxes
(benchmarks/decode.py) and compares IoU > threshold in float32. Read `decode/yolo.py` next.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge_agent.types import Array


def nms(
    boxes: Array, scores: Array, classes: Array | None, iou: float, most: int
) -> NDArray[np.intp]:
    """Indices of the boxes that stay, best first, at most `most` (1 or more).

    `boxes` (N, 4) are x0, y0, x1, y1 in any unit, finite, with an area; `scores` (N,). Boxes
    of different `classes` (N,) never suppress one another; None: all are of one class.
    """
    order = np.argsort(-scores, kind="stable")
    corners = boxes[order].astype(np.float64, copy=False)  # a copy already
    if classes is not None and len(order):
        # Every class gets a strip of the plane for itself, so that classes never overlap.
        strip = corners[:, 2].max() - corners[:, 0].min() + 1
        corners[:, 0::2] += (classes[order] * strip)[:, None]
    corners[:, 2:] -= corners[:, :2]  # x, y, width, height
    kept = _greedy(corners[: 4 * most], iou)
    if len(kept) < most and len(order) > 4 * most:
        kept = _greedy(corners, iou)
    return order[np.array(kept[:most], np.intp)]


def _greedy(rectangles: Array, iou: float) -> list[int]:
    """The boxes, given best first, that no better one suppresses."""
    ranks = range(len(rectangles), 0, -1)  # as scores: all different, so nothing is left to a sort
    return list(cv2.dnn.NMSBoxes(rectangles.tolist(), ranks, 0.0, iou))
