"""What happens in the built-in scene: who is where at which moment, as a pure function.

A loading yard, watched by a fixed camera. Time is cut into episodes of 30 s. An episode's script
is written from (seed, episode) alone, so any moment can be looked up without playing what came
before it. Within an episode everybody comes in over the left or right edge, each on a lane of its
own, passes, stops or dawdles, and is gone 5 s before the end: then nothing moves. In every second
episode one vehicle stays parked through that quiet stretch and leaves in the next episode.

Positions are where an object touches the ground, in 0..1 of the frame; nearer is lower, larger and
in front. Lengths are metres, scaled by depth. Read `scene_draw.py` next.
"""

from __future__ import annotations

import math
from functools import lru_cache
from random import Random

import numpy as np

from edge_agent.frozen import frozen
from edge_agent.types import Box, Polygon

#: The yard's classes, in the order of the shipped detector's labels.
LABELS = ("person", "forklift", "van", "dog")
#: Where the traffic of the right edge passes; painted yellow on the ground.
GATE: Polygon = ((0.76, 0.545), (0.93, 0.545), (0.99, 0.97), (0.74, 0.97))

MAX_ACTORS = 6
EPISODE_S = 30.0
QUIET_S = 5.0  # at the end of every episode
HORIZON = 0.28
METRE_HIGH = 0.25  # one metre at the frame's lower edge, in frame heights
METRE_WIDE = METRE_HIGH * 9 / 16  # the same in frame widths


@frozen
class Kind:
    """What all objects of one class share: size in metres, pace in m/s, lanes they use (y)."""

    label: str
    height: float
    width: float
    pace: tuple[float, float]
    lanes: tuple[float, float]
    stride: float  # metres per cycle of the legs; 0 for wheels


KINDS = {
    "person": Kind("person", 1.75, 0.74, (1.0, 1.7), (0.57, 0.96), 1.5),
    "forklift": Kind("forklift", 2.15, 2.75, (1.5, 2.4), (0.62, 0.88), 0.0),
    "van": Kind("van", 2.05, 4.5, (2.4, 3.6), (0.62, 0.72), 0.0),
    "dog": Kind("dog", 0.78, 1.1, (1.4, 3.4), (0.68, 0.96), 0.9),
}


@frozen
class Leg:
    """One stretch of a way. `ease` > 0 brakes towards its end, < 0 starts up; 0 is steady."""

    start: float
    end: float
    x0: float
    y0: float
    x1: float
    y1: float
    ease: float


@frozen
class Trip:
    """One object from coming in to going out; between two legs it stands."""

    id: int
    kind: Kind
    look: int  # chooses size, colours and build
    legs: tuple[Leg, ...]


@frozen
class Actor:
    """One object at one moment: all that drawing it takes. `box` is not cut at the frame's edge."""

    id: int
    label: str
    look: int
    box: Box
    faces_right: bool
    cycle: float | None  # 0..1 of the leg movement; None while standing
    moving: bool


@frozen
class Truth:
    """What a perfect detector would say of one object, and how hard it is to see.

    `box` is cut at the frame's edge. `visible` is the part of the whole, uncut box that lies
    inside the frame and under no nearer object's box.
    """

    id: int
    label: str
    box: Box
    visible: float
    moving: bool


def daylight(t: float, day_s: float) -> float:
    """1 by day, 0 by night, smoothly between; it starts before noon. `t` in scene seconds."""
    sun = math.cos(2 * math.pi * (t / day_s - 0.08))
    x = min(1.0, max(0.0, (sun + 0.35) / 0.75))
    return x * x * (3 - 2 * x)


def cast(seed: int, t: float) -> tuple[Actor, ...]:
    """Everybody on the scene at `t` seconds, farthest first: at most `MAX_ACTORS`."""
    episode = int(t // EPISODE_S)
    trips = (script(seed, episode - 1) if episode else ()) + script(seed, episode)
    here = (_at(trip, t) for trip in trips if trip.legs[0].start <= t < trip.legs[-1].end)
    return tuple(sorted(here, key=lambda actor: (actor.box[3], actor.id)))


def truths(actors: tuple[Actor, ...]) -> tuple[Truth, ...]:
    """The truth about `actors` (farthest first); who is not to be seen at all is left out."""
    found = []
    for place, actor in enumerate(actors):
        visible = _visible(actor.box, [nearer.box for nearer in actors[place + 1 :]])
        if visible > 0.0:
            x0, y0, x1, y1 = (min(1.0, max(0.0, edge)) for edge in actor.box)
            found.append(Truth(actor.id, actor.label, (x0, y0, x1, y1), visible, actor.moving))
    return tuple(found)


@lru_cache(maxsize=64)
def script(seed: int, episode: int) -> tuple[Trip, ...]:
    """All trips that begin in one episode, in scene seconds."""
    rng = Random(f"yard/{seed}/{episode}")
    start = episode * EPISODE_S
    labels = _casting(rng, episode)
    lanes = _lanes(rng, labels)
    trips = []
    for slot, (label, lane) in enumerate(zip(labels, lanes, strict=True)):
        kind, look = KINDS[label], rng.randrange(1 << 16)
        if episode % 2 == 0 and slot == 0:
            legs = _parking(rng, kind, lane)
        else:
            earliest = 10.0 if kind.stride == 0 else 0.3  # last episode's vehicle is gone by then
            legs = _visit(rng, kind, lane, (earliest, 0.3 if slot == 1 else 14.0))
        trips.append(Trip(episode * 8 + slot + 1, kind, look, _retime(legs, 1.0, start)))
    return tuple(trips)


def _casting(rng: Random, episode: int) -> list[str]:
    """Who plays: a vehicle (the one that may park), a person, and up to three more."""
    vehicle = "van" if episode % 4 == 0 or rng.random() < 0.5 else "forklift"
    extras = ["dog", "forklift" if vehicle == "van" else "person", "person", "dog", "person"]
    start = rng.randrange(3)
    return [vehicle, "person", *extras[start : start + rng.choice((1, 2, 3, 3))]]


def _lanes(rng: Random, labels: list[str]) -> list[float]:
    """A lane for each, as far from the others as a dozen tries find: none walks through another."""
    lanes: list[float] = []
    for label in labels:
        low, high = KINDS[label].lanes
        tries = [rng.uniform(low, high) for _ in range(12)]
        lanes.append(max(tries, key=lambda y: min([abs(y - o) for o in lanes] + [0.05])))
    return lanes


def _visit(rng: Random, kind: Kind, lane: float, window: tuple[float, float]) -> tuple[Leg, ...]:
    """In, perhaps a stop or a dawdle, and out again, all before the quiet stretch.

    It begins within `window`, or sooner where it would not end in time.
    """
    side = rng.choice((0, 1))
    here, far = _edge(kind, lane, side), _edge(kind, lane, 1 - side)
    pace, middle, manner = rng.uniform(*kind.pace), rng.uniform(0.3, 0.85), rng.random()
    if manner < 0.4:  # straight through
        stages = [(far, pace, 0.0)]
    elif manner < 0.75:  # stops, then goes on or turns back
        stages = [(middle, pace, rng.uniform(2.0, 5.0)), (rng.choice((here, far)), pace, 0.0)]
    else:  # dawdles a little way, hardly moving
        slow = middle + rng.choice((-1.2, 1.2)) * METRE_WIDE * _depth(lane)
        stages = [(middle, pace, 0.0), (slow, rng.uniform(0.2, 0.4), 1.5), (far, pace, 0.0)]
    legs = _walk((here, lane), _wander(rng, kind, lane, stages))
    room = EPISODE_S - QUIET_S - window[0]
    hurry = min(1.0, room / legs[-1].end)
    latest = EPISODE_S - QUIET_S - legs[-1].end * hurry
    return _retime(legs, hurry, min(latest, rng.uniform(*window)))


def _parking(rng: Random, kind: Kind, lane: float) -> tuple[Leg, ...]:
    """In by the gate, parked through the quiet stretch, out by the left in the next episode."""
    here, far = _edge(kind, lane, 1), _edge(kind, lane, 0)
    pace = rng.uniform(*kind.pace)
    stages = [(rng.uniform(0.3, 0.55), lane, pace, 1.0), (far, lane, pace, 0.0)]
    arrive, leave = _walk((here, lane), stages)
    leaves = EPISODE_S + rng.uniform(0.5, 3.0)
    return (
        *_retime((arrive,), 1.0, rng.uniform(1.0, 5.0)),
        *_retime((leave,), 1.0, leaves - leave.start),
    )


def _wander(
    rng: Random, kind: Kind, lane: float, stages: list[tuple[float, float, float]]
) -> list[tuple[float, float, float, float]]:
    """Give each stage its y: vehicles keep their lane, the others stray from it a little."""
    stray = 0.05 if kind.stride else 0.0
    low, high = kind.lanes
    ys = [min(high, max(low, lane + rng.uniform(-stray, stray))) for _ in stages]
    return [(x, y, pace, wait) for (x, pace, wait), y in zip(stages, ys, strict=True)]


def _walk(
    start: tuple[float, float], stages: list[tuple[float, float, float, float]]
) -> tuple[Leg, ...]:
    """Legs from `start` through stages (x, y, pace in m/s, seconds to stand there), from time 0."""
    x, y = start
    legs, t, stood = [], 0.0, False
    for to_x, to_y, pace, wait in stages:
        ease = 0.7 if wait else (-0.7 if stood else 0.0)
        metre = METRE_WIDE * _depth((y + to_y) / 2)
        took = abs(to_x - x) / (pace * metre) * (1.2 if ease else 1.0)
        legs.append(Leg(t, t + took, x, y, to_x, to_y, ease))
        x, y, t, stood = to_x, to_y, t + took + wait, bool(wait)
    return tuple(legs)


def _retime(legs: tuple[Leg, ...], hurry: float, late: float) -> tuple[Leg, ...]:
    """The same way at `hurry` times its duration, beginning at `late`."""
    return tuple(
        Leg(g.start * hurry + late, g.end * hurry + late, g.x0, g.y0, g.x1, g.y1, g.ease)
        for g in legs
    )


def _at(trip: Trip, t: float) -> Actor:
    """Where the object of `trip` is at `t`, which lies within the trip."""
    leg = [g for g in trip.legs if g.start <= t][-1]
    part = min(1.0, (t - leg.start) / (leg.end - leg.start))
    gone = part + leg.ease * part * (1 - part)
    x = leg.x0 + (leg.x1 - leg.x0) * gone
    y = leg.y0 + (leg.y1 - leg.y0) * gone
    moving = part < 1.0
    kind = trip.kind
    cycle = None
    if moving and kind.stride:
        cycle = abs(x - leg.x0) / (METRE_WIDE * _depth(y) * kind.stride) % 1.0
    return Actor(trip.id, kind.label, trip.look, _box(trip, x, y), leg.x1 >= leg.x0, cycle, moving)


def _box(trip: Trip, x: float, y: float) -> Box:
    """The box of an object whose feet are at (x, y); nobody is quite as tall as the next."""
    size = _depth(y) * (0.92 + 0.16 * (trip.look % 97) / 96)
    half = trip.kind.width * METRE_WIDE * size / 2
    return x - half, y - trip.kind.height * METRE_HIGH * size, x + half, y


def _depth(y: float) -> float:
    """How large things are whose feet are at `y`: 1 at the lower edge, 0 at the horizon."""
    return (y - HORIZON) / (1 - HORIZON)


def _edge(kind: Kind, lane: float, side: int) -> float:
    """The x at which an object of `kind` is just outside, left (0) or right (1)."""
    half = 1.25 * kind.width * METRE_WIDE * _depth(lane) / 2
    return 1 + half if side else -half


def _visible(box: Box, nearer: list[Box]) -> float:
    """The part of `box` inside the frame and under no box of `nearer`, on a grid of 48 x 48."""
    steps = (np.arange(48) + 0.5) / 48
    xs = box[0] + (box[2] - box[0]) * steps
    ys = box[1] + (box[3] - box[1]) * steps
    seen = ((ys >= 0) & (ys <= 1))[:, None] & ((xs >= 0) & (xs <= 1))[None, :]
    for x0, y0, x1, y1 in nearer:
        seen &= ~(((ys >= y0) & (ys <= y1))[:, None] & ((xs >= x0) & (xs <= x1))[None, :])
    return float(seen.mean())
