"""Which detections of this frame are the objects of the last one: ids, speed, standing still.

Every track is predicted to the frame's time at constant velocity. Then detections are given to
tracks by the IoU (intersection over union) of the detected and the predicted box, in rounds, and
within a round the best pair first:

1. confident detections of the track's label;
2. weak ones of its label: they keep a track alive but start none (ByteTrack, Zhang et al. 2022,
   arxiv.org/abs/2110.06864);
3. confident ones of another label in the very same place: a label that flickers starts no twin;
4. what is left of round 1, with both boxes grown: a new track has no speed yet, and between the
   frames of a low rate an object may leave its own box (C-BIoU, Yang et al. 2023,
   arxiv.org/abs/2211.14317).

Rules: pure and deterministic (ties go to the older track, then to the earlier detection); ids count
from 1 and never come again. Time is an argument and memory is in seconds, so every frame rate
works. Read `target.py` for one object's filter, `subjects.py` for what has a name of its own, then
`rules.py`.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from edge_agent.frozen import frozen
from edge_agent.pipeline.associate import Floats, overlaps
from edge_agent.pipeline.target import Stillness, Target
from edge_agent.types import Detection, Track

#: IoU by which a track yields to others for each frame it was missed (up to three).
SHY = 0.1
#: A detection this much (IoU) on one that has a track is a second opinion, not a second object.
TWIN_IOU = 0.7
#: A track seen only once ends after it was missed this often: most false alarms are such.
ONCE_SEEN_FRAMES = 2


@frozen
class TrackSpec:
    """How tracks begin, go on and end. IoU and scores are in 0..1.

    `high`: a detection of at least this score may start a track; of at least `low`, go on with one.
    `iou`, `low_iou`, `label_iou`: least IoU for confident and weak detections and for those of
    another label. `grow`: the part of its width and height by which a box grows for the last
    round, `grown_iou` the least IoU there.
    `lost_s` and `lost_frames`: a track ends when it was missed for longer than the one and in as
    many inferred frames as the other, so that a low frame rate does not end it early. After a gap
    of `gap_s` (and of three times the usual interval) nothing is taken for the same object.
    `still`, `still_s`: a track is stationary whose centre stayed within `still` of the box's width
    and height for `still_s` seconds. `label_frames`: a track takes another label when so many
    detections in a row bear one.
    """

    high: float = 0.5
    low: float = 0.1
    iou: float = 0.25
    low_iou: float = 0.15
    label_iou: float = 0.6
    grow: float = 0.8
    grown_iou: float = 0.15
    lost_s: float = 3.0
    lost_frames: int = 3
    gap_s: float = 30.0
    still: float = 0.25
    still_s: float = 3.0
    label_frames: int = 3


DEFAULT = TrackSpec()
#: For boxes made of the cells of a coarse grid (FOMO): they are small, and an object goes on by a
#: whole cell, to a box that does not touch the last. A box of one cell is looked for up to three
#: cells away; who sways between two cells stands still. What it is worth: test_track_cells.py.
CELLS = TrackSpec(grow=2.5, grown_iou=0.06, still=1.0)


@frozen
class Tracked:
    """All tracks by ascending id, and per detection the id of its track (None: it has none)."""

    tracks: tuple[Track, ...]
    ids: tuple[int | None, ...]


#: A possible pair: round, minus worth, target, detection. Sorted, the best comes first.
Pair = tuple[int, float, int, int]


class Tracker:
    """The tracks of one camera. A frame is told by `update` or `hold`, or left out (rate, heat)."""

    def __init__(self, spec: TrackSpec = DEFAULT) -> None:
        self._spec = spec
        self._still = Stillness(spec.still, spec.still_s)
        self._targets: list[Target] = []
        self._time: float | None = None
        self._looked = 0.0  # time of the last update
        self._interval = 0.0  # between the last two frames told
        self._next_id = 1

    def update(self, detections: tuple[Detection, ...], time: float) -> Tracked:
        """The tracks after an inferred frame, and which of them each detection belongs to."""
        self._predict(time)
        owners = self._associate(detections)
        for found, owner in zip(detections, owners, strict=True):
            if owner is not None:
                owner.see(found, time, self._still)
                owner.hear(found.label, self._spec.label_frames)
        self._targets = [target for target in self._targets if not self._ended(target)]
        self._start(detections, owners, time)
        ids = tuple(None if owner is None else owner.id for owner in owners)
        return Tracked(self._tracks(time), ids)

    def hold(self, time: float) -> tuple[Track, ...]:
        """The tracks after a frame in which nothing changed: all persist, none ages towards lost.

        Who is seen stands still from now on, and becomes stationary in time.
        """
        self._time = time
        for target in self._targets:
            if target.missed == 0:
                target.stop()
        return self._tracks(time)

    def take_over(self, other: Tracker, labels: frozenset[str]) -> tuple[Track, ...]:
        """Go on with another model's tracks: those whose labels there still are (none: all), where
        both follow in the same way. Ids never come again."""
        self._next_id = max(self._next_id, other._next_id)
        if type(other) is not type(self) or other._time is None:
            return ()
        self._time, self._looked, self._interval = other._time, other._looked, other._interval
        self._targets = [target for target in other._targets if self._knows(target, other, labels)]
        return self._tracks(other._time)

    def _knows(self, target: Target, other: Tracker, labels: frozenset[str]) -> bool:
        return not labels or target.label in labels

    # --- below, in call order -----------------------------------------------------------------

    def _predict(self, time: float) -> None:
        passed = 0.0 if self._time is None else max(0.0, time - self._time)
        if passed > max(self._spec.gap_s, 3.0 * self._interval):
            self._targets = []
        # Held time ages nobody, but to be missed when somebody looks again does: else one look in
        # `keepalive_s` would take minutes to find out who has gone.
        held = time - self._looked - passed
        aged = max(passed, min(held, self._spec.lost_s / self._spec.lost_frames))
        self._time, self._looked, self._interval = time, time, passed
        for target in self._targets:
            target.predict(passed, aged)

    def _associate(self, detections: tuple[Detection, ...]) -> list[Target | None]:
        """Per detection its target: the rounds of the module's docstring."""
        owners: list[Target | None] = [None] * len(detections)
        if not detections or not self._targets:
            return owners
        self._give(self._first_rounds(detections), owners)
        free = [j for j, found in enumerate(detections) if owners[j] is None and self._sure(found)]
        if free:
            taken = {owner.id for owner in owners if owner is not None}
            left = [i for i, target in enumerate(self._targets) if target.id not in taken]
            self._give(self._last_round(detections, left, free), owners)
        return owners

    def _first_rounds(self, detections: tuple[Detection, ...]) -> list[Pair]:
        spec, targets = self._spec, self._targets
        iou = overlaps([target.box for target in targets], [found.box for found in detections])
        pairs = []
        for i, j, value in _at_least(iou, min(spec.iou, spec.low_iou, spec.label_iou)):
            target, found = targets[i], detections[j]
            sure = found.score >= spec.high
            if target.label != found.label:
                turn, least = 3, spec.label_iou if sure else 2.0  # no IoU is 2
            elif sure:
                turn, least = 1, spec.iou
            else:
                turn, least = 2, spec.low_iou if found.score >= spec.low else 2.0
            if value >= least:
                # `missed` is 1 for whom the last frame showed: not seen in this one as yet.
                pairs.append((turn, SHY * min(target.missed - 1, 3) - value, i, j))
        return pairs

    def _last_round(
        self, detections: tuple[Detection, ...], left: list[int], free: list[int]
    ) -> list[Pair]:
        if not left:
            return []
        targets = self._targets
        boxes = [targets[i].box for i in left], [detections[j].box for j in free]
        pairs = []
        for row, column, value in _at_least(
            overlaps(*boxes, self._spec.grow), self._spec.grown_iou
        ):
            i, j = left[row], free[column]
            if targets[i].label == detections[j].label:
                pairs.append((4, -value, i, j))
        return pairs

    def _give(self, pairs: list[Pair], owners: list[Target | None]) -> None:
        """The best pair first, each target and each detection once.

        On IoU this greedy choice switches no more ids than the optimal assignment does
        (benchmarks/tracker.py).
        """
        busy: set[int] = set()
        for _, _, i, j in sorted(pairs):
            if i not in busy and owners[j] is None:
                busy.add(i)
                owners[j] = self._targets[i]

    def _ended(self, target: Target) -> bool:
        """Missed for too long, seen once only, or gone over the edge of the picture."""
        if target.missed == 0:
            return False
        if target.hits == 1 and target.missed >= ONCE_SEEN_FRAMES:
            return True
        lost = target.missed_s > self._spec.lost_s and target.missed >= self._spec.lost_frames
        return lost or target.outside

    def _start(
        self, detections: tuple[Detection, ...], owners: list[Target | None], time: float
    ) -> None:
        """New targets for confident detections that are nobody's, and nobody's twin."""
        loose = [j for j, found in enumerate(detections) if owners[j] is None and self._sure(found)]
        taken = [found.box for j, found in enumerate(detections) if owners[j] is not None]
        starting = []
        for j in sorted(loose, key=lambda j: -detections[j].score):
            box = detections[j].box
            if not taken or overlaps([box], taken).max() < TWIN_IOU:
                taken.append(box)
                starting.append(j)
        for j in sorted(starting):
            owners[j] = target = Target(self._next_id, detections[j], time)
            self._targets.append(target)
            self._next_id += 1

    def _sure(self, found: Detection) -> bool:
        return found.score >= self._spec.high

    def _tracks(self, time: float) -> tuple[Track, ...]:
        return tuple(target.track(time, self._still) for target in self._targets)


def _at_least(iou: Floats, least: float) -> Iterable[tuple[int, int, float]]:
    """Row, column and value of what is at least `least`."""
    rows, columns = np.nonzero(iou >= least)
    return zip(rows.tolist(), columns.tolist(), iou[rows, columns].tolist(), strict=True)
