"""Made-up films for the rules: tracks and scores frame after frame, and what came of it."""

from datetime import UTC

from edge_agent.pipeline.rules import Rules, RulesSpec, Sight
from edge_agent.pipeline.schedule import Calendar
from edge_agent.pipeline.zones import Line, Zone
from edge_agent.types import Detection, Track

GATE = Zone("gate", ((0.2, 0.2), (0.6, 0.2), (0.6, 0.8), (0.2, 0.8)))
DOOR = Line("door", (0.1, 0.5), (0.9, 0.5))
INSIDE, OUTSIDE = (0.4, 0.5), (0.8, 0.5)
ABOVE, BELOW = (0.5, 0.4), (0.5, 0.6)


def track(id_=1, at=INSIDE, *, label="person", score=0.9, visible=True, size=(0.1, 0.2)):
    """A track whose box stands at `at` and has `size`."""
    (x, y), (width, height) = at, size
    box = (x - width / 2, y - height, x + width / 2, y)
    return Track(id_, label, box, score, born=0.0, seen=0.0, hits=5, visible=visible)


class Film:
    """Rules that are shown frame after frame, and everything that came of it."""

    def __init__(self, *rules, fps=10.0, calendar=None, **spec):
        spec = {"zones": (GATE,), "lines": (DOOR,), "min_score": 0.25, **spec}
        self.rules = Rules(RulesSpec("people", "dock", rules, **spec))
        self.fps = fps
        self.calendar = calendar or Calendar(UTC)
        self.frame = 0
        self.last = ()
        self.opened, self.closed, self.misses = [], [], []

    @property
    def time(self):
        return self.frame / self.fps

    def show(self, *tracks, frames=1, seconds=0.0, scores=None, skip=None):
        """Frames that show `tracks`, or with `skip` frames that nobody inferred."""
        for _ in range(max(frames, round(seconds * self.fps))):
            found = tuple(
                Detection(label, score, (0, 0, 1, 1)) for label, score in (scores or {}).items()
            )
            self.last = self.last if skip else tracks
            sight = Sight(
                frame=self.frame,
                time=self.time,
                input=None,
                tracks=self.last,
                detections=found,
                inferred=skip is None,
                still=skip == "still",
                calendar=self.calendar,
            )
            changes = self.rules.step(sight)
            self.opened += changes.opened
            self.closed += changes.closed
            self.misses += changes.misses
            self.frame += 1
        return self

    @property
    def opening_frames(self):
        return [event.frame for event in self.opened]

    @property
    def closings(self):
        return [(round(event.closed * self.fps), event.close_reason) for event in self.closed]

    @property
    def stopped_at(self):
        """Where the latest near miss stopped."""
        return self.misses[-1].decisions[-1].stage
