"""Generic: any other model. Each output tensor is a finding about the whole frame.

Its score is the mean of the tensor's real numbers, so an output of one number has that number for
a score, negative or beyond 1 as it may be. `extra` holds `shape`, `dtype`, `min`, `max` and `mean`.
Labels name the outputs in their order; without labels it is the tensor's own name. Numbers that are
none (not finite) are left out, and a tensor that holds no others is no finding. Everything counts,
so that `min_score` means nothing here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from edge_agent.errors import Refused
from edge_agent.pipeline.decode import WHOLE_FRAME
from edge_agent.pipeline.quantize import dequantize, describe
from edge_agent.types import Detection

if TYPE_CHECKING:
    from edge_agent.pipeline.decode import Decoder
    from edge_agent.pipeline.preprocess import Prepared
    from edge_agent.types import Array, ModelSpec, TensorSpec

#: What numpy can make real numbers of.
_NUMBERS = ("bool", "float", "int", "uint")


def decoder(model: ModelSpec) -> Decoder:
    """Raises Refused when an output holds no numbers (texts, resources), or there are more labels
    than outputs."""
    labels, count = len(model.labels), len(model.output_tensors)
    if labels > count:
        raise Refused(
            f"model {model.name} has {labels} labels and {count} output{'s' * (count != 1)}",
            "give one label for each output, in their order, or none",
        )
    for tensor in model.output_tensors:
        if not tensor.dtype.startswith(_NUMBERS):
            raise Refused(f"model {model.name}: output {describe(tensor)} holds no numbers")
    names = [label_of(model, place) for place in range(len(model.output_tensors))]

    def decode(outputs: Sequence[Array], prepared: Prepared) -> tuple[Detection, ...]:
        tensors = zip(names, outputs, model.output_tensors, strict=True)
        return tuple(found for each in tensors for found in _findings(*each))

    return decode


def label_of(model: ModelSpec, place: int) -> str:
    """What an output is called."""
    if place < len(model.labels):
        return model.labels[place]
    return model.output_tensors[place].name or str(place)


def _findings(label: str, output: Array, tensor: TensorSpec) -> Iterator[Detection]:
    real = dequantize(np.asarray(output), tensor)
    sound = real[np.isfinite(real)]
    if not sound.size:
        return
    mean = float(sound.mean(dtype=np.float64))
    numbers = {"min": float(sound.min()), "max": float(sound.max()), "mean": mean}
    about = {"shape": list(output.shape), "dtype": output.dtype.name}
    yield Detection(label, mean, WHOLE_FRAME, about | numbers)
