"""Another model takes charge between two frames: tracks and events go on, nothing is doubled."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from edge_agent.pipeline.rules import Rules, RulesSpec
from edge_agent.pipeline.rulespec import RuleSpec, Sight
from edge_agent.pipeline.schedule import Calendar
from edge_agent.pipeline.subjects import Subjects
from edge_agent.pipeline.track import Tracker
from edge_agent.types import Detection

LABELS = ("person", "dog", "van")
CALENDAR = Calendar(None)  # type: ignore[arg-type]


def found(time: float, label: str = "person", score: float = 0.9) -> Detection:
    x = 0.1 + 0.01 * time
    return Detection(label, score, (x, 0.2, x + 0.2, 0.6))


def test_tracks_go_on_under_their_ids_where_the_label_still_is() -> None:
    old = Tracker()
    for step in range(10):
        both = (found(step), Detection("dog", 0.9, (0.6, 0.6, 0.8, 0.9)))
        old.update(both, float(step))
    new = Tracker()
    kept = new.take_over(old, frozenset({"person"}))
    assert [(track.id, track.label) for track in kept] == [(1, "person")]
    tracks = new.update((found(10.0), Detection("cat", 0.9, (0.6, 0.1, 0.8, 0.3))), 10.0).tracks
    assert [(track.id, track.label) for track in tracks] == [(1, "person"), (3, "cat")]
    assert tracks[0].hits == 11


def test_a_model_that_names_nothing_keeps_every_track_and_another_kind_keeps_none() -> None:
    old = Tracker()
    old.update((found(0.0),), 0.0)
    assert len(Tracker().take_over(old, frozenset())) == 1
    other = Subjects(("person",))
    assert other.take_over(old, frozenset({"person"})) == ()
    assert Tracker().take_over(Tracker(), frozenset()) == ()


def test_a_subject_whose_place_is_another_is_another() -> None:
    old = Subjects(LABELS)
    old.update(tuple(Detection(label, 0.9, (0.1, 0.1, 0.2, 0.2)) for label in LABELS), 0.0)
    kept = Subjects(("person", "van", "dog")).take_over(old, frozenset(LABELS))
    assert [(track.id, track.label) for track in kept] == [(1, "person")]


def sight(tracker: Tracker, time: float, score: float) -> Sight:
    tracks = tracker.update((found(time, score=score),), time).tracks
    return Sight(int(time), time, None, tracks, (), inferred=True, still=False, calendar=CALENDAR)


@given(st.integers(0, 19), st.integers(1, 5))
def test_an_event_opens_and_closes_once_whenever_the_model_changes(at: int, dwell: int) -> None:
    spec = RulesSpec("yard", "yard", (RuleSpec("seen", "person", dwell_s=float(dwell)),))
    rules, tracker = Rules(spec), Tracker()
    opened, closed = [], []
    for step in range(20):
        if step == at:
            rules.follow(replace(spec, min_score=0.5))
            next_one = Tracker()
            next_one.take_over(tracker, frozenset(LABELS))
            tracker = next_one
        changes = rules.step(sight(tracker, float(step), 0.8))
        opened += changes.opened
        closed += changes.closed
    closed += rules.close_all(20.0, "stopped")
    assert [event.id for event in opened] == [event.id for event in closed]
    assert [event.opened for event in opened] == [float(dwell)]


def test_rules_ask_for_what_the_new_model_says_of_itself() -> None:
    spec = RulesSpec("yard", "yard", (RuleSpec("seen", "person"),), min_score=0.5)
    rules, tracker = Rules(spec), Tracker()
    rules.follow(replace(spec, min_score=0.95))
    changes = rules.step(sight(tracker, 0.0, 0.8))
    assert not changes.opened
    assert changes.misses[0].decisions[-1].numbers["min"] == 0.95


def test_a_threshold_that_came_with_the_model_is_the_new_one_s() -> None:
    rule = RuleSpec("worn", score_above="model")
    spec = RulesSpec("motor", "motor", (rule,), threshold=0.5)
    rules = Rules(spec)
    rules.follow(replace(spec, threshold=0.9))

    def hears(score: float, time: float) -> int:
        heard = (Detection("anomaly", score, (0.0, 0.0, 1.0, 1.0)),)
        return len(rules.step(Sight(0, time, None, (), heard, True, False, CALENDAR)).opened)

    assert (hears(0.8, 0.0), hears(0.95, 1.0)) == (0, 1)
