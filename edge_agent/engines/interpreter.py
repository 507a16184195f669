"""One loaded model on a TFLite interpreter: all that LiteRT and tflite-runtime have in common.

Rules: one thread at a time; recurrent state goes from output to input inside of `invoke`; every
exception of the runtime leaves as Refused. Read `recurrent.py` and `refusal.py` next.

About copies: the interpreter refuses to run while a numpy view of its memory is alive, and the
caller's loop holds the previous outputs while it asks for the next ones. So the input is copied
into the interpreter's memory and outputs are copied out: 3 and 1 µs for a YOLO of 192 pixels that
takes 2 ms (`benchmarks/engines.py`). What is returned is the caller's own.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_agent.engines import EngineName, Plan, version
from edge_agent.engines.quiet import quiet
from edge_agent.engines.recurrent import carried, frames_input, kept_inside
from edge_agent.engines.refusal import refusal
from edge_agent.errors import Refused, UsageError
from edge_agent.frozen import frozen
from edge_agent.types import TensorSpec

if TYPE_CHECKING:
    from edge_agent.types import Array


@frozen
class Runtime:
    """What a runtime's module offers; both are the same TFLite Python API."""

    name: EngineName
    interpreter: Callable[..., Any]
    load_delegate: Callable[[str], Any]


class InterpreterEngine:
    """`ports.Engine` over a TFLite interpreter.

    `inputs[0]` is the one that `invoke` takes, state inputs follow. `outputs` are all, in the
    model's order. `operators` are the distinct operators of the main graph, in order of first use.
    """

    _interpreter: Any = None  # until the runtime has accepted the model, and after `close`

    def __init__(self, model: bytes, name: str, plan: Plan, runtime: Runtime) -> None:
        self.name: str = runtime.name
        self.version, self.threads = version(runtime.name), plan.threads
        self._model, self._model_name, self._plan, self._runtime = model, name, plan, runtime
        self._start()
        with self._refusing():
            details = self._interpreter.get_input_details()
            inputs, self.outputs = _specs(details), _specs(self._interpreter.get_output_details())
        _check_fixed(details, name)
        main = frames_input(inputs, self.outputs, name)
        states = tuple(spec for spec in inputs if spec is not main)
        self.inputs = (main, *states)
        self.operators = _operators(self._interpreter)
        self._carried = carried(states, self.outputs, name)
        self._clear_states()

    def invoke(self, tensor: Array) -> tuple[Array, ...]:
        """Run the model once on `tensor`, of the shape and dtype of `inputs[0]`.

        Raises Refused when the model cannot run, ValueError for a tensor of another kind.
        """
        interpreter = self._interpreter
        interpreter.set_tensor(self.inputs[0].index, tensor)
        try:
            interpreter.invoke()
        except (RuntimeError, ValueError, MemoryError) as error:
            raise self._refusal(error) from error
        outputs = tuple([interpreter.get_tensor(spec.index) for spec in self.outputs])
        for state, number in self._carried.items():
            interpreter.set_tensor(state.index, outputs[number])
        return outputs

    def reset(self) -> None:
        """Forget recurrent state: carried tensors, variable tensors and resource variables."""
        if "VAR_HANDLE" in self.operators:
            self._start()  # the runtimes offer no other way to clear a resource variable
        else:
            self._interpreter.reset_all_variables()
        self._clear_states()

    @property
    def movable(self) -> bool:
        """Whether all that it remembers can be carried to another interpreter."""
        return self._plan.delegate is None and not kept_inside(self.operators)

    def use(self, threads: int) -> None:
        """Run on so many threads from now on, with the state as it is; loads the model anew."""
        states = {each.index: self._interpreter.get_tensor(each.index) for each in self._carried}
        self._plan = replace(self._plan, threads=threads)
        self._start()
        self.threads = threads
        for index, state in states.items():
            self._interpreter.set_tensor(index, state)

    def close(self) -> None:
        """Give the model's memory back. The engine cannot be used afterwards."""
        self._interpreter = None

    # --- below, in call order -----------------------------------------------------------------

    def _start(self) -> None:
        self._interpreter = None  # never two at a time: memory is short
        with quiet():
            delegates = _delegates(self._plan.delegate, self._runtime)
            with self._refusing():
                self._interpreter = self._runtime.interpreter(
                    model_content=self._model,
                    num_threads=self._plan.threads,
                    experimental_delegates=delegates,
                )
                self._interpreter.allocate_tensors()

    @contextmanager
    def _refusing(self) -> Iterator[None]:
        try:
            yield
        except (RuntimeError, ValueError, MemoryError) as error:
            raise self._refusal(error) from error

    def _refusal(self, error: Exception) -> Refused:
        # Without memory LiteRT raises a RuntimeError that says nothing, tflite-runtime a bad_alloc.
        if self._interpreter is not None and (isinstance(error, MemoryError) or not str(error)):
            error = MemoryError(_largest(self._interpreter))
        return refusal(self._model_name, f"{self.name} {self.version}", error)

    def _clear_states(self) -> None:
        """Set every state to real zero; the runtimes leave inputs as they found the memory."""
        for spec in self._carried:
            zero = spec.zero_points[0] if spec.zero_points else 0
            self._interpreter.set_tensor(spec.index, np.full(spec.shape, zero, spec.dtype))


def _delegates(library: str | None, runtime: Runtime) -> list[Any] | None:
    """The delegate in a list, or None. Raises UsageError when the library is not what it should.

    The library is looked at before the runtime's own loader does: that one leaves half an object
    behind, which complains on stderr when it is collected.
    """
    if library is None:
        return None
    what_next = "install it, or remove `delegate` from the pipeline"
    try:
        if not hasattr(ctypes.CDLL(library), "tflite_plugin_create_delegate"):
            raise UsageError(f"{library} is a library, but no TFLite delegate", what_next)
        return [runtime.load_delegate(library)]
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise UsageError(f"the delegate {library} cannot be used: {reason}", what_next) from None


def _specs(details: list[dict[str, Any]]) -> tuple[TensorSpec, ...]:
    return tuple(_spec(detail) for detail in details)


def _spec(detail: dict[str, Any]) -> TensorSpec:
    quantization = detail["quantization_parameters"]
    return TensorSpec(
        index=int(detail["index"]),
        name=detail["name"],
        shape=tuple(int(size) for size in detail["shape"]),
        dtype=np.dtype(detail["dtype"]).name,
        scales=tuple(float(scale) for scale in quantization["scales"]),
        zero_points=tuple(int(zero) for zero in quantization["zero_points"]),
        axis=int(quantization["quantized_dimension"]),
    )


def _check_fixed(details: list[dict[str, Any]], model: str) -> None:
    """Refuse an input whose size is open, beyond the number of pictures in a batch."""
    for detail in details:
        signature = [int(size) for size in detail["shape_signature"]]
        if -1 in signature[1:]:
            raise Refused(
                f"{model}: input tensor '{detail['name']}' has no fixed size {signature}",
                "convert the model with a fixed input size",
            )


def _largest(interpreter: Any) -> str:
    """The tensor that takes the most memory, in words."""
    spec = max(
        _specs(interpreter.get_tensor_details()),
        key=lambda spec: math.prod(spec.shape) * np.dtype(spec.dtype).itemsize,
    )
    size = math.prod(spec.shape) * np.dtype(spec.dtype).itemsize / 1e6
    return f"tensor '{spec.name}' {list(spec.shape)} {spec.dtype} alone takes {size:,.1f} MB"


def _operators(interpreter: Any) -> tuple[str, ...]:
    """The only list of operators that both runtimes have is private, and not in every version."""
    graph: Any = getattr(interpreter, "_interpreter", None)
    if not hasattr(graph, "NodeName"):
        return ()
    names = [graph.NodeName(node) for node in range(graph.NumNodes())]
    return tuple(dict.fromkeys(name for name in names if name != "DELEGATE"))
