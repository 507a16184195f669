"""Signals in files, and what a source delivers of them."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_agent.sources.signal import Framing, Signal
from edge_agent.types import Broken, Frame

Items = list[Frame | Broken]


def drained(source: Any) -> Items:
    """Every item of a recorded source, from its opening to its end."""
    source.open()
    items = []
    while (item := source.read()) is not None:
        items.append(item)
    source.close()
    return items


@pytest.fixture
def items() -> Callable[[Any], Items]:
    return drained


@pytest.fixture
def windows() -> Callable[..., Items]:
    """`windows(samples, window=4, hop=2, rate_hz=100)`: what a Signal makes of the samples."""

    def cut(samples: Any, window: int = 4, hop: int | None = None, **framing: Any) -> Items:
        return drained(Signal("motor", samples, Framing(window, hop or window, **framing)))

    return cut


@pytest.fixture
def wav(tmp_path: Path) -> Callable[..., Path]:
    """`wav(values, rate, tag, bits)`: a WAV file of (n, channels) whole numbers or floats."""

    def write(values: Any, rate: int = 8000, tag: int = 1, bits: int = 16, **change: Any) -> Path:
        array = np.asarray(values)
        array = array[:, None] if array.ndim == 1 else array
        if tag == 3:
            data = array.astype(f"<f{bits // 8}").tobytes()
        elif bits == 8:
            data = array.astype(np.uint8).tobytes()
        elif bits == 24:
            data = array.astype("<i4").tobytes()
            data = b"".join(data[i : i + 3] for i in range(0, len(data), 4))
        else:
            data = array.astype(f"<i{bits // 8}").tobytes()
        channels = array.shape[1]
        whole = channels * bits // 8
        form = struct.pack("<HHIIHH", tag, channels, rate, rate * whole, whole, bits)
        form = change.get("form", form)
        chunks = change.get("before", b"") + b"fmt " + struct.pack("<I", len(form)) + form
        stated = change.get("stated", len(data))
        chunks += b"LIST\x03\x00\x00\x00abc\x00data" + struct.pack("<I", stated)
        path = tmp_path / change.get("name", "motor.wav")
        head = b"RIFF" + struct.pack("<I", 4 + len(chunks) + len(data)) + b"WAVE"
        path.write_bytes(head + chunks + data)
        return path

    return write
