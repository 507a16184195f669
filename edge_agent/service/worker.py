"""One pipeline's thread: the newest frame, its way, its record, until the stop event.

Read `runner.py` next, then `pipeline/step.py`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeAlias

from edge_agent.pipeline.step import Circumstances
from edge_agent.service.runner import Runner
from edge_agent.service.slot import NewestFrame
from edge_agent.service.surroundings import MAX_AGE_S, Surroundings
from edge_agent.types import Outcome

#: How long a worker waits for a frame before it looks at the stop event again.
WAIT_S = 0.5
#: Waiting, telling the rules that the source was away, counting: none of it takes long.
AROUND_S = 5.0

#: Is shown every outcome, and the circumstances that it came about in.
Show: TypeAlias = Callable[[Outcome, Circumstances], None]


class Worker:
    """Takes frames from a slot and works on them."""

    def __init__(
        self,
        runner: Runner,
        slot: NewestFrame,
        surroundings: Surroundings,
        show: Show,
        max_age_s: float = MAX_AGE_S,
    ) -> None:
        """A frame that is older than `max_age_s` when its turn comes is `stale`."""
        self._max_age_s = max_age_s
        self._runner = runner
        self._slot = slot
        self._surroundings = surroundings
        self._show = show

    def run(self, stop: threading.Event) -> None:
        runner = self._runner
        while not stop.is_set():
            if runner.known.due(now := self._surroundings.now()):
                runner.question(now)
            runner.beat.begin("waiting for a frame", AROUND_S)
            frame = self._slot.take(WAIT_S)
            swapped = runner.follow()
            if frame is None:
                runner.retry()
                if self._slot.has_ended():
                    runner.close(self._surroundings.now(), "ended")
                continue
            away = self._slot.away()
            if away:
                runner.away(away)
            around = self._surroundings.around(runner.name, frame, self._max_age_s)
            if swapped:
                outcome = runner.pass_over(frame, around)
            elif runner.takes(frame):
                runner.move_to(around.point.threads)
                outcome = runner.work(frame, around)
            else:
                continue
            runner.beat.begin("counting a frame", AROUND_S)
            self._show(outcome, around)
        self._slot.drain()
