"""The golden set: inputs whose answers are known, to tell a model that runs from one that is right.

`golden.npz` holds `frames`, (n, H, W, 3) uint8 BGR or (n, window, channels) float32, `output_<k>`
(n, ...) the raw output tensors, and `expected` (the findings) and `tolerance` as JSON. Engines and
boards round differently, so a few numbers may lie further off, and a finding near the threshold may
come or go. SSD's rows come in the order of scores that hardly differ: of its outputs only the
scores are compared; of a pose only key points that are plainly there.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_agent.bundles.bundle import GOLDEN
from edge_agent.errors import Refused
from edge_agent.frozen import frozen
from edge_agent.pipeline.decode import decoder
from edge_agent.pipeline.decode.ssd import find_outputs
from edge_agent.pipeline.prepare import preparer
from edge_agent.pipeline.quantize import describe
from edge_agent.policy.documents import detection_document
from edge_agent.policy.statistics import iou
from edge_agent.ports import Engine
from edge_agent.types import Box, Detection, InputSpec, ModelSpec, SignalSpec

#: Bytes of all arrays together; three pictures of 1080p are 19 MB.
_LARGEST = 256_000_000
#: This part of an output's numbers must lie within the tolerance.
_MOST_NUMBERS = 0.99


@frozen
class Tolerance:
    """How much a right answer may differ from the recorded one."""

    values: float = 0.1  # of an output's range; 0.06 was seen between two runtimes
    score: float = 0.08
    iou: float = 0.7
    place: float = 0.1  # of the frame: of findings without an extent, which overlap nothing


#: Families whose right answers lie further apart. Key points have coarse scores (0.36 and 0.64 were
#: seen between two runtimes), one cell more makes a heat map's box twice as large, and one cell far
#: away an area's.
_TOLERANCES = {
    "fomo": Tolerance(iou=0.3),
    "pose": Tolerance(score=0.35),
    "segmentation": Tolerance(iou=0.0),
}


@frozen
class Answer:
    """What the model made of one frame: raw output tensors and findings, best first."""

    outputs: tuple[NDArray[Any], ...]
    detections: tuple[Detection, ...]


@frozen
class Golden:
    frames: NDArray[Any]
    answers: tuple[Answer, ...]
    tolerance: Tolerance


def answers(spec: ModelSpec, engine: Engine, frames: NDArray[Any]) -> tuple[Answer, ...]:
    """Each frame's whole way through preprocessing, engine and decoder, without a memory of the
    one before."""
    preprocess, decode = preparer(spec), decoder(spec)
    given = []
    for frame in frames:
        engine.reset()
        prepared = preprocess(frame)
        outputs = tuple(np.array(output) for output in engine.invoke(prepared.tensor))
        given.append(Answer(outputs, decode(outputs, prepared)))
    return tuple(given)


def make(folder: Path, spec: ModelSpec, engine: Engine, frames: NDArray[Any]) -> Path:
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
            tolerance=_text(asdict(_TOLERANCES.get(spec.family, Tolerance()))),
            **outputs,
        )
    return path


def check(path: Path, spec: ModelSpec, engine: Engine) -> tuple[str, ...]:
    """What the engine answers otherwise than recorded, a sentence each. Raises Refused when the
    golden set cannot be read or is of another model."""
    return differences(read(path, spec), spec, engine)


def remember(spec: ModelSpec, engine: Engine, frames: NDArray[Any]) -> Golden:
    """The present answers to `frames` as a golden set, which is not written anywhere."""
    tolerance = _TOLERANCES.get(spec.family, Tolerance())
    return Golden(frames, answers(spec, engine, frames), tolerance)


def differences(golden: Golden, spec: ModelSpec, engine: Engine) -> tuple[str, ...]:
    """What the engine answers otherwise than the golden set says, a sentence each."""
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
        _check_size(path)
        with np.load(path, allow_pickle=False) as archive:
            stored = {name: archive[name] for name in archive.files}
        golden = _golden(stored, spec)
    except (OSError, ValueError, LookupError, TypeError, EOFError, zipfile.BadZipFile) as fault:
        raise Refused(f"{path.name} of model {spec.name} cannot be read: {fault}") from None
    for tensor, output in zip(spec.output_tensors, golden.answers[0].outputs, strict=True):
        if (output.shape, output.dtype.name) != (tensor.shape, tensor.dtype):
            raise Refused(
                f"{path.name} of model {spec.name} is of another model: "
                f"it has {output.dtype}{list(output.shape)} for output {describe(tensor)}"
            )
    return golden


def made_up_frames(wanted: InputSpec | SignalSpec) -> NDArray[Any]:
    """Three frames for a model whose world nobody showed us: nothing, a ramp, seeded noise.

    Of pictures "nothing" is white: plain grey leaves an answer to the rounding of one engine.
    """
    if isinstance(wanted, SignalSpec):
        return _made_up_windows(wanted.window, wanted.channels)
    return _made_up_pictures(wanted.width, wanted.height)


def _made_up_windows(window: int, channels: int) -> NDArray[np.float32]:
    ramp = np.linspace(-1.0, 1.0, window)[:, None].repeat(channels, axis=1)
    noise = np.random.default_rng(7).standard_normal((window, channels))
    windows: NDArray[np.float64] = np.stack([np.zeros_like(ramp), ramp, noise])
    return windows.astype(np.float32)


def _made_up_pictures(width: int, height: int) -> NDArray[np.uint8]:
    ramp = np.linspace(0, 255, width, dtype=np.uint8)
    pictures = [
        np.full((height, width, 3), 255, np.uint8),
        np.repeat(np.tile(ramp, (height, 1))[..., None], 3, axis=2),
        np.random.default_rng(7).integers(0, 256, (height, width, 3)).astype(np.uint8),
    ]
    return np.stack(pictures)


# --- the file ----------------------------------------------------------------------------------


def _check_size(path: Path) -> None:
    """What is packed may be a bomb; no more comes out of a .zip than it says. Raises ValueError."""
    with zipfile.ZipFile(path) as archive:
        size = sum(entry.file_size for entry in archive.infolist())
    if size > _LARGEST:
        raise ValueError(f"it unpacks to more than {_LARGEST // 1_000_000} MB")


def _text(value: Any) -> NDArray[np.uint8]:
    return np.frombuffer(json.dumps(value, ensure_ascii=False).encode(), np.uint8)


def _golden(stored: dict[str, NDArray[Any]], spec: ModelSpec) -> Golden:
    frames = stored["frames"]
    if not len(frames) or not _fit(frames, spec.input):
        raise ValueError(f"its frames are {frames.dtype}{list(frames.shape)}")
    expected = json.loads(bytes(stored["expected"]))
    raw = [stored[f"output_{k}"] for k in range(len(spec.output_tensors))]
    if {len(expected), *map(len, raw)} != {len(frames)}:
        raise ValueError("it has not one answer to each frame")
    recorded = tuple(
        Answer(tuple(output[index] for output in raw), tuple(map(_detection, findings)))
        for index, findings in enumerate(expected)
    )
    return Golden(frames, recorded, Tolerance(**json.loads(bytes(stored["tolerance"]))))


def _fit(frames: NDArray[Any], wanted: InputSpec | SignalSpec) -> bool:
    """Whether they are pictures, of any size, or windows of the very size that is wanted."""
    if isinstance(wanted, SignalSpec):
        one = (wanted.window, wanted.channels)
        return frames.dtype == np.float32 and frames.shape[1:] == one
    return frames.dtype == np.uint8 and frames.ndim == 4 and frames.shape[3] == 3


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
        # Class 9 is no nearer to 10 than to 1: of a map of classes it is the part of its cells.
        names = spec.family == "segmentation" and before.dtype.kind in "iu" and not tensor.scales
        part = float((before != now).mean()) if names else _difference(before, now)
        if not part <= allowed:  # not a number is a difference, too
            yield (
                f"output {describe(tensor)} differs by {part:.0%} of its range, "
                f"{allowed:.0%} is allowed"
            )


def _loose(spec: ModelSpec) -> set[int]:
    """Positions of the outputs whose numbers may be others: rows without an order of their own, and
    key points that are not there."""
    if spec.family == "pose":
        return set(range(len(spec.output_tensors)))
    if spec.family != "ssd":
        return set()
    return {place for role, place in find_outputs(spec).items() if role != "scores"}


def _difference(before: NDArray[Any], now: NDArray[Any]) -> float:
    """The part of its range by which most of an output is another."""
    off = np.abs(before.astype(np.float64) - now.astype(np.float64))
    return float(np.quantile(off, _MOST_NUMBERS)) / _span(before)


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
        # Errors and means of raw tensors have no range: then it is a part of the score.
        and abs(found.score - other.score) <= allowed.score * max(1.0, abs(found.score))
        and _same_place(found.box, other.box, allowed)
    )


def _same_place(first: Box, second: Box, allowed: Tolerance) -> bool:
    if first[:2] == first[2:]:
        return all(abs(a - b) <= allowed.place for a, b in zip(first, second, strict=True))
    return iou(first, second) >= allowed.iou
