"""One object that is followed: where it will be, how fast it is, whether it stands still.

A constant-velocity filter with gains that depend on the time since the last detection (an
alpha-beta filter), so that it works alike at any frame rate. Plain floats: for a few dozen objects
that is faster than columns of numpy, whose calls each cost as much as one object here.

Part of `track.py`, which decides who is seen.
"""

from __future__ import annotations

from math import exp

from edge_agent.frozen import frozen
from edge_agent.types import Box, Detection, Track

# The constants were searched on crossing worlds with the jitter of a real detector and checked on
# other seeds and on real video (benchmarks/tracker.py).

#: Time constants in seconds by which the filter follows a new centre, size and speed: the higher
#: the frame rate, the more frames are averaged.
PLACE_S, SIZE_S, SPEED_S = 0.15, 0.3, 0.8
#: A speed is trusted this many seconds ahead.
FORESIGHT_S = 3.0


@frozen
class Stillness:
    """A centre that stayed within `part` of the box's width and height for `seconds` is still."""

    part: float
    seconds: float


class Target:
    """The filter's state of one object. `box` is the last one seen or, since then, predicted."""

    __slots__ = (
        "_anchor",
        "_doubt",
        "_h",
        "_since",
        "_vx",
        "_vy",
        "_w",
        "_waited",
        "_x",
        "_y",
        "born",
        "box",
        "hits",
        "id",
        "label",
        "missed",
        "missed_s",
        "score",
        "seen",
    )

    def __init__(self, id: int, first: Detection, time: float) -> None:  # noqa: A002
        self.id = id
        self.label = first.label
        self.score = first.score
        self.box: Box = first.box
        self.born = self.seen = time
        self.hits = 1
        self.missed = 0  # inferred frames since it was seen
        self.missed_s = 0.0  # and seconds of it that count towards being lost
        self._x, self._y, self._w, self._h = _place(first.box)
        self._vx = self._vy = 0.0
        self._waited = 0.0  # seconds of prediction since it was seen
        self._anchor = self._x, self._y  # it has not left this since `_since`
        self._since = time
        self._doubt = 0  # detections of another label in a row

    def predict(self, passed: float, aged: float) -> None:
        """Move on by `passed` seconds, unseen as yet and `aged` seconds nearer to being lost."""
        ahead = min(passed, FORESIGHT_S)
        self._x += self._vx * ahead
        self._y += self._vy * ahead
        self.missed += 1
        self.missed_s += aged
        self._waited += passed
        half_w, half_h = self._w / 2, self._h / 2
        self.box = self._x - half_w, self._y - half_h, self._x + half_w, self._y + half_h

    def see(self, found: Detection, time: float, still: Stillness) -> None:
        """Follow a detection of this object at the time it was predicted to."""
        x, y, w, h = _place(found.box)
        dx, dy, waited = x - self._x, y - self._y, self._waited
        # A young target knows little: its first detections count for more than the filter says.
        least = 1.0 / (self.hits + 1)
        place = max(1.0 - exp(-waited / PLACE_S), least)
        size = max(1.0 - exp(-waited / SIZE_S), least)
        self._x += place * dx
        self._y += place * dy
        self._w += size * (w - self._w)
        self._h += size * (h - self._h)
        if waited > 0.0:
            speed = max(1.0 - exp(-waited / SPEED_S), 1.0 / self.hits) / waited
            self._vx += speed * dx
            self._vy += speed * dy
        self.box, self.score, self.seen = found.box, found.score, time
        self.hits += 1
        self.missed, self.missed_s, self._waited = 0, 0.0, 0.0

        anchor_x, anchor_y = self._anchor
        away_x, away_y = abs(self._x - anchor_x), abs(self._y - anchor_y)
        if away_x > still.part * self._w or away_y > still.part * self._h:
            self._anchor, self._since = (self._x, self._y), time

    def hear(self, label: str, patience: int) -> None:
        """Take another label only when `patience` detections in a row bear another."""
        self._doubt = self._doubt + 1 if label != self.label else 0
        if self._doubt >= patience:
            self.label, self._doubt = label, 0

    def stop(self) -> None:
        """It was seen not to move."""
        self._vx = self._vy = 0.0

    @property
    def outside(self) -> bool:
        """Whether its centre has left the picture."""
        return not (0.0 <= self._x <= 1.0 and 0.0 <= self._y <= 1.0)

    def track(self, time: float, still: Stillness) -> Track:
        """What the other rooms may know of it at `time`."""
        x0, y0, x1, y1 = self.box
        visible = self.missed == 0
        stood = (time if visible else self.seen) - self._since
        return Track(
            self.id,
            self.label,
            self.box if visible else (max(x0, 0.0), max(y0, 0.0), min(x1, 1.0), min(y1, 1.0)),
            self.score,
            self.born,
            self.seen,
            self.hits,
            (self._vx, self._vy),
            visible,
            stood >= still.seconds,
        )


def _place(box: Box) -> Box:
    """Centre x, centre y, width, height."""
    x0, y0, x1, y1 = box
    return (x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0
