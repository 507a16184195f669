"""The decoders once more, as plain loops over Python numbers: slow, obvious, and independent.

Shared by the tests and by benchmarks/decode.py. Results are lists of (class index, score, box).
"""

from __future__ import annotations

import math

import numpy as np

MOST = 300


def real(raw, tensor):
    """Nested lists of what the raw numbers mean."""
    if isinstance(raw, list):
        return [real(item, tensor) for item in raw]
    if not tensor.scales:
        return float(raw)
    return float(np.float32((raw - tensor.zero_points[0]) * tensor.scales[0]))


def iou(a, b):
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    both = width * height
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


def nms(boxes, scores, classes, threshold, most):
    kept = []
    for i in sorted(range(len(boxes)), key=lambda i: (-scores[i], i)):
        rivals = [k for k in kept if classes[k] == classes[i]]
        if all(iou(boxes[k], boxes[i]) <= threshold for k in rivals):
            kept.append(i)
    return kept[:most]


def into_frame(box, view):
    """From 0..1 of the model's picture to 0..1 of the frame, clipped; None if nothing is left."""
    wide, high = view[2] - view[0], view[3] - view[1]
    there = [view[0] + box[0] * wide, view[1] + box[1] * high]
    there += [view[0] + box[2] * wide, view[1] + box[3] * high]
    x0, y0, x1, y1 = (min(1.0, max(0.0, value)) for value in there)
    return (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None


def yolo(candidates, *, objectness, pixels, size, min_score, threshold=0.45, view=(0, 0, 1, 1)):
    """`candidates` are rows of real numbers; `size` is (width, height) of the model's input."""
    boxes, scores, classes = [], [], []
    for candidate in candidates:
        cx, cy, w, h = candidate[:4]
        named = [min(1.0, score) for score in candidate[5 if objectness else 4 :]]
        score = max(named)
        if objectness:
            if candidate[4] < min_score:
                continue
            score *= min(1.0, candidate[4])
        if score < min_score or w <= 0 or h <= 0:
            continue
        box = [cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2]
        if pixels:
            box = [box[0] / size[0], box[1] / size[1], box[2] / size[0], box[3] / size[1]]
        boxes.append(box)
        scores.append(score)
        classes.append(named.index(max(named)))
    found = []
    for i in nms(boxes, scores, classes, threshold, MOST):
        box = into_frame(boxes[i], view)
        if box is not None:
            found.append((classes[i], scores[i], box))
    return found


def ssd(boxes, classes, scores, count, *, min_score, view=(0, 0, 1, 1)):
    rows = [i for i in range(min(len(scores), int(count))) if scores[i] >= min_score]
    found = []
    for i in sorted(rows, key=lambda i: (-scores[i], i)):
        y0, x0, y1, x1 = boxes[i]
        box = into_frame((x0, y0, x1, y1), view)
        if box is not None:
            found.append((round(classes[i]), scores[i], box))
    return found[:MOST]


def classification(numbers, *, activation, min_score, top=5):
    if activation == "softmax":
        highest = max(numbers)
        powers = [math.exp(number - highest) for number in numbers]
        scores = [power / sum(powers) for power in powers]
    elif activation == "sigmoid":
        scores = [1 / (1 + math.exp(-number)) for number in numbers]
    else:
        scores = [min(1.0, max(0.0, number)) for number in numbers]
    order = sorted(range(len(scores)), key=lambda i: (-scores[i], i))[:top]
    return [(i, scores[i], (0, 0, 1, 1)) for i in order if scores[i] >= min_score]
