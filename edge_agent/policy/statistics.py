"""How good a model is, against what is known to be true: F1, ROC AUC, confusion, accuracy.

Pure. Nothing here knows a model or a file. The rule of detections: those of one picture, best score
first, each take the free truth of their own label that they overlap most, if by `ENOUGH` or more;
a truth is taken once. That is PASCAL VOC's rule (Everingham and others, IJCV 88, 2010) at one
threshold.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from edge_agent.types import Box, Detection

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Numbers: TypeAlias = NDArray[np.float64]

#: Overlap (intersection over union) from which on a detection is right.
ENOUGH = 0.5

#: What is really in a picture: a label and its box in 0..1.
Labelled: TypeAlias = tuple[str, Box]


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
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


def matched(found: Sequence[Detection], truths: Sequence[Labelled]) -> Mapping[str, Tally]:
    """One picture: what each label came to."""
    free = list(truths)
    tallies = {label: Tally() for label in (*(f.label for f in found), *(t[0] for t in truths))}
    for detection in sorted(found, key=lambda each: -each.score):
        mine = [truth for truth in free if truth[0] == detection.label]
        best = max(mine, key=lambda truth: iou(detection.box, truth[1]), default=None)
        if best is not None and iou(detection.box, best[1]) >= ENOUGH:
            free.remove(best)
            tallies[detection.label] += Tally(hits=1)
        else:
            tallies[detection.label] += Tally(false=1)
    for label, _ in free:
        tallies[label] += Tally(missed=1)
    return tallies


def iou(a: Box, b: Box) -> float:
    """Intersection over union of two boxes; 0 where both are empty."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(0.0, width) * max(0.0, height)
    union = _area(a) + _area(b) - shared
    return shared / union if union > 0 else 0.0


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None
