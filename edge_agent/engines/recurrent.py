"""Which input of a model a frame goes into, and which outputs are its memory for the next frame.

Pure. A recurrent model takes its state as further inputs and gives the new state as further
outputs; nothing in the file says which belongs to which. The rule: the main input is the only
one, else the only one shaped like a picture, else the only one without a twin; every other input is
state, and its twin among the outputs has the same shape, type and quantization. There must be
exactly as many such outputs as inputs; among several the names decide (`init_lstm_c` goes with
`lstm_c`), then the order.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product, takewhile
from typing import Any

from edge_agent.errors import Refused
from edge_agent.types import TensorSpec


def main_input(
    inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec], model: str
) -> TensorSpec:
    """The input that a frame goes into. Raises Refused when that is anyone's guess."""
    if not inputs:
        raise Refused(f"{model} has no input tensor")
    pictures = [spec for spec in inputs if _is_picture(spec.shape)]
    kept = {_kind(output) for output in outputs}
    fresh = [spec for spec in inputs if _kind(spec) not in kept]
    for choice in (inputs, pictures, fresh):
        if len(choice) == 1:
            return choice[0]
    raise Refused(
        f"{model} has {len(inputs)} inputs ({_listed(inputs)}), of which "
        f"{len(fresh) or 'none'} must be given anew for each frame; exactly one must be",
        "export the model with one input, or with its state as inputs and outputs alike",
    )


def carried(
    states: Sequence[TensorSpec], outputs: Sequence[TensorSpec], model: str
) -> dict[TensorSpec, int]:
    """State input -> number of the output whose value it gets before the next invoke.

    Raises Refused, naming the tensor, where an input has no twin or too many.
    """
    for state in states:
        takers = sum(_kind(other) == _kind(state) for other in states)
        givers = sum(_kind(output) == _kind(state) for output in outputs)
        if givers != takers:
            raise Refused(
                f"{model}: input tensor '{state.name}' {list(state.shape)} {state.dtype} looks "
                f"like recurrent state, but {givers or 'no'} outputs match it where {takers} should"
            )
    twins = [
        (state, number)
        for state, (number, output) in product(states, enumerate(outputs))
        if _kind(state) == _kind(output)
    ]
    twins.sort(key=lambda twin: -_likeness(twin[0].name, outputs[twin[1]].name))  # keeps the order
    pairs: dict[TensorSpec, int] = {}
    for state, number in twins:
        if state not in pairs and number not in pairs.values():
            pairs[state] = number
    return pairs


def _is_picture(shape: tuple[int, ...]) -> bool:
    """[1, height, width, 1 or 3], or [1, 3, height, width]."""
    return len(shape) == 4 and shape[0] == 1 and (shape[3] in (1, 3) or shape[1] == 3)


def _kind(spec: TensorSpec) -> tuple[Any, ...]:
    return spec.shape, spec.dtype, spec.scales, spec.zero_points


def _likeness(one: str, other: str) -> int:
    """How many letters the names have in common at their end."""
    letters = zip(reversed(one), reversed(other), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], letters))


def _listed(specs: Sequence[TensorSpec]) -> str:
    return ", ".join(f"'{spec.name}' {list(spec.shape)}" for spec in specs)
