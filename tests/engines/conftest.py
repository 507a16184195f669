"""Tiny .tflite models built for one test each: a graph in a few lines, no training, no download.

The models that crash, hang or bloat a runtime are made the same way: a graph that calls itself, a
loop without an end, a tensor of 43 GB. They are valid files, and both runtimes fall for them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as tfl

from edge_agent.engines import EngineName, available


@dataclass
class T:
    """A tensor: `shape`, numpy dtype name, and where needed constant data or quantization."""

    shape: Sequence[int]
    dtype: str = "float32"
    data: Any = None
    scales: Sequence[float] = ()
    zero_points: Sequence[int] = ()
    axis: int = 0
    variable: bool = False
    signature: Sequence[int] | None = None


@dataclass
class Op:
    """An operator: a builtin's name (or `custom`), tensor numbers in and out, its options."""

    name: str
    inputs: Sequence[int]
    outputs: Sequence[int]
    options: Any = None
    version: int = 1
    custom: bool = False


@dataclass
class Graph:
    tensors: Sequence[T]
    ops: Sequence[Op]
    inputs: Sequence[int]
    outputs: Sequence[int]
    names: Sequence[str] = field(default_factory=tuple)


TYPES = {
    "float32": 0, "float16": 1, "int32": 2, "uint8": 3, "int64": 4, "bool": 6, "int16": 7,
    "int8": 9, "resource": 13,
}  # fmt: skip


@pytest.fixture(params=["litert", "tflite-runtime"])
def engine(request: pytest.FixtureRequest) -> EngineName:
    """Each engine in turn; skips the one that this Python has not."""
    if request.param not in available():
        pytest.skip(f"{request.param} is not installed here")
    name: EngineName = request.param
    return name


@pytest.fixture(scope="session")
def tiny() -> Callable[[str], bytes]:
    """`tiny("hangs")`: the bytes of one of the models in MODELS below."""
    return lambda name: _build(*MODELS[name]())


@pytest.fixture
def tiny_file(tmp_path: Path, tiny: Callable[[str], bytes]) -> Callable[[str], Path]:
    """`tiny_file("hangs")`: the path of such a model, `hangs.tflite`."""

    def write(name: str) -> Path:
        path = tmp_path / f"{name}.tflite"
        path.write_bytes(tiny(name))
        return path

    return write


def _build(*graphs: Graph) -> bytes:
    model = tfl.ModelT()
    model.version = 3
    model.buffers = [tfl.BufferT()]
    model.operatorCodes = []
    model.subgraphs = [_subgraph(model, graph) for graph in graphs]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _subgraph(model: Any, graph: Graph) -> Any:
    subgraph = tfl.SubGraphT()
    subgraph.tensors = [
        _tensor(model, tensor, graph.names[i] if i < len(graph.names) else f"tensor_{i}")
        for i, tensor in enumerate(graph.tensors)
    ]
    subgraph.inputs = list(graph.inputs)
    subgraph.outputs = list(graph.outputs)
    subgraph.operators = [_operator(model, op) for op in graph.ops]
    return subgraph


def _tensor(model: Any, tensor: T, name: str) -> Any:
    made = tfl.TensorT()
    made.name = name
    made.shape = list(tensor.shape)
    made.shapeSignature = list(tensor.signature) if tensor.signature else None
    made.type = TYPES[tensor.dtype]
    made.isVariable = tensor.variable
    made.buffer = 0
    if tensor.data is not None:
        buffer = tfl.BufferT()
        raw = np.asarray(tensor.data, tensor.dtype).tobytes()
        buffer.data = np.frombuffer(raw, np.uint8)
        made.buffer = len(model.buffers)
        model.buffers.append(buffer)
    if tensor.scales:
        made.quantization = tfl.QuantizationParametersT()
        made.quantization.scale = list(tensor.scales)
        made.quantization.zeroPoint = list(tensor.zero_points)
        made.quantization.quantizedDimension = tensor.axis
    return made


def _operator(model: Any, op: Op) -> Any:
    code = tfl.OperatorCodeT()
    if op.custom:
        code.builtinCode = code.deprecatedBuiltinCode = tfl.BuiltinOperator.CUSTOM
        code.customCode = op.name
    else:
        number = getattr(tfl.BuiltinOperator, op.name)
        code.builtinCode, code.deprecatedBuiltinCode = number, min(number, 127)
    code.version = op.version
    model.operatorCodes.append(code)
    made = tfl.OperatorT()
    made.opcodeIndex = len(model.operatorCodes) - 1
    made.inputs, made.outputs = list(op.inputs), list(op.outputs)
    if op.options is not None:
        made.builtinOptionsType = getattr(
            tfl.BuiltinOptions, type(op.options).__name__.removesuffix("T")
        )
        made.builtinOptions = op.options
    return made


# --- the models --------------------------------------------------------------------------------


def _options(kind: str, **values: Any) -> Any:
    options = getattr(tfl, f"{kind}OptionsT")()
    for name, value in values.items():
        setattr(options, name, value)
    return options


def _stored(dtype: str, **quantization: Any) -> list[Graph]:
    """Stored numbers become real ones: `real = (stored - zero point) * scale`."""
    source = T([1, 3], dtype, **quantization)
    return [Graph([source, T([1, 3])], [Op("DEQUANTIZE", [0], [1], version=5)], [0], [1])]


def _float16_weights() -> list[Graph]:
    weights = T([4, 4], "float16", 1.5 * np.eye(4))
    ops = [
        Op("DEQUANTIZE", [1], [2], version=3),
        Op("FULLY_CONNECTED", [0, 2, -1], [3], _options("FullyConnected")),
    ]
    return [Graph([T([1, 4]), weights, T([4, 4]), T([1, 4])], ops, [0], [3])]


def _counts() -> list[Graph]:
    """state' = state + 1, seen = picture + state. The state is quantized around 3."""
    state = T([1, 2, 2, 5], "uint8", scales=[1.0], zero_points=[3])
    one = T([1, 2, 2, 5], "uint8", np.full((1, 2, 2, 5), 4), scales=[1.0], zero_points=[3])
    new = T([1, 2, 2, 5], "uint8", scales=[1.0], zero_points=[3])
    ops = [
        Op("ADD", [1, 2], [3], _options("Add")),
        Op("DEQUANTIZE", [1], [4], version=2),
        Op("ADD", [0, 4], [5], _options("Add"), version=2),
    ]
    tensors = [T([1, 2, 2, 1]), state, one, new, T([1, 2, 2, 5]), T([1, 2, 2, 5])]
    return [Graph(tensors, ops, [0, 1], [3, 5], ["picture", "state", "one", "state_out"])]


def _two_pictures() -> list[Graph]:
    shape = [1, 4, 4, 3]
    add = [Op("ADD", [0, 1], [2], _options("Add"))]
    return [Graph([T(shape), T(shape), T(shape)], add, [0, 1], [2], ["left", "right"])]


def _variable_tensor() -> list[Graph]:
    """SVDF of memory 3: the sum of the inputs of the latest three calls."""
    ops = [Op("SVDF", [0, 1, 2, -1, 3], [4], _options("SVDF", rank=1))]
    tensors = [
        T([1, 2]), T([1, 2], data=[[1, 1]]), T([1, 3], data=[[1, 1, 1]]),
        T([1, 3], variable=True), T([1, 1]),
    ]  # fmt: skip
    return [Graph(tensors, ops, [0], [4])]


def _resource_variable() -> list[Graph]:
    """The sum of all inputs so far, kept in a resource that the second graph sets to zero."""
    handle = Op("VAR_HANDLE", [], [1], _options("VarHandle", sharedName="sum"))
    ops = [
        Op("CALL_ONCE", [], [], _options("CallOnce", initSubgraphIndex=1)),
        handle,
        Op("READ_VARIABLE", [1], [2], _options("ReadVariable")),
        Op("ADD", [2, 0], [3], _options("Add")),
        Op("ASSIGN_VARIABLE", [1, 3], [], _options("AssignVariable")),
    ]
    start = [
        Op("VAR_HANDLE", [], [0], handle.options),
        Op("ASSIGN_VARIABLE", [0, 1], [], _options("AssignVariable")),
    ]
    return [
        Graph([T([1, 4]), T([], "resource"), T([1, 4]), T([1, 4])], ops, [0], [3]),
        Graph([T([], "resource"), T([1, 4], data=np.zeros((1, 4)))], start, [], []),
    ]


def _one_operator(op: Op, shape: Sequence[int] = (1, 4), **tensor: Any) -> list[Graph]:
    return [Graph([T(shape, **tensor), T(shape)], [op], [0], [1])]


def _divides_by_input() -> list[Graph]:
    ones = T([1, 4], "int32", np.ones((1, 4)))
    ops = [Op("DIV", [0, 1], [2], _options("Div"))]
    return [Graph([ones, T([1, 4], "int32"), T([1, 4], "int32")], ops, [1], [2])]


def _hangs() -> list[Graph]:
    """while 1 == 1: x = x + 1."""
    loop = Op("WHILE", [0], [1], _options("While", condSubgraphIndex=1, bodySubgraphIndex=2))
    always = [Op("EQUAL", [1, 1], [2])]
    more = [Op("ADD", [0, 1], [2], _options("Add"))]
    return [
        Graph([T([1, 4]), T([1, 4])], [loop], [0], [1]),
        Graph([T([1, 4]), T([1], "int32", [1]), T([1], "bool")], always, [0], [2]),
        Graph([T([1, 4]), T([1, 4], data=np.ones((1, 4))), T([1, 4])], more, [0], [2]),
    ]


def _crashes() -> list[Graph]:
    """A graph whose branch is itself: preparing it runs out of stack."""
    itself = _options("If", thenSubgraphIndex=1, elseSubgraphIndex=1)
    ones = T([1, 4], data=np.ones((1, 4)))
    inner = [T([1, 4]), T([1], "bool", [True]), T([1, 4])]
    return [
        Graph([T([1], "bool"), ones, T([1, 4])], [Op("IF", [0, 1], [2], itself)], [0], [2]),
        Graph(inner, [Op("IF", [1, 0], [2], itself)], [0], [2]),
    ]


MODELS: dict[str, Callable[[], list[Graph]]] = {
    "stored_uint8": lambda: _stored("uint8", scales=[0.5], zero_points=[7]),
    "stored_int8": lambda: _stored("int8", scales=[0.5], zero_points=[-7]),
    "stored_int16": lambda: _stored("int16", scales=[0.5], zero_points=[0]),
    "per_axis": lambda: _stored("int8", scales=[0.5, 0.25, 0.125], zero_points=[0, 0, 0], axis=1),
    "float16_weights": _float16_weights,
    "counts": _counts,
    "two_pictures": _two_pictures,
    "variable_tensor": _variable_tensor,
    "resource_variable": _resource_variable,
    "custom_operator": lambda: _one_operator(Op("MyOwnOp", [0], [1], custom=True)),
    "future_operator": lambda: _one_operator(
        Op("SOFTMAX", [0], [1], _options("Softmax", beta=1.0), version=77)
    ),
    "open_size": lambda: _one_operator(
        Op("RELU", [0], [1]), [1, 1, 1, 3], signature=[-1, -1, -1, 3]
    ),
    "bloated": lambda: _one_operator(Op("NEG", [0], [1]), [1, 60000, 60000, 3]),
    "relu": lambda: _one_operator(Op("RELU", [0], [1])),
    "divides_by_input": _divides_by_input,
    "hangs": _hangs,
    "crashes": _crashes,
}
