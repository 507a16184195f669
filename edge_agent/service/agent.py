"""The whole process on one screen: what `edge-agent run` starts, and in reverse order stops.

    hold the state directory - store - interrupted events - publisher - sources and pipelines -
    housekeeping - control socket - wait for SIGTERM

Exit codes: 0 stopped as asked; 1 a part failed again and again, so that systemd starts it anew.
"""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edge_agent import __version__
from edge_agent.config.explain import resolve_id
from edge_agent.config.load import refusal
from edge_agent.config.schema import Config
from edge_agent.errors import UsageError
from edge_agent.host.board import read_board
from edge_agent.host.clock import Clock
from edge_agent.policy.documents import About, alert_document, dump
from edge_agent.service.broker import broker_of
from edge_agent.service.check import check
from edge_agent.service.control import ControlServer
from edge_agent.service.housekeeping import Housekeeping
from edge_agent.service.status import live_status
from edge_agent.service.supervisor import Group
from edge_agent.service.surroundings import Surroundings
from edge_agent.service.watch import House, Watch
from edge_agent.store.record import open_store
from edge_agent.store.rows import Draft, StoredEvent
from edge_agent.types import Priority
from edge_agent.uplink.outbox import Identity
from edge_agent.uplink.publisher import Publisher

log = logging.getLogger("edge_agent.agent")

HAND_OVER_S = 2.0
STOP_S = 1.0
WAIT_S = 1.0


class Agent:
    """One run of the service on one state directory."""

    def __init__(self, config_path: Path, state: Path) -> None:
        """Read the configuration. Raises UsageError with its first mistake."""
        self._path = config_path
        self._state = state
        self._config = self._read()
        self._stop = threading.Event()
        self._failed = False
        self._reload_wanted = threading.Event()
        self._reloading = threading.Lock()

    def run(self) -> int:
        """From start to stop; the exit code."""
        with open_store(self._state) as store:
            self._store = store
            store.start()
            store.interrupt_open(interrupted_alert)
            clock = Clock()
            self._surroundings = Surroundings(clock, self._config.device.timezone)
            self._publisher = self._new_publisher(clock)
            self._watch = Watch(self._config, self._path.absolute().parent, self._house())
            self._housekeeping = Housekeeping(
                store, self._surroundings, lambda: self._watch, self._publisher
            )
            self._start()
            try:
                self._wait()
            finally:
                self._shut_down()
        return 1 if self._failed else 0

    def stop(self) -> None:
        """From a signal handler or another thread: end soon."""
        self._stop.set()

    # --- the parts, in the order of their start --------------------------------------------------

    def _start(self) -> None:
        self._uplink = Group("uplink", self._hopeless)
        self._upkeep = Group("upkeep", self._hopeless)
        if self._publisher is not None:
            self._uplink.start("publisher", self._publisher.run)
        self._watch.start()
        self._upkeep.start("housekeeping", self._housekeeping.run)
        self._upkeep.start("control", ControlServer(self._state, self._handlers()).run)
        identity = self._store.identity
        log.info(
            "started version=%s store=%s boot=%d pipelines=%d",
            __version__,
            identity.store,
            identity.boot,
            len(self._watch.runners),
        )

    def _wait(self) -> None:
        while not self._stop.wait(WAIT_S):
            if self._reload_wanted.is_set():
                self._reload_wanted.clear()
                self._reload_on_signal()

    def _shut_down(self) -> None:
        """Sources, events, a last summary, the outbox to the broker, `offline`: within 5 s."""
        self._upkeep.stop(STOP_S)
        self._watch.stop()
        self._housekeeping.settle()
        if self._publisher is not None:
            self._publisher.hand_over(HAND_OVER_S)
        self._uplink.stop(STOP_S)
        log.info("stopped boot=%d", self._store.identity.boot)

    def _hopeless(self, part: str) -> None:
        log.error("giving up part=%s: the process ends with exit code 1", part)
        self._failed = True
        self._stop.set()

    # --- what the parts are made of --------------------------------------------------------------

    def _read(self) -> Config:
        """The configuration, joined with its models. Raises UsageError with the first mistake."""
        report = check(self._path, self._state)
        if report.config is None:
            raise refusal(self._path, report.mistakes)
        return report.config

    def _house(self) -> House:
        publisher = self._publisher
        return House(
            state=self._state,
            store=self._store,
            surroundings=self._surroundings,
            committed=publisher.notify if publisher is not None else lambda: None,
            hopeless=self._hopeless,
        )

    def _new_publisher(self, clock: Clock) -> Publisher | None:
        if self._config.mqtt is None:
            return None
        board, identity = read_board(), self._store.identity
        device = resolve_id(self._config.device.id, board.hostname, board.serial or "")
        sender = Identity(device, identity.store, identity.boot, __version__)
        return Publisher(broker_of(self._config.mqtt, device), sender, self._store.outbox, clock)

    # --- what the control socket asks for --------------------------------------------------------

    def _handlers(self) -> dict[str, Any]:
        return {
            "status": lambda args: self.status(),
            "pause": lambda args: self.pause(args.get("pipeline")),
            "resume": lambda args: self.resume(args.get("pipeline")),
            "reload": lambda args: self.reload(),
        }

    def status(self) -> dict[str, Any]:
        """`status/1` of the running agent."""
        return live_status(self._watch, self._store, self._surroundings, self._publisher)

    def pause(self, pipeline: str | None) -> dict[str, Any]:
        """Every frame of it is skipped as `paused` until `resume`."""
        names = self._named(pipeline)
        self._surroundings.paused |= names
        log.info("paused pipelines=%s", ",".join(sorted(names)))
        return {"paused": sorted(self._surroundings.paused)}

    def resume(self, pipeline: str | None) -> dict[str, Any]:
        names = self._named(pipeline)
        self._surroundings.paused -= names
        log.info("resumed pipelines=%s", ",".join(sorted(names)))
        return {"paused": sorted(self._surroundings.paused)}

    def reload(self) -> dict[str, Any]:
        """Read the configuration again; with a wrong one the last good one stays in charge.

        Raises UsageError or Refused with what is wrong. Sources and pipelines are replaced; where
        the broker or the identity changed, a restart is asked for.
        """
        with self._reloading:
            config = self._read()
            kept = self._needs_restart(config)
            watch = Watch(config, self._path.absolute().parent, self._house())
            self._watch.stop()
            self._housekeeping.settle()
            self._config, self._watch = config, watch
            self._watch.start()
        log.info("reloaded pipelines=%d", len(watch.runners))
        return {"pipelines": sorted(watch.runners), "needs_restart": kept}

    def _reload_on_signal(self) -> None:
        """SIGHUP: nobody waits for an answer, so a mistake goes to the log."""
        from edge_agent.errors import EdgeError

        try:
            self.reload()
        except EdgeError as fault:
            log.error("not reloaded, the last good configuration stays reason=%r", fault.message)

    def _needs_restart(self, config: Config) -> list[str]:
        """The keys that a reload does not apply."""
        old = self._config
        return [
            key
            for key, changed in (
                ("device", old.device != config.device),
                ("mqtt", old.mqtt != config.mqtt),
                ("store.path", old.store.path != config.store.path),
            )
            if changed
        ]

    def _named(self, pipeline: str | None) -> frozenset[str]:
        known = self._watch.runners
        if pipeline is None:
            return frozenset(known)
        if pipeline not in known:
            raise UsageError(
                f"there is no pipeline {pipeline!r}", f"it runs: {', '.join(sorted(known))}"
            )
        return frozenset({pipeline})

    def install_signals(self) -> None:
        """SIGTERM and SIGINT stop, SIGHUP reloads. Only from the main thread."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stop.set())
        signal.signal(signal.SIGHUP, lambda *_: self._reload_wanted.set())


def interrupted_alert(stored: StoredEvent) -> Draft | None:
    """The closing message of an alert that a crash left open."""
    event = stored.event
    if event.priority is not Priority.ALERT or event.closed is None:
        return None
    about: About = stored.about
    body: Mapping[str, Any] = alert_document(event, about)
    return Draft(f"{event.id}/close", "alert", event.closed, dump(body), priority=0)
