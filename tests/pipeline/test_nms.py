"""Suppression against a plain loop, and what it promises about order."""

from __future__ import annotations

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from edge_agent.pipeline.nms import nms


def overlap(a, b):
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    area = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    return width * height / (area - width * height)


def plainly(boxes, scores, classes, iou, most):
    kept = []
    for i in sorted(range(len(boxes)), key=lambda i: (-scores[i], i)):
        for k in kept:
            if classes[i] == classes[k] and overlap(boxes[i], boxes[k]) > iou:
                break
        else:
            kept.append(i)
    return kept[:most]


@st.composite
def candidates(draw):
    """Boxes in clusters, so that many overlap; few different scores, so that many are equal."""
    count = draw(st.integers(0, 60))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    unit = draw(st.sampled_from([1.0, 320.0]))
    centre = random.choice(random.uniform(0, 1, (5, 2)), count) + random.normal(0, 0.03, (count, 2))
    half = random.uniform(0.02, 0.2, (count, 2))
    boxes = np.concatenate((centre - half, centre + half), axis=1) * unit
    scores = random.integers(1, draw(st.sampled_from([2, 9, 256])), count) / 256
    classes = random.integers(0, draw(st.sampled_from([1, 3, 80])), count)
    return boxes.astype(np.float32), scores, classes


@settings(max_examples=150, deadline=None)
@given(candidates(), st.sampled_from([0.1, 0.45, 0.7]), st.sampled_from([1, 3, 300]))
def test_the_same_boxes_stay_as_in_a_plain_loop(found, iou, most):
    boxes, scores, classes = found
    wide = boxes.astype(float)
    pairs = [overlap(a, b) for i, a in enumerate(wide) for b in wide[:i]]
    assume(all(abs(pair - iou) > 1e-6 for pair in pairs))  # float32 compares, see the module
    kept = nms(boxes, scores, classes, iou, most)
    assert kept.tolist() == plainly(wide.tolist(), scores, classes, iou, most)
    alone = nms(boxes, scores, None, iou, most)
    assert alone.tolist() == plainly(wide.tolist(), scores, np.zeros(len(boxes)), iou, most)


def test_equal_scores_stay_in_the_order_they_came():
    apart = np.array([[i, 0.0, i + 0.5, 1.0] for i in range(50)])
    assert nms(apart, np.full(50, 0.5), None, 0.45, 300).tolist() == list(range(50))


def test_the_best_are_found_among_many_more_than_are_wanted():
    apart = np.array([[i, 0.0, i + 0.5, 1.0] for i in range(5000)])
    scores = np.arange(5000) / 5000
    assert nms(apart, scores, None, 0.45, 300).tolist() == list(range(4999, 4699, -1))


def test_one_heap_of_thousands_leaves_room_for_the_box_behind_it():
    heap = np.tile([0.1, 0.1, 0.2, 0.2], (3000, 1))
    boxes = np.concatenate((heap, [[0.7, 0.7, 0.8, 0.8]]))
    scores = np.append(np.full(3000, 0.9), 0.3)
    assert nms(boxes, scores, None, 0.45, 300).tolist() == [0, 3000]


def test_no_boxes_leave_none():
    assert nms(np.empty((0, 4)), np.empty(0), np.empty(0, int), 0.45, 300).tolist() == []
