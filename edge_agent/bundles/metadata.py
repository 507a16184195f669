"""What the maker of a .tflite wrote beside the network: normalization, and a label file.

Format: TensorFlow Lite Metadata, `metadata_schema.fbs` (a FlatBuffer inside the model), with files
as zip members behind the model. Ultralytics writes its labels as such a member too, as
`metadata.json` or as a dictionary in `temp_meta.txt`. What is damaged counts as not written: the
guesses then say so. Read `guess.py` next.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

from edge_agent.frozen import frozen

#: (mean, std), each a value per channel or one for all.
Normalization: TypeAlias = "tuple[tuple[float, ...], tuple[float, ...]]"

#: A label file larger than this is none.
_LARGEST_FILE = 4_000_000
#: Fields of the metadata tables: 4 + 2 x the field's position in the schema.
_SUBGRAPHS, _INPUT_TENSORS, _OUTPUT_TENSORS = 10, 8, 10
_PROCESS_UNITS, _FILES = 12, 16
_OPTIONS_TYPE, _OPTIONS, _NORMALIZATION = 4, 6, 1
_MEAN, _STD = 4, 6
_FILE_NAME, _FILE_TYPE = 4, 8
_AXIS_LABELS, _VALUE_LABELS = 2, 3
_MOST = 1024
_ULTRALYTICS = ("metadata.json", "temp_meta.txt", "meta.txt")


@frozen
class Metadata:
    """None where nothing is written."""

    normalization: Normalization | None = None
    labels: tuple[str, bytes] | None = None  # a label file's name and content


def read_metadata(written: bytes | None, content: bytes) -> Metadata:
    """`written` is the metadata's own FlatBuffer, `content` the whole model file."""
    normalization, named = None, []
    if written:
        try:
            normalization, named = _normalization(written), list(_label_files(written))
        except (struct.error, LookupError, ValueError, TypeError):
            normalization, named = None, []
    return Metadata(normalization, _attached(content, named))


def _attached(content: bytes, named: list[str]) -> tuple[str, bytes] | None:
    """The label file: one that the metadata calls so, else one whose name does."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            name = _choose(archive.namelist(), named)
            if name is None or archive.getinfo(name).file_size > _LARGEST_FILE:
                return None
            return name, archive.read(name)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError):
        return None  # no archive, or a damaged or encrypted one


def _choose(members: list[str], named: list[str]) -> str | None:
    texts = [member for member in members if Path(member).suffix.lower() == ".txt"]
    wanted = [
        *named,
        *_ULTRALYTICS,
        *(text for text in texts if "label" in text.lower()),
        *(texts if len(texts) == 1 else ()),
    ]
    return next((name for name in wanted if name in members), None)


# --- the metadata's FlatBuffer -----------------------------------------------------------------


def _normalization(written: bytes) -> Normalization | None:
    """mean and std of the first input tensor's NormalizationOptions, where they stand."""
    for tensor in _tensors(written, _INPUT_TENSORS)[:1]:
        for unit in _tables(tensor, _PROCESS_UNITS):
            kind, options = unit.Offset(_OPTIONS_TYPE), unit.Offset(_OPTIONS)
            if kind and options and unit.Bytes[unit.Pos + kind] == _NORMALIZATION:
                table = _table(written, unit.Indirect(unit.Pos + options))
                mean, std = _floats(table, _MEAN), _floats(table, _STD)
                return (mean, std) if mean and std else None
    return None


def _label_files(written: bytes) -> Iterator[str]:
    """Names of the files that hold labels of an output."""
    for tensor in _tensors(written, _OUTPUT_TENSORS):
        for file in _tables(tensor, _FILES):
            name, kind = file.Offset(_FILE_NAME), file.Offset(_FILE_TYPE)
            if name and kind and file.Bytes[file.Pos + kind] in (_AXIS_LABELS, _VALUE_LABELS):
                yield file.String(file.Pos + name).decode("utf-8", "replace")


def _tensors(written: bytes, side: int) -> list[Any]:
    """Metadata of the first graph's inputs or outputs."""
    root = _table(written, int(struct.unpack_from("<I", written, 0)[0]))
    return [each for graph in _tables(root, _SUBGRAPHS)[:1] for each in _tables(graph, side)]


def _table(data: bytes, position: int) -> Any:
    from flatbuffers.table import Table

    return Table(data, position)


def _tables(table: Any, slot: int) -> list[Any]:
    offset = table.Offset(slot)
    if not offset:
        return []
    start = table.Vector(offset)
    count = min(table.VectorLen(offset), _MOST)
    return [_table(table.Bytes, table.Indirect(start + 4 * i)) for i in range(count)]


def _floats(table: Any, slot: int) -> tuple[float, ...]:
    offset = table.Offset(slot)
    if not offset:
        return ()
    count = min(table.VectorLen(offset), 16)
    return tuple(struct.unpack_from(f"<{count}f", table.Bytes, table.Vector(offset)))
