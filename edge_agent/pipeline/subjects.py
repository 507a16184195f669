"""Following what has a name of its own: the key points of a pose, the classes of a segmentation.

There is one left wrist and one road, so nothing has to be told apart: the label is the identity.
Everything else is as `Tracker` has it (hidden, lost after `lost_s` and `lost_frames`, standing
still), so every rule about tracks holds for subjects too.

Rules: a subject's id is the place of its label among the model's, from 1, and so the same in every
run; labels that the model does not list get the next numbers as they come. One that was lost comes
back under its own id. A key point has no size that it could stay within: it never stands still.
Read `rules.py` next.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from edge_agent.pipeline.target import Target
from edge_agent.pipeline.track import DEFAULT, Tracker, TrackSpec
from edge_agent.types import Detection, Track


class Subjects(Tracker):
    """One track a label; `spec.high` is the score from which on a finding shows its subject."""

    def __init__(
        self, labels: Sequence[str], spec: TrackSpec = DEFAULT, *, areas: bool = False
    ) -> None:
        """`areas`: a finding's score is the part of the frame that it covers (segmentation)."""
        super().__init__(spec)
        self._ids: dict[str, int] = {}
        for label in labels:
            self._id(label)
        self._areas = areas

    def _associate(self, detections: tuple[Detection, ...]) -> list[Target | None]:
        known = {target.label: target for target in self._targets}
        return [
            known.get(found.label) if first else None
            for found, first in zip(detections, self._shown(detections), strict=True)
        ]

    def _start(
        self, detections: tuple[Detection, ...], owners: list[Target | None], time: float
    ) -> None:
        for j, first in enumerate(self._shown(detections)):
            if first and owners[j] is None:
                found = detections[j]
                owners[j] = target = Target(self._id(found.label), found, time)
                self._targets.append(target)
        self._targets.sort(key=lambda target: target.id)

    def _shown(self, detections: tuple[Detection, ...]) -> list[bool]:
        """Per detection: does it show its subject? Of several the best one does."""
        best: dict[str, int] = {}
        for j, found in enumerate(detections):
            if self._sure(found):
                held = best.get(found.label)
                if held is None or detections[held].score < found.score:
                    best[found.label] = j
        return [best.get(found.label) == j for j, found in enumerate(detections)]

    def _knows(self, target: Target, other: Tracker, labels: frozenset[str]) -> bool:
        """The label is the identity, and so is its place."""
        return target.id == self._ids.get(target.label)

    def _id(self, label: str) -> int:
        return self._ids.setdefault(label, len(self._ids) + 1)

    def _tracks(self, time: float) -> tuple[Track, ...]:
        tracks = super()._tracks(time)
        if not self._areas:
            return tracks
        return tuple(replace(track, covers=track.score) for track in tracks)
