"""Tiny classifiers of pictures with one operator of choice: for models that engines disagree about,
or that crash, hang and fail. `write("hangs", path)`; the names are in MODELS.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as tfl

_TYPES = {"float32": 0, "int32": 2, "bool": 6, "int8": 9}
PICTURE, ROW = (1, 8, 8, 3), (1, 192)
Build = Callable[["Model"], None]


class Model:
    """One model under construction; `graph()` begins a graph, the first is the main one."""

    def __init__(self) -> None:
        self.model = tfl.ModelT()
        self.model.version = 3
        self.model.buffers, self.model.operatorCodes = [tfl.BufferT()], []
        self.model.subgraphs = []

    def graph(self) -> None:
        made = tfl.SubGraphT()
        made.tensors, made.operators, made.inputs, made.outputs = [], [], [], []
        self.model.subgraphs.append(made)

    def tensor(
        self, shape: tuple[int, ...], dtype: str = "float32", data: Any = None, scale: Any = None
    ) -> int:
        graph, made = self.model.subgraphs[-1], tfl.TensorT()
        made.name = f"tensor_{len(graph.tensors)}"
        made.shape, made.type, made.buffer = list(shape), _TYPES[dtype], 0
        if data is not None:
            buffer = tfl.BufferT()
            buffer.data = np.frombuffer(np.asarray(data, dtype).tobytes(), np.uint8)
            made.buffer = len(self.model.buffers)
            self.model.buffers.append(buffer)
        if scale is not None:
            made.quantization = tfl.QuantizationParametersT()
            made.quantization.scale, made.quantization.zeroPoint = [scale], [0]
        graph.tensors.append(made)
        return len(graph.tensors) - 1

    def operator(
        self, name: str, inputs: list[int], outputs: list[int], version: int = 1, **options: Any
    ) -> None:
        code, made = tfl.OperatorCodeT(), tfl.OperatorT()
        number = getattr(tfl.BuiltinOperator, name, tfl.BuiltinOperator.CUSTOM)
        code.builtinCode, code.deprecatedBuiltinCode = number, min(number, 127)
        if number == tfl.BuiltinOperator.CUSTOM:
            code.customCode = name
        code.version = version
        self.model.operatorCodes.append(code)
        made.opcodeIndex = len(self.model.operatorCodes) - 1
        made.inputs, made.outputs = inputs, outputs
        if options:
            kind = name.title().replace("_", "")
            made.builtinOptionsType = getattr(tfl.BuiltinOptions, f"{kind}Options")
            made.builtinOptions = getattr(tfl, f"{kind}OptionsT")()
            for key, value in options.items():
                setattr(made.builtinOptions, key, value)
        self.model.subgraphs[-1].operators.append(made)

    def ends(self, inputs: list[int], outputs: list[int]) -> None:
        graph = self.model.subgraphs[-1]
        graph.inputs, graph.outputs = inputs, outputs

    def reshaped(self, tensor: int, dtype: str = "float32", scale: Any = None) -> int:
        row = self.tensor(ROW, dtype, scale=scale)
        shape = self.tensor((2,), "int32", data=ROW)
        self.operator("RESHAPE", [tensor, shape], [row])
        return row

    def packed(self) -> bytes:
        builder = flatbuffers.Builder(1024)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def write(name: str, path: Path) -> Path:
    """The model of that name in a file."""
    made = Model()
    made.graph()
    MODELS[name](made)
    path.write_bytes(made.packed())
    return path


def write_classifier(path: Path, classes: int, dtype: str) -> Path:
    """A classifier without metadata in which the last class but one loves bright pictures."""
    made = Model()
    made.graph()
    stored = {"float32": (None, None, None), "int8": (1 / 255, 1.0, 1.0)}[dtype]
    picture = made.tensor(PICTURE, dtype, scale=stored[0])
    weights = np.zeros((classes, ROW[1]))
    weights[-2] = 1
    row = made.reshaped(picture, dtype, stored[0])
    loves = made.tensor(weights.shape, dtype, data=weights, scale=stored[1])
    scores = made.tensor((1, classes), dtype, scale=stored[2])
    version = {"float32": 1, "int8": 4}[dtype]
    made.operator("FULLY_CONNECTED", [row, loves, -1], [scores], version, keepNumDims=False)
    made.ends([picture], [scores])
    path.write_bytes(made.packed())
    return path


def _one(name: str, version: int = 1) -> Build:
    def build(made: Model) -> None:
        picture, then = made.tensor(PICTURE), made.tensor(PICTURE)
        made.operator(name, [picture], [then], version)
        made.ends([picture], [made.reshaped(then)])

    return build


def _two_pictures(made: Model) -> None:
    """The sum of two pictures: nobody knows which of them a frame is."""
    one, other, then = made.tensor(PICTURE), made.tensor(PICTURE), made.tensor(PICTURE)
    made.operator("ADD", [one, other], [then], fusedActivationFunction=0)
    made.ends([one, other], [made.reshaped(then)])


def _scale_of_nothing(made: Model) -> None:
    """An int8 tensor of scale 0 crashes LiteRT; tflite-runtime runs it."""
    picture = made.tensor(PICTURE)
    stored = made.tensor(PICTURE, "int8", scale=0.0)
    then = made.tensor(PICTURE, "int8", scale=1 / 256)
    made.operator("QUANTIZE", [picture], [stored])
    made.operator("LOGISTIC", [stored], [then], 2)
    made.ends([picture], [made.reshaped(then, "int8", 1 / 256)])


def _fails(made: Model) -> None:
    """One of the pictures, by an index that is not there."""
    picture, then = made.tensor(PICTURE), made.tensor(PICTURE)
    index = made.tensor((1,), "int32", data=[99])
    made.operator("GATHER", [picture, index], [then], axis=0)
    made.ends([picture], [made.reshaped(then)])


def _hangs(made: Model) -> None:
    """while 1 == 1: x = x + 1."""
    picture, then = made.tensor(PICTURE), made.tensor(PICTURE)
    made.operator("WHILE", [picture], [then], condSubgraphIndex=1, bodySubgraphIndex=2)
    made.ends([picture], [made.reshaped(then)])
    made.graph()
    state, one = made.tensor(PICTURE), made.tensor((1,), "int32", [1])
    same = made.tensor((1,), "bool")
    made.operator("EQUAL", [one, one], [same])
    made.ends([state], [same])
    made.graph()
    state, more, then = made.tensor(PICTURE), made.tensor((1,), data=[1]), made.tensor(PICTURE)
    made.operator("ADD", [state, more], [then], fusedActivationFunction=0)
    made.ends([state], [then])


def _crashes(made: Model) -> None:
    """A graph whose branch is itself: preparing it runs out of stack."""
    branch = {"thenSubgraphIndex": 1, "elseSubgraphIndex": 1}
    picture, then = made.tensor(PICTURE), made.tensor(PICTURE)
    yes = made.tensor((1,), "bool", [True])
    made.operator("IF", [yes, picture], [then], **branch)
    made.ends([picture], [made.reshaped(then)])
    made.graph()
    picture, then = made.tensor(PICTURE), made.tensor(PICTURE)
    yes = made.tensor((1,), "bool", [True])
    made.operator("IF", [yes, picture], [then], **branch)
    made.ends([picture], [then])


MODELS: dict[str, Build] = {
    "plain": _one("RELU"),
    "new_operator": _one("SQRT", version=2),  # LiteRT knows it, tflite-runtime does not
    "scale_of_nothing": _scale_of_nothing,
    "custom_operator": _one("MyOwnOp"),
    "two_pictures": _two_pictures,
    "fails": _fails,
    "hangs": _hangs,
    "crashes": _crashes,
}
