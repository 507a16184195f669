"""What answers are worth: the numbers of `models eval`, for each family from what is true.

Rules: of a classification the best class counts, however low its score; of detections those from
the manifest's `min_score` on; of a pose the key points that the truth names; of a segmentation
every pixel that its mask judges; of an anomaly every window that lies wholly within one stretch.
Metrics are `policy/statistics.py`'s.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from edge_agent.frozen import frozen
from edge_agent.pipeline.decode import name
from edge_agent.policy.inference import Inferred
from edge_agent.policy.statistics import (
    ENOUGH,
    NEAR,
    Fit,
    Pixels,
    Tally,
    auc,
    centred,
    confusion,
    matched,
    near,
    overlapping,
)
from edge_agent.service.truth import Case, Stretch
from edge_agent.types import Detection, ModelSpec

if TYPE_CHECKING:
    from edge_agent.types import Image

DIGITS = 4
#: Times of samples are rounded.
TICK_S = 1e-6


@frozen
class Answer:
    """What a model made of one input, and what is true of it.

    `covered`: the seconds (from, to) of a signal that the window takes. `mask`: the true class of
    every pixel, of a segmentation.
    """

    case: Case
    covered: tuple[float, float]
    inferred: Inferred
    mask: Image | None = None

    @property
    def found(self) -> tuple[Detection, ...]:
        return self.inferred.found


def judge(answers: Iterator[Answer], spec: ModelSpec) -> tuple[int, dict[str, Any]]:
    """How many inputs were judged, and the metrics of the model's family."""
    match spec.family:
        case "classification":
            return _classified(answers, spec)
        case "segmentation":
            return _painted(answers, spec)
        case "anomaly":
            return _rated(answers, spec)
        case "pose":
            return _found(_of_points(answers, spec), spec, {"within": NEAR})
        case "fomo":
            return _found(_of_boxes(answers, centred), spec, {})
    return _found(_of_boxes(answers, overlapping), spec, {"iou": ENOUGH})


# --- classes -----------------------------------------------------------------------------------


def _classified(answers: Iterable[Answer], spec: ModelSpec) -> tuple[int, dict[str, Any]]:
    pairs = [
        (str(answer.case.label), answer.found[0].label if answer.found else "")
        for answer in answers
    ]
    known = {label for pair in pairs for label in pair}
    counted = confusion(pairs, [label for label in spec.labels if label in known])
    return len(pairs), {
        "accuracy": _rounded(counted.accuracy),
        "confusion": {
            "labels": list(counted.labels),
            "counts": [list(row) for row in counted.counts],
        },
        "labels": {label: _told(counted.tally(label)) for label in counted.labels},
    }


def _painted(answers: Iterable[Answer], spec: ModelSpec) -> tuple[int, dict[str, Any]]:
    from edge_agent.pipeline.decode.segmentation import all_labels, find_output

    items, pixels = 0, Pixels()
    for answer in answers:
        if answer.mask is not None and answer.inferred.classes is not None:
            items += 1
            pixels.add(answer.mask, answer.inferred.classes)
    names = all_labels(spec, spec.output_tensors[find_output(spec)])
    tallies = {name(names, index): tally for index, tally in pixels.tallies.items()}
    shares = [tally.iou for tally in tallies.values() if tally.iou is not None]
    return items, {
        "accuracy": _rounded(pixels.accuracy),
        "mean_iou": _rounded(sum(shares) / len(shares) if shares else None),
        "labels": {
            label: {**_told(tally), "iou": _rounded(tally.iou)} for label, tally in tallies.items()
        },
    }


# --- places ------------------------------------------------------------------------------------


def _found(
    pictures: Iterable[Mapping[str, Tally]], spec: ModelSpec, rule: dict[str, float]
) -> tuple[int, dict[str, Any]]:
    items, labels = 0, dict[str, Tally]()
    for picture in pictures:
        items += 1
        for label, tally in picture.items():
            labels[label] = labels.get(label, Tally()) + tally
    return items, {
        **_told(sum(labels.values(), Tally())),
        **rule,
        "min_score": spec.min_score,
        "labels": {label: _told(labels[label]) for label in sorted(labels)},
    }


def _of_boxes(answers: Iterable[Answer], fit: Fit) -> Iterator[Mapping[str, Tally]]:
    for answer in answers:
        yield matched(answer.found, answer.case.boxes or (), fit)


def _of_points(answers: Iterable[Answer], spec: ModelSpec) -> Iterator[Mapping[str, Tally]]:
    """Of key points that nobody named it is not known where they are."""
    for answer in answers:
        truths = answer.case.boxes or ()
        named = {label for label, _ in truths}
        found = [
            point
            for point in answer.found
            if point.label in named and point.score >= spec.min_score
        ]
        yield matched(found, truths, near)


# --- windows -----------------------------------------------------------------------------------


def _rated(answers: Iterable[Answer], spec: ModelSpec) -> tuple[int, dict[str, Any]]:
    scores: dict[bool, list[float]] = {True: [], False: []}
    for answer in answers:
        stretch = _stretch(answer.case, answer.covered)
        if stretch is not None and answer.found:
            scores[stretch.anomaly].append(answer.found[0].score)
    worn, healthy = scores[True], scores[False]
    threshold = spec.output.get("threshold")
    metrics: dict[str, Any] = {
        "auc": _rounded(auc(worn, healthy)) if worn and healthy else None,
        "healthy": len(healthy),
        "anomalies": len(worn),
        "threshold": threshold,
    }
    if threshold is not None:
        hits = sum(score > threshold for score in worn)
        false = sum(score > threshold for score in healthy)
        metrics |= _told(Tally(hits, false, len(worn) - hits))
    return len(worn) + len(healthy), metrics


def _stretch(case: Case, covered: tuple[float, float]) -> Stretch | None:
    """The stretch that holds a window wholly, give or take a rounding of its times."""
    start, end = covered
    return next(
        (
            stretch
            for stretch in case.stretches or ()
            if stretch.start - TICK_S <= start and end <= stretch.end + TICK_S
        ),
        None,
    )


def _told(tally: Tally) -> dict[str, Any]:
    return {
        "f1": _rounded(tally.f1),
        "precision": _rounded(tally.precision),
        "recall": _rounded(tally.recall),
        "hits": tally.hits,
        "false": tally.false,
        "missed": tally.missed,
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, DIGITS)
