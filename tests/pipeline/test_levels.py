"""Rules with `score_above` for the scores of every family: areas, errors, and any number at all."""

import pytest
from film import Film
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.pipeline.rules import RuleSpec
from edge_agent.pipeline.rulespec import threshold_fault
from edge_agent.pipeline.why import explain


def play(rule, label, scores, **spec):
    """A frame a score; None: nothing of the label was found."""
    film = Film(rule, **spec)
    for score in scores:
        film.show(scores={} if score is None else {label: score})
    return film


def spans(film):
    """Opening and closing frames; None: still open."""
    closed = {event.id: round(event.closed * film.fps) for event in film.closed}
    return [(event.frame, closed.get(event.id)) for event in film.opened]


@pytest.mark.parametrize(
    ("keys", "scores", "expected"),
    [
        # the error of an anomaly model: any number from 0 on
        ({"score_above": 12.5}, [3.0, 12.5, 40.0, 1e9, 12.4], [(2, 4)]),
        ({"score_above": 12.5, "clear_below": 8.0}, [13.0, 9.0, 8.0, 7.9, 12.0], [(0, 3)]),
        ({"score_above": 2e-5, "clear_below": 1e-5}, [1e-5, 3e-5, 1.5e-5, 9e-6], [(1, 3)]),
        ({"score_above": 1.0, "for_s": 0.2}, [2, 2, 0.5, 2, 2, 2, 0.5], [(5, 6)]),
        # the area of a segmented class: it is not found at all where it covers nothing
        ({"score_above": 0.2}, [None, 0.1, 0.25, None, 0.3], [(2, 3), (4, None)]),
        ({"score_above": 0.0}, [None, 0.001, None], [(1, 2)]),
        ({"score_above": 0.2, "clear_below": 0.0}, [0.3, 0.1, None, 0.1], [(0, 2)]),
        # the mean of an output: below 0 too
        ({"score_above": -2.0}, [-3.0, -2.0, -1.0, 0.0, -2.5], [(2, 4)]),
        ({"score_above": -1.0, "clear_below": -3.0}, [-2.0, -0.5, -3.0, -3.5], [(1, 3)]),
        ({"score_above": -1.0}, [None, None], []),  # nothing is above nothing
        ({"score_above": 5.0, "clear_below": -5.0}, [6.0, 0.0, -5.0, -6.0], [(0, 3)]),
    ],
)
def test_a_level_holds_between_its_two_thresholds(keys, scores, expected):
    film = play(RuleSpec("r", label="x", **keys), "x", scores)
    assert spans(film) == expected


def test_the_threshold_may_be_the_models():
    film = play(RuleSpec("r", score_above="model"), "anomaly", [1.0, 3.0, 2.0], threshold=2.5)
    assert spans(film) == [(1, 2)]
    gap = RuleSpec("r", score_above="model", clear_below=1.5)
    film = play(gap, "anomaly", [3.0, 2.0, 1.0], threshold=2.5)
    assert spans(film) == [(0, 2)]
    assert explain(film.opened[0].decisions) == ("pass   score of anomaly 3: needs more than 2.5",)


@pytest.mark.parametrize(
    ("keys", "threshold", "fault"),
    [
        ({"score_above": "model"}, 0.0, None),
        ({"score_above": 0.5}, None, None),
        ({"count": 2}, None, None),
        (
            {"score_above": "model"},
            None,
            "`score_above: model` needs a model with a threshold, allowed: a number",
        ),
        ({"score_above": "model", "clear_below": 2.5}, 2.5, None),
        (
            {"score_above": "model", "clear_below": 3.0},
            2.5,
            "`clear_below` 3 is above `score_above` 2.5",
        ),
    ],
)
def test_what_the_models_threshold_says_against_a_rule(keys, threshold, fault):
    assert threshold_fault(RuleSpec("r", **keys), threshold) == fault


def test_the_best_score_of_several_labels_may_be_below_zero():
    film = Film(RuleSpec("r", label=("a", "b"), score_above=-1.0))
    film.show(scores={"c": 5.0, "a": -4.0, "b": -3.0})
    assert film.misses[-1].label == "b"
    film.show(scores={"a": -0.5, "b": -3.0, "c": -9.0})
    assert [(e.label, e.score_max) for e in film.opened] == [("a", -0.5)]


def test_a_miss_says_that_nothing_was_found():
    film = play(RuleSpec("r", label="cat", score_above=0.2), "cat", [None])
    line = "stop   score of cat: nothing found, needs more than 0.2"
    assert explain(film.misses[0].decisions)[0] == line


@pytest.mark.parametrize(
    ("score", "text"),
    [(0.834, "0.83"), (0.0, "0.00"), (0.0461, "0.046"), (3.2e-5, "3.2e-05"), (1234.5, "1234.50")],
)
def test_a_score_of_any_size_can_be_read(score, text):
    film = play(RuleSpec("r", label="x", score_above=-1.0), "x", [score])
    assert film.opened[0].text == f"x: score {text}"


@pytest.mark.parametrize("size", [1e-6, 0.004, 0.05, 0.5, 1.0, 37.0, 1e6, -2.5])
def test_the_median_of_scores_of_any_size_is_right_to_a_thousandth(size):
    scores = [size * part for part in (1.0, 1.3, 1.7, 2.2, 1.1, 1.9, 1.5)]
    film = play(RuleSpec("r", label="x", score_above=-100.0), "x", scores)
    [event] = film.rules.open_events()
    assert event.score_max == max(scores)
    assert event.score_median == pytest.approx(1.5 * size, rel=0.001)


numbers = st.one_of(st.none(), st.floats(-50, 50, allow_nan=False))


@settings(max_examples=150)
@given(st.lists(numbers, max_size=30), st.floats(-20, 20), st.floats(0, 20))
def test_law_a_level_is_the_plain_hysteresis_of_its_scores(scores, above, gap):
    rule = RuleSpec("r", label="x", score_above=above, clear_below=above - gap)
    film = play(rule, "x", scores)
    expected, opened = [], None
    for frame, score in enumerate(scores):
        if opened is None and score is not None and score > above:
            opened = frame
        elif opened is not None and (score is None or score < above - gap):
            expected.append((opened, frame))
            opened = None
    assert spans(film) == expected + ([] if opened is None else [(opened, None)])
