"""The sources and pipelines of one configuration at work: what a reload replaces as a whole.

A thread a source, a thread a pipeline, a thread an output. Stopping ends the sources first, then
the workers, closes every open event as `stopped`, and leaves the outputs as they should be then.
Read `capture.py`, `worker.py` and `outputs.py` next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import field, replace
from itertools import count
from pathlib import Path

from edge_agent.config.schema import Config
from edge_agent.frozen import frozen
from edge_agent.pipeline.camera_events import RULE
from edge_agent.pipeline.pace import rates_of
from edge_agent.pipeline.prepare import blank, preparer
from edge_agent.pipeline.rules import Ident
from edge_agent.pipeline.step import Circumstances
from edge_agent.policy.coverage import Since
from edge_agent.policy.vigil import Pulse
from edge_agent.service.assemble import Assembled, Site, assemble, goes_on
from edge_agent.service.capture import Capture
from edge_agent.service.input import bound_s, max_age_s, source_of
from edge_agent.service.ledger import Account
from edge_agent.service.lookout import Lookout
from edge_agent.service.marker import Marker
from edge_agent.service.outlook import Views
from edge_agent.service.outputs import Outputs
from edge_agent.service.recorder import Desk, Recorder
from edge_agent.service.runner import Runner, stopwatch
from edge_agent.service.sharing import Shared
from edge_agent.service.signals import one_signal
from edge_agent.service.slot import NewestFrame
from edge_agent.service.spending import Spending
from edge_agent.service.standin import Notice
from edge_agent.service.supervisor import Group
from edge_agent.service.surroundings import Surroundings
from edge_agent.service.waiting import GivenUp
from edge_agent.service.windows import Windows
from edge_agent.service.worker import Show, Worker
from edge_agent.store.record import Store
from edge_agent.types import Event, Outcome

#: Seconds after which a worker counts as hanging, half of it for a source; a stop rarely takes one.
STOP_S = 3.0
#: Until a worker comes to its next frame: it may be asking a known question.
CHANGE_S = 90.0


@frozen
class House:
    """What outlives a reload: where things are, who we are, whom to tell."""

    state: Path
    store: Store
    surroundings: Surroundings
    committed: Callable[[], None]
    hopeless: Callable[[str], None]
    marker: Marker | None = None
    spending: Spending | None = None  # where a budget is set
    accounts: dict[str, Account] = field(default_factory=dict)  # by pipeline
    given_up: dict[str, GivenUp] = field(default_factory=dict)  # by pipeline, still to be told
    numbers: dict[str, Iterator[int]] = field(default_factory=dict)  # of frames, by source
    #: By pipeline and rule: until when its coverage is written, and why nobody watched since.
    covered: dict[tuple[str, str], Since] = field(default_factory=dict)
    #: Of models and policies: what is in charge, and what is to come.
    views: Callable[[], Views] = lambda: Views({}, {})


class Watch:
    """Build, start, stop. `runners`, `captures` and `windows` are what `status` reads."""

    def __init__(
        self, config: Config, beside: Path, house: House, notices: tuple[Notice, ...] = ()
    ) -> None:
        """Load every model. Raises UsageError and Refused before anything has started.

        `notices`: what is different in it from the configuration that was written.
        """
        self.config = config
        self._beside = beside
        self.notices = notices
        self._house = house
        self._shared = Shared() if len(config.pipelines) > 1 else None
        self.outputs = Outputs(config.outputs, house.surroundings.now, house.surroundings.told)
        self.runners = {name: self._runner(name) for name in config.pipelines}
        self.windows: dict[str, Windows] = {}
        self.lookouts: dict[str, Lookout] = {}
        self.slots = {name: NewestFrame(runner.account) for name, runner in self.runners.items()}
        self.captures = {name: self._capture(name) for name in config.sources}
        self._sources = Group("sources", house.hopeless)
        self._workers = Group("pipelines", house.hopeless)
        self._switches = Group("outputs", house.hopeless)
        if house.marker is not None:
            models = {name: each.assembled.model.sha256 for name, each in self.runners.items()}
            for name, grip in house.marker.grips(models).items():
                self.runners[name].grip = grip

    def start(self) -> None:
        now = self._house.surroundings.now()
        self.windows = {name: Windows(name, now) for name in self.runners}
        self.lookouts = {name: self._lookout(name, now) for name in self.runners}
        self.outputs.start(self._switches)
        for name, runner in self.runners.items():
            if name in self._house.given_up:
                runner.recorder.undeclared = self._house.given_up.pop(name)
            self._workers.start(f"pipeline {name}", self._worker(name, runner).run, runner.beat)
        for name, capture in self.captures.items():
            self._sources.start(f"source {name}", capture.run, capture.beat)

    def pulses(self) -> tuple[Pulse, ...]:
        """How every thread gets on."""
        return self._sources.pulses() + self._workers.pulses() + self._switches.pulses()

    def renew(self, name: str) -> bool:
        """Start the thread of that name anew; a pipeline's never is, its model is in its hands."""
        return self._sources.renew(name) or self._switches.renew(name)

    def stop(self, within_s: float = STOP_S) -> None:
        """Sources, workers, events, outputs: each, whatever becomes of the others.

        Raises what the closing of events raised, when all is done.
        """
        self._sources.stop(within_s / 2, self._wake)
        stuck = self._workers.stop(within_s)
        now = self._house.surroundings.now()
        with ExitStack() as rest:
            rest.callback(self._switches.stop, within_s, self.outputs.hurry)
            for runner in self.runners.values():
                if f"pipeline {runner.name}" not in stuck:
                    rest.callback(self._abandon, runner)
                    rest.callback(runner.close, now, "stopped")  # this first

    def alive(self) -> tuple[str, ...]:
        """The names of threads that have not ended by now."""
        return self._sources.alive() + self._workers.alive() + self._switches.alive()

    def open_events(self) -> tuple[Event, ...]:
        """Every open event with its values at present."""
        return tuple(event for runner in self.runners.values() for event in runner.open_events())

    def unwell(self) -> tuple[Event, ...]:
        """The open events of cameras that are not well."""
        looked_at = [each for each in self.runners.values() if each.assembled.spec.camera_events]
        events = (event for runner in looked_at for event in runner.open_events())
        return tuple(event for event in events if event.rule == RULE)

    def _wake(self) -> None:
        for capture in self.captures.values():
            capture.wake()

    def _worker(self, name: str, runner: Runner) -> Worker:
        source = self.config.sources[runner.assembled.spec.source]
        return Worker(
            runner,
            self.slots[name],
            self._house.surroundings,
            self._shown_to(name),
            max_age_s(source),
        )

    def _shown_to(self, name: str) -> Show:
        windows, lookout = self.windows[name], self.lookouts[name]
        surroundings, runner = self._house.surroundings, self.runners[name]

        def show(outcome: Outcome, around: Circumstances) -> None:
            windows.add(outcome, surroundings.now() - outcome.frame.time)
            lookout.lying = bool(runner.known.wrong)
            lookout.show(outcome, around.calendar)
            if runner.shadow is not None:
                invoke_s = runner.assembled.pipeline.laps.seconds.get("invoke", 0.0)
                runner.shadow.offer(outcome, around, invoke_s * 1000)

        return show

    def _lookout(self, name: str, now: float) -> Lookout:
        covered = self._house.covered
        before = {rule: since for (pipeline, rule), since in covered.items() if pipeline == name}
        rules, standstill = (
            self.runners[name].assembled.spec.rules,
            self._house.surroundings.standstill,
        )
        return Lookout(rules, now, standstill, before)

    @property
    def state(self) -> Path:
        """The state directory."""
        return self._house.state

    def of_model(self, name: str) -> tuple[Runner, ...]:
        """The pipelines that name a model."""
        every = self.runners.values()
        return tuple(each for each in every if each.assembled.spec.model == name)

    def exchange(self, name: str) -> bool:
        """Have the pipelines of a model go on with what that name stands for now, each between two
        frames. False where one of them cannot go on: its input is of another kind.

        Raises UsageError, Refused, NoRoom of the model; a part of them may have it by then.
        """
        marker = self._house.marker
        for runner in self.of_model(name):
            old, new = runner.assembled, self._assembled(runner.name)
            fits = goes_on(old, new)
            if fits:
                with new.pipeline.turn():  # its first answer takes long: nobody waits for it
                    new.engine.invoke(preparer(new.model)(blank(new.model.input)).tensor)
                    new.engine.reset()
            if marker is not None:
                marker.swapped(runner.name, new.model.sha256 if fits else old.model.sha256)
            if not fits:
                return False
            runner.change_to(new, CHANGE_S)
        if self._shared is not None:
            self._shared.keep([runner.assembled.engine for runner in self.runners.values()])
        return True

    def _assembled(self, name: str) -> Assembled:
        house = self._house
        identity = house.store.identity
        ident = Ident(identity.store, identity.boot)
        site = Site(house.state, self._beside, ident, shared=self._shared)
        if house.marker is not None:
            site = replace(site, loading=house.marker.loading)
        assembled = assemble(self.config, name, site, stopwatch)
        house.store.keep_config(assembled.about.config_sha256, assembled.canonical)
        return assembled

    def _runner(self, name: str) -> Runner:
        house = self._house
        assembled = self._assembled(name)
        desk = Desk(
            house.store,
            assembled.spec,
            assembled.about,
            clock=lambda: house.surroundings.clock_word,
            committed=house.committed,
            evidence=house.state,
            raised=self.outputs.of(assembled.spec),
            patient=True,
        )
        return Runner(assembled, Recorder(desk), house.accounts.setdefault(name, Account()))

    def _abandon(self, runner: Runner) -> None:
        """What its disk did not take the next one tells; after the last one only the log has."""
        if (left := runner.recorder.abandon()).total:
            self._house.given_up[runner.name] = left

    def _capture(self, source: str) -> Capture:
        runners = [
            runner for runner in self.runners.values() if runner.assembled.spec.source == source
        ]
        wanted = one_signal([runner.assembled.model.input for runner in runners], source)
        rates = rates_of(runner.assembled.spec.gate.max_fps for runner in runners)
        return Capture(
            source_of(source, self.config.sources[source], wanted, rates),
            tuple(self.slots[runner.name] for runner in runners),
            self._house.surroundings.now,
            self._house.numbers.setdefault(source, count()),
            bound_s(self.config.sources[source]),
        )
