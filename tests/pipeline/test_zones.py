"""Zones, anchors, lines: where things are and what they crossed."""

from itertools import pairwise
from math import cos, hypot, pi, sin

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from edge_agent.pipeline.zones import (
    MARGIN,
    Line,
    Zone,
    anchor_point,
    line_fault,
    polygon_fault,
    walk,
)

SQUARE = ((0.2, 0.2), (0.6, 0.2), (0.6, 0.8), (0.2, 0.8))
HOOK = ((0.1, 0.1), (0.9, 0.1), (0.9, 0.9), (0.6, 0.9), (0.6, 0.4), (0.1, 0.4))
WHOLE = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))

coordinates = st.floats(0.0, 1.0, allow_nan=False)
points = st.tuples(coordinates, coordinates)


# --- anchors -----------------------------------------------------------------------------------


def test_a_box_stands_at_the_middle_of_its_lower_edge_or_at_its_centre():
    box = (0.2, 0.1, 0.4, 0.7)
    assert anchor_point(box) == pytest.approx((0.3, 0.7))
    assert anchor_point(box, "center") == pytest.approx((0.3, 0.4))


@pytest.mark.parametrize(
    "box", [(0.9, 0.5, 1.3, 1.0), (-0.5, 0.2, 0.1, 1.4), (0.4, -0.2, 0.6, 0.0)]
)
def test_an_object_at_the_edge_of_the_frame_is_in_a_zone_that_reaches_there(box):
    assert Zone("all", WHOLE).contains(anchor_point(box))


# --- zones -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("polygon", "point", "inside"),
    [
        (SQUARE, (0.4, 0.5), True),
        (SQUARE, (0.1, 0.5), False),
        (SQUARE, (0.4, 0.1), False),
        (SQUARE, (0.2, 0.5), True),  # left edge: in
        (SQUARE, (0.6, 0.5), False),  # right edge: out
        (SQUARE, (0.4, 0.2), True),  # upper edge: in
        (SQUARE, (0.4, 0.8), False),  # lower edge: out
        (HOOK, (0.3, 0.6), False),  # in the notch
        (HOOK, (0.3, 0.3), True),
        (HOOK, (0.7, 0.8), True),
    ],
)
def test_a_zone_contains_its_inside(polygon, point, inside):
    assert Zone("z", polygon).contains(point) is inside
    assert Zone("z", polygon[::-1]).contains(point) is inside


@given(point=points, cut=st.floats(0.05, 0.95))
def test_two_zones_that_share_an_edge_share_no_point_and_leave_none_out(point, cut):
    left = Zone("l", ((0.0, 0.0), (cut, 0.0), (1.0 - cut, 1.0), (0.0, 1.0)))
    right = Zone("r", ((cut, 0.0), (1.0, 0.0), (1.0, 1.0), (1.0 - cut, 1.0)))
    point = anchor_point((*point, *point))
    assert left.contains(point) != right.contains(point)


@given(points, st.integers(3, 9), st.floats(0.05, 0.45))
def test_a_regular_polygon_contains_what_lies_on_the_inner_side_of_all_its_sides(
    point, corners, radius
):
    turns = [2 * pi * k / corners + 0.1 for k in range(corners)]
    polygon = tuple((0.5 + radius * cos(t), 0.5 + radius * sin(t)) for t in turns)
    depths = [
        (b[0] - a[0]) * (point[1] - a[1]) - (b[1] - a[1]) * (point[0] - a[0])
        for a, b in zip(polygon, polygon[1:] + polygon[:1], strict=True)
    ]
    assume(min(abs(depth) for depth in depths) > 1e-9)
    assert Zone("z", polygon).contains(point) == (min(depths) > 0)


def test_the_distance_is_that_to_the_outline_and_nothing_inside():
    zone = Zone("z", SQUARE)
    assert zone.distance((0.7, 0.5)) == pytest.approx(0.1)
    assert zone.distance((0.7, 0.9)) == pytest.approx(hypot(0.1, 0.1))
    assert zone.distance((0.4, 0.5)) == 0.0
    assert Zone("h", HOOK).distance((0.5, 0.6)) == pytest.approx(0.1)


@given(st.lists(points, min_size=1, max_size=12))
def test_the_nearest_point_is_the_first_with_the_least_distance(candidates):
    zone = Zone("h", HOOK)
    distances = [zone.distance(point) for point in candidates]
    assert zone.nearest(candidates) == distances.index(min(distances))


@pytest.mark.parametrize(
    ("polygon", "fault"),
    [
        (SQUARE, None),
        (HOOK, None),
        (HOOK[::-1], None),
        (WHOLE, None),
        ((), "has 0 points, a polygon needs at least 3"),
        (SQUARE[:2], "has 2 points, a polygon needs at least 3"),
        (((0.1, 0.1), (1.2, 0.1), (0.5, 0.5)), "point 2 [1.2, 0.1] is outside 0..1"),
        (((0.1, float("nan")), (0.2, 0.1), (0.5, 0.5)), "point 1 [0.1, nan] is outside 0..1"),
        ((*SQUARE, SQUARE[0]), "point 5 repeats point 1"),
        (
            ((0.1, 0.1), (0.9, 0.9), (0.9, 0.1), (0.1, 0.9)),
            "crosses itself: side 1 meets side 3",
        ),
        (((0.1, 0.1), (0.9, 0.1), (0.5, 0.1)), "crosses itself: side 2 runs back along side 1"),
        (
            ((0.1, 0.1), (0.9, 0.1), (0.9, 0.9), (0.9, 0.5), (0.1, 0.9)),
            "crosses itself: side 3 runs back along side 2",
        ),
        (
            ((0.1, 0.1), (0.9, 0.1), (0.9, 0.9), (0.5, 0.1), (0.1, 0.9)),  # a corner on a side
            "crosses itself: side 1 meets side 3",
        ),
    ],
)
def test_a_fault_of_a_polygon_is_named(polygon, fault):
    assert polygon_fault(polygon) == fault


# --- lines -------------------------------------------------------------------------------------


ACROSS = Line("door", (0.2, 0.5), (0.8, 0.5))


def crossings(line, path):
    """Every crossing of a path, with the index of the point that completed it."""
    footing, found = None, []
    for index, point in enumerate(path):
        footing, crossed = walk(line, footing, point)
        if crossed:
            found.append((index, crossed))
    return found


@pytest.mark.parametrize(
    ("line", "path", "expected"),
    [
        (ACROSS, [(0.5, 0.3), (0.5, 0.7)], [(1, "in")]),
        (ACROSS, [(0.5, 0.7), (0.5, 0.3)], [(1, "out")]),
        (Line("d", (0.8, 0.5), (0.2, 0.5)), [(0.5, 0.3), (0.5, 0.7)], [(1, "out")]),
        (Line("d", (0.5, 0.2), (0.5, 0.8)), [(0.7, 0.5), (0.3, 0.5)], [(1, "in")]),
        (ACROSS, [(0.9, 0.3), (0.9, 0.7)], []),  # beside it
        (ACROSS, [(0.5, 0.3), (0.95, 0.4), (0.95, 0.6), (0.5, 0.7)], []),  # round its end
        (ACROSS, [(0.5, 0.3), (0.5, 0.4)], []),
        (ACROSS, [(0.5, 0.7)], []),  # born beyond it
        (ACROSS, [(0.5, 0.505), (0.5, 0.7)], []),  # born upon it
        (ACROSS, [(0.5, 0.3), (0.5, 0.505), (0.5, 0.52)], [(2, "in")]),
        (ACROSS, [(0.5, 0.3), (0.5, 0.7), (0.5, 0.3)], [(1, "in"), (2, "out")]),
        (ACROSS, [(0.5, 0.3), (0.5, 0.5), (0.5, 0.3)], []),  # only touched
    ],
)
def test_a_line_is_crossed_from_hand_to_hand_between_its_ends(line, path, expected):
    assert crossings(line, path) == expected


@given(st.lists(st.floats(-0.99 * MARGIN, 0.99 * MARGIN), max_size=30))
def test_jitter_on_the_line_counts_once(offsets):
    jitter = [(0.5, 0.5 + offset) for offset in offsets]
    path = [(0.5, 0.3), *jitter, (0.5, 0.7), *jitter, (0.5, 0.7)]
    assert crossings(ACROSS, path) == [(1 + len(jitter), "in")]


@given(st.lists(points, max_size=40))
def test_crossings_alternate_when_the_line_has_no_way_round(path):
    wall = Line("wall", (0.0, 0.5), (1.0, 0.5))
    ways = [way for _, way in crossings(wall, path)]
    assert all(a != b for a, b in pairwise(ways))


def test_a_line_has_two_ends_in_the_frame():
    assert line_fault((0.1, 0.5), (0.9, 0.5)) is None
    assert line_fault((0.1, -0.5), (0.9, 0.5)) == "from [0.1, -0.5] is outside 0..1"
    assert line_fault((0.1, 0.5), (0.9, 1.5)) == "to [0.9, 1.5] is outside 0..1"
    assert line_fault((0.5, 0.5), (0.5, 0.5)) == "is no longer than 0.01 of the frame"


def test_the_distance_from_a_line_is_that_from_its_nearest_point():
    assert ACROSS.distance((0.5, 0.6)) == pytest.approx(0.1)
    assert ACROSS.distance((0.9, 0.5)) == pytest.approx(0.1)
