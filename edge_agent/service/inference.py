"""One model asked about single inputs, one after the other: what `infer` says and draws.

The model sees and answers as in a pipeline, but nothing is gated, followed or ruled.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from edge_agent.errors import UsageError
from edge_agent.pipeline.decode import decoder
from edge_agent.pipeline.prepare import preparer
from edge_agent.policy.inference import Inferred
from edge_agent.service.models import Opened
from edge_agent.sources.images import read_picture
from edge_agent.sources.recordings import open_windows
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


def items(
    opened: Opened, files: Iterable[Path]
) -> Iterator[tuple[Path, int | None, Frame | Broken]]:
    """Every input of the files: the picture, or each window with its number. A model that keeps a
    state forgets it before each signal."""
    wanted = opened.spec.input
    for path in files:
        nothing = Broken("infer", 0, 0.0, path.name, "")
        if isinstance(wanted, SignalSpec):
            opened.engine.reset()
            for item in _windows(path, wanted, nothing):
                yield path, item.index, item
        else:
            yield path, None, read_picture(path, nothing)


def _windows(path: Path, wanted: SignalSpec, nothing: Broken) -> Iterator[Frame | Broken]:
    source = open_windows(path, wanted)
    try:
        source.open()
        while (item := source.read()) is not None:
            yield item
    except UsageError as fault:
        yield replace(nothing, reason=fault.message)
    finally:
        source.close()


def _all_points(spec: ModelSpec) -> ModelSpec:
    return replace(spec, min_score=0.0) if spec.family == "pose" else spec
