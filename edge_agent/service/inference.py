"""One model asked about single inputs, one after the other: what `infer` says and draws.

The model sees and answers as in a pipeline, but nothing is gated, followed or ruled.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from edge_agent.config.signal_uri import SignalUri
from edge_agent.errors import UsageError
from edge_agent.frozen import frozen
from edge_agent.pipeline.decode import decoder
from edge_agent.pipeline.prepare import preparer
from edge_agent.policy.inference import Inferred
from edge_agent.service.models import Opened
from edge_agent.sources import first_bytes, images, recordings
from edge_agent.sources.images import read_picture
from edge_agent.types import Broken, Frame, ModelSpec, SignalSpec

if TYPE_CHECKING:
    from edge_agent.types import Array


def inference(opened: Opened, *, drawn: bool = False) -> Callable[[str, Array], Inferred]:
    """A function of an input's name and its picture or window.

    Of a pose all key points are given, the doubtful too. `drawn`: with the class of every pixel,
    where the model says that. Raises Refused when the model does not fit its outputs.
    """
    spec, engine = opened.spec, opened.engine
    prepare, decode = preparer(spec), decoder(_all_points(spec))
    classes = None
    if drawn and spec.family == "segmentation":
        from edge_agent.pipeline.decode.segmentation import class_map

        classes = class_map(spec)

    def ask(name: str, data: Array) -> Inferred:
        prepared = prepare(data)
        began = time.perf_counter()
        outputs = engine.invoke(prepared.tensor)
        invoke_ms = (time.perf_counter() - began) * 1000
        pixels = None
        if classes is not None:
            pixels = classes(outputs, prepared, (data.shape[1], data.shape[0]))
        return Inferred(name, engine.name, invoke_ms, decode(outputs, prepared), pixels)

    return ask


@frozen
class Input:
    """A file as a person named it; `uri` where they chose its channels."""

    name: str
    path: Path
    uri: SignalUri | None = None


def items(
    opened: Opened, inputs: Iterable[Input]
) -> Iterator[tuple[Input, int | None, Frame | Broken]]:
    """Every item of the inputs: the picture, or each window with its number. A model that keeps a
    state forgets it before each signal."""
    wanted = opened.spec.input
    for each in inputs:
        nothing = Broken("infer", 0, 0.0, each.path.name, "")
        unfit = _unfit(each, opened.spec)
        if unfit:
            yield each, None, replace(nothing, reason=unfit)
        elif isinstance(wanted, SignalSpec):
            opened.engine.reset()
            for item in _windows(each, wanted, nothing):
                yield each, item.index, item
        else:
            yield each, None, read_picture(each.path, nothing)


def _unfit(each: Input, spec: ModelSpec) -> str:
    """Why a file is not even read, as a sentence about `it`; "" where it is."""
    if not each.path.is_file():  # a device or a pipe might never end
        return f"it is {_what_it_is(each.path)}, and files are read"
    signals, suffix = isinstance(spec.input, SignalSpec), each.path.suffix.lower()
    if signals and (suffix in images.SUFFIXES or first_bytes.is_picture(_head(each.path))):
        return f"it is a picture; model {spec.name} reads signals: .npy, .csv, .wav"
    if not signals and (each.uri or suffix in recordings.SUFFIXES):
        return f"it is a signal; model {spec.name} reads pictures: .jpg, .png, ..."
    return ""


def _what_it_is(path: Path) -> str:
    kinds = {
        "a named pipe": path.is_fifo,
        "a device": lambda: path.is_char_device() or path.is_block_device(),
        "a folder": path.is_dir,
        "a socket": path.is_socket,
    }
    return next((what for what, is_it in kinds.items() if is_it()), "gone")


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(first_bytes.TELLING)
    except OSError:
        return b""  # whoever reads it will say so


def _windows(each: Input, wanted: SignalSpec, nothing: Broken) -> Iterator[Frame | Broken]:
    source = None
    try:
        source = recordings.open_windows(each.path, wanted, each.uri)
        source.open()
        while (item := source.read()) is not None:
            yield item
    except UsageError as fault:
        # The file's name stands in front of the sentence already.
        yield replace(nothing, reason=_about_it(fault.in_one_line, each.path.name))
    finally:
        if source is not None:
            source.close()


def _about_it(sentence: str, name: str) -> str:
    said = sentence.removeprefix(f"source {name}")
    return said.removeprefix(": ") if said.startswith(": ") else re.sub("^ ", "it ", said)


def _all_points(spec: ModelSpec) -> ModelSpec:
    return replace(spec, min_score=0.0) if spec.family == "pose" else spec
