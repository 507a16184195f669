"""Is this frame worth the model's time? The first stage of a frame's way.

The questions are asked in the order of their cost, and the first refusal is the one reason that the
ledger counts: paused, schedule, stale, rate, thermal, quality, motion, stationary. The picture is
touched only when it comes to quality and motion, and not at all when both are off. So camera health
looks at every frame that rate and heat let through, the still ones too; and a source that knows the
rates of its pipelines need not make pictures of the other frames (`pace.py`).

What passes in spite of a still picture: the first frame, one frame every `keepalive_s`, and, after
any of the frames that passed, a few more to *settle* what that frame found. So a new object is seen
often enough to be confirmed, and one that was moving is seen where it stopped.

Rules: pure; time is the frame's own. One gate sees the frames of one pipeline in their order.
Read `motion.py` and `health.py` next, then `prepare.py`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from edge_agent.frozen import frozen
from edge_agent.pipeline.health import Health, Report
from edge_agent.pipeline.motion import Gray, Motion, MotionSpec, thumbnail
from edge_agent.pipeline.pace import Pace
from edge_agent.pipeline.schedule import Calendar, Schedule
from edge_agent.types import Box, Decision, Number, OperatingPoint, Polygon, Skip, Track

if TYPE_CHECKING:
    from edge_agent.types import Image

#: The box of a stationary object grows by this part on each side: what sways there is the object.
SWAY = 0.1
#: And by this much of the picture, half a window of `motion.py`: regions are no sharper.
BLUR = 1 / 64

DEFAULT_MOTION = MotionSpec()


@frozen
class GateSpec:
    """What may keep a frame from the model.

    `max_fps` 0: every frame. `motion` None: a still picture is inferred like any other.
    `stationary`: motion inside known objects that stand still is none. `settle`: a new object is
    followed without motion until so many frames saw it (at most so many frames in a row), and with
    `settle_all` so is whatever moved: a class of the whole picture has no track that is new.
    `camera_health`: look whether the camera is well, and skip what shows nothing; `privacy` is what
    was blackened in the pictures.
    """

    max_fps: float = 5.0
    motion: MotionSpec | None = DEFAULT_MOTION
    stationary: bool = True
    schedule: Schedule | None = None
    motion_masks: tuple[Polygon, ...] = ()
    settle: int = 3
    settle_all: bool = False
    camera_health: bool = False
    privacy: tuple[Polygon, ...] = ()


@frozen
class Look:
    """All that the gate may look at: the frame, the tracks so far, and what the world says.

    `paced`: the rates that the frame keeps, where its source chose by them (`types.Frame`).
    """

    time: float
    image: Image
    tracks: tuple[Track, ...]
    point: OperatingPoint
    calendar: Calendar
    paced: tuple[float, ...] | None = None
    paused: bool = False
    age_s: float = 0.0
    max_age_s: float | None = None


@frozen
class Verdict:
    """`skip` is None when the frame passes; `decision` is the line of `why` about it.

    `health` is what a look at the camera found; None where nobody looked.
    """

    skip: Skip | None
    decision: Decision
    health: Report | None = None


class Gate:
    """The gate of one pipeline. It remembers what passed and what the picture showed."""

    def __init__(self, spec: GateSpec) -> None:
        self._spec = spec
        self._rate = Pace()
        self._heat = Pace()
        self._health = Health(spec.privacy) if spec.camera_health else None
        self._motion = Motion(spec.motion, spec.motion_masks) if spec.motion else None
        self._passed: float | None = None  # time of the last frame that passed
        self._settled = 0  # frames in a row that passed only to settle

    @property
    def always(self) -> bool:
        """Whether every frame passes that is neither paused nor stale nor held back by heat."""
        looks = self._motion is not None or self._health is not None
        return not self._spec.max_fps and not looks and self._spec.schedule is None

    def decide(self, look: Look) -> Verdict:
        """The verdict on one frame; a frame that passes counts as inferred."""
        verdict = (
            self._paused(look)
            or self._closed(look)
            or self._stale(look)
            or self._too_soon(look)
            or self._too_hot(look)
            or self._seen(look)
        )
        if verdict.skip is None:
            self._passed = look.time
        return verdict

    def stand_still(self, seconds: float) -> None:
        """Nobody looked for so long: no trouble of the camera grows meanwhile."""
        if self._health is not None:
            self._health.stand_still(seconds)

    # --- the questions, in order ----------------------------------------------------------------

    def _paused(self, look: Look) -> Verdict | None:
        return _skip(Skip.PAUSED) if look.paused else None

    def _closed(self, look: Look) -> Verdict | None:
        if self._spec.schedule is None:
            return None
        state = self._spec.schedule.state(look.time, look.calendar)
        return _skip(Skip.SCHEDULE, **state.numbers) if state.verdict == "closed" else None

    def _stale(self, look: Look) -> Verdict | None:
        if look.max_age_s is None or look.age_s <= look.max_age_s:
            return None
        return _skip(Skip.STALE, age_s=look.age_s, max_age_s=look.max_age_s)

    def _too_soon(self, look: Look) -> Verdict | None:
        max_fps = self._spec.max_fps
        if not max_fps:
            return None
        if look.paced is None:
            due = self._rate.admits(look.time, max_fps)
        else:  # its source has chosen: of the others there is no picture
            due = max_fps in look.paced
        if due:
            return None
        return _skip(Skip.RATE, max_fps=max_fps, **self._since(look))

    def _too_hot(self, look: Look) -> Verdict | None:
        point, max_fps = look.point, self._spec.max_fps
        if point.max_fps is None or (max_fps and point.max_fps >= max_fps):
            return None  # heat asks for no less than the configuration
        if self._heat.admits(look.time, point.max_fps):
            return None
        numbers = self._since(look)
        numbers |= {"max_fps": point.max_fps, "level": point.level, "heat": point.reason}
        if point.threads is not None:
            numbers["threads"] = point.threads
        return _skip(Skip.THERMAL, **numbers)

    def _seen(self, look: Look) -> Verdict:
        """The questions that look at the picture, at one thumbnail of it."""
        if self._motion is None and self._health is None:
            return _pass("every", **self._since(look), **self._clock(look))
        small = thumbnail(look.image)
        if self._health is None:
            return self._unchanged(look, small)
        health = self._health.look(small, look.time)
        verdict = _blind(health) or self._unchanged(look, small)
        return replace(verdict, health=health)

    def _unchanged(self, look: Look, small: Gray) -> Verdict:
        numbers = self._since(look) | self._clock(look)
        if self._motion is None or self._spec.motion is None:
            return _pass("every", **numbers)
        movement = self._motion.observe(small, look.time)
        numbers |= movement.numbers
        keepalive_s = self._spec.motion.keepalive_s
        if self._passed is None or look.time - self._passed >= keepalive_s:
            self._settled = 0
            return _pass("keepalive", keepalive_s=keepalive_s, **numbers)
        if movement.moved:
            if self._spec.stationary and _all_within(movement.regions, look.tracks):
                return _skip(Skip.STATIONARY, **numbers)
            self._settled = 0
            return _pass("motion", **numbers)
        if self._settled < self._wanted(look.tracks):
            self._settled += 1
            return _pass("settle", **numbers)
        return _skip(Skip.MOTION, **numbers)

    def _wanted(self, tracks: tuple[Track, ...]) -> int:
        """How many frames in a row may pass without motion for the sake of `tracks`."""
        seen = [track for track in tracks if track.visible]
        if self._spec.settle_all or any(track.hits < self._spec.settle for track in seen):
            return self._spec.settle
        return int(any(not track.stationary for track in seen))

    def _since(self, look: Look) -> dict[str, Number]:
        passed = self._passed
        return {"since_inferred_s": None if passed is None else round(look.time - passed, 3)}

    def _clock(self, look: Look) -> dict[str, Number]:
        """A schedule that is open only because the clock cannot be trusted must say so."""
        if self._spec.schedule is None:
            return {}
        return {"clock": "synced" if look.calendar.synced else "unsynced"}


def _blind(health: Report) -> Verdict | None:
    if health.blind is None:
        return None
    return _skip(Skip.QUALITY, trouble=health.blind.value, **health.numbers)


def _skip(skip: Skip, **numbers: Number) -> Verdict:
    return Verdict(skip, Decision("gate", "skip", {"reason": skip.value, **numbers}))


def _pass(reason: str, **numbers: Number) -> Verdict:
    return Verdict(None, Decision("gate", "pass", {"reason": reason, **numbers}))


def _all_within(regions: tuple[Box, ...], tracks: tuple[Track, ...]) -> bool:
    """Every region lies in the slightly grown box of one seen object that stands still."""
    boxes = [_swayed(track.box) for track in tracks if track.stationary and track.visible]
    return bool(boxes) and all(any(_within(region, box) for box in boxes) for region in regions)


def _swayed(box: Box) -> Box:
    x0, y0, x1, y1 = box
    dx, dy = SWAY * (x1 - x0) + BLUR, SWAY * (y1 - y0) + BLUR
    return x0 - dx, y0 - dy, x1 + dx, y1 + dy


def _within(inner: Box, outer: Box) -> bool:
    return (
        outer[0] <= inner[0]
        and outer[1] <= inner[1]
        and inner[2] <= outer[2]
        and inner[3] <= outer[3]
    )
