"""What the whole pipeline costs on this board: beside reading the pictures, and beside bare invoke.

The three take turns in short rounds, so that heat and other work meet all alike; the ratio is what
to look at. Every frame is inferred: no gate, so nothing flatters the figure.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC
from itertools import cycle
from pathlib import Path
from statistics import median
from typing import Any

from edge_agent.bundles.find import find
from edge_agent.bundles.manifest import SignalInput
from edge_agent.config.schema import Config
from edge_agent.errors import UsageError
from edge_agent.pipeline.prepare import preparer
from edge_agent.pipeline.schedule import Calendar
from edge_agent.pipeline.step import Circumstances
from edge_agent.ports import Source
from edge_agent.service.assemble import Site
from edge_agent.service.input import open_input
from edge_agent.service.replay import Wishes, runner_of
from edge_agent.service.report import begin, run_report
from edge_agent.service.runner import Runner, stopwatch
from edge_agent.store.record import open_store
from edge_agent.types import Frame, InputSpec, SignalSpec

PIPELINE = "bench"
ROUND_S = 0.5
#: Pictures kept in memory, so that reading them does not count.
KEPT = 64
SCENE = "built-in:?seed=7&frames=64"
MACHINE = "built-in:?seed=7&hours=0.05"


@dataclass(frozen=True, slots=True)
class Benched:
    """Frames a second of each, and the pipeline's report."""

    reading_fps: float
    invoke_fps: float
    pipeline_fps: float
    report: dict[str, Any]

    @property
    def efficiency(self) -> float:
        return self.pipeline_fps / self.invoke_fps


def bench(model: str, video: str | None, seconds: float, state: Path) -> Benched:
    """Rounds of reading, bare invoke and the pipeline, for about `seconds` in all."""
    cost = begin(stopwatch())
    with _runner(model, state) as runner:
        wanted = runner.assembled.model.input
        uri = video or built_in(wanted)
        turns = _Turns(runner, _frames(uri, wanted), uri)
        fps: dict[str, list[float]] = {name: [] for name in turns.work}
        until = time.perf_counter() + seconds
        while time.perf_counter() < until or len(fps["pipeline"]) < 2:
            for name, once in turns.work.items():
                fps[name].append(_rate(once))
        rates = {name: median(each) for name, each in fps.items()}
        report = run_report((runner,), cost, stopwatch())
    report["invoke_fps"] = round(rates["invoke"], 1)
    report["efficiency"] = round(rates["pipeline"] / rates["invoke"], 3)
    report["fps"] = round(rates["pipeline"], 1)
    return Benched(rates["reading"], rates["invoke"], rates["pipeline"], report)


class _Turns:
    """One call each: read a frame, invoke once, take one frame through the pipeline."""

    def __init__(self, runner: Runner, frames: list[Frame], uri: str) -> None:
        model = runner.assembled.model
        self._runner = runner
        self._frames = cycle(frames)
        self._tensor = preparer(model)(frames[0].data).tensor
        self._uri = uri
        self._wanted = model.input
        self._source: Source | None = None
        self._index = 0
        self._around = Circumstances(Calendar(UTC))
        self.work: dict[str, Callable[[], object]] = {
            "reading": self._read,
            "invoke": lambda: runner.assembled.engine.invoke(self._tensor),
            "pipeline": self._step,
        }

    def _read(self) -> object:
        if self._source is None:
            self._source = open_input(self._uri, 0.0, None, self._wanted)
            self._source.open()
        item = self._source.read()
        if item is None:
            self._source.close()
            self._source = None
        return item

    def _step(self) -> object:
        frame = next(self._frames)
        self._index += 1
        moved = Frame(frame.source, self._index, self._index / 30, frame.data, frame.name)
        self._runner.account.offer()
        return self._runner.work(moved, self._around)


def _rate(once: Callable[[], object]) -> float:
    began = time.perf_counter()
    count = 0
    while (spent := time.perf_counter() - began) < ROUND_S:
        once()
        count += 1
    return count / spent


def built_in(wanted: InputSpec | SignalSpec) -> str:
    """What is read where nothing is said: the scene, or the machine at the model's rate."""
    if isinstance(wanted, SignalSpec):
        return MACHINE if wanted.rate_hz is None else f"{MACHINE}&rate_hz={wanted.rate_hz:g}"
    return SCENE


def _frames(uri: str, wanted: InputSpec | SignalSpec) -> list[Frame]:
    source = open_input(uri, 0.0, None, wanted)
    source.open()
    kept: list[Frame] = []
    try:
        while len(kept) < KEPT and (item := source.read()) is not None:
            if isinstance(item, Frame):
                kept.append(item)
    finally:
        source.close()
    if not kept:
        raise UsageError(f"{uri} has nothing that can be read")
    return kept


def _site(model: str, *, signal: bool) -> Config:
    """One pipeline with rules as people have them."""
    pictures = {
        "zones": {"middle": [[0.2, 0.2], [0.8, 0.2], [0.8, 0.8], [0.2, 0.8]]},
        "rules": [
            {"name": "seen", "zone": "middle", "priority": "alert"},
            {"name": "crowd", "count": 4},
        ],
    }
    signals = {"rules": [{"name": "high", "score_above": 1000.0, "priority": "alert"}]}
    kind = {"kind": "signal", "uri": MACHINE} if signal else {"kind": "scene"}
    pipeline = {
        "source": PIPELINE,
        "model": model,
        "gate": {"max_fps": 0.0, "motion": False},
        **(signals if signal else pictures),
    }
    return Config.model_validate({"sources": {PIPELINE: kind}, "pipelines": {PIPELINE: pipeline}})


@contextmanager
def _runner(model: str, state: Path) -> Iterator[Runner]:
    wanted = find(model, state, Path()).manifest.input
    config = _site(model, signal=isinstance(wanted, SignalInput))
    with (
        tempfile.TemporaryDirectory(prefix="edge-agent-bench-") as folder,
        open_store(Path(folder)) as store,
    ):
        wishes = Wishes((PIPELINE,), Site(state, Path()))
        yield runner_of(config, PIPELINE, wishes, store)
