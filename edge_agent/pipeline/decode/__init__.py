"""A model's raw outputs become detections: one module per family, and what they share.

A decoder is made once per model: it finds its tensors among the outputs by shape and name, and
refuses what it cannot read with one sentence that names the tensor. Then it runs per frame, on
columns of numpy; objects are made only of what is left at the end. It keeps nothing between frames
and no view of the engine's memory. Read `yolo.py` next.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, TypeAlias, get_args

from edge_agent.errors import Refused
from edge_agent.pipeline.quantize import describe
from edge_agent.types import Box, Detection, Family, InputSpec

if TYPE_CHECKING:
    from edge_agent.pipeline.preprocess import Geometry, Prepared
    from edge_agent.types import Array, ModelSpec, TensorSpec

#: The engine's outputs, in the order of `ModelSpec.output_tensors`, and the input that they answer,
#: give findings in 0..1 of the frame: best first, equal ones by their index.
Decoder: TypeAlias = "Callable[[Sequence[Array], Prepared], tuple[Detection, ...]]"

#: Every family has a module of its name here.
FAMILIES: tuple[str, ...] = get_args(Family)
#: Families that find things at places, so that their input must be a picture.
OF_PICTURES = frozenset({"ssd", "yolo", "fomo", "segmentation", "pose"})
#: Types of numbers that scores come in.
SCORES = ("float32", "float16", "int8", "uint8", "int16")
#: No frame has more detections than this.
MOST = 300
#: The box of a finding that is about all of the frame.
WHOLE_FRAME: Box = (0.0, 0.0, 1.0, 1.0)
#: What makers of models call the class that is none.
BACKGROUND = "background"
_BACKGROUNDS = ("???", BACKGROUND, "__background__", "n/a")


def decoder(model: ModelSpec) -> Decoder:
    """The decoder for the model's family. Raises Refused when its outputs do not fit."""
    if model.family in OF_PICTURES:
        picture_of(model)
    family = import_module(f"{__name__}.{model.family}")
    made: Decoder = family.decoder(model)
    return made


def picture_of(model: ModelSpec) -> InputSpec:
    """How the model sees a picture. Raises Refused when it sees a signal."""
    if not isinstance(model.input, InputSpec):
        raise Refused(
            f"model {model.name} is of family {model.family}, which looks at pictures, "
            "and its input is a signal",
            "correct family or input in the manifest",
        )
    return model.input


def in_manifest(model: ModelSpec, words: str) -> str:
    """What to do where only a person can tell how the outputs are read. A bare file gets its
    manifest from an import as `generic`, which reads anything."""
    if not model.guessed:
        return f"say in the manifest, under output, {words}"
    return (
        "edge-agent models import FILE --family generic, then correct a copy of the folder that "
        f"edge-agent models show names, as its CARD.md says: family: {model.family}, labels: [] "
        f"or a file of yours, and under output {words}"
    )


def only_output(model: ModelSpec, fits: Callable[[TensorSpec], bool], wanted: str) -> int:
    """Position of the one output that fits. Raises Refused where none does, or several do: then
    nobody can tell which is `wanted`."""
    found = [place for place, tensor in enumerate(model.output_tensors) if fits(tensor)]
    if len(found) == 1:
        return found[0]
    named = ", ".join(describe(tensor) for tensor in model.output_tensors)
    problem = f"several of the outputs {named} could be" if found else f"output {named} is not"
    raise Refused(
        f"model {model.name}: {problem} {wanted}",
        "say another family, the right number of labels, or another model",
    )


def is_score_map(tensor: TensorSpec, labels: int) -> bool:
    """Whether it is [1, h, w, C]: in every cell a score for each class, of which the first, the
    background, may go without a label."""
    if len(tensor.shape) != 4 or tensor.shape[0] != 1 or tensor.dtype not in SCORES:
        return False
    classes = tensor.shape[3]
    return classes >= 2 and (not labels or labels in (classes, classes - 1))


def name(labels: Sequence[str], index: int) -> str:
    """The label of a class; its number where there is none."""
    return labels[index] if 0 <= index < len(labels) else str(index)


def says_background(labels: Sequence[str]) -> bool:
    """Whether the first label is what makers of models write where there is no class."""
    return bool(labels) and labels[0].lower() in _BACKGROUNDS


def detections(
    boxes: Array, scores: Array, classes: Array, labels: Sequence[str], geometry: Geometry
) -> tuple[Detection, ...]:
    """Objects of the rows given, in their order: boxes (N, 4) in 0..1 of the model's picture.

    Boxes are clipped to the frame; one that has nothing in it (in a letterbox's border) is left
    out.
    """
    left, top, right, bottom = geometry.view
    width, height = right - left, bottom - top
    found = []
    # Plain floats: for the few that are left, faster than numpy, and the very same numbers.
    for box, score, index in zip(boxes.tolist(), scores.tolist(), classes.tolist(), strict=True):
        x0, x1 = _inside(box[0] * width + left), _inside(box[2] * width + left)
        y0, y1 = _inside(box[1] * height + top), _inside(box[3] * height + top)
        if x0 < x1 and y0 < y1:
            found.append(Detection(name(labels, index), score, (x0, y0, x1, y1)))
    return tuple(found)


def _inside(place: float) -> float:
    """The nearest place in the frame."""
    return 0.0 if place <= 0.0 else min(place, 1.0)
