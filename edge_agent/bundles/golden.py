"""The golden set: inputs whose answers are known, to tell a model that runs from one that is right.

`golden.npz` holds `frames` (n, H, W, 3) uint8 BGR, `output_<k>` (n, ...) the raw output tensors,
and `expected` (the findings) and `tolerance` as JSON. Engines and boards round differently, so a
few numbers may lie further off, and a finding near the threshold may come or go. SSD's rows come in
the order of scores that hardly differ: of its outputs only the scores are compared.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_agent.bundles.bundle import GOLDEN
from edge_agent.errors import Refused
from edge_agent.pipeline.decode import decoder
from edge_agent.pipeline.decode.ssd import find_outputs
from edge_agent.pipeline.preprocess import Preprocessor
from edge_agent.pipeline.quantize import describe
from edge_agent.policy.documents import detection_document
from edge_agent.ports import Engine
from edge_agent.types import Box, Detection, ModelSpec

#: This part of an output's numbers must lie within the tolerance.
_MOST_NUMBERS = 0.99


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How much a right answer may differ from the recorded one."""

    values: float = 0.1  # of an output's range; 0.06 was seen between two runtimes
    score: float = 0.08
    iou: float = 0.7


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model made of one frame: raw output tensors and findings, best first."""

    outputs: tuple[NDArray[Any], ...]
    detections: tuple[Detection, ...]


@dataclass(frozen=True, slots=True)
class Golden:
    frames: NDArray[np.uint8]
    answers: tuple[Answer, ...]
    tolerance: Tolerance


def answers(spec: ModelSpec, engine: Engine, frames: NDArray[np.uint8]) -> tuple[Answer, ...]:
    """Each frame's whole way through preprocessing, engine and decoder, without a memory of the
    one before."""
    preprocess, decode = Preprocessor(spec.input, spec.input_tensor), decoder(spec)
    given = []
    for frame in frames:
        engine.reset()
        prepared = preprocess(frame)
        outputs = tuple(np.array(output) for output in engine.invoke(prepared.tensor))
        given.append(Answer(outputs, decode(outputs, prepared.geometry)))
    return tuple(given)


def make(folder: Path, spec: ModelSpec, engine: Engine, frames: NDArray[np.uint8]) -> Path:
    """Record the answers to `frames` as the bundle's golden set. Raises OSError."""
    given = answers(spec, engine, frames)
    outputs = {
        f"output_{k}": np.stack([each.outputs[k] for each in given])
        for k in range(len(spec.output_tensors))
    }
    expected = [[detection_document(found) for found in each.detections] for each in given]
    path = folder / GOLDEN
    with path.open("wb") as file:
        np.savez_compressed(
            file,
            frames=frames,
            expected=_text(expected),
            tolerance=_text(asdict(Tolerance())),
            **outputs,
        )
    return path


def check(path: Path, spec: ModelSpec, engine: Engine) -> tuple[str, ...]:
    """What the engine answers otherwise than recorded, a sentence each. Raises Refused when the
    golden set cannot be read or is of another model."""
    golden = read(path, spec)
    given = answers(spec, engine, golden.frames)
    return tuple(
        f"frame {index}: {fault}"
        for index, (wanted, got) in enumerate(zip(golden.answers, given, strict=True))
        for fault in (
            *_tensor_faults(spec, wanted, got, golden.tolerance.values),
            *_finding_faults(wanted.detections, got.detections, spec, golden.tolerance),
        )
    )


def read(path: Path, spec: ModelSpec) -> Golden:
    """Raises Refused when the file is damaged or its outputs are not those of the model."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            stored = {name: archive[name] for name in archive.files}
        golden = _golden(stored, len(spec.output_tensors))
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as fault:
        raise Refused(f"{path.name} of model {spec.name} cannot be read: {fault}") from None
    for tensor, output in zip(spec.output_tensors, golden.answers[0].outputs, strict=True):
        if (output.shape, output.dtype.name) != (tensor.shape, tensor.dtype):
            raise Refused(
                f"{path.name} of model {spec.name} is of another model: "
                f"it has {output.dtype}{list(output.shape)} for output {describe(tensor)}"
            )
    return golden


def made_up_frames(width: int, height: int) -> NDArray[np.uint8]:
    """Three pictures for a model whose world nobody showed us: grey, a ramp, seeded noise."""
    ramp = np.linspace(0, 255, width, dtype=np.uint8)
    pictures = [
        np.full((height, width, 3), 128, np.uint8),
        np.repeat(np.tile(ramp, (height, 1))[..., None], 3, axis=2),
        np.random.default_rng(7).integers(0, 256, (height, width, 3)).astype(np.uint8),
    ]
    return np.stack(pictures)


# --- the file ----------------------------------------------------------------------------------


def _text(value: Any) -> NDArray[np.uint8]:
    return np.frombuffer(json.dumps(value, ensure_ascii=False).encode(), np.uint8)


def _golden(stored: dict[str, NDArray[Any]], outputs: int) -> Golden:
    frames = stored["frames"]
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[3] != 3 or not len(frames):
        raise ValueError(f"its frames are {frames.dtype}{list(frames.shape)}")
    expected = json.loads(bytes(stored["expected"]))
    raw = [stored[f"output_{k}"] for k in range(outputs)]
    if {len(expected), *map(len, raw)} != {len(frames)}:
        raise ValueError("it has not one answer to each frame")
    recorded = tuple(
        Answer(tuple(output[index] for output in raw), tuple(map(_detection, findings)))
        for index, findings in enumerate(expected)
    )
    return Golden(frames, recorded, Tolerance(**json.loads(bytes(stored["tolerance"]))))


def _detection(document: dict[str, Any]) -> Detection:
    x0, y0, x1, y1 = map(float, document["box"])
    return Detection(str(document["label"]), float(document["score"]), (x0, y0, x1, y1))


# --- what differs ------------------------------------------------------------------------------


def _tensor_faults(spec: ModelSpec, wanted: Answer, got: Answer, allowed: float) -> Iterator[str]:
    loose = _loose(spec)
    for place, tensor in enumerate(spec.output_tensors):
        before, now = wanted.outputs[place], got.outputs[place]
        if place in loose or not before.size:
            continue
        off = np.abs(before.astype(np.float64) - now.astype(np.float64))
        part = float(np.quantile(off, _MOST_NUMBERS)) / _span(before)
        if not part <= allowed:  # not a number is a difference, too
            yield (
                f"output {describe(tensor)} differs by {part:.0%} of its range, "
                f"{allowed:.0%} is allowed"
            )


def _loose(spec: ModelSpec) -> set[int]:
    """Positions of the outputs whose rows have no order of their own."""
    if spec.family != "ssd":
        return set()
    return {place for role, place in find_outputs(spec).items() if role != "scores"}


def _span(output: NDArray[Any]) -> float:
    """The range of a quantized output; for real numbers that of the recorded ones, 1 at least."""
    if output.dtype.itemsize <= 2 and output.dtype.kind in "iu":
        limits = np.iinfo(output.dtype)
        return float(limits.max) - float(limits.min)
    return max(1.0, float(np.ptp(output)))


def _finding_faults(
    wanted: Sequence[Detection], got: Sequence[Detection], spec: ModelSpec, allowed: Tolerance
) -> Iterator[str]:
    for found in _missing(wanted, got, spec, allowed):
        yield f"{found.label} {found.score:.2f} was not found again"
    for found in _missing(got, wanted, spec, allowed):
        yield f"{found.label} {found.score:.2f} is new"


def _missing(
    some: Sequence[Detection], others: Sequence[Detection], spec: ModelSpec, allowed: Tolerance
) -> list[Detection]:
    """Those of `some` that must have their like among `others` and have not."""
    least = spec.min_score
    if spec.family == "classification" and others:  # the list ends with the best few
        least = max(least, others[-1].score)
    return [
        found
        for found in some
        if found.score >= least + allowed.score
        and not any(_alike(found, other, allowed) for other in others)
    ]


def _alike(found: Detection, other: Detection, allowed: Tolerance) -> bool:
    return (
        found.label == other.label
        and abs(found.score - other.score) <= allowed.score
        and _iou(found.box, other.box) >= allowed.iou
    )


def _iou(first: Box, second: Box) -> float:
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    if width <= 0 or height <= 0:
        return 0.0
    area = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (first, second))
    return float(width * height / (area - width * height))
