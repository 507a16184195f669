"""SSD and its kin: the four outputs of TFLite_Detection_PostProcess, in any order.

Boxes [1, N, 4] (y0, x0, y1, x1 in 0..1 of the picture), classes [1, N], scores [1, N], and the
count of rows that hold something [1] (may be missing). Suppression is already done. Which output is
which is told by shape, then by name; where that leaves a doubt the model is refused, and
`output: {order: [boxes, classes, scores, count]}` in the manifest settles it. Other outputs, such
as recurrent state, are ignored.

`background` true | false: whether the first label names no class of the model, so that class 0 has
the second; `auto` (the default): true if that label says so (`???`, `background`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from edge_agent.errors import Refused
from edge_agent.pipeline.decode import MOST, detections, in_manifest, says_background
from edge_agent.pipeline.quantize import dequantize, describe

if TYPE_CHECKING:
    from edge_agent.pipeline.decode import Decoder
    from edge_agent.pipeline.preprocess import Prepared
    from edge_agent.types import Array, Detection, ModelSpec, TensorSpec

#: What output number i is, for the converters that only number their outputs.
_NUMBERED = {
    "TFLite_Detection_PostProcess": ("boxes", "classes", "scores", "count"),  # TensorFlow 1
    "StatefulPartitionedCall": ("count", "scores", "classes", "boxes"),  # TensorFlow 2
}
#: What a word in an output's name says that it is.
_WORDS = {
    "box": "boxes",
    "location": "boxes",
    "class": "classes",
    "categor": "classes",
    "score": "scores",
    "num": "count",
    "count": "count",
}


def decoder(model: ModelSpec) -> Decoder:
    """Raises Refused when boxes, classes and scores cannot be told among the outputs."""
    places = find_outputs(model)
    labels = model.labels[1:] if _skips_first_label(model) else model.labels

    def decode(outputs: Sequence[Array], prepared: Prepared) -> tuple[Detection, ...]:
        real = {
            role: dequantize(outputs[place], model.output_tensors[place])
            for role, place in places.items()
        }
        boxes, classes = real["boxes"][0][:, [1, 0, 3, 2]], real["classes"][0]
        scores = real["scores"][0].astype(np.float64)
        sound = scores >= model.min_score
        if "count" in real:
            sound &= np.arange(len(scores)) < real["count"].item()
        sound &= np.isfinite(boxes).all(axis=1) & np.isfinite(classes)
        rows = np.flatnonzero(sound)
        best = rows[np.argsort(-scores[rows], kind="stable")][:MOST]
        numbers = np.rint(classes[best]).astype(np.intp)
        kept = boxes[best], np.minimum(scores[best], 1.0), numbers
        return detections(*kept, labels, prepared.geometry)

    return decode


def _skips_first_label(model: ModelSpec) -> bool:
    wanted = model.output.get("background", "auto")
    if wanted == "auto":
        return says_background(model.labels)
    return bool(wanted)


# --- which output is which ---------------------------------------------------------------------


def find_outputs(model: ModelSpec) -> Mapping[str, int]:
    """Position of `boxes`, `classes`, `scores` and, where there is one, `count`.

    Raises Refused where shapes, names and the manifest's order leave a doubt, or disagree.
    """
    tensors = model.output_tensors
    order: Sequence[str] = model.output.get("order", ())
    said = (*order, *["unused"] * len(tensors)) if order else tuple(map(_named, tensors))
    places: dict[str, int] = {}
    for role in ("boxes", "scores", "classes", "count"):  # the narrowest first
        fitting = [i for i in _fitting(role, tensors) if i not in places.values()]
        chosen = [i for i in fitting if said[i] == role] or [i for i in fitting if said[i] is None]
        if len(chosen) == 1:
            places[role] = chosen[0]
        elif chosen or role != "count":
            raise _refusal(model, role, chosen, could_be_said=bool(fitting or order))
    return places


def _fitting(role: str, tensors: Sequence[TensorSpec]) -> list[int]:
    """Positions of the outputs whose shape and type allow them to be this."""
    shapes = [tensor.shape for tensor in tensors]
    # Boxes have classes and scores beside them, one each to a row: that tells them from others.
    rows = [s[1] for s in shapes if len(s) == 3 and s[2] == 4 and shapes.count((1, s[1])) > 1]
    fits: dict[str, list[tuple[int, ...]]] = {
        "boxes": [(1, n, 4) for n in rows],
        "classes": [(1, n) for n in rows],
        "scores": [(1, n) for n in rows],
        "count": [(), (1,), (1, 1)],
    }
    whole = [not (tensor.scales or tensor.dtype.startswith("float")) for tensor in tensors]
    return [
        place
        for place in range(len(tensors))
        if shapes[place] in fits[role] and not (role == "scores" and whole[place])
    ]


def _named(tensor: TensorSpec) -> str | None:
    """What the tensor's name says that it is, if anything."""
    base, _, number = tensor.name.partition(":")
    if base in _NUMBERED and number in ("", "0", "1", "2", "3"):
        return _NUMBERED[base][int(number or 0)]
    said = {role for word, role in _WORDS.items() if word in tensor.name.lower()}
    return said.pop() if len(said) == 1 else None


def _refusal(model: ModelSpec, role: str, chosen: Sequence[int], *, could_be_said: bool) -> Refused:
    tensors = [model.output_tensors[i] for i in chosen] or model.output_tensors
    named = ", ".join(describe(tensor) for tensor in tensors)
    if chosen:
        sentence = f"any of the outputs {named} could be the {role}"
    else:
        sentence = f"none of the outputs {named} can be the {role} of TFLite_Detection_PostProcess"
    if could_be_said:
        step = in_manifest(model, "order: [boxes, classes, scores, count], as they come")
    else:
        step = "say another --family, or choose a model that ends with that operator"
    return Refused(f"model {model.name}: {sentence}", step)
