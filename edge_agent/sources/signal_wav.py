"""A WAV file: PCM of 8, 16, 24 and 32 bits and floats of 32 and 64, in any number of channels.

Rules: integers become numbers in -1..1 (16 bits: divided by 32768), floats stay as they are. A file
that ends before the length that its header states is read to its end, and that is one damage.
Format: Multimedia Programming Interface and Data Specifications 1.0 (IBM, Microsoft, 1991), with
WAVE_FORMAT_EXTENSIBLE; Python's `wave` reads no floats.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from edge_agent.errors import UsageError
from edge_agent.frozen import frozen
from edge_agent.sources.signal import Block, Damage, SamplesInfo, unreadable

#: Samples that are read at a time.
SAMPLES = 4096
_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
#: What a writer that could not seek back leaves for a length.
_UNKNOWN = (0, 0xFFFFFFFF)


@frozen
class Format:
    """How the samples are stored."""

    tag: int
    channels: int
    rate_hz: int
    bits: int

    @property
    def bytes(self) -> int:
        """Of one sample of all channels."""
        return self.channels * self.bits // 8

    @property
    def readable(self) -> bool:
        bits = {_PCM: (8, 16, 24, 32), _FLOAT: (32, 64)}.get(self.tag, ())
        return self.bits in bits and self.channels > 0 and self.rate_hz > 0


class WavFile:
    """One file as samples. It waits for nobody. `channels` by number from 1; () all."""

    live = False
    notes: Mapping[str, int] = {}

    def __init__(self, name: str, path: Path, channels: tuple[int, ...] = ()) -> None:
        self._name = name
        self._path = path
        self._channels = channels
        self._file: BinaryIO | None = None
        self._format = Format(_PCM, 1, 1, 16)
        self._stated: int | None = None  # samples that the header promises
        self._read = 0
        self._fault = ""  # why it is no WAV file

    def open(self) -> SamplesInfo:
        """Raises UsageError when the file is not there. One that is no WAV file opens too: it then
        delivers one damage, so that a batch goes on behind it."""
        self.close()
        try:
            self._file = self._path.open("rb")
        except OSError as fault:
            raise unreadable(self._name, self._path, fault) from None
        self._read, self._fault = 0, ""
        try:
            self._format, length = _header(self._file)
        except ValueError as fault:
            self._fault = f"not a WAV file that can be read: {fault}"
            return SamplesInfo(None, None, file=self._path.name)
        self._stated = None if length in _UNKNOWN else length // self._format.bytes
        self._check_channels()
        count = len(self._channels) or self._format.channels
        return SamplesInfo(
            rate_hz=self._format.rate_hz,
            channels=count,
            samples=self._stated,
            file=self._path.name,
            names=tuple(str(each) for each in self._channels or range(1, count + 1)),
            choosing=f"wav:{self._path}?channels=",
        )

    def read(self) -> Block | Damage | None:
        if self._file is None:
            return None
        if self._fault:
            self.close()
            return Damage(self._fault, fails=True)
        wanted = SAMPLES if self._stated is None else min(SAMPLES, self._stated - self._read)
        data = self._file.read(wanted * self._format.bytes)
        count = len(data) // self._format.bytes
        self._read += count
        if count:
            return Block(self._chosen(_numbers(data, count, self._format)))
        self.close()
        if self._stated is not None and self._read < self._stated:
            reason = f"truncated: it ended after {self._read} of {self._stated} samples"
            return Damage(reason, fails=True)
        return None

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _check_channels(self) -> None:
        there = self._format.channels
        if self._channels and max(self._channels) > there:
            raise UsageError(
                f"source {self._name}: {self._path.name} has no channel {max(self._channels)}",
                f"its channels are 1 to {there}",
            )

    def _chosen(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        return values[:, [each - 1 for each in self._channels]] if self._channels else values


def _header(file: BinaryIO) -> tuple[Format, int]:
    """Format and length of the samples, with the file standing at the first. Raises ValueError."""
    riff, _, wave = _unpacked("<4sI4s", file)
    if (riff, wave) != (b"RIFF", b"WAVE"):
        raise ValueError("it does not begin as one")
    found: Format | None = None
    while True:
        name, length = _unpacked("<4sI", file)
        if name == b"data":
            if found is None:
                raise ValueError("its samples come before their format")
            return found, length
        if name == b"fmt ":
            found = _format(file.read(length + length % 2))
        else:
            file.seek(length + length % 2, 1)  # chunks are padded to whole words


def _format(chunk: bytes) -> Format:
    if len(chunk) < 16:
        raise ValueError("its format is cut off")
    tag, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", chunk)
    if tag == _EXTENSIBLE and len(chunk) >= 26:
        (tag,) = struct.unpack_from("<H", chunk, 24)  # the sub-format begins with the real tag
    found = Format(tag, channels, rate, bits)
    if not found.readable:
        raise ValueError(f"format {tag} of {bits} bits is not decoded (PCM and floats are)")
    return found


def _unpacked(layout: str, file: BinaryIO) -> tuple[Any, ...]:
    data = file.read(struct.calcsize(layout))
    if len(data) < struct.calcsize(layout):
        raise ValueError("it ends within its header")
    return struct.unpack(layout, data)


def _numbers(data: bytes, count: int, form: Format) -> NDArray[np.float32]:
    """(count, channels) float32."""
    raw = np.frombuffer(data, np.uint8, count * form.bytes)
    if form.tag == _FLOAT:
        values = raw.view(f"<f{form.bits // 8}")
    elif form.bits == 8:  # alone unsigned
        values = (raw.astype(np.float32) - 128) / 128
    elif form.bits == 24:
        wide = np.zeros((len(raw) // 3, 4), np.uint8)
        wide[:, 1:] = raw.reshape(-1, 3)  # the upper bytes of 32 bits: the sign comes along
        values = wide.view("<i4")[:, 0] / np.float64(1 << 31)
    else:
        values = raw.view(f"<i{form.bits // 8}") / np.float64(1 << (form.bits - 1))
    return values.reshape(count, form.channels).astype(np.float32)
