"""The configuration at work, and the sources and pipelines made of it: what replaces both.

Rules: one replacement at a time; with a wrong configuration the last good one goes on; whatever
goes wrong in between, somebody watches afterwards; and none once the agent stops. Read `watch.py`
first.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any

from edge_agent.config.schema import Config
from edge_agent.errors import EdgeError
from edge_agent.frozen import frozen
from edge_agent.host.systemd import Notifier
from edge_agent.service.capture import Capture
from edge_agent.service.runner import Runner
from edge_agent.service.served import keep_served
from edge_agent.service.standin import StoodIn
from edge_agent.service.start import Start
from edge_agent.service.watch import House, Watch

log = logging.getLogger("edge_agent.present")

LINGER_S = 0.05


@frozen
class Around:
    """What a replacement has to do with beside the watch. `stopping` is set once the agent stops;
    `settle` notes what the old pipelines leave, `configure` applies what is not of the watch."""

    starting: Start
    house: House
    notifier: Notifier
    stopping: threading.Event
    settle: Callable[[], object]
    configure: Callable[[Config], None]


class Present:
    """One for the running agent. Any thread may look, or ask for a reload."""

    def __init__(self, around: Around, stood_in: StoodIn) -> None:
        """Load every model. Raises UsageError and Refused before anything has started."""
        self._around = around
        self._started_with = self.config = stood_in.config
        self.watch = Watch(self.config, around.starting.beside, around.house, stood_in.notices)
        self._laid = around.starting.overlay.policies  # at work in it
        self._reloading = threading.Lock()
        self._replacing = threading.Lock()

    @property
    def runners(self) -> Mapping[str, Runner]:
        return self.watch.runners

    @property
    def is_reloading(self) -> bool:
        return self._reloading.locked()

    def start(self) -> None:
        around = self._around
        around.house.store.watching(self.runners, around.house.surroundings.now())
        self.watch.start()

    def end(self, within_s: float) -> None:
        """No replacement any more; one that is stopping the parts does the stop's work so far."""
        self._replacing.acquire(timeout=within_s)

    def keep_served(self) -> None:
        """The pipelines have stopped: for who is on probation, how long they were at work."""
        keep_served(self.watch, self._laid, self._around.house.state)

    def reload(self) -> dict[str, Any]:
        """Read the configuration again; with a wrong one the last good one stays in charge.

        Raises UsageError or Refused with what is wrong. Sources and pipelines are replaced; where
        the broker or the identity changed, a restart is asked for.
        """
        if not self._reloading.acquire(blocking=False):
            raise EdgeError("a reload is under way already", "try again when it has ended")
        starting, notifier = self._around.starting, self._around.notifier
        notifier.reloading()
        try:
            with starting.anew() as config:
                kept = self._needs_restart(config)
                watch = Watch(config, starting.beside, self._around.house)
                self._replace(config, watch)
        finally:
            self._reloading.release()
            notifier.ready()
        log.info("reloaded pipelines=%d", len(watch.runners))
        return {"pipelines": sorted(watch.runners), "needs_restart": kept}

    def reload_on_signal(self) -> None:
        """SIGHUP: nobody waits for an answer, so a mistake goes to the log."""
        try:
            self.reload()
        except EdgeError as fault:
            log.error("not reloaded, the last good configuration stays reason=%r", fault.message)
        except Exception:
            log.exception("not reloaded")

    def rebuild(self) -> None:
        """Another model that no pipeline can go on with: all of them are started anew."""
        beside, notices = self._around.starting.beside, self.watch.notices
        watch = Watch(self.config, beside, self._around.house, notices)
        self._replace(self.config, watch)

    def in_words(self) -> str:
        """What the agent does, in the one line of `systemctl status`."""
        captures: Mapping[str, Capture] = self.watch.captures
        sources = (f"{name} {capture.facts.state}" for name, capture in captures.items())
        return f"{len(self.runners)} pipelines; sources: {', '.join(sources)}"

    # --- below: in call order --------------------------------------------------------------------

    def _needs_restart(self, config: Config) -> list[str]:
        """The keys that a reload does not apply."""
        old = self._started_with
        return [
            key
            for key, changed in (
                ("device", old.device != config.device),
                ("mqtt", old.mqtt != config.mqtt),
                ("store.path", old.store.path != config.store.path),
            )
            if changed
        ]

    def _replace(self, config: Config, watch: Watch) -> None:
        """Not once the agent stops: a stop keeps that lock for good, and who asks may be a thread
        that it waits for."""
        while not self._replacing.acquire(timeout=LINGER_S):
            self._refuse_when_stopping()
        try:
            self._exchange(config, watch)
        finally:
            self._replacing.release()

    def _exchange(self, config: Config, watch: Watch) -> None:
        """Stop the old parts and start the new ones."""
        self._refuse_when_stopping()
        surroundings = self._around.house.surroundings
        try:
            self.watch.stop()
            self.keep_served()
            self._around.settle()
        finally:  # whatever went wrong there: somebody must go on watching
            self._refuse_when_stopping()
            self.config, self.watch = config, watch
            self._laid = self._around.starting.overlay.policies
            self._around.configure(config)
            surroundings.resume(surroundings.paused - frozenset(watch.runners))
            watch.start()
            self._note_watching()

    def _note_watching(self) -> None:
        """What a kill may take of new pipelines begins now; a full disk stops no reload."""
        house = self._around.house
        try:
            house.store.watching(self.runners, house.surroundings.now())
        except EdgeError as refusal:
            log.error("a kill may not declare new pipelines reason=%r", refusal.message)

    def _refuse_when_stopping(self) -> None:
        if self._around.stopping.is_set():
            raise EdgeError("the agent is stopping")
