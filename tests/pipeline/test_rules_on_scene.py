"""The built-in scene's truth tests every kind of rule: the right events, and no others.

Tracks are made from the truth; each rule's expected events are worked out here from the same
truth in a few lines that share no code with the rules: frame numbers instead of clocks, the whole
film at once instead of frame after frame, OpenCV's geometry instead of ours.
"""

from collections import Counter
from dataclasses import dataclass
from datetime import UTC
from itertools import pairwise

import cv2
import numpy as np
import pytest

from edge_agent.pipeline.rules import Rules, RuleSpec, RulesSpec, Sight
from edge_agent.pipeline.schedule import Calendar, Schedule
from edge_agent.pipeline.zones import Line, Zone
from edge_agent.sources.scene import GATE, Scene, SceneSpec
from edge_agent.types import Detection, Track

FPS = 10
FRAMES = 2400
PATIENCE = FPS  # a second
SEEN = 0.4  # who is less visible than that is hidden
MASK = ((0.0, 0.0), (0.85, 0.0), (0.85, 1.0), (0.0, 1.0))
MIDDLE = Line("middle", (0.5, 0.3), (0.5, 1.0))


@dataclass(frozen=True)
class Glimpse:
    """One object in one frame, as the truth has it."""

    box: tuple[float, float, float, float]
    visible: float

    @property
    def seen(self):
        return self.visible >= SEEN

    @property
    def area(self):
        return (self.box[2] - self.box[0]) * (self.box[3] - self.box[1])

    def within(self, polygon, anchor="bottom"):
        x = (self.box[0] + self.box[2]) / 2
        y = self.box[3] if anchor == "bottom" else (self.box[1] + self.box[3]) / 2
        outline = np.array(polygon, np.float32)
        return cv2.pointPolygonTest(outline, (x, min(y, 1 - 1e-6)), False) > 0


@dataclass(frozen=True)
class Film:
    """Every object's frames: `lives[id][frame]`, without a gap from its first to its last."""

    lives: dict[int, dict[int, Glimpse]]
    labels: dict[int, str]

    def of(self, *labels):
        return {i: life for i, life in self.lives.items() if not labels or self.labels[i] in labels}


@pytest.fixture(scope="module", params=[7, 23])
def film(request):
    scene = Scene("yard", SceneSpec(seed=request.param, fps=FPS))
    lives, labels = {}, {}
    for frame in range(FRAMES):
        for truth in scene.truth(frame):
            labels[truth.id] = truth.label
            lives.setdefault(truth.id, {})[frame] = Glimpse(truth.box, truth.visible)
    for life in lives.values():
        for frame in range(min(life), max(life)):
            if frame not in life:  # wholly covered: the tracker holds it
                life[frame] = Glimpse(life[frame - 1].box, 0.0)
    return Film(lives, labels)


def judged(film, rule, **spec):
    """The events of one rule as (track, opening frame, closing frame, close reason)."""
    spec = {"zones": (Zone("gate", GATE),), "lines": (MIDDLE,), **spec}
    rules = Rules(RulesSpec("yard", "yard", (rule,), **spec))
    closed = []
    for frame in range(FRAMES):
        here = {i: life[frame] for i, life in sorted(film.lives.items()) if frame in life}
        tracks = tuple(
            Track(i, film.labels[i], g.box, g.visible, 0.0, 0.0, 1, visible=g.seen)
            for i, g in here.items()
        )
        found = tuple(Detection(film.labels[i], g.visible, g.box) for i, g in here.items())
        sight = Sight(frame, frame / FPS, None, tracks, found, True, False, Calendar(UTC))
        closed += rules.step(sight).closed
    closed += rules.close_all(FRAMES / FPS, "ended")
    return closed


def told(events):
    return sorted(
        (event.track or 0, event.frame, round(event.closed * FPS), event.close_reason)
        for event in events
    )


# --- the reference -----------------------------------------------------------------------------


def stays(life, inside):
    """An object's stays as (frames seen inside, closing frame, reason)."""
    ins = [f for f in sorted(life) if life[f].seen and inside(life[f])]
    outs = [f for f in sorted(life) if life[f].seen and not inside(life[f])]
    gone = (max(life) + 1, "lost") if max(life) + 1 < FRAMES else (FRAMES, "ended")
    found, group = [], []
    for here, following in pairwise([*ins, FRAMES]):
        group.append(here)
        over = [f for f in outs if here + PATIENCE <= f < following]
        if over or following == FRAMES:
            found.append((group, *((over[0], "cleared") if over else gone)))
            group = []
    return found


def presence(lives, inside, opens=lambda life, group: group[0]):
    """One event a stay, from the frame that `opens` names, if it names one."""
    return sorted(
        (i, opens(life, group), end, reason)
        for i, life in lives.items()
        for group, end, reason in stays(life, inside)
        if opens(life, group) is not None
    )


def in_gate(glimpse):
    return glimpse.within(GATE)


# --- one rule of each kind ---------------------------------------------------------------------


def test_a_zone(film):
    expected = presence(film.of("person"), in_gate)
    assert told(judged(film, RuleSpec("r", label="person", zone="gate"))) == expected
    assert len(expected) >= 3


def test_two_labels_anywhere(film):
    expected = presence(film.of("dog", "van"), lambda _: True)
    assert told(judged(film, RuleSpec("r", label=("dog", "van")))) == expected
    assert len(expected) >= 5


def test_any_label_by_its_centre(film):
    expected = presence(film.of(), lambda g: g.within(GATE, "center"))
    assert told(judged(film, RuleSpec("r", zone="gate", anchor="center"))) == expected
    assert expected


def test_dwell(film):
    def opens(_life, group):
        return next((f for f in group if f - group[0] >= 15), None)

    expected = presence(film.of(), in_gate, opens)
    assert told(judged(film, RuleSpec("r", zone="gate", dwell_s=1.5))) == expected
    assert expected


def test_min_score(film):
    def opens(life, group):
        return next((f for f in group if life[f].visible >= 0.97), None)

    expected = presence(film.of(), in_gate, opens)
    assert told(judged(film, RuleSpec("r", zone="gate", min_score=0.97))) == expected
    assert expected != presence(film.of(), in_gate)


def test_area(film):
    def opens(life, group):
        return next((f for f in group if 0.01 <= life[f].area <= 0.03), None)

    expected = presence(film.of(), in_gate, opens)
    rule = RuleSpec("r", zone="gate", min_area=0.01, max_area=0.03)
    assert told(judged(film, rule)) == expected
    assert expected != presence(film.of(), in_gate)


def test_confirm(film):
    def opens(life, group):
        return next(
            (f for f in group if sum(g in good(life) for g in range(f - 4, f + 1)) > 3), None
        )

    def good(life):
        return {f for f, g in life.items() if g.seen and g.visible >= 0.9 and in_gate(g)}

    expected = presence(
        film.of(), in_gate, lambda life, group: opens(life, sorted(good(life) & set(group)))
    )
    assert told(judged(film, RuleSpec("r", zone="gate", min_score=0.9, confirm=(4, 5)))) == expected
    assert expected


def test_an_object_mask(film):
    expected = presence(film.of(), lambda g: in_gate(g) and not g.within(MASK))
    assert told(judged(film, RuleSpec("r", zone="gate"), object_masks=(MASK,))) == expected
    assert expected != presence(film.of(), in_gate)


@pytest.mark.parametrize("direction", ["in", "out", "both"])
def test_a_line(film, direction):
    expected = []
    for i, life in film.of("person", "dog").items():
        middles = [(f, sum(life[f].box[::2]) / 2 - 0.5) for f in sorted(life) if life[f].seen]
        clear = [(f, x < 0) for f, x in middles if abs(x) > 0.01]
        for (_, left_before), (f, left) in pairwise(clear):
            way = "in" if left else "out"  # drawn downwards: in is to the left of the picture
            if left != left_before and direction in (way, "both"):
                expected.append((i, f, f, "crossed"))
    rule = RuleSpec("r", label=("person", "dog"), line="middle", direction=direction)
    assert told(judged(film, rule)) == sorted(expected)
    assert expected


def test_a_count(film):
    numbers = [0] * FRAMES
    for life in film.of().values():
        inside = False
        for f in sorted(life):
            inside = in_gate(life[f]) if life[f].seen else inside
            numbers[f] += inside
    crowded = [f for f in range(FRAMES) if numbers[f] >= 2]
    expected, group = [], []
    for here, following in pairwise([*crowded, FRAMES + PATIENCE]):
        group.append(here)
        if following > here + PATIENCE:
            end = min(here + PATIENCE, FRAMES)
            expected.append((0, group[0], end, "cleared" if end < FRAMES else "ended"))
            group = []
    events = judged(film, RuleSpec("r", zone="gate", count=2))
    assert told(events) == expected
    assert [event.count for event in events] == [
        max(numbers[start:end]) for _, start, end, _ in expected
    ]


def test_absence(film):
    people = film.of("person").values()
    seen = [f for f in range(FRAMES) if any(f in p and p[f].seen and in_gate(p[f]) for p in people)]
    expected = [
        (0, here + 80, following, "cleared" if following < FRAMES else "ended")
        for here, following in pairwise([0, *seen, FRAMES])
        if following > here + 80
    ]
    rule = RuleSpec("r", label="person", zone="gate", absent_s=8.0)
    assert told(judged(film, rule)) == expected
    assert len(expected) > 3


def test_a_level(film):
    best = [
        max((v[f].visible for v in film.of("van").values() if f in v), default=0.0)
        for f in range(FRAMES)
    ]
    expected, opened, above = [], None, 0
    for f, score in enumerate(best):
        above = above + 1 if score > 0.8 else 0
        if opened is None and above > 5:  # half a second
            opened = f
        elif opened is not None and score < 0.3:
            expected.append((0, opened, f, "cleared"))
            opened = None
    if opened is not None:
        expected.append((0, opened, FRAMES, "ended"))
    rule = RuleSpec("r", label="van", score_above=0.8, for_s=0.5, clear_below=0.3)
    assert told(judged(film, rule)) == expected
    assert expected


def test_a_schedule(film):
    def opens(_life, group):
        return next((f for f in group if 600 <= f < 1800), None)

    expected = presence(film.of(), in_gate, opens)
    rule = RuleSpec("r", zone="gate", schedule=Schedule.parse("00:01-00:03"))
    assert told(judged(film, rule)) == expected
    assert expected


@pytest.mark.parametrize("scope", ["rule", "zone", "track"])
def test_a_cooldown(film, scope):
    waiting = [(i, *stay) for i, life in film.of().items() for stay in stays(life, in_gate)]
    expected, last = [], {}
    for f in range(FRAMES):
        for stay in sorted(waiting):
            i, group, end, reason = stay
            key = i if scope == "track" else 0
            if f in group and f - last.get(key, -FRAMES) >= 70:
                last[key] = f
                expected.append((i, f, end, reason))
                waiting.remove(stay)
    rule = RuleSpec("r", zone="gate", cooldown_s=7.0, cooldown_scope=scope)
    assert told(judged(film, rule)) == sorted(expected)
    assert expected


def test_max_per_hour(film):
    every = sorted(presence(film.of(), in_gate), key=lambda event: (event[1], event[0]))
    events = judged(film, RuleSpec("r", zone="gate", max_per_hour=2))
    storms = [event for event in events if event.track is None]
    assert told(e for e in events if e.track is not None) == sorted(every[:2])
    assert [(e.frame, e.count) for e in storms] == [(every[2][1], len(every) - 2)]


def test_the_films_show_what_the_tests_need(film):
    """Objects of every label, some hidden for a while, some that stand in the gate's way."""
    assert len(Counter(film.labels.values())) >= 3
    assert any(not glimpse.seen for life in film.lives.values() for glimpse in life.values())
