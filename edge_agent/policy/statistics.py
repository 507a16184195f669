"""How good a model is, against what is known to be true: F1, ROC AUC, confusion, accuracy.

Pure. Nothing here knows a model or a file. The rule of detections: those of one picture, best score
first, each take the free truth of their own label that they overlap most, if by `ENOUGH` or more;
a truth is taken once. That is PASCAL VOC's rule (Everingham and others, IJCV 88, 2010) at one
threshold.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from edge_agent.frozen import frozen
from edge_agent.types import Box, Detection

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Numbers: TypeAlias = NDArray[np.float64]
    Classes: TypeAlias = NDArray[np.uint8]

#: Overlap (intersection over union) from which on a detection is right.
ENOUGH = 0.5
#: A point is right within this part of the picture's width and height.
NEAR = 0.05
#: Of a segmentation: as many classes as a byte numbers, and the one that is none.
CLASSES, UNJUDGED = 256, 255

#: What is really in a picture: a label and its box in 0..1.
Labelled: TypeAlias = tuple[str, Box]


@frozen
class Tally:
    """Hits, false alarms and misses. A ratio of nothing is None: it is not known, and not 0."""

    hits: int = 0
    false: int = 0
    missed: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.hits + other.hits, self.false + other.false, self.missed + other.missed)

    @property
    def precision(self) -> float | None:
        return _ratio(self.hits, self.hits + self.false)

    @property
    def recall(self) -> float | None:
        return _ratio(self.hits, self.hits + self.missed)

    @property
    def f1(self) -> float | None:
        return _ratio(2 * self.hits, 2 * self.hits + self.false + self.missed)

    @property
    def iou(self) -> float | None:
        """Of pixels: intersection over union."""
        return _ratio(self.hits, self.hits + self.false + self.missed)


@frozen
class Confusion:
    """`counts[i][j]`: how often `labels[i]` was true and `labels[j]` was said."""

    labels: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]

    @property
    def accuracy(self) -> float | None:
        right = sum(self.counts[i][i] for i in range(len(self.labels)))
        return _ratio(right, sum(map(sum, self.counts)))

    def tally(self, label: str) -> Tally:
        place = self.labels.index(label)
        hits = self.counts[place][place]
        said = sum(row[place] for row in self.counts)
        return Tally(hits, said - hits, sum(self.counts[place]) - hits)


def auc(positive: ArrayLike, negative: ArrayLike) -> float:
    """The area under the ROC curve: how often a positive scores above a negative, ties count half.

    By ranks (Mann and Whitney, 1947). Raises ValueError when one of the two is empty.
    """
    above, below = (
        np.asarray(positive, np.float64).ravel(),
        np.asarray(negative, np.float64).ravel(),
    )
    if not len(above) or not len(below):
        raise ValueError("an area under the curve needs positives and negatives")
    ranks = _ranks(np.concatenate([above, below]))[: len(above)]
    return float((ranks.sum() - len(above) * (len(above) + 1) / 2) / (len(above) * len(below)))


def _ranks(values: Numbers) -> Numbers:
    """Ranks from 1 on; equal values share the mean of theirs."""
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[which])


def confusion(pairs: Iterable[tuple[str, str]], labels: Sequence[str] = ()) -> Confusion:
    """Of pairs (true, said). Labels that only the pairs know follow those given, by name."""
    seen = list(pairs)
    others = sorted({label for pair in seen for label in pair} - set(labels))
    names = (*labels, *others)
    place = {name: index for index, name in enumerate(names)}
    counts = [[0] * len(names) for _ in names]
    for true, said in seen:
        counts[place[true]][place[said]] += 1
    return Confusion(names, tuple(map(tuple, counts)))


#: How well a found box fits a true one, the better the greater; None: not at all.
Fit: TypeAlias = "Callable[[Box, Box], float | None]"


def overlapping(found: Box, true: Box) -> float | None:
    """Of boxes that are drawn around objects."""
    overlap = iou(found, true)
    return overlap if overlap >= ENOUGH else None


def centred(found: Box, true: Box) -> float | None:
    """Of boxes that tell a place only (fomo): the middle of one lies in the other."""
    inside = _holds(true, _middle(found)) or _holds(found, _middle(true))
    return -math.dist(_middle(found), _middle(true)) if inside else None


def near(found: Box, true: Box) -> float | None:
    """Of points."""
    distance = max(abs(found[0] - true[0]), abs(found[1] - true[1]))
    return -distance if distance <= NEAR else None


def matched(
    found: Sequence[Detection], truths: Sequence[Labelled], fit: Fit = overlapping
) -> Mapping[str, Tally]:
    """One picture: what each label came to."""
    free = list(truths)
    tallies = {label: Tally() for label in (*(f.label for f in found), *(t[0] for t in truths))}
    for detection in sorted(found, key=lambda each: -each.score):
        fits = [
            (how_well, truth)
            for truth in free
            if truth[0] == detection.label
            and (how_well := fit(detection.box, truth[1])) is not None
        ]
        if fits:
            free.remove(max(fits, key=lambda each: each[0])[1])
            tallies[detection.label] += Tally(hits=1)
        else:
            tallies[detection.label] += Tally(false=1)
    for label, _ in free:
        tallies[label] += Tally(missed=1)
    return tallies


class Pixels:
    """Counts of the pixels of any number of pictures, by what is true and what was said.

    Classes are 0..255. Pixels of the true class `UNJUDGED` do not count, as in Pascal VOC.
    """

    def __init__(self) -> None:
        self._counts = np.zeros((CLASSES, CLASSES), np.int64)

    def add(self, true: Classes, said: Classes) -> None:
        """One picture, twice."""
        pairs = true.astype(np.intp) * CLASSES + said
        counts = np.bincount(pairs.ravel(), minlength=CLASSES * CLASSES)
        self._counts += counts.reshape(CLASSES, CLASSES)
        self._counts[UNJUDGED] = 0

    @property
    def accuracy(self) -> float | None:
        return _ratio(int(self._counts.trace()), int(self._counts.sum()))

    @property
    def tallies(self) -> Mapping[int, Tally]:
        """Of each class that is true or was said somewhere."""
        hits = self._counts.diagonal()
        said, true = self._counts.sum(0), self._counts.sum(1)
        return {
            place: Tally(int(hits[place]), int((said - hits)[place]), int((true - hits)[place]))
            for place in range(UNJUDGED)
            if said[place] or true[place]
        }


def iou(a: Box, b: Box) -> float:
    """Intersection over union of two boxes; 0 where both are empty."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(0.0, width) * max(0.0, height)
    union = _area(a) + _area(b) - shared
    return shared / union if union > 0 else 0.0


def _middle(box: Box) -> tuple[float, float]:
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def _holds(box: Box, point: tuple[float, float]) -> bool:
    return box[0] <= point[0] <= box[2] and box[1] <= point[1] <= box[3]


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None
