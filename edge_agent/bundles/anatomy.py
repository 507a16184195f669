"""What a .tflite file says of itself, read without an engine: tensors, operators, metadata.

A file that nobody trusts yet is read here in pure Python: a damaged one raises Refused and cannot
crash the process. Format: TensorFlow Lite `schema.fbs`, version 3. Read `metadata.py` next.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from edge_agent.bundles.metadata import Metadata, read_metadata
from edge_agent.config.wording import printable
from edge_agent.errors import Refused, UsageError
from edge_agent.frozen import frozen
from edge_agent.types import TensorSpec

T = TypeVar("T")

_IDENTIFIER = b"TFL3"
#: A FlatBuffer addresses its parts with 31 bits.
_LARGEST = 1 << 31
#: No list that is read here is longer in a sound file: operators of all graphs are the longest.
_MOST = 100_000
_CUSTOM = 32


@frozen
class Anatomy:
    """Inputs and outputs of the main graph, and what the whole file needs and carries."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]  # SSD's have no shape in the file: it is known once they ran
    operators: tuple[str, ...]  # those that some graph uses, by name
    metadata: Metadata = Metadata()


def model_bytes(path: Path) -> bytes:
    """The content of a file that begins like a model.

    Raises UsageError when it cannot be read, Refused when it is plainly no model.
    """
    try:
        with path.open("rb") as file:
            head = file.read(8)
            if head[4:] != _IDENTIFIER:
                raise Refused(
                    f"{path.name} is empty"
                    if not head
                    else f"{path.name} is not a TensorFlow Lite model (bytes 4 to 8 are not TFL3)",
                    "give a .tflite, a bundle's folder or its .tar",
                )
            if path.stat().st_size > _LARGEST:
                raise Refused(f"{path.name} is larger than 2 GB, which no .tflite can be")
            return head + file.read()
    except OSError as fault:
        raise UsageError(f"{path} cannot be read: {fault.strerror}") from None


def dissect(content: bytes, name: str) -> Anatomy:
    """Read a model's bytes. Raises Refused, calling it `name`, when they are damaged."""
    try:
        return _dissected(content)
    except (struct.error, LookupError, ValueError, TypeError, AttributeError):
        # flatbuffers reads past the end, or finds nonsense: a damaged file, not a fault of ours.
        raise Refused(
            f"{name} is damaged or truncated: its tables cannot be read",
            "copy or export it again",
        ) from None


def _dissected(content: bytes) -> Anatomy:
    from ai_edge_litert import schema_py_generated as schema

    model = schema.Model.GetRootAs(content, 0)
    graphs = _each(model.SubgraphsLength(), model.Subgraphs)
    main = graphs[0]
    return Anatomy(
        inputs=_tensors(schema, main, _each(main.InputsLength(), main.Inputs)),
        outputs=_tensors(schema, main, _each(main.OutputsLength(), main.Outputs)),
        operators=_operators(schema, model, graphs),
        metadata=read_metadata(_metadata(model), content),
    )


def _each(count: int, get: Callable[[int], T]) -> list[T]:
    """The entries of a vector. Raises ValueError for a count that only damage can explain."""
    if count > _MOST:
        raise ValueError(f"{count} entries")
    return [get(index) for index in range(count)]


def _tensors(schema: Any, graph: Any, numbers: list[int]) -> tuple[TensorSpec, ...]:
    known = range(graph.TensorsLength())
    if not all(number in known for number in numbers):
        raise IndexError(numbers)
    return tuple(_tensor(schema, graph.Tensors(number), number) for number in numbers)


def _tensor(schema: Any, tensor: Any, number: int) -> TensorSpec:
    scales: tuple[float, ...] = ()
    zeros: tuple[int, ...] = ()
    axis = 0
    parameters = tensor.Quantization()
    if parameters is not None and parameters.ScaleLength():
        scales = tuple(map(float, _each(parameters.ScaleLength(), parameters.Scale)))
        stored = _each(parameters.ZeroPointLength(), parameters.ZeroPoint)
        zeros = tuple(map(int, stored)) or (0,) * len(scales)
        axis = int(parameters.QuantizedDimension())
    return TensorSpec(
        index=int(number),
        name=_text(tensor.Name()),
        shape=tuple(map(int, _each(tensor.ShapeLength(), tensor.Shape))),
        dtype=_names(schema.TensorType)[tensor.Type()].lower(),
        scales=scales,
        zero_points=zeros,
        axis=axis,
    )


def _operators(schema: Any, model: Any, graphs: list[Any]) -> tuple[str, ...]:
    """Names of the operators in use; the table of codes may list others."""
    builtin = _names(schema.BuiltinOperator)
    codes = _each(model.OperatorCodesLength(), model.OperatorCodes)
    names = [_operator(code, builtin) for code in codes]
    used = {
        node.OpcodeIndex()
        for graph in graphs
        for node in _each(graph.OperatorsLength(), graph.Operators)
    }
    return tuple(sorted({names[index] for index in used}))


def _operator(code: Any, builtin: dict[int, str]) -> str:
    # Old writers fill only the deprecated byte, new ones both: schema.fbs says take the larger.
    number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
    if number == _CUSTOM:
        return _text(code.CustomCode())
    return builtin.get(number, f"operator {number}")  # of a newer runtime than the one here


def _names(enum: Any) -> dict[int, str]:
    return {value: name for name, value in vars(enum).items() if isinstance(value, int)}


def _text(name: bytes | None) -> str:
    return printable((name or b"").decode("utf-8", "replace"))


def _metadata(model: Any) -> bytes | None:
    for entry in _each(model.MetadataLength(), model.Metadata):
        if entry.Name() == b"TFLITE_METADATA":
            buffer = model.Buffers(entry.Buffer())
            return bytes(buffer.DataAsNumpy()) if buffer.DataLength() else None
    return None
