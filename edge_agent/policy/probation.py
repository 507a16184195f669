"""A model that has just taken charge, held against the one before it: go on, keep it, or go back.

Pure: numbers in, a judgement out; `service/probation.py` collects them. Rules: a guardrail is
judged once both sides have shown enough for it, and what was not seen of the predecessor judges
nobody; harm ends a probation at once, time and frames end it well. A ratio of events is what is
left of it when chance is taken off, so that a handful of events proves nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import field
from enum import StrEnum
from typing import Any

from edge_agent.frozen import frozen
from edge_agent.policy.guardrails import breaks, on_probation, worst
from edge_agent.policy.sketch import Sketch, common, merge, parse, quantile
from edge_agent.policy.slots import Served, Terms

#: Inferred frames from which on a median, and a distribution, say something.
FEWEST, ENOUGH = 20, 100
#: Frames in a row are much alike: what a scene shows in less time says nothing of what it shows.
SCENE_S = 300.0
#: Looks at the board, one a second.
LOOKS = 60
#: Seconds of a predecessor that tell how many events are usual.
USUAL_S = 60.0
#: By how many standard deviations, and events more, a count may be off by chance.
CHANCE, FEW = 3.0, 3.0
#: A half, two thirds, ... of a score: finer steps would tell chance from chance.
_COARSE = 1


@frozen
class Showing:
    """What one model showed of itself in one pipeline.

    `best`: the best score of each inferred frame, 0 where it found nothing; None where scores have
    no scale that two models share. `invoke`: milliseconds.
    """

    seconds: float = 0.0
    frames: int = 0  # inferred
    failures: int = 0
    events: int = 0
    wrong_answers: int = 0
    best: Sketch | None = None
    invoke: Sketch = field(default_factory=Sketch)
    celsius: float = 0.0  # sum over the looks
    looks: int = 0
    memory_mb: float = 0.0  # the most

    def joined(self, later: Showing) -> Showing:
        """Both stretches as one."""
        best = later.best
        if self.best is not None and later.best is not None:
            best = merge(self.best, later.best)
        return Showing(
            self.seconds + later.seconds,
            self.frames + later.frames,
            self.failures + later.failures,
            self.events + later.events,
            self.wrong_answers + later.wrong_answers,
            best,
            merge(self.invoke, later.invoke),
            self.celsius + later.celsius,
            self.looks + later.looks,
            max(self.memory_mb, later.memory_mb),
        )

    def document(self) -> dict[str, Any]:
        """To be kept for as long as the probation lasts; `restored` reads it."""
        return {
            "seconds": round(self.seconds, 1),
            "frames": self.frames,
            "failures": self.failures,
            "events": self.events,
            "best": None if self.best is None else _coarse(self.best).document(),
            "invoke": self.invoke.document(),
            "celsius": round(self.celsius, 1),
            "looks": self.looks,
            "memory_mb": round(self.memory_mb, 1),
        }


def restored(data: Any) -> Showing | None:
    """What was kept; None where it makes no sense."""
    try:
        return Showing(
            seconds=float(data["seconds"]),
            frames=int(data["frames"]),
            failures=int(data["failures"]),
            events=int(data["events"]),
            best=None if data["best"] is None else parse(data["best"]),
            invoke=parse(data["invoke"]),
            celsius=float(data["celsius"]),
            looks=int(data["looks"]),
            memory_mb=float(data["memory_mb"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


class Outlook(StrEnum):
    ON = "on"  # nothing speaks against it yet
    KEEP = "keep"
    BACK = "back"


@frozen
class Judgement:
    """`numbers` bear the names of the guardrails that could be judged."""

    outlook: Outlook
    reason: str
    numbers: Mapping[str, float]


def judge(terms: Terms, before: Showing | None, now: Showing, served: Served) -> Judgement:
    """How the probation of one model in one pipeline goes on.

    `now`: what it shows lately, which is compared; `served`: all that it did in charge.
    """
    numbers = measure(before, now)
    limits = {**on_probation(), **terms.guardrails}
    if now.best is None and "score_shift" not in terms.guardrails:
        limits.pop("score_shift")
    for name, value in numbers.items():
        limit = limits.get(name)
        if limit is not None and breaks(name, value, limit):
            return Judgement(Outlook.BACK, f"{name} {value:g} is over {limit:g}", numbers)
    missing = []
    if served.seconds < terms.minutes * 60:
        missing.append(f"{terms.minutes * 60 - served.seconds:.0f} s")
    if served.frames < terms.frames:
        missing.append(f"{terms.frames - served.frames} frames")
    if missing:
        return Judgement(Outlook.ON, f"{' and '.join(missing)} to go", numbers)
    return Judgement(Outlook.KEEP, "", numbers)


def together(judged: Sequence[Judgement]) -> Judgement:
    """Of several pipelines as one: the first harm; kept where all of them are. Of none it goes
    on."""
    harm = next((each for each in judged if each.outlook is Outlook.BACK), None)
    if harm is not None:
        return harm
    numbers = worst(each.numbers for each in judged)
    on = next((each.reason for each in judged if each.outlook is Outlook.ON), None)
    if on is not None or not judged:
        return Judgement(Outlook.ON, on or "", numbers)
    return Judgement(Outlook.KEEP, "", numbers)


def measure(before: Showing | None, now: Showing) -> dict[str, float]:
    """The numbers that can be told of the two."""
    found = {"failures": float(now.failures), "wrong_answers": float(now.wrong_answers)}
    if before is None:
        return found
    if before.seconds >= USUAL_S and now.seconds > 0:
        found["event_ratio"] = round(
            excess(now.events, before.events / before.seconds * now.seconds), 3
        )
    enough = min(before.frames, now.frames) >= ENOUGH
    enough = enough and min(before.seconds, now.seconds) >= SCENE_S
    if before.best is not None and now.best is not None and enough:
        found["score_shift"] = round(apart(before.best, now.best), 3)
    was, is_ = quantile(before.invoke, 0.5), quantile(now.invoke, 0.5)
    if was and is_ and min(before.invoke.count, now.invoke.count) >= FEWEST:
        found["latency_ratio"] = round(is_ / was, 3)
    if min(before.looks, now.looks) >= LOOKS:
        rise = now.celsius / now.looks - before.celsius / before.looks
        found["temperature_rise_c"] = round(rise, 2)
    if before.memory_mb and now.memory_mb:
        found["memory_ratio"] = round(now.memory_mb / before.memory_mb, 3)
    return found


def excess(events: int, expected: float) -> float:
    """Events as a ratio of those that were expected, less what chance explains; 0 below that."""
    beyond_chance = events - CHANCE * math.sqrt(expected) - FEW
    return max(0.0, beyond_chance) / max(1.0, expected)


def apart(was: Sketch, now: Sketch) -> float:
    """Total variation of two distributions: 0 the same, 1 nothing in common."""
    tables = common(_coarse(was), _coarse(now))
    sums = [sum(table.values()) or 1 for table in tables]
    keys = tables[0].keys() | tables[1].keys()
    return sum(abs(tables[0].get(k, 0) / sums[0] - tables[1].get(k, 0) / sums[1]) for k in keys) / 2


def _coarse(sketch: Sketch) -> Sketch:
    coarse = sketch.copy()
    coarse.coarsen_to(_COARSE)
    return coarse


class Gauge:
    """Gathers what one model shows: the latest stretch, and one before it. One thread at a time."""

    #: So long a stretch lasts: what is usual is told by one or two of them.
    STRETCH_S = 1800.0

    def __init__(self, now: float, *, scored: bool) -> None:
        """`scored`: scores have a scale that two models share."""
        self._scored = scored
        self._older: Showing | None = None
        self._served = Served()  # in stretches that are over
        self._taken = Served()  # of all that it served, what was noted elsewhere
        self._begin(now)

    def _begin(self, now: float) -> None:
        self._began = now
        self._frames = self._failures = self._events = self._looks = self._wrong = 0
        self._best, self._invoke = Sketch(), Sketch()
        self._celsius = self._memory_mb = 0.0

    def infer(self, best: float, invoke_ms: float, opened: int) -> None:
        """A frame was inferred: its best score, 0 where nothing was found."""
        self._frames += 1
        self._events += opened
        self._best.add(max(0.0, best))
        self._invoke.add(invoke_ms)

    def fail(self) -> None:
        self._failures += 1

    def look(self, now: float, celsius: float | None, memory_mb: float) -> None:
        """About once a second: the board, and the time."""
        if celsius is not None:
            self._celsius += celsius
            self._looks += 1
        self._memory_mb = max(self._memory_mb, memory_mb)
        if now - self._began >= self.STRETCH_S:
            self._older = self._latest(now)
            self._served = self._all(now)
            self._begin(now)

    def lie(self) -> None:
        """A known question was answered wrongly."""
        self._wrong += 1

    def showing(self, now: float) -> Showing:
        """What is usual lately: of the last half hour at least, once there was one."""
        latest = self._latest(now)
        return latest if self._older is None else self._older.joined(latest)

    def served(self, now: float) -> Served:
        """All that it did in charge, but for what was taken."""
        whole = self._all(now)
        return Served(whole.seconds - self._taken.seconds, whole.frames - self._taken.frames)

    def take_served(self, now: float) -> Served:
        """The same, to be noted elsewhere: from now on it counts from nothing."""
        taken = self.served(now)
        self._taken = self._all(now)
        return taken

    def _all(self, now: float) -> Served:
        return self._served.plus(Served(max(0.0, now - self._began), self._frames))

    def _latest(self, now: float) -> Showing:
        return Showing(
            max(0.0, now - self._began), self._frames, self._failures, self._events, self._wrong,
            self._best.copy() if self._scored else None, self._invoke.copy(),
            self._celsius, self._looks, self._memory_mb,
        )  # fmt: skip
