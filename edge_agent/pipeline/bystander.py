"""A pipeline's model, tracker and rules without its gate: what it would raise of what it is shown.

For a candidate in the shadow, and for the active model beside it on the same frames: both sides are
shown every n-th inferred frame, so that their events can be compared. Pure as `step.py` is. Rules:
nothing it raises is an event; only findings that count are tracked, for of the other side no more
is known.
"""

from __future__ import annotations

from collections.abc import Sequence

from edge_agent.pipeline.associate import overlaps
from edge_agent.pipeline.rules import Sight
from edge_agent.pipeline.schedule import Calendar
from edge_agent.pipeline.step import Parts
from edge_agent.ports import Stopwatch
from edge_agent.types import Detection, Event, Frame, Track

#: Two findings with the same label are the same one when their boxes overlap so much (IoU).
SAME_IOU = 0.5


class Bystander:
    """One side of a comparison. One thread uses it."""

    def __init__(self, parts: Parts, clock: Stopwatch) -> None:
        self._parts = parts
        self._clock = clock
        self.invoke_s = 0.0  # of the latest `infer`

    def infer(self, frame: Frame) -> tuple[Detection, ...]:
        """What this side's model finds in a frame, the best first."""
        parts = self._parts
        prepared = parts.preprocess(frame.data)
        with parts.turn(lambda: None):
            began = self._clock()
            outputs = parts.engine.invoke(prepared.tensor)
            self.invoke_s = self._clock() - began
        found = parts.decode(outputs, prepared)
        return found[: sum(each.score >= parts.min_score for each in found)]

    def judge(
        self, frame: Frame, found: tuple[Detection, ...], calendar: Calendar
    ) -> tuple[Event, ...]:
        """What its rules would open."""
        tracks: tuple[Track, ...] = ()
        if self._parts.tracker is not None:
            tracks = self._parts.tracker.update(found, frame.time).tracks
        sight = Sight(
            frame=frame.index,
            time=frame.time,
            input=frame.name or None,
            tracks=tracks,
            detections=found,
            inferred=True,
            still=False,
            calendar=calendar,
        )
        return self._parts.rules.step(sight).opened


def common(some: Sequence[Detection], others: Sequence[Detection]) -> int:
    """How many findings both have: each pair of equal labels, the closest first."""
    if not some or not others:
        return 0
    iou = overlaps([each.box for each in some], [each.box for each in others])
    pairs = sorted(
        (
            (-float(iou[i, j]), i, j)
            for i, one in enumerate(some)
            for j, other in enumerate(others)
            if one.label == other.label and iou[i, j] >= SAME_IOU
        ),
    )
    taken_i: set[int] = set()
    taken_j: set[int] = set()
    for _, i, j in pairs:
        if i not in taken_i and j not in taken_j:
            taken_i.add(i)
            taken_j.add(j)
    return len(taken_i)
