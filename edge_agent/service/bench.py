"""What the whole pipeline costs on this board: beside reading the pictures, and beside bare invoke.

The three take turns in short rounds, so that heat and other work meet all alike; the ratio is what
to look at. Every frame is inferred: no gate, so nothing flatters the figure. The pipeline works as
`replay` does: one frame is prepared and one judged while the model looks at the one in between. A
recording is read from its file in every round; the built-in input lies in memory.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC
from pathlib import Path
from statistics import median
from typing import Any

from edge_agent.bundles.find import find
from edge_agent.bundles.manifest import SignalInput
from edge_agent.config.known import part_of
from edge_agent.config.schema import Config
from edge_agent.errors import UsageError
from edge_agent.frozen import frozen
from edge_agent.pipeline.prepare import preparer
from edge_agent.pipeline.schedule import Calendar
from edge_agent.ports import Source
from edge_agent.service.assemble import Site
from edge_agent.service.input import open_input
from edge_agent.service.replay import Play, Wishes, runner_of
from edge_agent.service.report import begin, run_report
from edge_agent.service.runner import Runner, stopwatch
from edge_agent.store.record import open_store
from edge_agent.types import Frame, InputSpec, SignalSpec, SourceInfo

PIPELINE = "bench"
ROUND_S = 0.5
#: Pictures kept in memory, so that reading them does not count.
KEPT = 64
FPS = 30.0
SCENE = "built-in:?seed=7&frames=64&size=320x240"
MACHINE = "built-in:?seed=7&hours=0.05"


@frozen
class Pace:
    """What one way of working did in all its rounds: frames a second, CPU milliseconds a frame."""

    fps: float
    cpu_ms: float


@frozen
class Benched:
    """The pace of each way, and the pipeline's report."""

    reading: Pace
    invoke: Pace
    pipeline: Pace
    report: dict[str, Any]

    @property
    def efficiency(self) -> float:
        return self.pipeline.fps / self.invoke.fps


def bench(model: str, video: str | None, seconds: float, state: Path) -> Benched:
    """Rounds of reading, bare invoke and the pipeline, for about `seconds` in all."""
    cost = begin(stopwatch())
    with _runner(model, state) as runner:
        wanted = runner.assembled.model.input
        uri = video or built_in(wanted)
        turns = _Turns(runner, uri, wanted, kept=video is None)
        laps: dict[str, list[Pace]] = {name: [] for name in turns.work}
        until = time.perf_counter() + seconds
        while time.perf_counter() < until or len(laps["pipeline"]) < 2:
            for name, work in turns.work.items():
                laps[name].append(_pace(work))
        turns.close()
        paces = {name: _middle(each) for name, each in laps.items()}
        report = run_report((runner,), cost, stopwatch())
    found = Benched(paces["reading"], paces["invoke"], paces["pipeline"], report)
    report["invoke_fps"] = round(found.invoke.fps, 1)
    report["efficiency"] = round(found.efficiency, 3)
    report["fps"] = round(found.pipeline.fps, 1)
    return found


class _Turns:
    """One round each: read, invoke, the whole pipeline. A round says how many frames it did."""

    def __init__(
        self, runner: Runner, uri: str, wanted: InputSpec | SignalSpec, *, kept: bool
    ) -> None:
        frames = _frames(uri, wanted)
        self._engine = runner.assembled.engine
        self._tensor = preparer(runner.assembled.model)(frames[0].data).tensor
        self._file = _Again(lambda: open_input(uri, 0.0, None, wanted))
        self._input = _Again(lambda: _Kept(frames)) if kept else self._file
        self._runner = runner
        self._wishes = Wishes((PIPELINE,), Site(Path(), Path()))
        self.work: dict[str, Callable[[], int]] = {
            "reading": self._read,
            "invoke": self._invoke,
            "pipeline": self._play,
        }

    def close(self) -> None:
        self._file.end()
        self._input.end()

    def _read(self) -> int:
        return sum(1 for _ in iter(_Round(self._file).read, None))

    def _invoke(self) -> int:
        invoke, tensor, count = self._engine.invoke, self._tensor, 0
        until = time.perf_counter() + ROUND_S
        while not count or time.perf_counter() < until:  # once, however starved we are
            invoke(tensor)
            count += 1
        return count

    def _play(self) -> int:
        source = _Round(self._input)
        before = self._runner.account.ledger().captured
        Play((self._runner,), self._wishes, Calendar(UTC)).run(source, PIPELINE)
        return self._runner.account.ledger().captured - before


class _Again:
    """An input that begins again at its end, with numbers and times that go on."""

    def __init__(self, make: Callable[[], Source]) -> None:
        self._make = make
        self._source: Source | None = None
        self._count = 0

    def read(self) -> Frame:
        while True:
            if self._source is None:
                self._source = self._make()
                self._source.open()
            item = self._source.read()
            if isinstance(item, Frame):
                self._count += 1
                return Frame(PIPELINE, self._count, self._count / FPS, item.data)
            if item is None:
                self.end()

    def end(self) -> None:
        if self._source is not None:
            self._source.close()
            self._source = None


class _Kept:
    """Frames that lie in memory, as a source."""

    live = False
    name = PIPELINE

    def __init__(self, frames: list[Frame]) -> None:
        self._left = iter(frames)

    def open(self) -> SourceInfo:
        return SourceInfo(None, None, FPS, None)

    def read(self) -> Frame | None:
        return next(self._left, None)

    def close(self) -> None:
        self._left = iter(())


class _Round:
    """As much of an input as one round takes, as a source."""

    live = False
    name = PIPELINE

    def __init__(self, frames: _Again) -> None:
        self._frames = frames
        self._until = time.perf_counter() + ROUND_S
        self._any = False  # there is at least one, however starved we are

    def open(self) -> SourceInfo:
        return SourceInfo(None, None, FPS, None)

    def read(self) -> Frame | None:
        if self._any and time.perf_counter() >= self._until:
            return None
        self._any = True
        return self._frames.read()

    def close(self) -> None:
        """The next round goes on where this one ended."""


def _pace(work: Callable[[], int]) -> Pace:
    began, busy = time.perf_counter(), time.process_time()
    count = work()
    spent, used = time.perf_counter() - began, time.process_time() - busy
    return Pace(count / spent, used / count * 1000)


def _middle(laps: list[Pace]) -> Pace:
    return Pace(median(lap.fps for lap in laps), median(lap.cpu_ms for lap in laps))


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
    return part_of(Config, {"sources": {PIPELINE: kind}, "pipelines": {PIPELINE: pipeline}})


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
