"""The whole process: what `edge-agent run` starts, and in reverse order stops.

    hold the state directory - store - interrupted events - publisher - sources and pipelines -
    housekeeping - control socket - wait for SIGTERM

What a reload replaces stands in `present.py`, what the running agent is asked in `requests.py`.

Exit codes: 0 stopped as asked; 1 a part failed again and again, or a thread hangs, so that systemd
starts it anew; 130 ctrl-C.
"""

from __future__ import annotations

import gc
import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from edge_agent import __version__
from edge_agent.config.commands import Allowed
from edge_agent.config.explain import resolve_id
from edge_agent.errors import UsageError
from edge_agent.host.board import read_board
from edge_agent.host.clock import Clock
from edge_agent.host.systemd import Notifier
from edge_agent.policy.documents import alert_document, dump
from edge_agent.policy.vigil import Late, Pulse
from edge_agent.service.broker import broker_of
from edge_agent.service.charge import COMMAND
from edge_agent.service.control import ControlServer
from edge_agent.service.housekeeping import LOOK_S, Housekeeping
from edge_agent.service.keeper import KEEPING, Keeper
from edge_agent.service.opening import open_for_service
from edge_agent.service.policies import Policing
from edge_agent.service.policies import Reach as PoliciesReach
from edge_agent.service.present import LINGER_S, Around, Present
from edge_agent.service.proof import Proof
from edge_agent.service.requests import Parts, Requests
from edge_agent.service.runner import STORING
from edge_agent.service.scribe import Scribe
from edge_agent.service.spending import Spending
from edge_agent.service.standin import StoodIn
from edge_agent.service.start import Start
from edge_agent.service.story import Story
from edge_agent.service.supervisor import Group
from edge_agent.service.surroundings import Surroundings
from edge_agent.service.swap import Reach as SwapReach
from edge_agent.service.swap import Swap
from edge_agent.service.thermal import Thermal
from edge_agent.service.timekeeper import start_clock
from edge_agent.service.watch import STOP_S as WATCH_STOP_S
from edge_agent.service.watch import House
from edge_agent.service.watchman import Threads, Watchman
from edge_agent.store.rows import Draft, StoredEvent
from edge_agent.types import Priority
from edge_agent.uplink.inbox import Inbox
from edge_agent.uplink.outbox import Identity
from edge_agent.uplink.publisher import Publisher

if TYPE_CHECKING:
    from edge_agent.service.metrics import Textfile
    from edge_agent.service.updater import Updater

log = logging.getLogger("edge_agent.agent")

#: What each step of a stop gets; together they come near to it only when a thread hangs.
HAND_OVER_S = 2.0
STOP_S = 2.0
SWAP_S = 4.0
#: Since the stop was asked for, until a thread that still runs counts as hanging.
ENDED_S = 4.5
#: Where a thread hangs somebody is blind: whatever can be saved is saved within this time.
HURRY_S = 1.0
#: Where the disk hangs nothing can be: what is under way at the broker gets a moment.
NOTHING_TO_SAVE_S = 0.2
HURRIED_STEP_S = 0.2
#: Ends that somebody asked for: they are no part of a series.
ASKED = (0, 130)


class Agent:
    """One run of the service on one state directory."""

    def __init__(self, config_path: Path, state: Path) -> None:
        """Read the configuration. Raises UsageError with its first mistake."""
        self._state = state
        self._starting = Start(config_path, state)
        self._starting.resume()
        self._config = self._starting.first()  # of the start; `present` knows that at work
        self._stop = threading.Event()
        self._code = 0
        self._hurried = False
        self._saves_s = HURRY_S  # so long a hurried stop may take
        self._spending: Spending | None = None  # where a budget is set
        self._updater: Updater | None = None  # the last to start
        self._inbox: Inbox | None = None  # commands by MQTT, where any is allowed
        self._notifier = Notifier()
        self._reload_wanted = threading.Event()
        self._config_path = config_path

    def run(self) -> int:
        """From start to stop; the exit code."""
        try:
            return self._run()
        except UsageError:
            # A person's mistake, and told: systemd does not start it again.
            if self._starting.marker.has_begun:
                self._starting.marker.stopped()
            raise

    def _run(self) -> int:
        with open_for_service(self._state) as store:
            self._store = store
            stood_in = self._starting.begin(self._config)
            self._config = stood_in.config
            store.named(self._device())
            clock = Clock()
            start_clock(store, clock)
            self._surroundings = Surroundings(clock, self._config.device.timezone)
            # First of all: no fault below may hide from the next boot what this one declares.
            lost = self._unaccounted()
            store.interrupt_open(self._interrupted_alert)
            self._publisher = self._new_publisher(clock)
            self._house = self._new_house()
            proof = Proof(store, self._surroundings, self._house.covered)
            proof.resume()
            self._story = Story(store, self._surroundings.now, self._house.committed)
            for step in self._starting.resumed:
                self._story.tell(step)
            self._present = self._new_present(stood_in)
            self._swap_of = self._new_swap()
            self._policing = self._new_policing()
            self._housekeeping = Housekeeping(
                self._house, lambda: self._present.watch, self._publisher, proof, lost
            )
            self._thermal = Thermal(
                self._config.thermal, self._surroundings, lambda: self._present.runners
            )
            self._requests = self._new_requests()
            self._start()
            gc.enable()  # see cli/run.py
            try:
                self._starting.running()
                self._notifier.ready()
                self._wait()
            finally:
                self._shut_down()
            if self._code in ASKED:
                self._starting.marker.stopped()
        return self._code

    def stop(self) -> None:
        """From another thread: end soon."""
        self._stop.set()

    # --- the parts, in the order of their start --------------------------------------------------

    def _start(self) -> None:
        self._uplink = Group("uplink", self._hopeless)
        self._upkeep = Group("upkeep", self._hopeless)
        self._present.start()
        self._upkeep.start("thermal", self._thermal.run, self._thermal.beat)
        if self._inbox is not None:
            self._upkeep.start("commands", self._inbox.run, self._inbox.beat)
        self._upkeep.start("housekeeping", self._housekeeping.run, self._housekeeping.beat)
        self._upkeep.start("models", self._swap_of.run, self._swap_of.beat)
        self._upkeep.start("policies", self._policing.run, self._policing.beat)
        self._upkeep.start("metrics", self._new_textfile().run)
        control = ControlServer(self._state, self._requests.handlers())
        self._upkeep.start("control", control.run, control.beat)
        keeper = Keeper(self._house, self._state, lambda: self._present.config.store)
        self._upkeep.start("keeper", keeper.run, keeper.beat)
        self._upkeep.start("scribe", Scribe(self._store).run)
        # Last: what these load, the first frame does not wait for.
        if self._publisher is not None:
            self._uplink.start("publisher", self._publisher.run, self._publisher.beat)
        self._updater = updater = self._new_updater()
        self._upkeep.start("updates", updater.run, updater.beat)
        identity = self._store.identity
        log.info(
            "started version=%s store=%s boot=%d pipelines=%d",
            __version__,
            identity.store,
            identity.boot,
            len(self._present.runners),
        )

    def _wait(self) -> None:
        watchman = Watchman(Threads(self._pulses, self._renew, self._give_up), self._notifier)
        while not self._stop.wait(watchman.pause_s):
            if self._reload_wanted.is_set() and not self._present.is_reloading:
                self._reload_wanted.clear()
                # Aside, as for a client of the control socket: trying a model may take a minute.
                reload = self._present.reload_on_signal
                threading.Thread(target=reload, name="reload", daemon=True).start()
            self._surroundings.standstill.beat(self._surroundings.now())
            watchman.look(time.monotonic())
            self._starting.look()
            self._notifier.status(self._present.in_words())
        self._surroundings.standstill.rest()

    def _shut_down(self) -> None:
        """Sources, events, a last summary, the outbox to the broker, `offline`: within 5 s.

        Each step is tried whatever became of the one before it; where a thread hangs, in a hurry.
        """
        self._stop.set()
        by = time.monotonic() + self._at_most(ENDED_S)
        self._notifier.stopping()
        if self._hurried:
            threading.Thread(target=_end_soon, args=(self._saves_s,), daemon=True).start()
        self._present.end(self._at_most(SWAP_S))
        steps: tuple[Callable[[], object], ...] = (
            lambda: self._upkeep.stop(self._at_most(STOP_S)),
            lambda: self._present.watch.stop(self._at_most(WATCH_STOP_S)),
            self._present.keep_served,
            self._settle,
            lambda: self._publisher and self._publisher.hand_over(self._at_most(HAND_OVER_S)),
            lambda: self._uplink.stop(self._at_most(STOP_S)),
        )
        for step in steps:
            try:
                step()
            except Exception:
                # A stop goes on: what could not be done here is told whole, and the rest is done.
                log.exception("a step of the stop failed")
                self._code = 1
        log.info("stopped boot=%d", self._store.identity.boot)
        while (stuck := self._alive()) and time.monotonic() < by:
            time.sleep(LINGER_S)  # a busy board: what is slow does not hang yet
        if stuck:
            # A thread that hangs in a library would keep the process, and its lock, for ever.
            log.error("ending with threads that hang names=%s", ",".join(stuck))
            self._store.close()
            logging.shutdown()
            os._exit(1)

    def _alive(self) -> tuple[str, ...]:
        return (*self._upkeep.alive(), *self._present.watch.alive(), *self._uplink.alive())

    def _settle(self) -> None:
        if self._housekeeping.settle():
            self._store.settled()

    def _at_most(self, seconds: float) -> float:
        return min(seconds, HURRIED_STEP_S) if self._hurried else seconds

    def _pulses(self) -> tuple[Pulse, ...]:
        return self._upkeep.pulses() + self._uplink.pulses() + self._present.watch.pulses()

    def _renew(self, name: str) -> bool:
        return (
            self._upkeep.renew(name) or self._uplink.renew(name) or self._present.watch.renew(name)
        )

    def _give_up(self, late: Late) -> None:
        self._hurried = True
        if late.doing in (STORING, KEEPING):
            self._saves_s = NOTHING_TO_SAVE_S
        self._notifier.status(f"{late.name} hangs: the agent ends, and starts anew")
        self._hopeless(late.name)

    def _hopeless(self, part: str) -> None:
        log.error("the process ends with exit code 1, giving up part=%r", part)
        self._code = 1
        self._stop.set()

    # --- what the parts are made of --------------------------------------------------------------

    def _unaccounted(self) -> dict[str, float]:
        """What the boot before this one did not write: it was killed, or lost power."""
        longest_s = self._config.store.flush_s + LOOK_S
        declared = self._store.declare_unaccounted(self._surroundings.now(), longest_s)
        if declared:
            log.warning(
                "the last run did not stop as asked, its account is incomplete unaccounted_s=%s",
                ",".join(f"{name}:{seconds:.1f}" for name, seconds in declared.items()),
            )
        return declared

    def _new_house(self) -> House:
        publisher = self._publisher
        return House(
            state=self._state,
            store=self._store,
            surroundings=self._surroundings,
            committed=publisher.notify if publisher is not None else lambda: None,
            hopeless=self._hopeless,
            marker=self._starting.marker,
            spending=self._spending,
            views=lambda: self._requests.views(),
        )

    def _new_present(self, stood_in: StoodIn) -> Present:
        around = Around(
            self._starting,
            self._house,
            self._notifier,
            self._stop,
            lambda: self._housekeeping.settle(),
            lambda config: self._thermal.configure(config.thermal),
        )
        return Present(around, stood_in)

    def _new_requests(self) -> Requests:
        return Requests(
            Parts(
                self._house,
                self._starting,
                self._present,
                self._publisher,
                self._housekeeping,
                self._swap_of,
                self._policing,
                lambda: self._updater,
            )
        )

    def _is_held(self) -> bool:
        ota = self._present.config.ota
        return ota is not None and ota.hold

    def _new_swap(self) -> Swap:
        return Swap(
            SwapReach(
                self._state,
                self._config_path,
                self._story,
                lambda: self._present.watch,
                self._present.rebuild,
                lambda: self._surroundings.board.celsius,
                self._is_held,
            )
        )

    def _new_updater(self) -> Updater:
        """Also without a repository: a stick may come."""
        from edge_agent.service.obey import Here
        from edge_agent.service.updater import House as UpdaterHouse
        from edge_agent.service.updater import Updater

        here = Here(
            self._state,
            (self._device(), self._config.device.tags),
            lambda: None if (ota := self._present.config.ota) is None else ota.window,
            lambda: self._surroundings.calendar.tz,
            lambda: self._surroundings.calendar.synced,
        )
        return Updater(
            UpdaterHouse(
                here,
                lambda: self._present.config,
                self._config_path,
                lambda: self._present.watch,
                self._swap_of,
                self._policing,
                self._story,
            )
        )

    def _new_policing(self) -> Policing:
        return Policing(
            PoliciesReach(
                self._state,
                self._config_path,
                self._story,
                lambda: self._present.watch,
                self._present.reload,
                lambda: self._starting.overlay.policies,
                lambda: self._starting.blamed,
            )
        )

    def _new_textfile(self) -> Textfile:
        from edge_agent.service.metrics import Textfile

        now = self._surroundings.now()
        return Textfile(
            self._state, lambda: self._present.watch, self._requests.status, round(now, 3)
        )

    def _new_publisher(self, clock: Clock) -> Publisher | None:
        if self._config.mqtt is None:
            return None
        broker = broker_of(self._config.mqtt, self._device())
        day_mb = self._config.mqtt.budget.mb_per_day
        if day_mb is not None:
            self._spending = Spending(self._store, day_mb, self._surroundings.now)
            broker = replace(broker, meter=self._spending)
        device, identity = self._device(), self._store.identity
        about = self._config.device
        sender = Identity(
            device, identity.store, identity.boot, __version__, about.site, about.tags
        )
        self._inbox = self._new_inbox(sender.base, self._config.mqtt.commands)
        return Publisher(broker, sender, self._store.outbox, clock, self._inbox)

    def _new_inbox(self, base: str, allowed: Allowed) -> Inbox | None:
        if not allowed.names:
            return None
        from edge_agent.service.commands import Reach, handlers  # and what they reach

        reach = Reach(
            state=self._state,
            store=self._store,
            now=self._surroundings.now,
            told=self._surroundings.clock.told,
            runners=lambda: self._present.runners,
            pause=lambda pipeline: self._requests.pause(pipeline),
            resume=lambda pipeline: self._requests.resume(pipeline),
            resent=self._resend,
            check=lambda: self._requests.updater().check_now(),
            rollback=lambda args: self._requests.roll_back(args, COMMAND),
            rollback_policy=lambda args: self._requests.roll_policy_back(args, COMMAND),
        )
        return Inbox(base, handlers(allowed, reach))

    def _resend(self) -> None:
        if self._publisher is not None:
            self._publisher.resend()

    def _device(self) -> str:
        board = read_board()
        return resolve_id(self._config.device.id, board.hostname, board.serial or "")

    # --- signals ---------------------------------------------------------------------------------

    def install_signals(self) -> None:
        """SIGTERM stops, ctrl-C stops with exit code 130, SIGHUP reloads. From the main thread."""
        signal.signal(signal.SIGTERM, lambda *_: self._stop.set())
        signal.signal(signal.SIGINT, lambda *_: self._interrupted())
        signal.signal(signal.SIGHUP, lambda *_: self._reload_wanted.set())

    def _interrupted(self) -> None:
        self._code = 130
        self._stop.set()

    def _interrupted_alert(self, stored: StoredEvent) -> Draft | None:
        """The closing message of an alert that a crash left open."""
        event = stored.event
        if event.priority is not Priority.ALERT or event.closed is None:
            return None
        body = dump(alert_document(event, stored.about))
        return Draft(f"{event.id}/close", "alert", event.closed, body, priority=0)


def _end_soon(within_s: float) -> None:
    """Something may hold whatever an orderly stop needs."""
    time.sleep(within_s)
    os._exit(1)
