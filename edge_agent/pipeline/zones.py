"""Where things are: anchors of boxes, zones, masks, and lines that are crossed.

Everything is in 0..1 of the frame, x to the right, y down. Rules:

* A box is where its *anchor* is: the middle of its bottom edge (where a person stands), or its
  centre. Anchors are held inside the frame, so an object cut off by the frame's edge is still in
  a zone that reaches to that edge.
* A zone holds its left and upper edges, not its right and lower ones: two zones that share an
  edge share no point.
* Walk along a line from `from` to `to`, as drawn in the picture. `in` is a crossing from your
  left hand to your right hand, `out` the other way:

                  | in                     from          A line drawn from left to right is
      from -------+------> to                |           crossed `in` by whoever comes down the
                  v                 in <-----+---- .     picture, a line drawn downwards by
                                             v           whoever goes from right to left.
                                             to

* Jitter on the line counts once: a track has changed sides only when its anchor is more than
  `MARGIN` beyond the line; the way from its last settled point must pass between the ends.

Read `rules.py` next.
"""

from __future__ import annotations

from dataclasses import field
from itertools import pairwise
from math import hypot, inf, isfinite
from typing import Literal, TypeAlias

from edge_agent.frozen import frozen
from edge_agent.types import Box, Point, Polygon

Anchor: TypeAlias = Literal["bottom", "center"]
Direction: TypeAlias = Literal["in", "out"]

#: How far beyond a line, in fractions of the frame, an anchor must be to have changed sides.
MARGIN = 0.01
#: Anchors keep this far inside the frame, so that a zone reaching to its edge holds them.
_EDGE = 1e-6


def anchor_point(box: Box, anchor: Anchor = "bottom") -> Point:
    """The point that stands for a box, held inside the frame."""
    x = (box[0] + box[2]) * 0.5
    y = box[3] if anchor == "bottom" else (box[1] + box[3]) * 0.5
    return min(max(x, _EDGE), 1.0 - _EDGE), min(max(y, _EDGE), 1.0 - _EDGE)


# --- zones and masks ---------------------------------------------------------------------------


@frozen
class Zone:
    """A named polygon; its edges are prepared once, because every track asks every zone."""

    name: str
    polygon: Polygon
    bounds: Box = field(init=False, repr=False, compare=False)
    _edges: tuple[tuple[float, float, float, float], ...] = field(
        init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        xs, ys = zip(*self.polygon, strict=True)
        object.__setattr__(self, "bounds", (min(xs), min(ys), max(xs), max(ys)))
        edges = tuple(_upright(a, b) for a, b in _sides(self.polygon) if a[1] != b[1])
        object.__setattr__(self, "_edges", edges)

    def contains(self, point: Point) -> bool:
        """Even-odd rule: a ray to the right meets the outline an odd number of times."""
        x, y = point
        left, top, right, bottom = self.bounds
        if not (left <= x < right and top <= y < bottom):
            return False
        inside = False
        for upper, lower, at_upper, slope in self._edges:
            if upper <= y < lower and x < at_upper + (y - upper) * slope:
                inside = not inside
        return inside

    def distance(self, point: Point) -> float:
        """From a point outside to the outline, in fractions of the frame; 0 inside."""
        if self.contains(point):
            return 0.0
        return min(_distance_to_segment(point, a, b) for a, b in _sides(self.polygon))

    def nearest(self, points: list[Point]) -> int:
        """The index of the point with the least `distance`, the first of equals.

        The distance to the bounds is never more than that to the outline, so most points need no
        more than that.
        """
        best, least = 0, inf
        bounds = [self._distance_to_bounds(point) for point in points]
        for index in sorted(range(len(points)), key=bounds.__getitem__):
            if bounds[index] > least:
                break
            distance = self.distance(points[index])
            if (distance, index) < (least, best):
                best, least = index, distance
        return best

    def _distance_to_bounds(self, point: Point) -> float:
        x, y = point
        left, top, right, bottom = self.bounds
        return hypot(max(left - x, 0.0, x - right), max(top - y, 0.0, y - bottom))


def polygon_fault(polygon: Polygon) -> str | None:
    """What is wrong with a polygon, as the end of a sentence that names it; None: nothing."""
    if len(polygon) < 3:
        return f"has {len(polygon)} points, a polygon needs at least 3"
    for number, point in enumerate(polygon, 1):
        if not _in_frame(point):
            return f"point {number} [{point[0]:g}, {point[1]:g}] is outside 0..1"
    for number, point in enumerate(polygon):
        if point in polygon[:number]:
            return f"point {number + 1} repeats point {polygon.index(point) + 1}"
    return _crossing_sides(polygon) or _flatness(polygon)


def _in_frame(point: Point) -> bool:
    return all(isfinite(value) and 0.0 <= value <= 1.0 for value in point)


def _crossing_sides(polygon: Polygon) -> str | None:
    """Sides that meet anywhere but at the corner they share."""
    sides = _sides(polygon)
    count = len(sides)
    for i, (start, corner) in enumerate(sides):
        follower = (i + 1) % count
        if _folds_back(corner, start, sides[follower][1]):
            return f"crosses itself: side {follower + 1} runs back along side {i + 1}"
        for j in range(i + 2, count if i else count - 1):
            if _touch(start, corner, *sides[j]):
                return f"crosses itself: side {i + 1} meets side {j + 1}"
    return None


def _flatness(polygon: Polygon) -> str | None:
    doubled = sum(a[0] * b[1] - b[0] * a[1] for a, b in _sides(polygon))
    return "has no area" if abs(doubled) < 1e-9 else None


# --- lines -------------------------------------------------------------------------------------


@frozen
class Line:
    """A named line with a direction; see the picture above."""

    name: str
    start: Point
    end: Point
    _along: Point = field(init=False, repr=False, compare=False)  # its direction, of length 1

    def __post_init__(self) -> None:
        dx, dy = self.end[0] - self.start[0], self.end[1] - self.start[1]
        length = hypot(dx, dy)
        object.__setattr__(self, "_along", (dx / length, dy / length))

    def offset(self, point: Point) -> float:
        """The distance from the endless line: positive at the right hand, negative at the left."""
        dx, dy = self._along
        return dx * (point[1] - self.start[1]) - dy * (point[0] - self.start[0])

    def distance(self, point: Point) -> float:
        return _distance_to_segment(point, self.start, self.end)


@frozen
class Footing:
    """The last point at which a track was clearly on one side of a line."""

    point: Point
    right: bool


def walk(
    line: Line, footing: Footing | None, point: Point
) -> tuple[Footing | None, Direction | None]:
    """Follow a track to its next anchor: its new footing, and the crossing if there was one."""
    offset = line.offset(point)
    if abs(offset) <= MARGIN:
        return footing, None
    now = Footing(point, offset > 0)
    if footing is None or footing.right == now.right:
        return now, None
    if not _touch(footing.point, point, line.start, line.end):
        return now, None  # it went round an end
    return now, "in" if now.right else "out"


def line_fault(start: Point, end: Point) -> str | None:
    """What is wrong with a line, as the end of a sentence that names it; None: nothing."""
    for name, point in (("from", start), ("to", end)):
        if not _in_frame(point):
            return f"{name} [{point[0]:g}, {point[1]:g}] is outside 0..1"
    if hypot(end[0] - start[0], end[1] - start[1]) <= MARGIN:
        return f"is no longer than {MARGIN:g} of the frame"
    return None


# --- plane geometry ----------------------------------------------------------------------------


def _sides(polygon: Polygon) -> list[tuple[Point, Point]]:
    return list(pairwise((*polygon, polygon[0])))


def _upright(a: Point, b: Point) -> tuple[float, float, float, float]:
    """One side from its upper to its lower end: upper y, lower y, x at the upper end, dx/dy."""
    (x0, y0), (x1, y1) = (a, b) if a[1] < b[1] else (b, a)
    return y0, y1, x0, (x1 - x0) / (y1 - y0)


def _distance_to_segment(point: Point, a: Point, b: Point) -> float:
    dx, dy = b[0] - a[0], b[1] - a[1]
    px, py = point[0] - a[0], point[1] - a[1]
    share = (px * dx + py * dy) / (dx * dx + dy * dy)
    share = 0.0 if share < 0.0 else 1.0 if share > 1.0 else share  # min and max cost twice as much
    return hypot(px - share * dx, py - share * dy)


def _turn(a: Point, b: Point, c: Point) -> float:
    """Positive when a -> b -> c turns to the right hand, as seen in the picture."""
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def _touch(a: Point, b: Point, c: Point, d: Point) -> bool:
    """Whether the segments a-b and c-d have a point in common."""
    across = _turn(a, b, c), _turn(a, b, d)
    along = _turn(c, d, a), _turn(c, d, b)
    if min(across) > 0 or max(across) < 0 or min(along) > 0 or max(along) < 0:
        return False
    return all(
        max(min(a[i], b[i]), min(c[i], d[i])) <= min(max(a[i], b[i]), max(c[i], d[i]))
        for i in (0, 1)
    )


def _folds_back(corner: Point, first: Point, second: Point) -> bool:
    """Whether two sides that share a corner lie on one another."""
    ahead = (first[0] - corner[0]) * (second[0] - corner[0])
    ahead += (first[1] - corner[1]) * (second[1] - corner[1])
    return abs(_turn(corner, first, second)) < 1e-12 and ahead > 0
