"""Does the model still see what it saw when it was activated? How far score, size and label moved.

Pure. The baseline is the first `BASELINE` detections after a model's activation, and then stands
until the model changes; it is kept in at most 1 kB. The distance of two distributions is their
total variation: 0 the same, 1 nothing in common. It says that something changed (a season, a dirty
lens, a moved lamp), not that the model is wrong. `summary.py` sends it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from edge_agent.policy.envelope import cut
from edge_agent.policy.sketch import Sketch, common, merge, parse

#: Detections of a baseline.
BASELINE = 500
#: A window of fewer says nothing.
FEWEST = 50
#: So that a baseline takes at most 1 kB, whatever the labels are.
LABELS, LABEL_BYTES, BUCKETS = 12, 24, 16
OTHER = "other"


@dataclass(slots=True)
class Sight:
    """What detections looked like. `sizes`: the root of the box's part of the picture."""

    labels: Counter[str] = field(default_factory=Counter)
    scores: Sketch = field(default_factory=Sketch)
    sizes: Sketch = field(default_factory=Sketch)

    @property
    def count(self) -> int:
        return self.sizes.count

    def joined(self, other: Sight) -> Sight:
        return Sight(
            self.labels + other.labels,
            merge(self.scores, other.scores),
            merge(self.sizes, other.sizes),
        )


class Baseline:
    """Of one pipeline, for one model: it grows until it has `BASELINE` detections, then stands."""

    def __init__(self, model: str, sight: Sight | None = None) -> None:
        self.model = model
        self._sight = sight or Sight()

    @property
    def is_taken(self) -> bool:
        return self._sight.count >= BASELINE

    def look(self, now: Sight) -> dict[str, float] | None:
        """How far this window is from it; None while it is taken, or where the window is thin."""
        if not self.is_taken:
            self._sight = _narrowed(self._sight.joined(now))
            return None
        if now.count < FEWEST:
            return None
        was = self._sight
        labels = _named(now.labels, was.labels)
        return {
            "score": _apart(*common(was.scores, now.scores)),
            "size": _apart(*common(was.sizes, now.sizes)),
            "label": _apart(was.labels, labels),
        }

    def document(self) -> dict[str, Any]:
        """To be kept; `restored` reads it."""
        return {
            "model": self.model,
            "labels": dict(self._sight.labels),
            "scores": self._sight.scores.document(),
            "sizes": self._sight.sizes.document(),
        }


def restored(document: Mapping[str, Any], model: str) -> Baseline:
    """The baseline that was kept; an empty one where it is another model's."""
    if document.get("model") != model:
        return Baseline(model)
    sight = Sight(Counter(document["labels"]), parse(document["scores"]), parse(document["sizes"]))
    return Baseline(model, sight)


def _narrowed(sight: Sight) -> Sight:
    for sketch in (sight.scores, sight.sizes):
        sketch.narrow(BUCKETS)
    ranked = sorted(sight.labels.items(), key=lambda item: (-item[1], item[0]))
    labels: Counter[str] = Counter()
    for place, (label, count) in enumerate(ranked):
        labels[cut(label, LABEL_BYTES) if place < LABELS else OTHER] += count
    return Sight(labels, sight.scores, sight.sizes)


def _named(labels: Mapping[str, int], known: Mapping[str, int]) -> Counter[str]:
    """By the baseline's names; what it did not keep by name is in its `other`."""
    found: Counter[str] = Counter()
    for label, count in labels.items():
        name = cut(label, LABEL_BYTES)
        found[name if name in known or OTHER not in known else OTHER] += count
    return found


def _apart(was: Mapping[Any, int], now: Mapping[Any, int]) -> float:
    """Total variation."""
    all_was, all_now = sum(was.values()), sum(now.values())
    if not (all_was and all_now):
        return 0.0
    keys = {*was, *now}
    return round(sum(abs(was.get(k, 0) / all_was - now.get(k, 0) / all_now) for k in keys) / 2, 3)
