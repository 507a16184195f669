"""Looks after the agent's own threads: a look every half second, from the main thread.

Rules: the service manager's watchdog is fed only by a look that finds everybody getting on; so it
also bites when this thread hangs, or the whole process is stopped. Who stands still is told with
the line of code at which it does. Judged is in `policy/vigil.py`; what may be renewed, and what
ends the process, the agent is asked for.
"""

from __future__ import annotations

import logging
import sys
import threading
import traceback
from collections.abc import Callable, Iterable

from edge_agent.frozen import frozen
from edge_agent.host.systemd import Notifier
from edge_agent.policy.vigil import Late, Pulse, Vigil

log = logging.getLogger("edge_agent.watchman")

LOOK_S = 0.5
#: The watchdog is fed at least this many times in its span.
MEALS = 4
#: Calls of a hanging thread that are told, innermost first.
DEPTH = 4


@frozen
class Threads:
    """The agent's threads in the watchman's hands."""

    pulses: Callable[[], Iterable[Pulse]]
    renew: Callable[[str], bool]
    give_up: Callable[[Late], None]


class Watchman:
    """One for a run of the agent. Only the main thread uses it."""

    def __init__(self, threads: Threads, notifier: Notifier) -> None:
        self._threads = threads
        self._notifier = notifier
        self._vigil = Vigil()

    @property
    def pause_s(self) -> float:
        """How long to wait between two looks."""
        return min(LOOK_S, (self._notifier.watchdog_s or 60.0) / MEALS)

    def look(self, now: float) -> None:
        """Judge everybody; `now` is monotonic."""
        late = self._vigil.look(now, self._threads.pulses())
        for each in late:
            log.error(
                "thread hangs name=%r doing=%r seconds=%.1f at=%r",
                each.name,
                each.doing,
                each.seconds,
                whereabouts(each.name),
            )
            if each.hopeless or not self._threads.renew(each.name):
                self._threads.give_up(each)
            else:
                log.warning("thread renewed name=%r", each.name)
        if not late:
            self._notifier.alive()


def whereabouts(name: str) -> str:
    """The calls in which the thread of that name is now, innermost first."""
    frames = sys._current_frames()
    for thread in threading.enumerate():
        if thread.name == name and thread.ident in frames:
            calls = traceback.extract_stack(frames[thread.ident])[-DEPTH:]
            return " < ".join(
                f"{call.filename.rpartition('/')[2]}:{call.lineno} {call.name}"
                for call in reversed(calls)
            )
    return ""
