"""Bytes that come in pieces become samples: lines of CSV, or fixed binary records.

Pure. A binary record is the sync word, if there is one, then one number for each channel. Rules:
bytes that are out of step are passed over up to the next sync word; what was lost by that stands
for as many missing samples, so that the others keep their places. Read `signal_stream.py` next.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from edge_agent.frozen import frozen
from edge_agent.sources.csv_lines import LONGEST_LINE, BadLines, Lines
from edge_agent.sources.signal import Block, Damage

_DTYPES = {"i16le": "<i2", "f32le": "<f4"}
_TOO_LONG = b"?"
#: What is lost stands for no more missing samples than this: beyond it no place is worth keeping.
MOST_MISSING = 1 << 16


class Records(Protocol):
    """Takes bytes as they come and keeps the end of them until the rest is there."""

    channels: int | None  # None: not known before the first sample

    @property
    def notes(self) -> Mapping[str, int]: ...

    def add(self, data: bytes) -> Iterator[Block | Damage]:
        """The samples that are complete now."""

    def end(self) -> Iterator[Block | Damage]:
        """What the end of all bytes completes: the last line needs no end of its own."""


@frozen
class BinarySpec:
    """`sync` b"": records follow one another. The numbers are multiplied by `scale`."""

    format: Literal["i16le", "f32le"]
    channels: int = 1
    sync: bytes = b""
    scale: float = 1.0

    @property
    def length(self) -> int:
        """Bytes of a record."""
        return len(self.sync) + self.channels * np.dtype(_DTYPES[self.format]).itemsize


class BinaryRecords:
    """Fixed binary records."""

    def __init__(self, spec: BinarySpec) -> None:
        self.channels: int | None = spec.channels
        self._spec = spec
        self._rest = b""
        self._lost = 0  # bytes out of step, so far
        self._out = 0  # of them those since the last good record
        self._begun = False  # a stream that is entered half-way has lost nothing

    @property
    def notes(self) -> Mapping[str, int]:
        return {"bytes_out_of_step": self._lost}

    def add(self, data: bytes) -> Iterator[Block | Damage]:
        data, length = self._rest + data, self._spec.length
        while len(data) >= length:
            count = self._in_step(data)
            if count:
                if self._out:
                    yield from self._resumed()
                yield Block(self._numbers(data[: count * length], count))
                self._begun = True
                data = data[count * length :]
                continue
            passed = self._to_sync(data)
            self._lost += passed if self._begun else 0
            self._out += passed if self._begun else 0
            data = data[passed:]
        self._rest = data

    def end(self) -> Iterator[Block | Damage]:
        """A piece of a record is none."""
        yield from ()

    def _in_step(self, data: bytes) -> int:
        """How many whole records begin the data."""
        sync, length = self._spec.sync, self._spec.length
        count = len(data) // length
        if not sync:
            return count
        table = np.frombuffer(data, np.uint8, count * length).reshape(count, length)
        good = (table[:, : len(sync)] == np.frombuffer(sync, np.uint8)).all(axis=1)
        return count if good.all() else int(np.argmin(good))

    def _to_sync(self, data: bytes) -> int:
        """How many bytes to pass over: up to the next sync word, or all but what may begin one."""
        place = data.find(self._spec.sync, 1)
        return place if place > 0 else len(data) - len(self._spec.sync) + 1

    def _resumed(self) -> Iterator[Block | Damage]:
        yield Damage(f"{self._out} bytes are out of step")
        lost = min(max(1, round(self._out / self._spec.length)), MOST_MISSING)
        yield Block(np.full((lost, self._spec.channels), np.nan, np.float32))
        self._out = 0

    def _numbers(self, data: bytes, count: int) -> NDArray[np.float32]:
        spec = self._spec
        table = np.frombuffer(data, np.uint8).reshape(count, spec.length)
        numbers = np.ascontiguousarray(table[:, len(spec.sync) :]).view(_DTYPES[spec.format])
        with np.errstate(over="ignore", invalid="ignore"):  # what float32 cannot hold is missing
            return numbers.astype(np.float32) * np.float32(spec.scale)


class LineRecords:
    """Lines of CSV. `entered`: what comes before the first end of a line is the rest of one."""

    channels: int | None = None

    def __init__(self, lines: Lines, *, entered: bool = False) -> None:
        self._lines = lines
        self._rest = b""
        self._entered = entered

    @property
    def notes(self) -> Mapping[str, int]:
        return {"bad_lines": self._lines.bad}

    def add(self, data: bytes) -> Iterator[Block | Damage]:
        *lines, rest = (self._rest + data).split(b"\n")
        # No more than this is kept of a line that does not end: it will be a bad one.
        self._rest = rest if len(rest) <= LONGEST_LINE else _TOO_LONG
        if self._entered and lines:
            del lines[0]
            self._entered = False
        for found in self._lines.read([line.decode("utf-8", "replace") for line in lines]):
            yield found.damage if isinstance(found, BadLines) else found

    def end(self) -> Iterator[Block | Damage]:
        if self._rest:
            yield from self.add(b"\n")
