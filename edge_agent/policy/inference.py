"""`inference/1`: what one model made of one input, in the words of its family.

Pure. Scores are rounded as everywhere (`documents.py`); errors and raw numbers, which have no range
of their own, keep six significant digits. The schema stands in `edge_agent/schemas/`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from edge_agent.frozen import frozen
from edge_agent.policy.documents import (
    DIGITS,
    detection_document,
    rounded_score,
    significant,
)
from edge_agent.types import Detection, ModelSpec

if TYPE_CHECKING:
    from edge_agent.types import Image


@frozen
class Inferred:
    """What became of one input: findings, best first, and how long `invoke` took.

    `window` counts the items of a signal's file from 0. `classes` is the class of every pixel
    (height, width), of a segmentation that was asked for it.
    """

    input: str
    engine: str
    invoke_ms: float
    found: tuple[Detection, ...]
    classes: Image | None = None
    window: int | None = None


def inference_document(model: ModelSpec, inferred: Inferred) -> dict[str, Any]:
    """`inference/1`."""
    return {
        "schema": "inference/1",
        "input": inferred.input,
        **({} if inferred.window is None else {"window": inferred.window}),
        "model": model.name,
        "engine": inferred.engine,
        "family": model.family,
        "invoke_ms": round(inferred.invoke_ms, 3),
        "guessed": dict(model.guessed),
        **_answer(model.family, inferred.found),
    }


def _answer(family: str, found: Sequence[Detection]) -> dict[str, Any]:
    match family:
        case "classification":
            return {"top": [_class(each) for each in found]}
        case "pose":
            points = sorted(found, key=lambda each: int(each.extra["index"]))
            return {"keypoints": [_point(each) for each in points]}
        case "segmentation":
            return {"areas": _areas(found)}
        case "anomaly":
            return {"score": significant(found[0].score) if found else None}
        case "generic":
            return {"outputs": [_output(each) for each in found]}
    return {"detections": [detection_document(each) for each in found]}


def _class(found: Detection) -> dict[str, Any]:
    index = found.extra["index"]
    return {"index": index, "label": found.label, "score": round(found.score, DIGITS)}


def _point(found: Detection) -> dict[str, Any]:
    x, y = (round(value, DIGITS) for value in found.box[:2])
    return {"name": found.label, "x": x, "y": y, "score": round(found.score, DIGITS)}


def _areas(found: Sequence[Detection]) -> Mapping[str, float]:
    """Two classes of one name are one area."""
    areas: dict[str, float] = {}
    for each in found:
        areas[each.label] = areas.get(each.label, 0.0) + each.score
    return {label: rounded_score(area) for label, area in areas.items()}


def _output(found: Detection) -> dict[str, Any]:
    numbers = {key: significant(found.extra[key]) for key in ("min", "max", "mean")}
    about = {key: found.extra[key] for key in ("shape", "dtype")}
    return {"name": found.label, **about, **numbers}
