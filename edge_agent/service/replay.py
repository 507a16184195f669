"""Recorded input through the very same pipelines, as fast as it goes, with time as its own part.

Rules (docs/decisions/0006-clock-of-replay.md): every frame in order, none dropped; time is `start`
plus the container's; store and boot are nil in ids; what is printed holds no wall time, no absolute
path, no duration. `batch.py` runs many inputs over several processes.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import field, replace
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Any, TypeAlias
from zoneinfo import ZoneInfo

from edge_agent.config.effective import NOTHING, Overlay
from edge_agent.config.schema import Config
from edge_agent.errors import EdgeError, SourceLost, UsageError
from edge_agent.frozen import frozen
from edge_agent.pipeline.pace import rates_of
from edge_agent.pipeline.schedule import Calendar
from edge_agent.pipeline.step import Ahead, Circumstances
from edge_agent.policy.documents import detections_document, dump, event_document
from edge_agent.ports import Source
from edge_agent.service.assemble import Site, assemble
from edge_agent.service.input import open_input
from edge_agent.service.ledger import frames_row
from edge_agent.service.lookahead import Belt, Limits
from edge_agent.service.meter import Meter
from edge_agent.service.recorder import Desk, Recorder
from edge_agent.service.report import begin, run_report
from edge_agent.service.runner import Runner, stopwatch
from edge_agent.service.signals import one_signal
from edge_agent.sources.images import Images
from edge_agent.store.record import Store, open_store
from edge_agent.store.rows import Batch
from edge_agent.types import Broken, Event, Frame, Outcome

#: Pictures that wait to be inferred: enough to smooth a slow one, 4 x 1.3 MB at 768x576.
PICTURES = 4
#: A file that gives nothing for so long (a network drive that went away) is given up.
SLOWEST_READ_S = 60.0
#: Answers that wait for tracker and rules.
ANSWERS = 2
SLOWEST_ANSWER_S = 600.0


@frozen
class Wishes:
    """What the person asked of a replay."""

    pipelines: tuple[str, ...]
    site: Site
    start: float = 0.0
    real_time: bool = False
    detections: bool = False
    store: Path | None = None  # None: a throw-away one
    over: Overlay = NOTHING  # what lies over the configuration's file
    publish: bool = False  # alerts into the outbox of a store that stays (the demo shows it)


@frozen
class Replayed:
    """What one input gave: lines as they are printed, and the report."""

    events: tuple[str, ...]
    detections: tuple[str, ...]
    broken: tuple[Broken, ...]
    report: dict[str, Any]
    seen: dict[str, int] = field(default_factory=dict)  # events per rule
    meters: dict[str, Meter] = field(default_factory=dict)  # by pipeline: the report's samples


def replay(uri: str, name: str, config: Config, wishes: Wishes) -> Replayed:
    """One input from its first frame to its last; `name` is what the documents call it.

    Raises UsageError, Refused, SourceLost.
    """
    cost = begin(stopwatch())
    with _store(wishes) as store:
        runners = [runner_of(config, each, wishes, store) for each in wishes.pipelines]
        play = Play(runners, wishes, calendar_of(config))
        like = config.sources[config.pipelines[wishes.pipelines[0]].source]
        models = [runner.assembled.model.input for runner in runners]
        wanted = one_signal(models, runners[0].assembled.spec.source) or models[0]
        rates = _rates(runners, wishes)
        play.run(open_input(uri, wishes.start, like, wanted, rates), name)
        if wishes.store is not None:
            keep_account(store, runners, (wishes.start, play.last))
        report = run_report(runners, cost, stopwatch())
    return Replayed(
        events=play.event_lines(),
        detections=tuple(play.detection_lines),
        broken=tuple(play.broken),
        report=report,
        seen=play.seen,
        meters={runner.name: runner.meter for runner in runners},
    )


def _rates(runners: Sequence[Runner], wishes: Wishes) -> tuple[float, ...]:
    """Of which frames pictures are made: those that the gates would look at anyhow.

    Of all where a gate counts its rate from when its schedule opens, and where a snapshot of any
    frame may be kept: what comes of a replay must not depend on what is saved.
    """
    specs = [runner.assembled.spec for runner in runners]
    scheduled = any(spec.gate.schedule is not None for spec in specs)
    evidence = wishes.store is not None and any(rule.evidence for s in specs for rule in s.rules)
    return () if scheduled or evidence else rates_of(spec.gate.max_fps for spec in specs)


@frozen
class Item:
    """One item of the input on its way, with what was worked out of it ahead, by runner."""

    of: Frame | Broken
    took: float  # seconds of reading it
    ahead: tuple[Ahead | None, ...]


#: Is shown every outcome, in order.
Watcher: TypeAlias = Callable[[Runner, Outcome], None]


class Play:
    """One input in the hands of its pipelines: it is decoded once for all of them."""

    def __init__(self, runners: Sequence[Runner], wishes: Wishes, calendar: Calendar) -> None:
        self._runners = runners
        self._wishes = wishes
        self._around = Circumstances(calendar)
        self._closed: list[tuple[Event, str]] = []
        self.last = wishes.start  # time of the latest item
        self.detection_lines: list[str] = []
        self.broken: list[Broken] = []
        self.seen: dict[str, int] = {}

    def run(self, source: Source, name: str, each: Watcher | None = None) -> None:
        """Every item through every pipeline, then the end of the input closes what is open.

        Three threads: one reads and prepares, one invokes, this one tracks, judges and records.
        `each` sees every outcome, for those who draw or count.
        """
        pace = Pace(self._wishes.start) if self._wishes.real_time else None
        source.open()
        try:
            with (
                Belt("read", self._read(source), _reading(source)) as read,
                Belt("infer", self._infer(read), _inferring()) as inferred,
            ):
                for item in inferred:
                    self.last = item.of.time
                    if pace is not None:
                        pace.wait_for(item.of.time)
                    if not isinstance(source, Images):
                        item = replace(item, of=replace(item.of, name=name))
                    for place, runner in enumerate(self._runners):
                        outcome = self._one(runner, item, place)
                        if outcome is not None and each is not None:
                            each(runner, outcome)
        finally:
            source.close()
        for runner in self._runners:
            self._keep(runner, runner.close(self.last, "ended"))

    def event_lines(self) -> tuple[str, ...]:
        """`event/1` lines ordered by closing, opening, id."""
        order = sorted(
            self._closed, key=lambda pair: (pair[0].closed or 0.0, pair[0].opened, pair[0].id)
        )
        return tuple(line for _, line in order)

    def _read(self, source: Source) -> Iterator[Item]:
        """The input, prepared where every frame will be inferred: nothing is wasted then."""
        pipelines = [runner.assembled.pipeline for runner in self._runners]
        began = stopwatch()
        while (item := source.read()) is not None:
            took = stopwatch() - began
            ready = tuple(
                pipeline.prepare(item) if pipeline.always and isinstance(item, Frame) else None
                for pipeline in pipelines
            )
            yield Item(item, took, ready)
            began = stopwatch()

    def _infer(self, items: Iterable[Item]) -> Iterator[Item]:
        """The models' answers on what was prepared."""
        pipelines = [runner.assembled.pipeline for runner in self._runners]
        for item in items:
            yield replace(
                item,
                ahead=tuple(
                    None if prepared is None else pipeline.infer(prepared)
                    for pipeline, prepared in zip(pipelines, item.ahead, strict=True)
                ),
            )

    def _one(self, runner: Runner, item: Item, place: int) -> Outcome | None:
        of = replace(item.of, source=runner.assembled.spec.source)
        if isinstance(of, Broken) and runner is self._runners[0]:
            self.broken.append(of)
        if isinstance(of, Broken) and not of.counted:
            return None
        runner.account.offer()
        runner.meter.add_one("capture", item.took)
        if isinstance(of, Broken):
            runner.account.fail()
            return None
        outcome = runner.work(of, self._around, item.ahead[place])
        self._keep(runner, runner.last_closed)
        if self._wishes.detections and outcome.skip is None:
            document = detections_document(runner.name, runner.assembled.about.model, outcome)
            self.detection_lines.append(dump(document))
        return outcome

    def _keep(self, runner: Runner, events: tuple[Event, ...]) -> None:
        for event in events:
            self.seen[event.rule] = self.seen.get(event.rule, 0) + 1
            line = dump(event_document(event, runner.assembled.about))
            self._closed.append((event, line))


def _reading(source: Source) -> Limits:
    silence = SourceLost(
        f"source {source.name} gave nothing for {SLOWEST_READ_S:.0f} s",
        "copy the file to a local disk and try again",
    )
    return Limits(PICTURES, SLOWEST_READ_S, silence)


def _inferring() -> Limits:
    silence = EdgeError(
        f"the model gave no answer for {SLOWEST_ANSWER_S:.0f} s",
        "try it alone: edge-agent models test NAME",
    )
    return Limits(ANSWERS, SLOWEST_ANSWER_S, silence)


class Pace:
    """`--speed real`: no frame before its time has come."""

    def __init__(self, start: float) -> None:
        self._offset = time.monotonic() - start

    def wait_for(self, moment: float) -> None:
        time.sleep(max(0.0, moment + self._offset - time.monotonic()))


@contextmanager
def _store(wishes: Wishes) -> Iterator[Store]:
    """The store that was asked for, or one that is gone afterwards."""
    if wishes.store is not None:
        with open_store(wishes.store) as store:
            if store.identity.boot:
                raise UsageError(
                    f"{wishes.store} is the state of a service, not a place for a replay",
                    "name an empty folder, or that of an earlier replay",
                )
            yield store
        return
    with (
        tempfile.TemporaryDirectory(prefix="edge-agent-replay-") as folder,
        open_store(Path(folder)) as store,
    ):
        yield store


def runner_of(config: Config, name: str, wishes: Wishes, store: Store) -> Runner:
    """One pipeline of the configuration, recording into that store."""
    assembled = assemble(config, name, wishes.site, stopwatch)
    store.keep_config(assembled.about.config_sha256, assembled.canonical)
    # A store that stays is for looking at: what was replayed must never be published as alerts.
    publish = wishes.store is None or wishes.publish
    desk = Desk(store, assembled.spec, assembled.about, evidence=wishes.store, publish=publish)
    return Runner(assembled, Recorder(desk))


def keep_account(store: Store, runners: Sequence[Runner], span: tuple[float, float]) -> None:
    """The ledger and the near misses, so that `why --at` can be asked of a replay's store too."""
    frames = tuple(frames_row(runner.name, span, runner.account.window()[0]) for runner in runners)
    judged = tuple(entry for runner in runners for entry in runner.take_journal())
    store.record(Batch(frames=frames, judged=judged))


def calendar_of(config: Config) -> Calendar:
    """UTC unless the configuration names a zone: the host's own is no part of the input."""
    zone: tzinfo = ZoneInfo(config.device.timezone) if config.device.timezone else UTC
    return Calendar(zone)
