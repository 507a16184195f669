"""A bare model becomes a manifest: what is not written anywhere is guessed, and each guess named.

Pure. The defaults are the contract's ("Defaults for a bare model"); `guessed` says every one of
them, so that a person who sees a wrong result sees at once what to write into the manifest instead.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from edge_agent.bundles.agreement import class_counts
from edge_agent.bundles.anatomy import Anatomy
from edge_agent.bundles.labels import Labels, parse_labels
from edge_agent.bundles.manifest import FAMILIES
from edge_agent.errors import Refused, UsageError
from edge_agent.pipeline.quantize import describe
from edge_agent.types import Number, TensorSpec

SSD_OPERATOR = "TFLite_Detection_PostProcess"
MIN_SCORE = {"yolo": 0.25, "ssd": 0.25, "classification": 0.0}
NMS_IOU = 0.45
#: Quantized ranges in which the pixel itself is meant, whatever a normalisation would say.
PIXEL_RANGES = ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0))
#: A raw YOLO head has at least this many candidates, and more of them than numbers to each.
FEWEST_CANDIDATES = 32
#: Types of numbers that scores come in.
_SCORES = ("float32", "float16", "int8", "uint8", "int16")


class UnknownFamily(Refused):
    """A sound file, but of no family that is decoded."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What the person says of a model instead of leaving it to be guessed."""

    name: str | None = None
    family: str | None = None
    labels: Labels | None = None


NO_WISH = Wish()


@dataclass(frozen=True, slots=True)
class Guess:
    """The parts of a manifest that a bare model leaves open."""

    family: str
    input: dict[str, Any]
    output: dict[str, Any]
    labels: tuple[str, ...]
    min_score: float
    guessed: dict[str, Number]


def guess(anatomy: Anatomy, name: str, wish: Wish) -> Guess:
    """Raises UnknownFamily when the family cannot be told or the input is no picture, UsageError
    when the wished family is none."""
    guessed: dict[str, Number] = {}
    if wish.family is None:
        family = guessed["family"] = _family(anatomy, name)
    else:
        family = _known(wish.family)
    picture = _picture(anatomy, name, guessed) | _resizing(family, guessed)
    labels = _labels(anatomy, wish, class_counts(family, anatomy.outputs), guessed)
    guessed["min_score"] = MIN_SCORE[family]
    output: dict[str, Any] = {}
    if family == "yolo":
        guessed["nms_iou"] = output["iou"] = NMS_IOU
    return Guess(family, picture, output, labels, MIN_SCORE[family], guessed)


# --- the family --------------------------------------------------------------------------------


def _known(family: str) -> str:
    if family not in FAMILIES:
        raise UsageError(
            f"family {family!r} is not decoded by this version", f"one of: {', '.join(FAMILIES)}"
        )
    return family


def _family(anatomy: Anatomy, name: str) -> str:
    """From operators and output shapes."""
    outputs = anatomy.outputs
    if SSD_OPERATOR in anatomy.operators or _looks_like_ssd([each.shape for each in outputs]):
        return "ssd"
    if len(outputs) == 1 and outputs[0].dtype in _SCORES:
        match outputs[0].shape:
            case (*ones, classes) if 1 <= len(ones) <= 3 and set(ones) == {1} and classes > 1:
                return "classification"
            case (1, rows, columns) if _looks_like_yolo(rows, columns):
                return "yolo"
    raise UnknownFamily(
        f"{name} is of no family that is decoded: {_listed('output', outputs)} is neither "
        "[1,N] (classification) nor [1,N,C] or [1,C,N] (yolo) nor what "
        f"{SSD_OPERATOR} gives (ssd)",
        "convert it to one of these, or say which it is with --family",
    )


def _looks_like_ssd(shapes: list[tuple[int, ...]]) -> bool:
    return len(shapes) >= 4 and any(len(shape) == 3 and shape[-1] == 4 for shape in shapes)


def _looks_like_yolo(rows: int, columns: int) -> bool:
    candidates, numbers = max(rows, columns), min(rows, columns)
    return numbers >= 5 and candidates >= FEWEST_CANDIDATES and candidates > numbers


def _listed(what: str, tensors: Sequence[TensorSpec]) -> str:
    named = " and ".join(describe(tensor) for tensor in tensors[:4])
    return f"its {what}{'s' if len(tensors) > 1 else ''} {named or 'list, which is empty,'}"


# --- the input ---------------------------------------------------------------------------------


def _main_input(anatomy: Anatomy, name: str) -> TensorSpec:
    """The picture among the inputs: rank 4, 1 or 3 channels. Raises UnknownFamily without one."""
    pictures = [tensor for tensor in anatomy.inputs if _channels(tensor) is not None]
    if len(pictures) == 1:
        return pictures[0]
    problem = "several pictures" if pictures else "no picture"
    answer = " and ".join(describe(tensor) for tensor in anatomy.outputs[:4])
    raise UnknownFamily(
        f"{name} is of no family that is decoded ({', '.join(FAMILIES)}, on pictures): "
        f"{_listed('input', anatomy.inputs)} {'are' if len(anatomy.inputs) > 1 else 'is'} "
        f"{problem}, its answer is {answer or 'nothing'}"
    )


def _channels(tensor: TensorSpec) -> tuple[Literal["nhwc", "nchw"], int] | None:
    if len(tensor.shape) != 4 or tensor.shape[0] != 1 or min(tensor.shape) < 1:
        return None
    if tensor.shape[3] in (1, 3):
        return "nhwc", tensor.shape[3]
    return ("nchw", tensor.shape[1]) if tensor.shape[1] in (1, 3) else None


def _picture(anatomy: Anatomy, name: str, guessed: dict[str, Number]) -> dict[str, Any]:
    tensor = _main_input(anatomy, name)
    layout, channels = _channels(tensor) or ("nhwc", 3)
    height, width = tensor.shape[1:3] if layout == "nhwc" else tensor.shape[2:4]
    color = guessed["color"] = "gray" if channels == 1 else "rgb"
    return {
        "kind": "image",
        "size": [width, height],
        "color": color,
        "layout": layout,
        "normalize": _normalize(anatomy, tensor, channels, guessed),
    }


def _normalize(
    anatomy: Anatomy, tensor: TensorSpec, channels: int, guessed: dict[str, Number]
) -> Any:
    if tensor.dtype in ("uint8", "int8") and _means_pixels(tensor):
        guessed["normalize"] = "the pixel itself"
        return "none"
    if anatomy.metadata.normalization is not None:
        mean, std = anatomy.metadata.normalization
        sound = all(map(math.isfinite, (*mean, *std))) and 0.0 not in std
        if sound and {len(mean), len(std)} <= {1, channels}:
            return {"mean": list(mean), "std": list(std)}
    guessed["normalize"] = "0..1"
    return {"mean": [0.0], "std": [255.0]}


def _means_pixels(tensor: TensorSpec) -> bool:
    """Whether an integer input's quantized range is about 0..1, -1..1 or 0..255, or unknown."""
    if not tensor.scales:
        return True
    lowest = -128 if tensor.dtype == "int8" else 0
    first = (lowest - tensor.zero_points[0]) * tensor.scales[0]
    last = (lowest + 255 - tensor.zero_points[0]) * tensor.scales[0]
    return any(
        abs(first - low) <= 0.02 * (high - low) and abs(last - high) <= 0.02 * (high - low)
        for low, high in PIXEL_RANGES
    )


def _resizing(family: str, guessed: dict[str, Number]) -> dict[str, Any]:
    if family == "yolo":
        guessed.update(resize="letterbox", pad=114, interpolation="linear")
        return {"resize": "letterbox", "pad": 114, "interpolation": "linear"}
    guessed.update(resize="stretch", interpolation="auto")
    return {"resize": "stretch", "interpolation": "auto"}


# --- the labels --------------------------------------------------------------------------------


def _labels(
    anatomy: Anatomy, wish: Wish, counts: tuple[int, ...], guessed: dict[str, Number]
) -> tuple[str, ...]:
    """The person's, else those inside the model, else none: the label is then the index."""
    if wish.labels is not None:
        return wish.labels.listed(counts)
    if anatomy.metadata.labels is None:
        guessed["labels"] = "the index"
        return ()
    file, content = anatomy.metadata.labels
    try:
        return parse_labels(content.decode("utf-8-sig"), Path(file)).listed(counts)
    except (UsageError, UnicodeDecodeError):
        guessed["labels"] = f"the index ({file} in the model cannot be read)"
        return ()
