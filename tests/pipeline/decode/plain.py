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


def fomo(scores, *, min_score, view=(0, 0, 1, 1)):
    """`scores[y][x][class]`. Cells that touch grow into objects, one after the other."""
    high, wide = len(scores), len(scores[0])
    kinds = {}
    for y in range(high):
        for x in range(wide):
            named = scores[y][x][1:]
            if max(named) >= min_score:
                kinds[x, y] = named.index(max(named)) + 1
    found, todo = [], set(kinds)
    while todo:
        seed = min(todo)
        object_, border = set(), [seed]
        while border:
            x, y = border.pop()
            if (x, y) in object_:
                continue
            object_.add((x, y))
            near = [(x + i, y + k) for i in (-1, 0, 1) for k in (-1, 0, 1)]
            border += [cell for cell in near if kinds.get(cell) == kinds[seed]]
        todo -= object_
        xs, ys = [x for x, _ in object_], [y for _, y in object_]
        box = (min(xs) / wide, min(ys) / high, (max(xs) + 1) / wide, (max(ys) + 1) / high)
        peak = max(scores[y][x][kinds[seed]] for x, y in object_)
        if (there := into_frame(box, view)) is not None:
            found.append((kinds[seed], peak, there))
    return found


def segmentation(classes, *, view=(0, 0, 1, 1), nothing=()):
    """`classes[y][x]`: area in the frame and outline of each class, largest first."""
    high, wide = len(classes), len(classes[0])
    found = {}
    for y in range(high):
        for x in range(wide):
            cell = into_frame((x / wide, y / high, (x + 1) / wide, (y + 1) / high), view)
            if cell is None or classes[y][x] in nothing:
                continue
            area, box = found.get(classes[y][x], (0.0, (1.0, 1.0, 0.0, 0.0)))
            area += (cell[2] - cell[0]) * (cell[3] - cell[1])
            box = (*map(min, box[:2], cell[:2]), *map(max, box[2:], cell[2:]))
            found[classes[y][x]] = area, box
    return sorted(
        ((kind, area, box) for kind, (area, box) in found.items()),
        key=lambda row: (-row[1], row[0]),
    )


def class_map(classes, size, view=(0, 0, 1, 1)):
    """The class under the centre of every pixel of a picture, 255 where there is none."""
    high, wide = len(classes), len(classes[0])
    rows = []
    for y in range(size[1]):
        row = []
        for x in range(size[0]):
            across = ((x + 0.5) / size[0] - view[0]) / (view[2] - view[0]) * wide
            down = ((y + 0.5) / size[1] - view[1]) / (view[3] - view[1]) * high
            inside = 0 <= across < wide and 0 <= down < high
            row.append(classes[int(down)][int(across)] if inside else 255)
        rows.append(row)
    return rows


def squared_error(one, other):
    return sum((a - b) ** 2 for a, b in zip(one, other, strict=True)) / len(one)
