"""A candidate in the shadow: it sees every n-th inferred frame beside the active model, raises no
event, and is compared.

Rules:

* The worker only leaves a frame here, and never waits; while one is at work the next is let go.
* Bounded: at most `SHARE` of one core over the time of the shadow, and nothing at all while the
  governor holds the board back.
* Both sides' findings go through rules of their own on the same frames (`pipeline/bystander.py`).

`policy/shadow.py` judges. Read `updater.py` next: who begins and ends one.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping

from edge_agent.frozen import frozen
from edge_agent.pipeline.bystander import Bystander, common
from edge_agent.pipeline.schedule import Calendar
from edge_agent.pipeline.step import Circumstances
from edge_agent.policy.rollout import Shadowing
from edge_agent.policy.shadow import Answer, Tally, Verdict, judge
from edge_agent.types import Outcome

log = logging.getLogger("edge_agent.shadow")

#: Of one core, over the whole shadow.
SHARE = 0.1
#: What a shadow may use up before its share is looked at: a first, slow frame must not stop it.
GRACE_S = 1.0
WAIT_S = 0.5


@frozen
class Pair:
    """The two sides of a comparison, each with tracker and rules of its own."""

    active: Bystander
    candidate: Bystander
    boxed: bool
    labelled: bool


@frozen
class Shown:
    """A frame as the active model saw it."""

    outcome: Outcome
    invoke_ms: float
    calendar: Calendar


class Shadow:
    """One candidate beside one pipeline. The worker offers, a thread of its own compares."""

    def __init__(
        self,
        pair: Pair,
        shadowing: Shadowing,
        guardrails: Mapping[str, float],
        done: Callable[[Verdict, Tally], None],
    ) -> None:
        """`done` is told the verdict once, by the thread that compares."""
        self._pair = pair
        self._shadowing = shadowing
        self._guardrails = guardrails
        self._done = done
        self.tally = Tally(pair.boxed, pair.labelled)
        self._since_last = 0
        self._is_hot = False
        self._filled = threading.Condition()
        self._shown: Shown | None = None
        self._over = False
        self._began = time.monotonic()
        self._spent = 0.0  # seconds of CPU
        self._asked: float | None = None  # since when the candidate is at work on a frame

    @property
    def frames(self) -> int:
        """So many are compared."""
        return self._shadowing.frames

    @property
    def waits(self) -> str:
        """Why no frame is compared at this moment; "" while they are."""
        return "the board is hot" if self._is_hot else ""

    @property
    def silent_s(self) -> float:
        """How long the candidate has been at work on one frame. Any thread may ask."""
        asked = self._asked
        return 0.0 if asked is None else time.monotonic() - asked

    def offer(self, outcome: Outcome, around: Circumstances, invoke_ms: float) -> None:
        """A frame that the worker is done with."""
        if outcome.skip is not None or self._over:
            return
        self._since_last += 1
        self._is_hot = around.point.level > 0
        if self._since_last < self._shadowing.every or self._is_hot:
            return
        if self._spent > GRACE_S + SHARE * (time.monotonic() - self._began):
            return
        with self._filled:
            if self._shown is None:
                self._since_last = 0
                self._shown = Shown(outcome, invoke_ms, around.calendar)
                self._filled.notify()

    def run(self, stop: threading.Event) -> None:
        """Compare until enough frames were, or `stop`."""
        while not stop.is_set() and not self._over:
            with self._filled:
                if self._shown is None:
                    self._filled.wait(WAIT_S)
                shown = self._shown
            if shown is None:
                continue
            began, self._asked = time.thread_time(), time.monotonic()
            try:
                self._compare(shown)
            except Exception as fault:  # the candidate's own: it must not cost the pipeline
                log.exception("the candidate failed in the shadow")
                self.fail(f"it failed: {type(fault).__name__}: {fault}")
            self._spent += time.thread_time() - began
            self._asked = None
            with self._filled:
                self._shown = None
            if not self._over and self.tally.frames >= self._shadowing.frames:
                self._end(judge(self.tally, self._guardrails))

    def fail(self, reason: str) -> None:
        """It speaks against the candidate whatever was compared so far."""
        self._end(Verdict(False, reason, self.tally.numbers()))

    def _compare(self, shown: Shown) -> None:
        frame, found = shown.outcome.frame, shown.outcome.detections
        opened = self._pair.active.judge(frame, found, shown.calendar)
        theirs = self._pair.candidate.infer(frame)
        took_ms = self._pair.candidate.invoke_s * 1000
        would = self._pair.candidate.judge(frame, theirs, shown.calendar)
        self.tally.add(
            Answer(found, shown.invoke_ms, len(opened)),
            Answer(theirs, took_ms, len(would)),
            common(found, theirs) if self._pair.boxed else 0,
        )

    def _end(self, verdict: Verdict) -> None:
        self._over = True
        self._done(verdict, self.tally)
