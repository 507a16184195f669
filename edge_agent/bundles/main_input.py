"""Which of a model's inputs a frame goes into, by the shapes of its tensors alone.

Pure. Nothing in the file of a model says it: the main input is the only one, else the only one that
is shaped like a picture, else the only one that no output gives back. Every other is the model's
memory from frame to frame: `engines/recurrent.py`. Read `family.py` next.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from edge_agent.types import TensorSpec


def main_input(inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> TensorSpec | None:
    """None where it is anyone's guess."""
    pictures = [each for each in inputs if channels(each) is not None]
    for choice in (inputs, pictures, fresh(inputs, outputs)):
        if len(choice) == 1:
            return choice[0]
    return None


def fresh(inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> list[TensorSpec]:
    """The inputs that no output gives back, so that they must be given anew for each frame."""
    kept = {signature(output) for output in outputs}
    return [each for each in inputs if signature(each) not in kept]


def signature(tensor: TensorSpec) -> tuple[Any, ...]:
    """What an input and an output must have in common to be the same state, before and after."""
    return tensor.shape, tensor.dtype, tensor.scales, tensor.zero_points


def channels(tensor: TensorSpec) -> tuple[Literal["nhwc", "nchw"], int] | None:
    """Layout and number of a picture's channels, by the shape alone."""
    if len(tensor.shape) != 4 or tensor.shape[0] != 1 or min(tensor.shape) < 1:
        return None
    if tensor.shape[3] in (1, 3):
        return "nhwc", tensor.shape[3]
    return ("nchw", tensor.shape[1]) if tensor.shape[1] in (1, 3) else None
