"""One pipeline at work, live or in replay: step, record, count, measure.

This is the one place where a frame's verdict enters the account. One thread works; housekeeping
looks in between two frames. Read `pipeline/step.py` next.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic, perf_counter, thread_time

from edge_agent.errors import EdgeError
from edge_agent.pipeline.step import Ahead, Circumstances
from edge_agent.policy.probation import Gauge, Showing
from edge_agent.policy.slots import Served
from edge_agent.policy.vigil import Beat
from edge_agent.service.assemble import Assembled
from edge_agent.service.journal import Journal
from edge_agent.service.known_answer import KnownAnswer
from edge_agent.service.ledger import Account
from edge_agent.service.marker import Grip, fingerprint
from edge_agent.service.meter import Effort, Meter, Rate
from edge_agent.service.recorder import Recorder
from edge_agent.service.shadow import Shadow
from edge_agent.service.still import Still
from edge_agent.store.rows import Judged
from edge_agent.types import Event, Frame, Outcome, Priority, Skip

log = logging.getLogger("edge_agent.runner")

log = logging.getLogger("edge_agent.runner")

#: Nobody waits longer for a frame at work: an engine that hangs must not hang `status` too.
SLOWEST_FRAME_S = 2.0
#: A model that gives no answer for so long hangs, unless its frames usually take a tenth of it.
HANGS_S = 4.0
#: The first answer may take longer: delegates load, and memory is touched for the first time.
FIRST_ANSWER_S = 30.0
USUALS = 10
#: A card that takes nothing for so long hangs. What is merely locked or full answers sooner.
STORES_S = 4.0
STORING = "storing what a frame showed"
#: A golden set of large pictures on a slow board.
QUESTION_S = 60.0
#: So long `status` tells of a frame that failed.
REMEMBERED_S = 60.0


class Runner:
    """Takes one pipeline from frame to frame."""

    def __init__(
        self, assembled: Assembled, recorder: Recorder, account: Account | None = None
    ) -> None:
        self.assembled = assembled
        self.account = account or Account()
        self.meter = Meter()
        self.rate = Rate()  # of inferred frames
        self.effort = Effort(assembled.engine.threads)
        self.journal = Journal(assembled.spec.name)
        self.recorder = recorder
        self.known = KnownAnswer(assembled)
        self.still = Still()  # a picture that somebody asked for
        self.last_closed: tuple[Event, ...] = ()
        self._lock = threading.Lock()
        self._failed = (0.0, "")
        self.beat = Beat(f"pipeline {assembled.spec.name}")
        assembled.pipeline.waits = self._waits
        self.grip: Grip | None = None  # where it is marked which frame is at work
        self._usual_s: float | None = None  # what an inferred frame takes, smoothed
        self._next: Assembled | None = None  # another model, which takes charge between two frames
        self._followed = threading.Event()
        self._gauge = Gauge(monotonic(), scored=_is_scored(assembled))
        self.shadow: Shadow | None = None  # of a candidate that sees what this one sees

    @property
    def failure(self) -> str:
        """What went wrong with a frame within the last minute; "" when nothing did."""
        at, what = self._failed
        return what if what and monotonic() - at < REMEMBERED_S else ""

    @property
    def patience_s(self) -> float:
        """How long a frame may take; nothing in this process can interrupt an `invoke`."""
        return FIRST_ANSWER_S if self._usual_s is None else max(HANGS_S, USUALS * self._usual_s)

    @property
    def name(self) -> str:
        return self.assembled.spec.name

    def work(self, frame: Frame, around: Circumstances, ahead: Ahead | None = None) -> Outcome:
        """A pending frame's way to its verdict; `failed` when anything on it raises."""
        with self._lock:
            outcome = None
            try:
                outcome = self._work(frame, around, ahead)
                return outcome
            finally:
                if self.grip is not None:
                    self.grip.put_down(inferred=outcome is not None and outcome.skip is None)

    def change_to(self, assembled: Assembled, within_s: float) -> None:
        """From another thread: have the worker go on with another model, and wait until it does.

        Raises EdgeError where it does not come to it: then nothing is changed.
        """
        self._followed.clear()
        self._next = assembled
        if self._followed.wait(within_s):
            return
        with self._lock:
            late, self._next = self._next, None
        if late is not None:
            raise EdgeError(f"pipeline {self.name} did not come to its next frame", "try again")

    def follow(self) -> bool:
        """Between two frames: go on with the other model, where there is one."""
        with self._lock:
            new, self._next = self._next, None
            if new is None:
                return False
            new.pipeline.take_over(self.assembled.pipeline, frozenset(new.model.labels))
            self.assembled = new
            self.recorder.follow(new.about)
            self.known = KnownAnswer(new)
            self.effort = Effort(new.engine.threads)
            self._usual_s = None
            self._gauge = Gauge(monotonic(), scored=_is_scored(new))
        self._followed.set()
        log.info("model in charge pipeline=%s model=%s", self.name, new.about.model)
        return True

    def pass_over(self, frame: Frame, around: Circumstances) -> Outcome:
        """The frame at which the model was changed: nobody looks at it."""
        with self._lock:
            outcome = self.assembled.pipeline.swapped(frame, around)
            self.last_closed = self.recorder.record(outcome)
            self.account.skip(Skip.SWAP)
            self.journal.add(outcome)
        return outcome

    def look(self, celsius: float | None, memory_mb: float) -> None:
        """About once a second, for what is usual of this model."""
        with self._between_frames() as calm:
            if calm:
                self._gauge.look(monotonic(), celsius, memory_mb)

    def showing(self) -> Showing:
        """What the model in charge showed lately."""
        with self._lock:
            return self._gauge.showing(monotonic())

    def served(self) -> Served:
        """How long the model in charge has been at work, but for what was taken."""
        with self._lock:
            return self._gauge.served(monotonic())

    def take_served(self) -> Served:
        """The same, for whoever notes it over an end."""
        with self._lock:
            return self._gauge.take_served(monotonic())

    def takes(self, frame: Frame) -> bool:
        """Mark it as the one at work. False for one that ended the agent before: it has failed."""
        if self.grip is None or not frame.seen:
            return True
        mark = fingerprint(frame.data)
        if mark in self.grip.refused:
            self.account.fail()
            self._failed = (monotonic(), "a frame that ended the agent again and again")
            return False
        self.grip.take(mark)
        return True

    def move_to(self, threads: int | None) -> None:
        """Between two frames: run the model on so many threads, None: on those that were chosen.

        Heat asks for it (policy/thermal.py); in replay nobody does.
        """
        engine = self.assembled.engine
        threads = threads or self.assembled.choice.plan.threads
        if threads == engine.threads or not engine.movable:
            return  # the governor may not know yet that another model is in charge
        self.beat.begin("changing the model's threads", FIRST_ANSWER_S)
        with self._lock, self.assembled.pipeline.turn():
            engine.use(threads)
        self.effort.use(threads)
        log.info("threads changed pipeline=%s threads=%d", self.name, threads)

    def question(self, now: float) -> None:
        """Between two frames, with the lock that keeps them apart, and in a turn of the model."""
        with self._lock, self.assembled.pipeline.turn():
            self.beat.begin("asking for a known answer", QUESTION_S)
            self.known.ask(now)
            if self.known.wrong:
                self._gauge.lie()

    def retry(self) -> None:
        """No frame came: whatever waits for the disk is offered again where it takes writes."""
        with self._lock:
            self.recorder.retry()

    def away(self, seconds: float) -> None:
        """The source was lost for so long, and began anew."""
        with self._lock:
            self.assembled.pipeline.away(seconds)
            self.assembled.pipeline.restart()

    def open_events(self) -> tuple[Event, ...]:
        """Every open event with its values between two frames; none while a frame hangs."""
        with self._between_frames() as calm:
            return self.assembled.pipeline.open_events() if calm else ()

    def take_journal(self) -> tuple[Judged, ...]:
        """The near misses and skips since the last call."""
        with self._between_frames() as calm:
            return self.journal.take() if calm else ()

    def give_back(self, entries: tuple[Judged, ...]) -> None:
        """They could not be written; the next `take_journal` has them again."""
        with self._between_frames() as calm:
            if calm:
                self.journal.give_back(entries)

    def _waits(self) -> None:
        """For a model or a core that others have: patience is for the work alone."""
        self.beat.begin("working on a frame", self.patience_s)

    @contextmanager
    def _between_frames(self) -> Iterator[bool]:
        """Wait for the frame at work; False when it takes longer than anything healthy does."""
        calm = self._lock.acquire(timeout=SLOWEST_FRAME_S)
        try:
            yield calm
        finally:
            if calm:
                self._lock.release()

    def _work(self, frame: Frame, around: Circumstances, ahead: Ahead | None) -> Outcome:
        pipeline = self.assembled.pipeline
        self.beat.begin("working on a frame", self.patience_s)
        began_cpu = thread_time()
        try:
            outcome = pipeline.step(frame, around, ahead)
            cpu_s = thread_time() - began_cpu
            self.beat.begin(STORING, STORES_S)
            self.last_closed = self.recorder.record(outcome)
        except BaseException as fault:
            self.account.fail()
            self._gauge.fail()
            self._failed = (monotonic(), f"{type(fault).__name__}: {fault}")
            raise
        pipeline.laps.lap("store")
        self.still.offer(outcome.frame)
        if outcome.skip is None:
            self.account.infer()
            self.rate.add(frame.time)
            invoke_s = pipeline.laps.seconds.get("invoke", 0.0)
            self.effort.add(cpu_s, invoke_s)
            best = max((found.score for found in outcome.detections), default=0.0)
            self._gauge.infer(best, 1000 * invoke_s, len(outcome.opened))
        else:
            self.account.skip(outcome.skip)
        self.journal.add(outcome)
        self._measure(outcome)
        return outcome

    def close(self, time: float, reason: str) -> tuple[Event, ...]:
        """Close and store every open event."""
        with self._lock:
            return self.recorder.close(self.assembled.pipeline.close(time, reason))

    def _measure(self, outcome: Outcome) -> None:
        seconds = self.assembled.pipeline.laps.seconds
        self.meter.add(seconds)
        if outcome.skip is None:
            took_s = sum(seconds.values())
            usual_s = took_s if self._usual_s is None else self._usual_s
            self._usual_s = usual_s + (took_s - usual_s) / USUALS
        if any(event.priority is Priority.ALERT for event in outcome.opened):
            self.meter.add_one("alert", sum(seconds.values()))


def _is_scored(assembled: Assembled) -> bool:
    """Anomalies and raw tensors have scores of each model's own kind."""
    return assembled.model.family not in ("anomaly", "generic")


def stopwatch() -> float:
    """The stopwatch that the service hands to the core."""
    return perf_counter()
