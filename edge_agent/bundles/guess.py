"""A bare model becomes a manifest: what is not written anywhere is guessed, and each guess named.

Pure. The defaults are the contract's ("Defaults for a bare model"); `guessed` says every one of
them, so that a person who sees a wrong result sees at once what to write into the manifest instead.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from edge_agent.bundles.agreement import class_counts
from edge_agent.bundles.anatomy import Anatomy
from edge_agent.bundles.family import picture_size, tell_family
from edge_agent.bundles.labels import Labels, clean, parse_labels
from edge_agent.bundles.main_input import channels, main_input
from edge_agent.errors import Refused, UsageError
from edge_agent.frozen import frozen
from edge_agent.pipeline.decode import FAMILIES, OF_PICTURES
from edge_agent.pipeline.decode.anomaly import LABEL
from edge_agent.pipeline.decode.pose import COCO
from edge_agent.pipeline.quantize import describe
from edge_agent.types import Number, TensorSpec

#: 0.3 is where MoveNet's makers begin to draw a key point.
MIN_SCORE = {"yolo": 0.25, "ssd": 0.25, "fomo": 0.5, "pose": 0.3}
NMS_IOU = 0.45
#: Families without classes, for which a label file inside the model was not meant.
_CLASSLESS = ("anomaly", "generic")
#: Quantized ranges in which the pixel itself is meant, whatever a normalisation would say.
PIXEL_RANGES = ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0))


class UnknownInput(Refused):
    """A sound file, but nobody can tell what to give it."""


@frozen
class Wish:
    """What the person says of a model instead of leaving it to be guessed."""

    name: str | None = None
    family: str | None = None
    labels: Labels | None = None


NO_WISH = Wish()


@frozen
class Guess:
    """The parts of a manifest that a bare model leaves open."""

    family: str
    input: dict[str, Any]
    output: dict[str, Any]
    labels: tuple[str, ...]
    min_score: float
    guessed: dict[str, Number]


def guess(anatomy: Anatomy, name: str, wish: Wish) -> Guess:
    """Raises UnknownInput when it cannot be told which input a frame goes into, UsageError when the
    wished family is none, Refused when it cannot be that of this model."""
    guessed: dict[str, Number] = {}
    given = _main_input(anatomy, name)
    if wish.family is None:
        family = guessed["family"] = tell_family(given, anatomy.outputs, anatomy.operators)
    else:
        family = _known(wish.family, given, name)
    if picture_size(given) is None and family not in OF_PICTURES:
        shown = _window(given, guessed)
    else:
        shown = _picture(anatomy, given, guessed) | _resizing(family, guessed)
    labels = _labels(anatomy, wish, family, guessed)
    least = MIN_SCORE.get(family, 0.0)
    if family in MIN_SCORE or family == "classification":
        guessed["min_score"] = least
    output: dict[str, Any] = {}
    if family == "segmentation" and not labels:
        guessed["background"] = "class 0"
    if family == "yolo":
        guessed["nms_iou"] = output["iou"] = NMS_IOU
    return Guess(family, shown, output, labels, least, guessed)


def _known(family: str, given: TensorSpec, name: str) -> str:
    """The family that is wished, if there is such a one and its input can be this."""
    if family not in FAMILIES:
        raise UsageError(
            f"family {family!r} is not decoded by this version", f"one of: {', '.join(FAMILIES)}"
        )
    if family in OF_PICTURES and channels(given) is None:
        raise Refused(
            f"{name} cannot be of family {family}, which looks at pictures: "
            f"its input {describe(given)} is none",
            "leave out --family, or choose another model",
        )
    return family


# --- the input ---------------------------------------------------------------------------------


def _main_input(anatomy: Anatomy, name: str) -> TensorSpec:
    """Raises UnknownInput where there is none that a frame goes into, or it has no size."""
    found = main_input(anatomy.inputs, anatomy.outputs)
    if found is not None:
        return _sized(found, name)
    listed = ", ".join(describe(each) for each in anatomy.inputs) or "none"
    raise UnknownInput(
        f"{name} has {len(anatomy.inputs)} inputs ({listed}), and a frame goes into exactly one",
        "export the model with one input, or with its state as inputs and outputs alike",
    )


def _sized(given: TensorSpec, name: str) -> TensorSpec:
    if not given.shape or min(given.shape) < 1:
        raise UnknownInput(
            f"{name}: its input {describe(given)} has no fixed size",
            "convert the model with a fixed input size",
        )
    return given


def _window(given: TensorSpec, guessed: dict[str, Number]) -> dict[str, Any]:
    """The tensor's numbers as they come: one channel, window after window."""
    samples = guessed["window"] = math.prod(given.shape)
    guessed["features"] = "raw"
    return {"kind": "signal", "features": "raw", "window": samples, "hop": samples}


def _picture(anatomy: Anatomy, given: TensorSpec, guessed: dict[str, Number]) -> dict[str, Any]:
    layout, count = channels(given) or ("nhwc", 3)
    height, width = given.shape[1:3] if layout == "nhwc" else given.shape[2:4]
    color = guessed["color"] = "gray" if count == 1 else "rgb"
    return {
        "kind": "image",
        "size": [width, height],
        "color": color,
        "layout": layout,
        "normalize": _normalize(anatomy, given, count, guessed),
    }


def _normalize(anatomy: Anatomy, tensor: TensorSpec, count: int, guessed: dict[str, Number]) -> Any:
    if tensor.dtype in ("uint8", "int8") and _means_pixels(tensor):
        guessed["normalize"] = "the pixel itself"
        return "none"
    if anatomy.metadata.normalization is not None:
        mean, std = anatomy.metadata.normalization
        sound = all(map(math.isfinite, (*mean, *std))) and 0.0 not in std
        if sound and {len(mean), len(std)} <= {1, count}:
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
    anatomy: Anatomy, wish: Wish, family: str, guessed: dict[str, Number]
) -> tuple[str, ...]:
    """The person's, else those inside the model, else what the family calls its findings."""
    counts = class_counts(family, anatomy.outputs)
    if wish.labels is not None:
        return wish.labels.listed(counts)
    if anatomy.metadata.labels is None or family in _CLASSLESS:
        labels, guessed["labels"] = _usual_labels(anatomy, family)
        return labels
    file, content = anatomy.metadata.labels
    try:
        return parse_labels(content.decode("utf-8-sig"), Path(file)).listed(counts)
    except (UsageError, UnicodeDecodeError):
        guessed["labels"] = f"the index ({file} in the model cannot be read)"
        return ()


def _usual_labels(anatomy: Anatomy, family: str) -> tuple[tuple[str, ...], str]:
    """Labels, and where they are from, of a model without; () means the index of the class."""
    if family == "anomaly":
        return (LABEL,), LABEL
    if family == "pose" and class_counts(family, anatomy.outputs) == (len(COCO),):
        return COCO, "COCO's key points"
    if family == "generic":
        names = tuple(clean(each.name, place) for place, each in enumerate(anatomy.outputs))
        if len(set(names)) == len(names):
            return names, "the outputs' names"
    return (), "the index"
