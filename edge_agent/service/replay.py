"""Recorded input through the very same pipelines, as fast as it goes, with time as its own part.

Rules (docs/decisions/0006-clock-of-replay.md): every frame in order, none dropped; time is `start`
plus the container's; store and boot are nil in ids; what is printed holds no wall time, no absolute
path, no duration. `batch.py` runs many inputs over several processes.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Any, TypeAlias
from zoneinfo import ZoneInfo

from edge_agent.config.schema import Config
from edge_agent.errors import UsageError
from edge_agent.pipeline.preprocess import Prepared
from edge_agent.pipeline.schedule import Calendar
from edge_agent.pipeline.step import Circumstances
from edge_agent.policy.documents import detections_document, dump, event_document
from edge_agent.ports import Source
from edge_agent.service.assemble import Site, assemble
from edge_agent.service.input import open_input
from edge_agent.service.ledger import frames_row
from edge_agent.service.lookahead import Lookahead
from edge_agent.service.meter import Meter
from edge_agent.service.recorder import Desk, Recorder
from edge_agent.service.report import begin, run_report
from edge_agent.service.runner import Runner, stopwatch
from edge_agent.sources.images import Images
from edge_agent.store.record import Store, open_store
from edge_agent.store.rows import Batch
from edge_agent.types import Broken, Event, Frame, Outcome


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the person asked of a replay."""

    pipelines: tuple[str, ...]
    site: Site
    start: float = 0.0
    real_time: bool = False
    detections: bool = False
    store: Path | None = None  # None: a throw-away one
    publish: bool = False  # alerts into the outbox of a store that stays (the demo shows it)


@dataclass(frozen=True, slots=True)
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
        play.run(open_input(uri, wishes.start, like), name)
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

        `each` sees every outcome, for those who draw or count.
        """
        pace = Pace(self._wishes.start) if self._wishes.real_time else None
        source.open()
        try:
            with Lookahead(source, self._prepare) as ahead:
                for item, ready, took in ahead:
                    self.last = item.time
                    if pace is not None:
                        pace.wait_for(item.time)
                    item = item if isinstance(source, Images) else replace(item, name=name)
                    for place, runner in enumerate(self._runners):
                        outcome = self._one(runner, item, ready[place] if ready else None, took)
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

    def _prepare(self, frame: Frame) -> tuple[Prepared | None, ...]:
        """Preprocess ahead where every frame will be inferred; nothing is wasted then."""
        return tuple(
            runner.assembled.pipeline.prepare(frame) if runner.assembled.pipeline.always else None
            for runner in self._runners
        )

    def _one(
        self, runner: Runner, item: Frame | Broken, ready: Prepared | None, took: float
    ) -> Outcome | None:
        item = replace(item, source=runner.assembled.spec.source)
        runner.account.offer()
        runner.meter.add_one("capture", took)
        if isinstance(item, Broken):
            runner.account.fail()
            if runner is self._runners[0]:
                self.broken.append(item)
            return None
        outcome = runner.work(item, self._around, ready)
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
                    "give --store a folder of its own",
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
