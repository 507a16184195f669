"""The thread kit: every thread of the agent starts here, and every one ends here.

Rules: a worker is a function that returns soon after the stop event is set. One that raises is
restarted after a pause, within a budget; beyond the budget the whole process stops with exit code
1 and systemd starts it anew. Stopping sets the event first and joins then, newest thread first.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import TypeAlias

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
    thread: threading.Thread | None = None
    failures: deque[float] = field(default_factory=lambda: deque(maxlen=RESTARTS + 1))


class Group:
    """Threads that live and die together. Groups stop in the reverse order of their start."""

    def __init__(self, name: str, on_hopeless: Callable[[str], None]) -> None:
        self.name = name
        self._on_hopeless = on_hopeless
        self._stop = threading.Event()
        self._workers: list[Worker] = []

    def start(self, name: str, work: Work) -> None:
        worker = Worker(name, work)
        worker.thread = threading.Thread(target=self._keep, args=(worker,), name=name, daemon=True)
        self._workers.append(worker)
        worker.thread.start()

    def stop(self, within_s: float, wake: Callable[[], None] = lambda: None) -> tuple[str, ...]:
        """Set the event, then join; the names of those that would not end in time.

        `wake` is called again and again until all have ended: a worker may have looked at the event
        just before, and begin to wait for something now.
        """
        self._stop.set()
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
        return tuple(each.name for each in self._workers if each.thread and each.thread.is_alive())

    def _keep(self, worker: Worker) -> None:
        """Run the worker until it returns; after a failure again, within the budget."""
        while not self._stop.is_set():
            try:
                worker.work(self._stop)
                return
            except Exception:
                # The only place that goes on after an unknown error: it is logged whole, counted,
                # and ends the process when it repeats.
                log.exception("worker failed name=%s", worker.name)
                if not self._may_restart(worker):
                    self._on_hopeless(worker.name)
                    return
                self._stop.wait(PAUSE_S)

    def _may_restart(self, worker: Worker) -> bool:
        now = monotonic()
        worker.failures.append(now)
        recent = [moment for moment in worker.failures if now - moment < WINDOW_S]
        return len(recent) <= RESTARTS
