"""One sight on its way through all rules: what they share of it, and what they make of it.

Where a track's anchor lies is worked out once for each zone, not once for each rule. Read
`conditions.py` next.
"""

from __future__ import annotations

from collections.abc import Sequence

from edge_agent.pipeline.rulespec import Sight
from edge_agent.pipeline.zones import Anchor, Zone, anchor_point
from edge_agent.types import Event, NearMiss, Point


class Turn:
    """One sight being judged: what the rules share of it, and what they make of it."""

    __slots__ = (
        "_inside",
        "_masked",
        "_masks",
        "_points",
        "closed",
        "misses",
        "opened",
        "sight",
        "time",
    )

    def __init__(self, sight: Sight, masks: Sequence[Zone]) -> None:
        self.sight = sight
        self.time = sight.time
        self.opened: list[Event] = []
        self.closed: list[Event] = []
        self.misses: list[NearMiss] = []
        self._masks = masks
        self._points: dict[Anchor, list[Point]] = {}
        self._masked: dict[Anchor, list[bool]] = {}
        self._inside: dict[tuple[str, Anchor], list[bool]] = {}

    def points(self, anchor: Anchor) -> list[Point]:
        """The anchor of every track."""
        found = self._points.get(anchor)
        if found is None:
            found = [anchor_point(track.box, anchor) for track in self.sight.tracks]
            self._points[anchor] = found
        return found

    def masked(self, anchor: Anchor) -> list[bool]:
        """Of every track: is its anchor in an object mask?"""
        found = self._masked.get(anchor)
        if found is None:
            found = [False] * len(self.sight.tracks)
            for mask in self._masks:
                found = [
                    a or mask.contains(p) for a, p in zip(found, self.points(anchor), strict=True)
                ]
            self._masked[anchor] = found
        return found

    def inside(self, zone: Zone, anchor: Anchor) -> list[bool]:
        """Of every track: is its anchor in the zone?"""
        found = self._inside.get((zone.name, anchor))
        if found is None:
            found = [zone.contains(point) for point in self.points(anchor)]
            self._inside[zone.name, anchor] = found
        return found
