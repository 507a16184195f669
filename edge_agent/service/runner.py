"""One pipeline at work, live or in replay: step, record, count, measure.

This is the one place where a frame's verdict enters the account. One thread works; housekeeping
looks in between two frames. Read `pipeline/step.py` next.
"""

from __future__ import annotations

import threading
from time import perf_counter

from edge_agent.pipeline.preprocess import Prepared
from edge_agent.pipeline.step import Circumstances
from edge_agent.service.assemble import Assembled
from edge_agent.service.journal import Journal
from edge_agent.service.ledger import Account
from edge_agent.service.meter import Meter, Rate
from edge_agent.service.recorder import Recorder
from edge_agent.store.rows import Judged
from edge_agent.types import Event, Frame, Outcome, Priority


class Runner:
    """Takes one pipeline from frame to frame."""

    def __init__(self, assembled: Assembled, recorder: Recorder) -> None:
        self.assembled = assembled
        self.account = Account()
        self.meter = Meter()
        self.rate = Rate()  # of inferred frames
        self.journal = Journal(assembled.spec.name)
        self.recorder = recorder
        self.last_closed: tuple[Event, ...] = ()
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        return self.assembled.spec.name

    def work(
        self, frame: Frame, around: Circumstances, prepared: Prepared | None = None
    ) -> Outcome:
        """A pending frame's way to its verdict; `failed` when anything on it raises."""
        with self._lock:
            return self._work(frame, around, prepared)

    def open_events(self) -> tuple[Event, ...]:
        """Every open event with its values between two frames."""
        with self._lock:
            return self.assembled.pipeline.open_events()

    def take_journal(self) -> tuple[Judged, ...]:
        """The near misses and skips since the last call."""
        with self._lock:
            return self.journal.take()

    def _work(self, frame: Frame, around: Circumstances, prepared: Prepared | None) -> Outcome:
        pipeline = self.assembled.pipeline
        try:
            outcome = pipeline.step(frame, around, prepared)
            self.last_closed = self.recorder.record(outcome)
        except BaseException:
            self.account.fail()
            raise
        pipeline.laps.lap("store")
        if outcome.skip is None:
            self.account.infer()
            self.rate.add(frame.time)
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
        if any(event.priority is Priority.ALERT for event in outcome.opened):
            self.meter.add_one("alert", sum(seconds.values()))


def stopwatch() -> float:
    """The stopwatch that the service hands to the core."""
    return perf_counter()
