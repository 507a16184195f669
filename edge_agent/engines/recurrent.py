"""Which input of a model a frame goes into, and which outputs are its memory for the next frame.

Pure. A recurrent model takes its state as further inputs and gives the new state as further
outputs; nothing in the file says which belongs to which. The rule: every input but the main one
(`bundles/main_input.py`) is state, and its twin among the outputs has the same shape, type and
quantization. There must be exactly as many such outputs as inputs; among several the names decide
(`init_lstm_c` goes with `lstm_c`), then the order.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product, takewhile

from edge_agent.bundles.main_input import fresh, main_input, signature
from edge_agent.errors import Refused
from edge_agent.types import TensorSpec

#: Operators that keep something from one invoke to the next inside of the interpreter.
_REMEMBER = frozenset({"VAR_HANDLE", "CALL_ONCE", "SVDF", "LSTM", "RNN"})


def frames_input(
    inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec], model: str
) -> TensorSpec:
    """The input that a frame goes into. Raises Refused when that is anyone's guess."""
    if not inputs:
        raise Refused(f"{model} has no input tensor")
    found = main_input(inputs, outputs)
    if found is not None:
        return found
    anew = len(fresh(inputs, outputs)) or "none"
    raise Refused(
        f"{model} has {len(inputs)} inputs ({_listed(inputs)}), of which "
        f"{anew} must be given anew for each frame; exactly one must be",
        "export the model with one input, or with its state as inputs and outputs alike",
    )


def carried(
    states: Sequence[TensorSpec], outputs: Sequence[TensorSpec], model: str
) -> dict[TensorSpec, int]:
    """State input -> number of the output whose value it gets before the next invoke.

    Raises Refused, naming the tensor, where an input has no twin or too many.
    """
    for state in states:
        takers = sum(signature(other) == signature(state) for other in states)
        givers = sum(signature(output) == signature(state) for output in outputs)
        if givers != takers:
            raise Refused(
                f"{model}: input tensor '{state.name}' {list(state.shape)} {state.dtype} looks "
                f"like recurrent state, but {givers or 'no'} outputs match it where {takers} should"
            )
    twins = [
        (state, number)
        for state, (number, output) in product(states, enumerate(outputs))
        if signature(state) == signature(output)
    ]
    twins.sort(key=lambda twin: -_likeness(twin[0].name, outputs[twin[1]].name))  # keeps the order
    pairs: dict[TensorSpec, int] = {}
    for state, number in twins:
        if state not in pairs and number not in pairs.values():
            pairs[state] = number
    return pairs


def kept_inside(operators: Sequence[str]) -> bool:
    """Whether the interpreter keeps something from one invoke to the next that nobody can take out
    of it; also where its operators are not known."""
    return not operators or any(name in _REMEMBER or "SEQUENCE" in name for name in operators)


def _likeness(one: str, other: str) -> int:
    """How many letters the names have in common at their end."""
    letters = zip(reversed(one), reversed(other), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], letters))


def _listed(specs: Sequence[TensorSpec]) -> str:
    return ", ".join(f"'{spec.name}' {list(spec.shape)}" for spec in specs)
