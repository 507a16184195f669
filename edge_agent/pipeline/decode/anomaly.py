"""Anomaly: a model that gives back what it was given, and does that worse the stranger it is.

The output has the shape of the input, dimensions of 1 aside. The one finding, `anomaly` unless the
first label is another, is about the whole frame; its score is the mean squared error between the
real numbers of the output and those of the input **that the model was given**, after features,
normalisation and quantization. It has no upper end: what is much is said by a rule's `score_above`,
or learnt from healthy data and kept as `threshold` in the manifest's output.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from edge_agent.errors import Refused
from edge_agent.pipeline.decode import SCORES, WHOLE_FRAME, only_output
from edge_agent.pipeline.quantize import dequantize
from edge_agent.types import Detection

if TYPE_CHECKING:
    from edge_agent.pipeline.decode import Decoder
    from edge_agent.pipeline.preprocess import Prepared
    from edge_agent.types import Array, ModelSpec, TensorSpec

LABEL = "anomaly"


def decoder(model: ModelSpec) -> Decoder:
    """Raises Refused when no output, or more than one, has the input's shape, or there are several
    labels for the one finding."""
    if len(model.labels) > 1:
        raise Refused(
            f"model {model.name} has {len(model.labels)} labels, and it finds one thing",
            "give one label, or none",
        )
    place = only_output(
        model,
        lambda tensor: reconstructs(tensor, model.input_tensor),
        f"what the model would make of its input {list(model.input_tensor.shape)}",
    )
    given, made = model.input_tensor, model.output_tensors[place]
    label = model.labels[0] if model.labels else LABEL

    def decode(outputs: Sequence[Array], prepared: Prepared) -> tuple[Detection, ...]:
        wanted = dequantize(prepared.tensor, given).ravel()
        error = dequantize(outputs[place], made).ravel().astype(np.float64) - wanted
        score = float(error @ error) / len(error)
        if not math.isfinite(score):  # a model that gives no numbers finds nothing
            return ()
        return (Detection(label, score, WHOLE_FRAME),)

    return decode


def reconstructs(made: TensorSpec, given: TensorSpec) -> bool:
    """Whether one tensor can be the other over again."""
    return made.dtype in SCORES and _sizes(made) == _sizes(given) != []


def _sizes(tensor: TensorSpec) -> list[int]:
    return [size for size in tensor.shape if size != 1]
