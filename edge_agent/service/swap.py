"""Models that change while the agent runs: tried, put in charge between two frames, watched, kept
or put back.

Rules: one change at a time. What is asked for by the control socket, by a command or by a rollout
comes through `take` and `back`; what another process did to the slots (a person at the device) is
noticed within a second. Read `charge.py` first, `policy/probation.py` for what ends a probation.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edge_agent.bundles import slots
from edge_agent.bundles.bundle import Bundle, open_bundle
from edge_agent.engines import Plan
from edge_agent.engines.choice import choose
from edge_agent.engines.measure import kept
from edge_agent.errors import EdgeError, Refused
from edge_agent.frozen import frozen
from edge_agent.host.process import pss_mb
from edge_agent.policy.ota import Step, Verdict
from edge_agent.policy.probation import Judgement, Outlook, judge, restored, together
from edge_agent.policy.slots import Order, Probation, Served, Terms
from edge_agent.policy.vigil import Beat
from edge_agent.service.charge import (
    CLI,
    PROBATION,
    Reason,
    Request,
    commit,
    folder_in_charge,
    go_back,
    in_charge,
    take_charge,
)
from edge_agent.service.check import misfit
from edge_agent.service.install import sha256_in
from edge_agent.service.models import Demand
from edge_agent.service.resume import begin
from edge_agent.service.runner import Runner
from edge_agent.service.story import Story
from edge_agent.service.watch import Watch

log = logging.getLogger("edge_agent.swap")

LOOK_S = 1.0
#: A look may end in another model: loaded in a child, in as many pipelines as there are.
CHANGE_S = 900.0
#: The pause between two looks, on a busy board.
WAIT_S = 15.0
#: The memory of the whole process costs a walk through /proc.
WEIGH_EVERY = 10


@frozen
class Wish:
    """What somebody asks of a running agent."""

    who: str = CLI
    downgrade: bool = False
    terms: Terms = Terms()
    order: Order | None = None


@frozen
class Reach:
    """The agent as far as a change of models needs it. `rebuild` starts all pipelines anew."""

    state: Path
    config_path: Path
    story: Story
    watch: Callable[[], Watch]
    rebuild: Callable[[], None]
    celsius: Callable[[], float | None]
    held: Callable[[], bool]  # `ota.hold`


class Swap:
    """One for the running agent. Any thread may ask; `run` looks by itself."""

    def __init__(self, reach: Reach) -> None:
        self._reach = reach
        self._state = reach.state
        self._changing = threading.Lock()
        self._memory_mb = 0.0
        self._refused: dict[str, str] = {}
        self._looks = 0
        self.going: dict[str, str] = {}  # of each model on probation, what it still wants
        self.beat = Beat("models")

    # --- what is asked for -----------------------------------------------------------------------

    def take(self, name: str, slot: str, wish: Wish) -> Bundle:
        """Put an installed version in charge. Raises Refused with the reason, EdgeError where
        another change is under way: then nothing is changed."""
        with self._alone():
            folder = slots.models_folder(self._state) / name / slot
            runners = self._reach.watch().of_model(name)
            request = Request(
                folder,
                wish.who,
                self.plans(name, folder),
                every=bool(runners),
                begun=bool(runners),
                downgrade=wish.downgrade,
                held=self._reach.held(),
                terms=wish.terms,
                order=wish.order,
                baseline={each.name: each.showing().document() for each in runners},
            )
            if runners:
                self._must_fit(request, wish)
            bundle = take_charge(request, self._state, self._reach.story.tell)
            if runners:
                self._exchange_or_back(name, wish.who)
            return bundle

    def back(self, name: str, reason: Reason) -> Bundle:
        """The one before, or the factory model, takes charge again. Raises UsageError where there
        is nobody to go back to."""
        with self._alone():
            return self._back(name, reason)

    # --- what is seen ----------------------------------------------------------------------------

    def run(self, stop: threading.Event) -> None:
        """Look once a second. A change under way is not disturbed."""
        while not stop.wait(LOOK_S):
            self.beat.begin("looking at the models", CHANGE_S)
            self.look()
            self.beat.begin("waiting", WAIT_S)

    def look(self) -> None:
        """Feed what is usual, follow what others changed, judge who is on probation."""
        self._reach.story.catch_up()
        self._weigh()
        celsius = self._reach.celsius()
        for runner in self._reach.watch().runners.values():
            runner.look(celsius, self._memory_mb)
        if not self._changing.acquire(blocking=False):
            return
        try:
            for name in self._names():
                self._look_at(name)
        finally:
            self._changing.release()

    def _look_at(self, name: str) -> None:
        try:
            found = slots.read_slots(self._state, name)
            wanted = folder_in_charge(name, found, self._state)
            runs = {each.assembled.bundle.folder for each in self._reach.watch().of_model(name)}
            if wanted is not None and runs and runs != {wanted}:
                begin(self._state, frozenset({name}))
                self._exchange_or_back(name, CLI)
            elif found.probation is not None:
                self._judge(name, found.probation)
            self._refused.pop(name, None)
        except EdgeError as refusal:
            if self._refused.get(name) != refusal.message:  # once per change
                self._refused[name] = refusal.message
                log.error("model cannot be changed name=%s reason=%r", name, refusal.message)

    def _judge(self, name: str, probation: Probation) -> None:
        found = judged(probation, self._reach.watch().of_model(name))
        self.going[name] = found.reason if found.outlook is Outlook.ON else ""
        if found.outlook is Outlook.BACK:
            self._back(name, Reason(found.reason, PROBATION, numbers=found.numbers))
        elif found.outlook is Outlook.KEEP:
            commit(name, found.numbers, self._state, self._reach.story.tell)

    # --- below -----------------------------------------------------------------------------------

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if not self._changing.acquire(timeout=2 * LOOK_S):
            raise EdgeError("another model is being changed", "try again when that has ended")
        try:
            yield
        finally:
            self._changing.release()

    def _names(self) -> tuple[str, ...]:
        used = {each.assembled.spec.model for each in self._reach.watch().runners.values()}
        return tuple(name for name in slots.stated_names(self._state) if name in used)

    def plans(self, name: str, folder: Path) -> tuple[Plan, ...]:
        """What its pipelines will run it on; where it has none, whatever takes it."""
        sha256 = sha256_in(folder)
        runners = self._reach.watch().of_model(name)
        if not runners:
            return Demand().plans(self._state, sha256)
        found = []
        for runner in runners:
            spec = runner.assembled.spec
            choice = choose(spec.engine, spec.threads, kept(self._state, sha256))  # type: ignore[arg-type]
            found.append(Plan(choice.plan.engine, choice.plan.threads, spec.delegate))
        return tuple(dict.fromkeys(found))

    def _must_fit(self, request: Request, wish: Wish) -> None:
        """Raises Refused where a rule of this site cannot be answered by it."""
        try:
            bundle = open_bundle(request.folder)
        except EdgeError:
            return  # `take_charge` says so, and tells it
        fault = misfit(self._reach.config_path, bundle, self._state)
        if fault is None:
            return
        refusal = Refused(
            f"model {bundle.name} {bundle.manifest.version} does not fit the configuration: "
            f"{fault}",
            "correct the rule, or take another version",
        )
        before = in_charge(bundle.name, self._state)
        self._reach.story.tell(
            Step(
                "model", bundle.name, bundle.what, "refused", Verdict.FAILED, wish.who,
                refusal.message, before=before.what if before else None, order=wish.order,
            )
        )  # fmt: skip
        raise refusal

    def _exchange_or_back(self, name: str, who: str) -> None:
        try:
            self._exchange(name)
        except EdgeError as refusal:
            self._back(name, Reason(refusal.message, who))
            raise

    def _exchange(self, name: str) -> None:
        if not self._reach.watch().exchange(name):
            self._reach.rebuild()

    def _back(self, name: str, reason: Reason) -> Bundle:
        bundle = go_back(name, reason, self._state, self._reach.story.tell)
        self._exchange(name)
        return bundle

    def _weigh(self) -> None:
        if self._looks % WEIGH_EVERY == 0:
            self._memory_mb = pss_mb()
        self._looks += 1


def judged(probation: Probation, runners: Iterable[Runner]) -> Judgement:
    """What these pipelines show of a model or policy on probation."""
    return together([_judged(probation, runner) for runner in runners])


def _judged(probation: Probation, runner: Runner) -> Judgement:
    before = restored(probation.baseline.get(runner.name))
    served = probation.served.get(runner.name, Served()).plus(runner.served())
    return judge(probation.terms, before, runner.showing(), served)


def reason_of(args: Mapping[str, Any], who: str) -> Reason:
    """What a person, or a command, says of a rollback."""
    said = str(args.get("reason") or "")
    asked = "asked for by a command" if who != CLI else "asked for at the device"
    return Reason(said or asked, who, Verdict.OK)
