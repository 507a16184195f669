"""The thread kit: every thread of the agent starts here, and every one ends here.

Rules: a worker is a function that returns soon after the stop event is set. One that raises is
restarted after a pause, within a budget; beyond the budget the whole process stops with exit code
1 and systemd starts it anew. One that hangs cannot be ended: `renew` leaves it behind, with its
stop event set, and starts another. Stopping sets the events first and joins then, newest thread
first. Read `watchman.py` next: who finds that one hangs.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import TypeAlias

from edge_agent.policy.vigil import Beat, Pulse

log = logging.getLogger("edge_agent.supervisor")

#: A worker gets the stop event of its group; it must wait on nothing for longer than a second.
Work: TypeAlias = Callable[[threading.Event], None]

RESTARTS = 5  # within WINDOW_S: beyond it a restart of the part has proved useless
WINDOW_S = 60.0
PAUSE_S = 1.0
WAKE_S = 0.2


@dataclass(slots=True)
class Worker:
    name: str
    work: Work
    beat: Beat | None
    stop: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread | None = None
    failures: deque[float] = field(default_factory=lambda: deque(maxlen=RESTARTS + 1))


class Group:
    """Threads that live and die together. Groups stop in the reverse order of their start."""

    def __init__(self, name: str, on_hopeless: Callable[[str], None]) -> None:
        self.name = name
        self._on_hopeless = on_hopeless
        self._stopped = False
        self._workers: list[Worker] = []
        self._left_behind: list[Worker] = []

    def start(self, name: str, work: Work, beat: Beat | None = None) -> None:
        """`beat` is what the worker says of its steps, for `pulses`."""
        worker = Worker(name, work, beat)
        worker.thread = threading.Thread(target=self._keep, args=(worker,), name=name, daemon=True)
        self._workers.append(worker)
        worker.thread.start()

    def pulses(self) -> tuple[Pulse, ...]:
        """Of every worker that is at work and says how it gets on."""
        return tuple(
            each.beat.pulse
            for each in self._workers
            if each.beat is not None and each.thread is not None and each.thread.is_alive()
        )

    def renew(self, name: str) -> bool:
        """Leave a worker that hangs behind and start it anew; False when it is not one of these."""
        for worker in self._workers:
            if worker.name == name and not self._stopped:
                worker.stop.set()
                self._workers.remove(worker)
                self._left_behind.append(worker)
                self.start(name, worker.work, worker.beat)
                return True
        return False

    def stop(self, within_s: float, wake: Callable[[], None] = lambda: None) -> tuple[str, ...]:
        """Set the event, then join; the names of those that would not end in time.

        `wake` is called again and again until all have ended: a worker may have looked at the event
        just before, and begin to wait for something now.
        """
        self._stopped = True
        for worker in self._workers:
            worker.stop.set()
        deadline = monotonic() + within_s
        stuck = []
        for worker in reversed(self._workers):
            if worker.thread is None:
                continue
            while worker.thread.is_alive() and (left := deadline - monotonic()) > 0:
                wake()
                worker.thread.join(min(WAKE_S, left))
            if worker.thread.is_alive():
                stuck.append(worker.name)
        for name in stuck:
            log.warning("thread does not end name=%s within_s=%.1f", name, within_s)
        return tuple(stuck)

    def alive(self) -> tuple[str, ...]:
        """The names of those that have not ended by now."""
        every = (*self._workers, *self._left_behind)
        return tuple(each.name for each in every if each.thread and each.thread.is_alive())

    def _keep(self, worker: Worker) -> None:
        """Run the worker until it returns; after a failure again, within the budget."""
        while not worker.stop.is_set():
            try:
                worker.work(worker.stop)
                return
            except Exception:
                # The only place that goes on after an unknown error: it is logged whole, counted,
                # and ends the process when it repeats.
                log.exception("worker failed name=%s", worker.name)
                if not self._may_restart(worker):
                    self._on_hopeless(worker.name)
                    return
                if worker.beat is not None:
                    worker.beat.begin("pausing after a failure", 2 * PAUSE_S + WAKE_S)
                worker.stop.wait(PAUSE_S)

    def _may_restart(self, worker: Worker) -> bool:
        now = monotonic()
        worker.failures.append(now)
        recent = [moment for moment in worker.failures if now - moment < WINDOW_S]
        return len(recent) <= RESTARTS
