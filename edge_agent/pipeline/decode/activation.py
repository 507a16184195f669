"""What makes scores in 0..1 of the numbers that a model gives to classes.

The classes are the last axis. `none` | `softmax` | `sigmoid`, and `auto`: none if the numbers are
scores already, which the quantized range tells (0..1), or for float outputs the frame's own numbers
(none below 0, their sum about 1 everywhere); else softmax. Where there is but one class it is
sigmoid instead. Read `classification.py` next.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from edge_agent.pipeline.quantize import dequantize

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge_agent.types import TensorSpec

    Reals: TypeAlias = NDArray[np.float64]

#: Real numbers (..., N) become scores (..., N).
Activation: TypeAlias = "Callable[[Reals], Reals]"


def activation(tensor: TensorSpec, wanted: str) -> Activation:
    """What to put an output's numbers through."""
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


def _are_scores(numbers: Reals) -> bool:
    """Whether these can be probabilities of classes that exclude one another."""
    count = numbers.shape[-1]
    if count == 1:
        return bool(((numbers >= 0) & (numbers <= 1)).all())
    # Scores that went through 8 bits were rounded each by up to 1/512.
    doubt = min(0.5, 0.01 + count / 512)
    with np.errstate(invalid="ignore"):  # infinite numbers are no scores, and make no noise
        return bool(numbers.min() >= 0 and (np.abs(numbers.sum(axis=-1) - 1) <= doubt).all())


def _scores(numbers: Reals) -> Reals:
    return numbers.clip(0.0, 1.0)


def _softmax(numbers: Reals) -> Reals:
    with np.errstate(invalid="ignore"):  # infinite numbers give no score, and no noise
        powers = np.exp(numbers - numbers.max(axis=-1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def _sigmoid(numbers: Reals) -> Reals:
    with np.errstate(over="ignore"):  # far below zero is 0
        return np.asarray(1 / (1 + np.exp(-numbers)))
