"""What happened on one pipeline over some minutes, in less than a kilobyte.

Pure. A `Window` counts as frames pass; `document` says it in at most 630 bytes, whatever the
names are: the most frequent names stand there, the rest is counted under `other`, and the sketches
are made coarser, never dropped; only the heat is left out where nothing else helps. Every count is
additive, so the windows of a day, or of a fleet, sum up. The sketch's format is in `sketch.py`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from edge_agent.frozen import frozen
from edge_agent.policy.coverage import Coverage
from edge_agent.policy.documents import rfc3339
from edge_agent.policy.drift import Sight
from edge_agent.policy.envelope import cut, to_bytes
from edge_agent.policy.sketch import MAX_BUCKETS, Sketch
from edge_agent.types import Ledger, OperatingPoint, Outcome

#: A summary is at most 1000 bytes with its envelope, and the longest envelope takes 368.
DATA_LIMIT = 630
#: Bytes of a name in a summary.
NAME_BYTES = 48
#: Names per table and buckets per sketch, tried in turn until the document fits.
SIZES = ((16, MAX_BUCKETS), (8, 24), (6, 16), (4, 12), (2, 8), (1, 6), (0, 4), (0, 2))
OTHER = "other"
#: Reasons of skipped frames that keep their name, whatever the size; a window rarely has more.
FEWEST_REASONS = 4
#: Bytes of the reason of an operating point.
REASON_BYTES = 24


@dataclass(slots=True)
class Window:
    """The counts of one pipeline since `opened`.

    `labels`: detections per label, so that their sum is the count of `score`, where scores below 0
    (of a generic model) count as 0. `zones`, `rules`: events that opened, of every priority.
    `latency`: milliseconds from a frame's time of capture to the end of its step, of inferred
    frames.
    """

    pipeline: str
    opened: float
    labels: Counter[str] = field(default_factory=Counter)
    zones: Counter[str] = field(default_factory=Counter)
    rules: Counter[str] = field(default_factory=Counter)
    score: Sketch = field(default_factory=Sketch)
    latency: Sketch = field(default_factory=Sketch)
    size: Sketch = field(default_factory=Sketch)  # root of the box's part of the picture

    @property
    def sight(self) -> Sight:
        return Sight(self.labels, self.score, self.size)

    def add(self, outcome: Outcome, latency_s: float | None = None) -> None:
        """Count what one frame led to; the ledger counts the frame itself."""
        for detection in outcome.detections:
            self.labels[detection.label] += 1
            self.score.add(max(detection.score, 0.0))
            x0, y0, x1, y1 = detection.box
            self.size.add(math.sqrt(max(x1 - x0, 0.0) * max(y1 - y0, 0.0)))
        for event in outcome.opened:
            self.rules[event.rule] += 1
            if event.zone is not None:
                self.zones[event.zone] += 1
        if outcome.skip is None and latency_s is not None:
            self.latency.add(latency_s * 1000.0)


@frozen
class Heat:
    """How hot the board was in a window (mean, most), and the operating point at its end."""

    temperature: tuple[float, float] | None = None
    point: OperatingPoint = OperatingPoint()


@frozen
class WindowAccount:
    """What stands beside the counts of a window.

    `ledger`: the frames decided in it. `unaccounted_s`: seconds before it whose account a power cut
    took. `coverage`: per rule the seconds that were settled meanwhile. `drift`: see `drift.py`.
    `given_up`: by priority the events that were seen and could not be kept, for want of a disk.
    """

    ledger: Ledger = Ledger()
    unaccounted_s: float = 0.0
    coverage: Mapping[str, Coverage] = field(default_factory=dict)
    heat: Heat = Heat()
    drift: Mapping[str, float] | None = None
    given_up: Mapping[str, int] = field(default_factory=dict)


def document(window: Window, until: float, account: WindowAccount) -> dict[str, Any]:
    """The body of a `summary` message."""
    body: dict[str, Any] = {}
    for names, buckets in SIZES:
        frames = _ledger_document(account, names)
        body = _document(window, (names, buckets), until, frames)
        body["coverage"] = _coverage_document(account.coverage, names)
        body |= _heat_document(account.heat)
        if account.given_up:
            body["given_up"] = dict(account.given_up)
        if account.drift is not None:
            body["drift"] = dict(account.drift)
        if len(to_bytes(body)) <= DATA_LIMIT:
            return body
    del body["temperature"], body["point"]  # `health` and `status` tell them too
    if len(to_bytes(body)) > DATA_LIMIT:
        body.pop("drift", None)
    if len(to_bytes(body)) > DATA_LIMIT and account.given_up:
        body["given_up"] = {"all": sum(account.given_up.values())}
    if len(to_bytes(body)) > DATA_LIMIT:
        body["ledger"] = _ledger_document(account, 0, fewest=0)
    return body


def _document(
    window: Window, size: tuple[int, int], until: float, frames: dict[str, Any]
) -> dict[str, Any]:
    names, buckets = size
    return {
        "pipeline": cut(window.pipeline, NAME_BYTES),
        "from": rfc3339(window.opened),
        "to": rfc3339(until),
        "labels": _most_frequent(window.labels, names),
        "zones": _most_frequent(window.zones, names),
        "rules": _most_frequent(window.rules, names),
        "score": _narrowed(window.score, buckets),
        "latency": _narrowed(window.latency, buckets),
        "ledger": frames,
    }


def _heat_document(heat: Heat) -> dict[str, Any]:
    point, temperature = heat.point, heat.temperature
    limit = None if point.max_fps is None else float(f"{point.max_fps:.3g}")
    warmth = None
    if temperature is not None:
        warmth = {"mean": round(temperature[0], 1), "max": round(temperature[1], 1)}
    reason = cut(point.reason, REASON_BYTES)
    told: dict[str, Any] = {"level": point.level, "max_fps": limit, "reason": reason}
    if point.threads is not None:
        told["threads"] = point.threads
    return {"temperature": warmth, "point": told}


def _most_frequent(counts: Mapping[str, int], names: int) -> dict[str, int]:
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    table: Counter[str] = Counter()
    for place, (name, count) in enumerate(ranked):
        table[cut(name, NAME_BYTES) if place < names else OTHER] += count
    return dict(table)


def _narrowed(sketch: Sketch, buckets: int) -> dict[str, Any]:
    copy = sketch.copy()
    copy.narrow(buckets)
    return copy.document()


def _coverage_document(rules: Mapping[str, Coverage], names: int) -> dict[str, Any]:
    """What most rules have under `*`, and the rules that have something else."""
    told = {rule: _seconds(each, names) for rule, each in rules.items()}
    if not told:
        return {}
    common = max(told.values(), key=lambda each: list(told.values()).count(each))
    others = {rule: each for rule, each in sorted(told.items()) if each != common}
    listed = {cut(rule, NAME_BYTES): others[rule] for rule in list(others)[:names]}
    left = {"others": len(others) - names} if len(others) > names else {}
    return {"*": common, **listed, **left}


def _seconds(coverage: Coverage, most: int) -> dict[str, Any]:
    """In tenths, the longest causes by name; a state without seconds is left out."""
    document: dict[str, Any] = {"watching": round(coverage.watching_s, 1)}
    for state, causes in (("degraded", coverage.degraded_s), ("blind", coverage.blind_s)):
        if causes:
            document[state] = _longest(causes, most)
    return document


def _longest(causes: Mapping[str, float], most: int) -> dict[str, float]:
    ranked = sorted(causes.items(), key=lambda item: (-item[1], item[0]))
    table: dict[str, float] = {}
    for place, (cause, seconds) in enumerate(ranked):
        name = cause if place < most else OTHER
        table[name] = round(table.get(name, 0.0) + seconds, 1)
    return table


def _ledger_document(
    account: WindowAccount, most: int, fewest: int = FEWEST_REASONS
) -> dict[str, Any]:
    ledger = account.ledger
    skipped = {reason: count for reason, count in ledger.skipped.items() if count}
    frames: dict[str, Any] = {
        "captured": ledger.captured,
        "inferred": ledger.inferred,
        "skipped": _most_frequent(skipped, max(most, fewest)),
        "failed": ledger.failed,
    }
    if account.unaccounted_s:
        frames["unaccounted_s"] = round(account.unaccounted_s, 1)
    return frames
