"""The metrics against plain references that were written for these tests alone."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.policy.statistics import (
    Labelled,
    Pixels,
    Tally,
    auc,
    centred,
    confusion,
    iou,
    matched,
    near,
)
from edge_agent.types import Box, Detection

SCORES = st.lists(st.integers(0, 8).map(float), min_size=1, max_size=12)
LABELS = st.sampled_from(["person", "人", "dog"])
COORDINATES = st.integers(0, 8).map(lambda number: number / 8)


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    x0, x1 = sorted((draw(COORDINATES), draw(COORDINATES)))
    y0, y1 = sorted((draw(COORDINATES), draw(COORDINATES)))
    return (x0, y0, x1 + 0.05, y1 + 0.05)


FOUND = st.lists(
    st.builds(Detection, LABELS, st.integers(0, 10).map(lambda n: n / 10), boxes()), max_size=5
)
TRUTHS = st.lists(st.tuples(LABELS, boxes()), max_size=5)


@given(SCORES, SCORES)
def test_auc_is_how_often_a_positive_scores_above_a_negative(
    positive: list[float], negative: list[float]
) -> None:
    wins = sum((p > n) + 0.5 * (p == n) for p, n in product(positive, negative))
    assert auc(positive, negative) == pytest.approx(wins / (len(positive) * len(negative)))


def test_auc_of_one_side_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="positives and negatives"):
        auc([], [1.0])


@given(st.lists(st.tuples(LABELS, LABELS), max_size=30))
def test_a_confusion_counts_every_pair_once(pairs: list[tuple[str, str]]) -> None:
    counted = confusion(pairs, ("dog", "cat"))
    assert counted.labels[:2] == ("dog", "cat")
    for (i, true), (j, said) in product(enumerate(counted.labels), enumerate(counted.labels)):
        assert counted.counts[i][j] == pairs.count((true, said))
    right = sum(true == said for true, said in pairs)
    assert counted.accuracy == (right / len(pairs) if pairs else None)
    for label in counted.labels:
        tally = counted.tally(label)
        assert tally.hits == pairs.count((label, label))
        assert tally.missed == sum(true == label != said for true, said in pairs)
        assert tally.false == sum(said == label != true for true, said in pairs)


@given(FOUND, TRUTHS)
@settings(max_examples=200)
def test_detections_are_matched_as_a_plain_loop_does_it(
    found: list[Detection], truths: list[Labelled]
) -> None:
    assert dict(matched(found, truths)) == plainly_matched(found, truths)


def plainly_matched(found: list[Detection], truths: list[Labelled]) -> dict[str, Tally]:
    counts = {label: [0, 0, 0] for label in [f.label for f in found] + [t[0] for t in truths]}
    taken: set[int] = set()
    for detection in sorted(found, key=lambda each: each.score, reverse=True):
        best, most = -1, 0.0
        for place, (label, box) in enumerate(truths):
            overlap = plain_iou(detection.box, box)
            if place not in taken and label == detection.label and overlap > most:
                best, most = place, overlap
        if most >= 0.5:
            taken.add(best)
            counts[detection.label][0] += 1
        else:
            counts[detection.label][1] += 1
    for place, (label, _) in enumerate(truths):
        counts[label][2] += place not in taken
    return {label: Tally(*count) for label, count in counts.items()}


def plain_iou(a: Box, b: Box) -> float:
    """Over a fine grid's exact coordinates: areas of rectangles, written out."""
    left, top, right, bottom = max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])
    if right <= left or bottom <= top:
        return 0.0
    both = (right - left) * (bottom - top)
    one, other = (a[2] - a[0]) * (a[3] - a[1]), (b[2] - b[0]) * (b[3] - b[1])
    return both / (one + other - both)


def test_a_box_overlaps_itself_wholly_and_another_place_not_at_all() -> None:
    assert iou((0.1, 0.1, 0.4, 0.5), (0.1, 0.1, 0.4, 0.5)) == pytest.approx(1.0)
    assert iou((0.0, 0.0, 0.1, 0.1), (0.2, 0.2, 0.3, 0.3)) == 0.0
    assert iou((0.2, 0.2, 0.2, 0.2), (0.2, 0.2, 0.2, 0.2)) == 0.0


def test_a_ratio_of_nothing_is_not_known() -> None:
    nothing = Tally()
    assert (nothing.f1, nothing.precision, nothing.recall) == (None, None, None)
    some = Tally(hits=6, false=2, missed=4) + Tally(hits=2, false=0, missed=0)
    assert (some.precision, some.recall) == (8 / 10, 8 / 12)
    assert some.f1 == pytest.approx(2 * 0.8 * (2 / 3) / (0.8 + 2 / 3))


@given(boxes(), boxes())
def test_a_place_is_right_when_the_middle_of_one_box_lies_in_the_other(a: Box, b: Box) -> None:
    (ax, ay), (bx, by) = (((box[0] + box[2]) / 2, (box[1] + box[3]) / 2) for box in (a, b))
    inside = (b[0] <= ax <= b[2] and b[1] <= ay <= b[3]) or (
        a[0] <= bx <= a[2] and a[1] <= by <= a[3]
    )
    fit = centred(a, b)
    assert (fit is not None) == inside
    if fit is not None:
        assert fit == pytest.approx(-(((ax - bx) ** 2 + (ay - by) ** 2) ** 0.5))


def test_the_nearer_of_two_places_is_taken_and_the_other_is_missed() -> None:
    found = [Detection("a", 0.9, (0.4, 0.4, 0.6, 0.6))]
    far, close = ("a", (0.5, 0.5, 0.9, 0.9)), ("a", (0.45, 0.45, 0.55, 0.57))
    assert matched(found, [far, close], centred) == {"a": Tally(hits=1, missed=1)}
    again = [*found, Detection("a", 0.8, (0.6, 0.6, 0.8, 0.8))]
    assert matched(again, [far, close], centred) == {"a": Tally(hits=2)}


@pytest.mark.parametrize(("x", "y", "right"), [(0.54, 0.46, True), (0.56, 0.5, False)])
def test_a_point_is_right_within_a_twentieth_of_the_sides(x: float, y: float, right: bool) -> None:
    tally = matched([Detection("nose", 0.9, (x, y, x, y))], [("nose", (0.5,) * 4)], near)["nose"]
    assert tally == (Tally(hits=1) if right else Tally(false=1, missed=1))


@given(
    st.lists(
        st.tuples(st.sampled_from([0, 1, 7, 255]), st.sampled_from([0, 1, 9, 255])), max_size=9
    )
)
def test_pixels_are_counted_as_a_plain_loop_does_it(pairs: list[tuple[int, int]]) -> None:
    pixels, half = Pixels(), len(pairs) // 2
    for part in (pairs[:half], pairs[half:]):
        true, said = np.array(part, np.uint8).reshape(1, -1, 2).transpose(2, 0, 1)
        pixels.add(true, said)
    judged = [pair for pair in pairs if pair[0] != 255]
    right = sum(true == said for true, said in judged)
    assert pixels.accuracy == (right / len(judged) if judged else None)
    there = {number for pair in judged for number in pair} - {255}
    assert set(pixels.tallies) == there
    for number, tally in pixels.tallies.items():
        hits = judged.count((number, number))
        either = sum(number in pair for pair in judged)
        assert tally.iou == hits / either
        assert tally.hits + tally.missed == sum(true == number for true, _ in judged)
        assert tally.hits + tally.false == sum(said == number for _, said in judged)
