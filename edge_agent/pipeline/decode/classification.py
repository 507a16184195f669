"""Classification: one output [1, N], a number per class (also [1, 1, 1, N]).

What it does not say itself is taken from `ModelSpec.output`, where `auto` (the default) means:

- `activation` none | softmax | sigmoid, what makes scores of the numbers: none if they are scores,
  which the quantized range tells (0..1), or for float outputs the frame's numbers (none below 0,
  sum about 1); else softmax. A single number becomes a score by sigmoid instead.
- `background` true | false: whether class 0 is a background that the labels leave out. True if
  there is one label less than numbers.
- `top`: 5, how many classes are given, best first, of those that reach `min_score`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from edge_agent.errors import Refused
from edge_agent.pipeline.decode import name
from edge_agent.pipeline.quantize import dequantize, describe
from edge_agent.types import Detection

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge_agent.pipeline.decode import Decoder
    from edge_agent.pipeline.preprocess import Geometry
    from edge_agent.types import Array, Box, ModelSpec, TensorSpec

Activation: TypeAlias = "Callable[[NDArray[np.float64]], NDArray[np.float64]]"

_WHOLE_FRAME: Box = (0.0, 0.0, 1.0, 1.0)
_BACKGROUND = "background"


def decoder(model: ModelSpec) -> Decoder:
    """Raises Refused when no output, or more than one, has as many numbers as there are labels."""
    place, labels = find_output(model)
    tensor = model.output_tensors[place]
    activate = _activation(tensor, model.output.get("activation", "auto"))
    top = model.output.get("top", 5)

    def decode(outputs: Sequence[Array], geometry: Geometry) -> tuple[Detection, ...]:
        scores = activate(dequantize(outputs[place], tensor).ravel().astype(np.float64))
        best = np.argsort(-scores, kind="stable")[:top]
        return tuple(
            Detection(name(labels, index), score, _WHOLE_FRAME, {"index": index})
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
        return (_BACKGROUND, *labels)
    return None


def _activation(tensor: TensorSpec, wanted: str) -> Activation:
    """What makes scores in 0..1 of the output's numbers."""
    squash = _sigmoid if tensor.shape[-1] == 1 else _softmax
    if wanted == "auto" and tensor.dtype.startswith("float"):
        return lambda numbers: _scores(numbers) if _are_scores(numbers) else squash(numbers)
    if wanted == "auto":
        return _scores if _range_is_scores(tensor) else squash
    return {"none": _scores, "softmax": _softmax, "sigmoid": _sigmoid}[wanted]


def _range_is_scores(tensor: TensorSpec) -> bool:
    """Whether a quantized output can hold no more than 0..1, give or take a rounding."""
    limits = np.iinfo(tensor.dtype)
    lowest, highest = dequantize(np.array([limits.min, limits.max]).astype(tensor.dtype), tensor)
    # int16 has its zero in the middle, even for what is never negative.
    return bool(highest <= 1.01 and (lowest >= -0.01 or tensor.dtype == "int16"))


# --- per frame ---------------------------------------------------------------------------------


def _are_scores(numbers: NDArray[np.float64]) -> bool:
    """Whether these can be probabilities of classes that exclude one another."""
    if len(numbers) == 1:
        return bool(0 <= numbers[0] <= 1)
    # Scores that went through 8 bits were rounded each by up to 1/512.
    doubt = min(0.5, 0.01 + len(numbers) / 512)
    return bool(numbers.min() >= 0 and abs(numbers.sum() - 1) <= doubt)


def _scores(numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    return numbers.clip(0.0, 1.0)


def _softmax(numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore"):  # infinite numbers give no score, and no noise
        powers = np.exp(numbers - numbers.max())
        return np.asarray(powers / powers.sum())


def _sigmoid(numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(over="ignore"):  # far below zero is 0
        return np.asarray(1 / (1 + np.exp(-numbers)))
