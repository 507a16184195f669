"""A model's raw outputs become detections: one module per family, and what they share.

A decoder is made once per model: it finds its tensors among the outputs by shape and name, and
refuses what it cannot read with one sentence that names the tensor. Then it runs per frame, on
columns of numpy; objects are made only of what is left at the end. It keeps nothing between frames
and no view of the engine's memory. Read `yolo.py` next.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias

from edge_agent.errors import Refused
from edge_agent.types import Detection

if TYPE_CHECKING:
    from edge_agent.pipeline.preprocess import Geometry
    from edge_agent.types import Array, ModelSpec

#: The engine's outputs, in the order of `ModelSpec.output_tensors`, and where the picture lies in
#: the frame, give detections in 0..1 of the frame: best first, equal ones by their index.
Decoder: TypeAlias = "Callable[[Sequence[Array], Geometry], tuple[Detection, ...]]"

#: No frame has more detections than this.
MOST = 300


def decoder(model: ModelSpec) -> Decoder:
    """The decoder for the model's family. Raises Refused when its outputs do not fit."""
    if model.family == "classification":
        from edge_agent.pipeline.decode.classification import decoder as family
    elif model.family == "yolo":
        from edge_agent.pipeline.decode.yolo import decoder as family
    elif model.family == "ssd":
        from edge_agent.pipeline.decode.ssd import decoder as family
    else:
        raise Refused(
            f"model {model.name} is of family {model.family}, whose outputs are not understood",
            "families: classification, ssd, yolo",
        )
    return family(model)


def name(labels: Sequence[str], index: int) -> str:
    """The label of a class; its number where there is none."""
    return labels[index] if 0 <= index < len(labels) else str(index)


def detections(
    boxes: Array, scores: Array, classes: Array, labels: Sequence[str], geometry: Geometry
) -> tuple[Detection, ...]:
    """Objects of the rows given, in their order: boxes (N, 4) in 0..1 of the model's picture.

    Boxes are clipped to the frame; one that has nothing in it (in a letterbox's border) is left
    out.
    """
    inside = geometry.to_frame(boxes).clip(0.0, 1.0)
    rows = zip(inside.tolist(), scores.tolist(), classes.tolist(), strict=True)
    return tuple(
        Detection(name(labels, index), score, (x0, y0, x1, y1))
        for (x0, y0, x1, y1), score, index in rows
        if x0 < x1 and y0 < y1
    )
