"""The way of one frame: redact, gate, preprocess, invoke, decode, track, rules.

Pure: no clock, file, thread or log; time is the frame's own, the stopwatch is handed in, and the
engine is a port. `run`, `replay`, `demo` and `bench` all call this very `step`, so the same frames
give the same outcomes. Read `gate.py` next, then down in the order of the calls below.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING

from edge_agent.frozen import frozen
from edge_agent.pipeline.camera_events import CameraEvents
from edge_agent.pipeline.decode import Decoder
from edge_agent.pipeline.gate import Gate, Look
from edge_agent.pipeline.health import Report
from edge_agent.pipeline.prepare import Preparer
from edge_agent.pipeline.preprocess import Prepared
from edge_agent.pipeline.redact import redact
from edge_agent.pipeline.rules import Rules, Sight
from edge_agent.pipeline.schedule import Calendar
from edge_agent.pipeline.track import Tracker
from edge_agent.ports import Engine, Stopwatch
from edge_agent.types import (
    Decision,
    Detection,
    Event,
    Frame,
    OperatingPoint,
    Outcome,
    Polygon,
    Skip,
    Track,
)

if TYPE_CHECKING:
    from edge_agent.types import Array

#: Skips that say "nothing changed": tracks persist, dwell and absence run on.
UNCHANGED = frozenset({Skip.MOTION, Skip.STATIONARY})
#: Skips during which the clocks of dwell and absence stand still.
NOT_WATCHING = frozenset({Skip.PAUSED, Skip.SCHEDULE, Skip.SWAP})
#: A gap by heat longer than this is time in which nobody watched.
LONGEST_GAP_S = 5.0


@frozen
class Parts:
    """What a pipeline is made of."""

    gate: Gate
    preprocess: Preparer
    engine: Engine
    decode: Decoder
    tracker: Tracker | None  # None: the family has no objects to follow (classification)
    rules: Rules
    camera_events: CameraEvents | None = None  # None: nobody looks whether the camera is well
    privacy: tuple[Polygon, ...] = ()  # blackened before anything looks at the picture
    #: Held while the model runs: several pipelines may share it, and the cores.
    turn: Callable[[Callable[[], None]], AbstractContextManager[None]] = lambda waits: nullcontext()
    min_score: float = 0.0  # weaker findings keep a track alive, and are no findings otherwise


@frozen
class Circumstances:
    """What the world outside says at the moment of a frame."""

    calendar: Calendar
    point: OperatingPoint = OperatingPoint()
    paused: bool = False
    age_s: float = 0.0
    max_age_s: float | None = None


@frozen
class Ahead:
    """What was worked out of a frame before its step: its tensor, then the model's answer to it.

    `seconds` says how long it took, by stage.
    """

    prepared: Prepared
    seconds: Mapping[str, float]
    outputs: tuple[Array, ...] = ()


class Laps:
    """A stopwatch with one lap a stage; `seconds` holds the laps of the latest frame."""

    __slots__ = ("_clock", "_last", "seconds")

    def __init__(self, clock: Stopwatch) -> None:
        self._clock = clock
        self._last = 0.0
        self.seconds: dict[str, float] = {}

    def start(self) -> None:
        self.seconds = {}
        self._last = self._clock()

    def rest(self) -> None:
        """What passed since the last lap was waiting, and is no stage's."""
        self._last = self._clock()

    def lap(self, stage: str) -> None:
        now = self._clock()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self._last
        self._last = now


class Pipeline:
    """One pipeline's state from frame to frame. One thread uses it at a time."""

    def __init__(self, parts: Parts, clock: Stopwatch) -> None:
        self._parts = parts
        self._tracks: tuple[Track, ...] = ()
        self._previous: float | None = None  # time of the previous frame
        self._watched: float | None = None  # time of the last frame that was really looked at
        self._hot = False  # frames were skipped by heat since then
        self._stories: dict[str, tuple[Decision, ...]] = {}  # of open events: gate and infer
        self._clock = clock
        self.laps = Laps(clock)
        #: Called again and again while others have the model or the cores: this one does not hang.
        self.waits: Callable[[], None] = lambda: None

    @property
    def always(self) -> bool:
        """Every frame will be inferred, so what is done ahead of its turn is never wasted."""
        return self._parts.gate.always

    @property
    def tracks(self) -> tuple[Track, ...]:
        """What is in sight after the latest frame."""
        return self._tracks

    def prepare(self, frame: Frame) -> Ahead:
        """Preprocessing alone: needs no state, so another thread may do it ahead."""
        began = self._clock()
        prepared = self._parts.preprocess(redact(frame.data, self._parts.privacy))
        return Ahead(prepared, {"preprocess": self._clock() - began})

    def infer(self, ahead: Ahead) -> Ahead:
        """The model's answer. Another thread may ask for it ahead, if it asks for every frame's:
        then none is asked for in `step`.
        """
        began = self._clock()
        outputs = self._parts.engine.invoke(ahead.prepared.tensor)
        seconds = {**ahead.seconds, "invoke": self._clock() - began}
        # They may be views of the engine's memory, which the next invoke fills anew.
        return Ahead(ahead.prepared, seconds, tuple(output.copy() for output in outputs))

    def step(self, frame: Frame, around: Circumstances, ahead: Ahead | None = None) -> Outcome:
        """One frame's whole way. `ahead` is what `prepare` and `infer` made of it, if they did."""
        self.laps.start()
        if self._parts.privacy and frame.seen:
            frame = replace(frame, data=redact(frame.data, self._parts.privacy))
        verdict = self._parts.gate.decide(self._look(frame, around))
        self.laps.lap("gate")
        if verdict.skip is not None:
            outcome = self._skipped(frame, around, verdict.skip, verdict.decision)
        else:
            outcome = self._inferred(frame, around, verdict.decision, ahead)
        if verdict.health is None or self._parts.camera_events is None:
            return outcome
        return self._with_health(outcome, self._parts.camera_events, verdict.health, around)

    def take_over(self, other: Pipeline, labels: frozenset[str]) -> None:
        """Go on where another one is, with this one's model: between two frames.

        Gate, rules and what they have open go on; so do the tracks whose labels there still are
        (`labels`; none: all).
        """
        mine, its = self._parts, other._parts
        its.rules.follow(mine.rules.spec)
        self._parts = replace(mine, gate=its.gate, rules=its.rules, camera_events=its.camera_events)
        if mine.tracker is not None and its.tracker is not None:
            self._tracks = mine.tracker.take_over(its.tracker, labels)
        self._previous, self._watched, self._hot = other._previous, other._watched, other._hot
        self._stories, self.waits = other._stories, other.waits

    def swapped(self, frame: Frame, around: Circumstances) -> Outcome:
        """The frame at which another model took charge: nobody looked at it."""
        self.laps.start()
        if self._parts.privacy:
            frame = replace(frame, data=redact(frame.data, self._parts.privacy))
        decision = Decision("gate", "skip", {"reason": Skip.SWAP.value})
        return self._skipped(frame, around, Skip.SWAP, decision)

    def away(self, seconds: float) -> None:
        """The source was lost for so long: nobody watched, so dwell and absence stand still."""
        self._parts.rules.stand_still(seconds)
        self._parts.gate.stand_still(seconds)
        # The frame that comes next must not count the same gap again.
        self._previous = None if self._previous is None else self._previous + seconds
        self._watched = None if self._watched is None else self._watched + seconds

    def restart(self) -> None:
        """The source began anew: recurrent state of the model belongs to the old stream."""
        with self.turn():
            self._parts.engine.reset()

    def turn(self) -> AbstractContextManager[None]:
        """Hold the model, which other pipelines may run, too."""
        return self._parts.turn(self.waits)

    def open_events(self) -> tuple[Event, ...]:
        camera = self._parts.camera_events
        events = self._parts.rules.open_events()
        return events if camera is None else (*events, *camera.open_events())

    def close(self, time: float, reason: str) -> tuple[Event, ...]:
        """Close every open event: "ended" at the end of an input, "stopped" on a stop."""
        camera = self._parts.camera_events
        closed = self._closed(self._parts.rules.close_all(time, reason))
        return closed if camera is None else (*closed, *camera.close_all(time, reason))

    # --- below, in call order -----------------------------------------------------------------

    def _look(self, frame: Frame, around: Circumstances) -> Look:
        return Look(
            time=frame.time,
            image=frame.data,
            tracks=self._tracks,
            point=around.point,
            calendar=around.calendar,
            paced=frame.paced,
            paused=around.paused,
            age_s=around.age_s,
            max_age_s=around.max_age_s,
        )

    def _skipped(
        self, frame: Frame, around: Circumstances, skip: Skip, decision: Decision
    ) -> Outcome:
        self._keep_time(frame.time, skip)
        if skip in UNCHANGED and self._parts.tracker is not None:
            self._tracks = self._parts.tracker.hold(frame.time)
        sight = self._sight(frame, around, inferred=False, still=skip in UNCHANGED)
        changes = self._parts.rules.step(sight)
        self.laps.lap("rules")
        return Outcome(
            frame,
            skip,
            decision,
            tracks=self._tracks,
            opened=self._opened(changes.opened, (decision,)),
            closed=self._closed(changes.closed),
            misses=changes.misses,
        )

    def _inferred(
        self, frame: Frame, around: Circumstances, gate: Decision, ahead: Ahead | None
    ) -> Outcome:
        self._keep_time(frame.time, None)
        if ahead is None:
            prepared = self._parts.preprocess(frame.data)
            self.laps.lap("preprocess")
            with self.turn():
                self.laps.rest()
                outputs = self._parts.engine.invoke(prepared.tensor)
                self.laps.lap("invoke")
        else:
            prepared, outputs = ahead.prepared, ahead.outputs
            self.laps.seconds |= ahead.seconds
        found = self._parts.decode(outputs, prepared)
        self.laps.lap("decode")
        detections, track_ids = self._follow(found, frame.time)
        self.laps.lap("track")
        sight = self._sight(frame, around, detections, inferred=True)
        changes = self._parts.rules.step(sight)
        self.laps.lap("rules")
        story = (gate, _found(detections))
        return Outcome(
            frame,
            None,
            gate,
            detections,
            track_ids,
            self._tracks,
            self._opened(changes.opened, story),
            self._closed(changes.closed),
            tuple(replace(miss, decisions=(*story, *miss.decisions)) for miss in changes.misses),
        )

    def _with_health(
        self, outcome: Outcome, camera: CameraEvents, health: Report, around: Circumstances
    ) -> Outcome:
        """The outcome, and what the camera's own state opened and closed."""
        changes = camera.step(outcome.frame, health, around.calendar)
        return replace(
            outcome,
            opened=(*outcome.opened, *changes.opened),
            closed=(*outcome.closed, *changes.closed),
        )

    def _opened(self, events: tuple[Event, ...], story: tuple[Decision, ...]) -> tuple[Event, ...]:
        """Events with the stages in front of the rules, which their closing will tell again."""
        for event in events:
            self._stories[event.id] = story
        return tuple(replace(event, decisions=(*story, *event.decisions)) for event in events)

    def _closed(self, events: tuple[Event, ...]) -> tuple[Event, ...]:
        return tuple(
            replace(event, decisions=(*self._stories.pop(event.id, ()), *event.decisions))
            for event in events
        )

    def _follow(
        self, found: tuple[Detection, ...], time: float
    ) -> tuple[tuple[Detection, ...], tuple[int | None, ...]]:
        """Track everything; the findings that count, and the track of each."""
        ids: tuple[int | None, ...] = (None,) * len(found)
        if self._parts.tracker is not None:
            tracked = self._parts.tracker.update(found, time)
            self._tracks, ids = tracked.tracks, tracked.ids
        count = sum(detection.score >= self._parts.min_score for detection in found)
        return found[:count], ids[:count]  # the decoder gives the best first

    def _sight(
        self,
        frame: Frame,
        around: Circumstances,
        detections: tuple[Detection, ...] = (),
        *,
        inferred: bool,
        still: bool = False,
    ) -> Sight:
        return Sight(
            frame=frame.index,
            time=frame.time,
            input=frame.name or None,
            tracks=self._tracks,
            detections=detections,
            inferred=inferred,
            still=still,
            calendar=around.calendar,
        )

    def _keep_time(self, time: float, skip: Skip | None) -> None:
        """Stop the rules' clocks over time in which nobody watched.

        Paused, outside the schedule, during a swap, with nothing in the picture: all of it. By
        heat: gaps of more than `LONGEST_GAP_S` between two frames that were really looked at.
        """
        gap = 0.0 if self._previous is None else time - self._previous
        self._previous = time
        if skip in NOT_WATCHING:
            self._parts.rules.stand_still(gap)
            self._parts.gate.stand_still(gap)
            self._watched, self._hot = time, False
        elif skip is Skip.QUALITY:
            # Frames in between were skipped by the rate: they had shown nothing either.
            blind = 0.0 if self._watched is None else time - self._watched
            self._parts.rules.stand_still(blind)
            self._watched, self._hot = time, False
        elif skip is Skip.THERMAL:
            self._hot = True
        elif skip is None or skip in UNCHANGED:
            if self._hot and self._watched is not None and time - self._watched > LONGEST_GAP_S:
                self._parts.rules.stand_still(time - self._watched)
            self._watched, self._hot = time, False


def _found(detections: tuple[Detection, ...]) -> Decision:
    """What the model said of the whole frame, for `why`."""
    best = max((detection.score for detection in detections), default=0.0)
    return Decision("infer", "found", {"detections": len(detections), "best_score": best})
