"""Subjects: key points and segmented classes, whose label is their identity."""

from datetime import UTC
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.pipeline.rules import Rules, RuleSpec, RulesSpec, Sight
from edge_agent.pipeline.schedule import Calendar
from edge_agent.pipeline.subjects import Subjects
from edge_agent.pipeline.track import Tracker, TrackSpec
from edge_agent.pipeline.zones import Line, Zone
from edge_agent.types import Detection

POINTS = ("nose", "left_wrist", "right_wrist")
SPEC = TrackSpec(high=0.3, low=0.3)
PRESS = Zone("press", ((0.4, 0.4), (0.6, 0.4), (0.6, 0.6), (0.4, 0.6)))
EDGE = Line("edge", (0.0, 0.5), (1.0, 0.5))
FPS = 10.0


def point(label="left_wrist", x=0.5, y=0.5, score=0.8):
    return Detection(label, score, (x, y, x, y))


def area(label, part, box=(0.0, 0.0, 1.0, 1.0)):
    """A class of a segmentation: its score is its part of the frame."""
    return Detection(label, part, box)


class Scene:
    """Rules that see what `Subjects` make of findings, frame after frame."""

    def __init__(self, *rules, areas=False, labels=POINTS):
        spec = RulesSpec("p", "s", rules, zones=(PRESS,), lines=(EDGE,), min_score=0.3)
        self.rules, self.frame = Rules(spec), 0
        self.subjects = Subjects(labels, SPEC, areas=areas)
        self.opened, self.closed = [], []

    def show(self, *found, frames=1):
        for _ in range(frames):
            time = self.frame / FPS
            tracks = self.subjects.update(found, time).tracks
            sight = Sight(
                self.frame, time, None, tracks, found, inferred=True, still=False,
                calendar=Calendar(UTC),
            )  # fmt: skip
            changes = self.rules.step(sight)
            self.opened += [(event.frame, event.label) for event in changes.opened]
            self.closed += [(round(e.closed * FPS), e.close_reason) for e in changes.closed]
            self.frame += 1
        return self


# --- one track a label -------------------------------------------------------------------------


def test_the_id_is_the_place_of_the_label_among_the_models():
    subjects = Subjects(POINTS, SPEC)
    seen = subjects.update((point("right_wrist"), point("nose")), 0.0)
    assert seen.ids == (3, 1)
    assert [(track.id, track.label) for track in seen.tracks] == [(1, "nose"), (3, "right_wrist")]


def test_labels_that_the_model_does_not_list_get_the_next_ids():
    subjects = Subjects(("a", "a", "b"), SPEC)
    assert subjects.update((point("17"), point("b"), point("x")), 0.0).ids == (3, 2, 4)


def test_a_subject_may_jump_across_the_picture():
    subjects = Subjects(POINTS, SPEC)
    for frame, x in enumerate([0.1, 0.9, 0.1, 0.5]):
        seen = subjects.update((point(x=x),), frame / FPS)
        assert seen.ids == (2,)
        assert seen.tracks[0].box == (x, 0.5, x, 0.5)
    assert seen.tracks[0].hits == 4


def test_below_what_counts_a_subject_is_not_seen():
    subjects = Subjects(POINTS, SPEC)
    assert subjects.update((point(score=0.29),), 0.0).tracks == ()
    subjects.update((point(score=0.3),), 0.1)
    seen = subjects.update((point(score=0.29),), 0.2)
    assert seen.ids == (None,)
    assert [(track.visible, track.score) for track in seen.tracks] == [(False, 0.3)]


def test_of_several_findings_of_one_label_the_best_is_the_subject():
    found = (point(score=0.5, x=0.1), point(score=0.9, x=0.2), point(score=0.4, x=0.3))
    seen = Subjects(POINTS, SPEC).update(found, 0.0)
    assert seen.ids == (None, 2, None)
    assert seen.tracks[0].box[0] == 0.2


@pytest.mark.parametrize("fps", [0.5, 2.0, 10.0])
def test_a_subject_is_lost_as_late_as_any_track_and_comes_back_under_its_id(fps):
    lost, back = [], []
    for tracker in (Subjects(POINTS, SPEC), Tracker(SPEC)):
        still = Detection("nose", 0.9, (0.4, 0.4, 0.6, 0.6))
        frame = 0
        while tracker.update((still,) if frame < 3 else (), frame / fps).tracks:
            frame += 1
        lost.append(frame)
        back.append(tracker.update((still,), (frame + 1) / fps).ids)
    assert lost[0] == lost[1]
    assert back == [(1,), (2,)]  # to a tracker it is another one


def test_held_frames_lose_no_subject():
    subjects = Subjects(POINTS, SPEC)
    subjects.update((point(),), 0.0)
    assert [track.id for track in subjects.hold(60.0)] == [2]


def test_the_area_of_a_class_is_its_own_not_its_boxs():
    road = area("road", 0.3, (0.0, 0.0, 1.0, 0.5))
    assert Subjects((), SPEC, areas=True).update((road,), 0.0).tracks[0].area == 0.3
    assert Subjects((), SPEC).update((road,), 0.0).tracks[0].area == 0.5
    assert Subjects((), SPEC).update((point(),), 0.0).tracks[0].area == 0.0


# --- rules about them --------------------------------------------------------------------------


@pytest.mark.parametrize("anchor", ["bottom", "center"])
def test_a_key_point_in_a_zone_is_an_event(anchor):
    rule = RuleSpec("hand", label=("left_wrist", "right_wrist"), zone="press", anchor=anchor)
    scene = Scene(rule).show(point(x=0.2), point("nose"), frames=5)
    assert scene.opened == []
    scene.show(point(x=0.5), point("nose"), frames=5).show(point(x=0.9), frames=20)
    assert scene.opened == [(5, "left_wrist")]
    assert scene.closed == [(19, "cleared")]


def test_a_key_point_has_its_own_confirm_dwell_and_cooldown():
    keys = {"confirm": (2, 3), "dwell_s": 0.5, "cooldown_s": 60.0, "cooldown_scope": "track"}
    scene = Scene(RuleSpec("hand", zone="press", **keys))
    both = point("left_wrist"), point("right_wrist")
    scene.show(*both, frames=10).show(frames=60).show(*both, frames=10)
    assert scene.opened == [(5, "left_wrist"), (5, "right_wrist")]  # no more: they cool down


def test_a_key_point_that_crosses_a_line_is_an_event():
    scene = Scene(RuleSpec("raised", label="left_wrist", line="edge", direction="out"))
    for y in (0.7, 0.6, 0.4, 0.3, 0.7, 0.2):
        scene.show(point(y=y))
    assert scene.opened == [(2, "left_wrist"), (5, "left_wrist")]


def test_key_points_can_be_counted_and_missed():
    rules = RuleSpec("both", zone="press", count=2), RuleSpec("no nose", label="nose", absent_s=1.0)
    scene = Scene(*rules)
    scene.show(point("left_wrist"), point("right_wrist"), frames=20)
    assert scene.opened == [(0, None), (10, "nose")]


def test_the_size_of_a_segmented_class_is_its_area():
    wide = {"box": (0.0, 0.0, 1.0, 1.0)}  # the box is the whole picture all along
    rules = (
        RuleSpec("much", label="water", min_area=0.4, confirm=(2, 2)),
        RuleSpec("little", label="water", max_area=0.35),
    )
    scene = Scene(*rules, areas=True, labels=("land", "water"))
    scene.show(area("water", 0.32, **wide)).show(area("water", 0.38, **wide), frames=3)
    assert scene.opened == [(0, "water")]
    scene.show(area("water", 0.41, **wide), frames=2)
    assert scene.opened[1:] == [(5, "water")]


# --- laws --------------------------------------------------------------------------------------

names = st.sampled_from([*POINTS, "ear", "17"])
findings = st.lists(st.tuples(names, st.floats(0, 1), st.floats(0, 1)), max_size=6)
histories = st.lists(st.tuples(findings, st.sampled_from([0.1, 1.0, 5.0, 40.0])), max_size=20)


def play(history):
    """Findings and what became of them, frame after frame."""
    subjects, time = Subjects(POINTS, SPEC), 0.0
    for raw, passed in history:
        found = tuple(point(label, x, x, score) for label, score, x in raw)
        yield found, subjects.update(found, time)
        time += passed


@settings(max_examples=50)
@given(histories)
def test_law_a_label_has_one_id_for_ever_and_one_track_at_most(history):
    known = {}
    for found, seen in play(history):
        assert [track.id for track in seen.tracks] == sorted({track.id for track in seen.tracks})
        for track in seen.tracks:
            assert known.setdefault(track.label, track.id) == track.id
        assert len(set(known.values())) == len(known)
        for one, id_ in zip(found, seen.ids, strict=True):
            assert id_ is None or known[one.label] == id_


@settings(max_examples=50)
@given(histories)
def test_law_who_is_seen_is_where_its_best_finding_is(history):
    for found, seen in play(history):
        best = {}
        for one in sorted(found, key=lambda one: -one.score):
            if one.score >= SPEC.high:
                best.setdefault(one.label, (one.box, one.score))
        visible = [track for track in seen.tracks if track.visible]
        assert best == {track.label: (track.box, track.score) for track in visible}


@settings(max_examples=40)
@given(st.lists(findings, max_size=40))
def test_law_a_subject_has_one_event_at_a_time_and_every_one_closes(history):
    rules = RuleSpec("in", zone="press"), RuleSpec("dwell", dwell_s=0.3, confirm=(2, 3))
    spec = RulesSpec("p", "s", rules, zones=(PRESS,), min_score=0.3)
    judged, subjects, opened, closed = Rules(spec), Subjects(POINTS, SPEC), [], []
    for frame, raw in enumerate(history):
        found = tuple(point(label, x, x, score) for label, score, x in raw)
        tracks = subjects.update(found, frame / 2).tracks
        sight = Sight(frame, frame / 2, None, tracks, found, True, False, Calendar(UTC))
        changes = judged.step(sight)
        opened += changes.opened
        closed += changes.closed
    closed += judged.close_all(len(history) / 2, "stopped")
    assert sorted(e.id for e in closed) == sorted(e.id for e in opened)
    spans = sorted((e.rule, e.label, e.opened, e.closed) for e in closed)
    for one, other in pairwise(spans):
        assert one[:2] != other[:2] or one[3] <= other[2]
