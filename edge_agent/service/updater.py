"""Signed rollouts on the running device: when to look at the repository, and when to act.

    check (a process of its own) - orders - one act after the other (`obey.py`) - reports

Rules: the repository is looked at every `ota.check_every_s`, give or take a tenth, so that a fleet
does not come at once; after a failure with back-off. Between two looks the last orders stand: a
window opens, a shadow ends. What fails is tried again after a pause. Nothing here stops a frame.
Read `obey.py` next.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from edge_agent.config.schema import Config, Ota
from edge_agent.errors import EdgeError, NoRoom, Refused
from edge_agent.frozen import frozen
from edge_agent.policy.rollout import Kind, State
from edge_agent.policy.update import DOWNGRADE, REFUSED, Do
from edge_agent.policy.vigil import Beat
from edge_agent.service.obey import About, Done, Here, Obey
from edge_agent.service.ota_acts import Acts, Reach
from edge_agent.service.ota_models import Models
from edge_agent.service.ota_policies import Policies
from edge_agent.service.outlook import AtWork, Ordered
from edge_agent.service.policies import Policing
from edge_agent.service.shadows import Shadows
from edge_agent.service.story import Story
from edge_agent.service.swap import Swap
from edge_agent.service.verdicts import Verdicts
from edge_agent.service.watch import Watch
from edge_agent.updates import errand
from edge_agent.updates.built import built
from edge_agent.updates.errand import Leash, Stopped
from edge_agent.updates.offer import Target
from edge_agent.updates.source import Now, Source, source_of

log = logging.getLogger("edge_agent.updates")

LOOK_S = 1.0
#: After a failure, and doubled with each, up to `check_every_s`.
AGAIN_S = 60.0
#: What failed here is tried again after so long: a full disk is not emptied within seconds.
PAUSE_S = 10.0
#: Where there was nothing to do, there rarely is a second later, and to ask costs 20 ms of a fast
#: core: so long the answer stands, unless a look, a shadow's end or a reload changes it.
IDLE_S = 10.0
#: A child is at work, which its leash ends before: these are for a thread that hangs.
CHECK_S, ACT_S = errand.CHECK_S + 60.0, errand.FETCH_S + 3600.0
#: The pause between two turns, on a busy board.
WAIT_S = 15.0
#: A person with a stick waits at the command line.
STICK_S = 100.0
#: From an offer to charge there are fewer acts than this for one model.
MOST_ACTS = 6


@frozen
class House:
    """What the updater needs of the agent."""

    here: Here
    config: Callable[[], Config]
    config_path: Path
    watch: Callable[[], Watch]
    swap: Swap
    policing: Policing
    story: Story


class Updater:
    """One for the running agent. `run` is its thread; any thread may ask for more."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._stop = threading.Event()
        self._shadows = Shadows(house.watch)
        reach = Reach(
            state=house.here.state,
            config_path=house.config_path,
            verdicts=Verdicts(house.here.state),
            tell=house.story.tell,
            held=lambda: self._ota is not None and self._ota.hold,
            stopped=lambda: self._stop.is_set(),
        )
        self._models = Models(reach, house.swap, self._shadows)
        acts_of: dict[Kind, Acts] = {
            Kind.MODEL: self._models,
            Kind.POLICY: Policies(reach, house.policing),
        }
        self._obey = Obey(house.here, acts_of, self._fetch)
        self.beat = Beat("updates")
        self._acting = threading.Lock()
        self._wanted = threading.Event()  # somebody asks for a look now
        self._failures = 0
        self._due = 0.0
        self._followed = self._ota  # what the last turn went by
        self._resting: dict[About, float] = {}  # until when one is left alone, after a failure
        self._idle: dict[About, float] = {}  # and where there was nothing to do
        self._said: dict[About, str] = {}  # of each, what was logged last
        self._ordered: dict[About, Ordered] = {}  # what people are told of each
        self.failure: EdgeError | None = None  # of the last look

    @property
    def _ota(self) -> Ota | None:
        return self._house.config().ota

    def check_now(self) -> dict[str, Any]:
        """The command `ota-check`: look as soon as possible; what is known of each order so far."""
        self._wanted.set()
        return {"orders": sorted(self._said.values())}

    def at_work(self, kind: Kind) -> AtWork:
        """What is ordered and done now with models, or with policies, for people. Any thread may
        ask."""
        busy, house = self._obey.busy, self._house
        if busy in self._resting:
            busy = None  # what fails again and again is not told to come and go
        going = {Kind.MODEL: house.swap.going, Kind.POLICY: house.policing.going}[kind]
        ordered = {name: each for (of, name), each in dict(self._ordered).items() if of is kind}
        at = busy[1] if busy is not None and busy[0] is kind else None
        compared = self._shadows.compared if kind is Kind.MODEL else None
        return AtWork(ordered, dict(going), at, compared)

    def install(self, folder: Path) -> dict[str, Any]:
        """Carry out what the repository on a stick orders, without waiting for a window; what came
        of it. Raises EdgeErrors."""
        if not self._acting.acquire(timeout=PAUSE_S):
            raise EdgeError("another update is under way", "try again when that has ended")
        self._idle.clear()
        try:
            source = self._at(str(folder))
            offer = errand.check(source, self._house.here.now(), Leash(STICK_S, self._stop.is_set))
            self._obey.take(source, offer.orders)
            done = [each for about in self._obey.names() for each in acts(self._obey, about)]
        finally:
            self._acting.release()
        return {"done": [each.words for each in done]}

    def run(self, stop: threading.Event) -> None:
        """Until `stop`."""
        self._stop = stop
        every = self._ota.check_every_s if self._ota is not None else AGAIN_S
        self._due = time.monotonic() + random.uniform(0, min(every / 10, AGAIN_S))
        try:
            while not stop.wait(LOOK_S):
                self.beat.begin("waiting for an update from a stick", ACT_S)
                with self._acting:
                    self._turn()
                self.beat.begin("waiting", WAIT_S)
        except Stopped:
            pass
        finally:
            self._end_shadow()

    def _end_shadow(self) -> None:
        try:
            self._models.leave_shadow()
        except EdgeError as refusal:  # a full disk: the next start takes it for one cut short
            log.warning("the end of a shadow is not kept reason=%r", refusal.message)

    def _turn(self) -> None:
        ota = self._ota
        self._follow(ota)
        if ota is not None and (self._wanted.is_set() or time.monotonic() >= self._due):
            self._wanted.clear()
            self.beat.begin("checking the repository", CHECK_S)
            self._look(ota)
        ended = self._shadows.look()
        if ended is not None:
            self._obey.shadow_ended(ended)
            self._idle.clear()
        names = self._obey.names()
        self._keep_in_mind(names)
        for about in names:
            until = max(self._resting.get(about, 0.0), self._idle.get(about, 0.0))
            if time.monotonic() >= until:
                self.beat.begin(f"carrying out an order about {about[1]}", ACT_S)
                self._act(about)

    def _follow(self, ota: Ota | None) -> None:
        """A reload changed the configuration: another repository is looked at now, of one that is
        configured no more nothing is carried out."""
        before, self._followed = self._followed, ota
        if ota == before:
            return
        self._failures, self._due = 0, 0.0
        self._idle.clear()
        if ota is None:
            self.failure = None
            self._obey.forget()

    def _look(self, ota: Ota) -> None:
        source = source_of(ota, self._house.here.state, built())
        try:
            offer = errand.check(source, self._house.here.now(), Leash(stopped=self._stop.is_set))
        except EdgeError as fault:
            self.failure = fault
            pause = min(ota.check_every_s, AGAIN_S * 2**self._failures)
            self._failures = min(self._failures + 1, 16)
            log.warning("no check of the repository reason=%r", fault.message)
        else:
            self.failure, self._failures = None, 0
            self._obey.take(source, offer.orders)
            self._idle.clear()
            pause = ota.check_every_s
        self._due = time.monotonic() + pause * random.uniform(0.9, 1.1)

    def _act(self, about: About) -> None:
        try:
            done = self._obey.one(about)
        except Refused as refusal:
            self._idle[about] = time.monotonic() + IDLE_S
            self._say(about, f"refused here: {refusal.message}", comes=False)
        except EdgeError as fault:  # not the order's fault
            self._resting[about] = time.monotonic() + (
                AGAIN_S if isinstance(fault, NoRoom) else PAUSE_S
            )
            self._say(about, f"waits: {fault.message}")
        else:
            self._resting.pop(about, None)
            if done is None or done.act.do is Do.NOTHING:
                self._idle[about] = time.monotonic() + IDLE_S
            if done is None:
                self._said.pop(about, None)
                self._ordered.pop(about, None)
            else:
                self._tell(about, done)

    def _tell(self, about: About, done: Done) -> None:
        """What was done about an order, or why nothing was."""
        act, why = done.act, self._obey.reason(done.rollout)
        says = act.reason if act.do is Do.NOTHING else act.do.value
        if act.reason == REFUSED and why is not None:
            says = f"refused here: {why}"
        comes = act.reason not in (REFUSED, DOWNGRADE) and done.rollout.state is not State.ABORTED
        self._say(about, says, comes=comes)

    def _say(self, about: About, says: str, *, comes: bool = True) -> None:
        rollout = self._obey.counting.get(about)
        if rollout is None:
            return
        stage = rollout.stages[rollout.stage].name
        ordered = Ordered(rollout.id, rollout.version, stage, says, comes)
        self._ordered[about] = ordered
        words = f"{about[1]} {ordered.version}, {ordered.words}"
        if self._said.get(about) != words:  # once per change
            self._said[about] = words
            log.info("order %s=%s %s", *about, words)

    def _keep_in_mind(self, names: tuple[About, ...]) -> None:
        """What is not ordered any more is not told any more."""
        for about in self._ordered.keys() - set(names):
            self._said.pop(about, None)
            self._ordered.pop(about, None)

    def _fetch(self, source: Source, now: Now, target: Target, into: Path) -> Path:
        leash = Leash(errand.FETCH_S, self._stop.is_set)
        return errand.fetch(source, now, target, into, leash)

    def _at(self, folder: str) -> Source:
        ota = self._ota
        if ota is not None:
            return source_of(ota, self._house.here.state, built(), folder)
        return replace(Source(folder, str(self._house.here.state)), built=built())


def acts(obey: Obey, about: About) -> list[Done]:
    """Act after act about one model or policy until there is nothing to do now.

    Raises as an act does.
    """
    done: list[Done] = []
    for _ in range(MOST_ACTS):
        one = obey.one(about, at_once=True)
        if one is None:
            break
        done.append(one)
        if one.act.do is Do.NOTHING:
            break
    return done
