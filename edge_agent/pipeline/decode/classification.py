"""Classification: one output [1, N], a number per class (also [1, 1, 1, N]).

What it does not say itself is taken from `ModelSpec.output`, where `auto` (the default) means:

- `activation` none | softmax | sigmoid, what makes scores of the numbers: see `activation.py`.
- `background` true | false: whether class 0 is a background that the labels leave out. True if
  there is one label less than numbers.
- `top`: 5, how many classes are given, best first, of those that reach `min_score`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from edge_agent.errors import Refused
from edge_agent.pipeline.decode import BACKGROUND, WHOLE_FRAME, name
from edge_agent.pipeline.decode.activation import activation
from edge_agent.pipeline.quantize import dequantize, describe
from edge_agent.types import Detection

if TYPE_CHECKING:
    from edge_agent.pipeline.decode import Decoder
    from edge_agent.pipeline.preprocess import Prepared
    from edge_agent.types import Array, ModelSpec, TensorSpec


def decoder(model: ModelSpec) -> Decoder:
    """Raises Refused when no output, or more than one, has as many numbers as there are labels."""
    place, labels = find_output(model)
    tensor = model.output_tensors[place]
    activate = activation(tensor, model.output.get("activation", "auto"))
    top = model.output.get("top", 5)

    def decode(outputs: Sequence[Array], prepared: Prepared) -> tuple[Detection, ...]:
        scores = activate(dequantize(outputs[place], tensor).ravel().astype(np.float64))
        best = np.argsort(-scores, kind="stable")[:top]
        return tuple(
            Detection(name(labels, index), score, WHOLE_FRAME, {"index": index})
            for index, score in zip(best.tolist(), scores[best].tolist(), strict=True)
            if score >= model.min_score
        )

    return decode


# --- once per model ----------------------------------------------------------------------------


def find_output(model: ModelSpec) -> tuple[int, Sequence[str]]:
    """Position of the one output that holds the classes, and a label for each of its numbers.

    Raises Refused where none fits the labels, or several do.
    """
    found = [
        (place, labels)
        for place, tensor in enumerate(model.output_tensors)
        if (labels := _labels(model, tensor)) is not None
    ]
    if len(found) == 1:
        return found[0]
    named = ", ".join(describe(tensor) for tensor in model.output_tensors)
    if found:
        raise Refused(f"model {model.name}: several of the outputs {named} could hold the classes")
    count = f"{len(model.labels)} labels" if model.labels else "any number of classes"
    raise Refused(
        f"model {model.name}: output {named} is no [1,N] that holds {count}",
        "give as many labels as the model has classes; a background at 0 may be left out",
    )


def _labels(model: ModelSpec, tensor: TensorSpec) -> Sequence[str] | None:
    """The labels of the tensor's numbers; None where it holds no classes or not as many."""
    if not 2 <= len(tensor.shape) <= 4 or set(tensor.shape[:-1]) != {1}:
        return None
    labels, background = model.labels, model.output.get("background", "auto")
    unnamed = tensor.shape[-1] - len(labels)
    if not labels or (unnamed == 0 and background in ("auto", False)):
        return labels
    if unnamed == 1 and background in ("auto", True):
        return (BACKGROUND, *labels)
    return None
