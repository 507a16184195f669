"""Values become the JSON documents of the contract: `event/1`, `detections/1`, `inference/1`.

Pure. Key order is the contract's, numbers are rounded here and only here, so the same values
always give the same bytes. The schemas stand in `edge_agent/schemas/`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from edge_agent.frozen import frozen
from edge_agent.types import Decision, Detection, Event, Number, Outcome

#: Digits that survive: a box to 1/10000 of the frame, a score to 1/10000.
DIGITS = 4
#: Of a smaller score as many digits survive: an anomaly's may be of any size.
SMALL = 0.01
#: Numbers of decisions that are scores.
_SCORES = frozenset({"score", "best_score", "above"})
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@frozen
class About:
    """What produced an event: enough to reproduce it."""

    model: str
    version: str
    sha256: str
    engine: str
    config_sha256: str


def evidence_word(entry: Mapping[str, Any]) -> str:
    """What a person calls a piece of evidence: a window of a signal is no picture."""
    kind = str(entry.get("kind"))
    return kind if kind in ("window", "clip") else "picture"


def rfc3339(time: float) -> str:
    """Seconds since the epoch as RFC 3339 in UTC with milliseconds."""
    moment = _EPOCH + timedelta(milliseconds=round(time * 1000))
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_rfc3339(text: str, zone: tzinfo | None = None) -> float:
    """Seconds since the epoch of an RFC 3339 moment; without `zone` one must stand in the text.

    Raises ValueError.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} bears no time zone (write 2026-01-31T08:00:00Z)")
    return (moment - _EPOCH) / timedelta(seconds=1)


def dump(document: Mapping[str, Any] | Sequence[Any]) -> str:
    """One line of compact JSON, UTF-8 names as they are, keys in their given order."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def rounded(values: Sequence[float]) -> list[float]:
    return [round(float(value), DIGITS) for value in values]


def rounded_score(score: float) -> float:
    """To 1/10000, and a small one to as many significant digits."""
    return round(score, DIGITS) if abs(score) >= SMALL else float(f"{score:.{DIGITS}g}")


def significant(value: Any) -> Any:
    """Six digits of a number of any size; null for one that is none; all else as it is."""
    if not isinstance(value, float):
        return value
    return float(f"{value:.6g}") if math.isfinite(value) else None


def event_document(event: Event, about: About) -> dict[str, Any]:
    """`event/1`, with the decisions that led to it."""
    return {
        "schema": "event/1",
        "id": event.id,
        "input": event.input,
        "source": event.source,
        "pipeline": event.pipeline,
        "rule": event.rule,
        "priority": event.priority.value,
        "text": event.text,
        "label": event.label,
        "zone": event.zone,
        "opened": rfc3339(event.opened),
        "closed": None if event.closed is None else rfc3339(event.closed),
        "close_reason": event.close_reason,
        "score": {
            "max": rounded_score(event.score_max),
            "median": rounded_score(event.score_median),
        },
        "track": event.track,
        "count": event.count,
        "box": None if event.box is None else rounded(event.box),
        "frame": event.frame,
        "advice": event.advice,
        "evidence": [dict(item) for item in event.evidence],
        "model": {"name": about.model, "version": about.version, "sha256": about.sha256},
        "config_sha256": about.config_sha256,
        "engine": about.engine,
        "decisions": [decision_document(decision) for decision in event.decisions],
    }


def alert_document(event: Event, about: About) -> dict[str, Any]:
    """The body of an `alert` message: `event/1` without its decisions, with its phase.

    Clips are told by `detail`: whether there is one yet when an event closes is chance.
    """
    document = event_document(event, about)
    del document["decisions"]
    document["evidence"] = [each for each in document["evidence"] if each["kind"] != "clip"]
    document["phase"] = "open" if event.closed is None else "close"
    return document


def decision_document(decision: Decision) -> dict[str, Any]:
    numbers = {key: _number(key, value) for key, value in decision.numbers.items()}
    return {"stage": decision.stage, "verdict": decision.verdict, "numbers": numbers}


def _number(key: str, value: Number) -> Number:
    """Rounded; a limit that is none (`min_score` of raw tensors) is null."""
    if not isinstance(value, float):
        return value
    if not math.isfinite(value):
        return None
    return rounded_score(value) if key in _SCORES else round(value, DIGITS)


def detections_document(pipeline: str, model: str, outcome: Outcome) -> dict[str, Any]:
    """`detections/1`: one line per inferred frame, boxes as the model said them."""
    tracks = outcome.track_ids or (None,) * len(outcome.detections)
    return {
        "schema": "detections/1",
        "source": outcome.frame.source,
        "input": outcome.frame.name or None,
        "pipeline": pipeline,
        "frame": outcome.frame.index,
        "time": rfc3339(outcome.frame.time),
        "model": model,
        "detections": [
            {**detection_document(detection), "track": track}
            for detection, track in zip(outcome.detections, tracks, strict=True)
        ],
    }


def detection_document(detection: Detection) -> dict[str, Any]:
    return {
        "label": detection.label,
        "score": rounded_score(detection.score),
        "box": rounded(detection.box),
        **{key: significant(value) for key, value in detection.extra.items()},
    }
