"""A rule with `switched`: the best class of the picture is another than before."""

from itertools import pairwise

import pytest
from film import Film
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.pipeline.rules import RuleSpec
from edge_agent.pipeline.schedule import Schedule
from edge_agent.pipeline.why import explain

CLASSES = {"A": "open", "B": "closed", "C": "jammed"}


def switch(**keys):
    return RuleSpec("door", switched=True, **keys)


def play(film, letters):
    """A frame a letter: the class that scores best; a dot: nothing was found, a small letter: the
    same, too weak to say anything."""
    for letter in letters:
        if letter == ".":
            film.show(scores={})
        else:
            score = 0.9 if letter.isupper() else 0.2
            film.show(scores={CLASSES[letter.upper()]: score, "other": 0.1})
    return film


def told(film):
    return [(event.frame, event.text) for event in film.opened]


def test_an_event_lasts_from_one_switch_to_the_next():
    film = play(Film(switch()), "AAABBBBBA")
    assert told(film) == [(3, "closed after open"), (8, "open after closed")]
    assert film.closings == [(8, "cleared")]
    [event] = film.closed
    assert (event.label, event.track, event.count, event.box) == ("closed", None, 1, None)
    assert (event.opened, event.seen, event.closed) == (0.3, 0.7, 0.8)
    assert event.score_max == 0.9


def test_the_first_class_follows_nothing_so_it_is_no_switch():
    film = play(Film(switch()), "AAAA")
    assert film.opened == []
    assert film.stopped_at == "switch"


@pytest.mark.parametrize(
    ("label", "opens", "closes"),
    [
        ("closed", [2, 6], [4, 8]),
        (("closed", "jammed"), [2, 4, 6], [4, 6, 8]),
        ("open", [8], []),
        ("gone", [], []),
    ],
)
def test_only_switches_to_the_wanted_classes_are_events(label, opens, closes):
    film = play(Film(switch(label=label)), "AABBCCBBAA")
    assert film.opening_frames == opens
    assert [frame for frame, _ in film.closings] == closes


@pytest.mark.parametrize(
    ("confirm", "letters", "opens"),
    [
        ((1, 1), "AB", [1]),
        ((2, 2), "AABABB", [5]),
        ((2, 3), "AABAB", [4]),
        ((3, 5), "AAABABB", [6]),
        ((3, 5), "AAABAABAABA", []),
        ((1, 3), "AABA", [2, 3]),
        ((2, 5), "AAAAABBAA", [6, 8]),  # one frame of the class before brings it not back
        ((2, 5), "AAAAABBABAB", [6, 9]),
        ((2, 3), "AAB.B", [4]),  # a frame that says nothing is one of the m
        ((2, 3), "AAB..B", []),
        ((2, 3), "AABbbB", []),
        ((3, 3), "AABBBCCC", [7]),  # the first was never confirmed
        ((3, 3), "AAABBBCCC", [5, 8]),
    ],
)
def test_a_class_is_confirmed_by_n_of_the_last_m_frames(confirm, letters, opens):
    film = play(Film(switch(confirm=confirm)), letters)
    assert film.opening_frames == opens


def test_a_weak_class_says_nothing():
    film = play(Film(switch(min_score=0.5)), "AAbbA.A")
    assert film.opened == []
    film = play(Film(switch(min_score=0.1)), "AAbb")
    assert told(film) == [(2, "closed after open")]
    film = play(Film(switch(), min_score=0.15), "AAbb")  # the model's
    assert told(film) == [(2, "closed after open")]


def test_an_event_goes_on_through_frames_that_say_nothing():
    film = play(Film(switch()), "AABB..bb..B")
    [event] = film.rules.open_events()
    assert (event.opened, event.seen) == (0.2, 1.0)
    assert film.closed == []


def test_of_the_best_class_alone_the_switch_is():
    film = Film(switch())
    film.show(scores={"open": 0.8, "closed": 0.7}).show(scores={"closed": 0.75, "open": 0.8})
    assert film.opened == []
    film.show(scores={"open": 0.79, "closed": 0.8})
    assert told(film) == [(2, "closed after open")]


def test_what_a_cooldown_held_up_opens_later_if_its_class_is_still_there():
    film = play(Film(switch(cooldown_s=1.0)), "AB" + "A" * 15)
    assert told(film) == [(1, "closed after open"), (11, "open after closed")]
    film = play(Film(switch(cooldown_s=1.0)), "ABA" + "B" * 15)
    assert told(film) == [(1, "closed after open"), (11, "closed after open")]
    assert film.closings == [(2, "cleared")]


def test_a_schedule_silences_a_switch():
    film = play(Film(switch(schedule=Schedule.parse("01:00-02:00"))), "AABB")
    assert film.opened == []
    assert film.stopped_at == "schedule"


def test_beyond_its_number_in_an_hour_one_storm_counts_the_switches():
    film = play(Film(switch(max_per_hour=2)), "ABABABAB")
    storm = film.opened[2]
    assert [event.frame for event in film.opened] == [1, 2, 3]
    current = {event.id: event for event in film.rules.open_events()}[storm.id]
    assert (current.count, current.text) == (5, "door: 5 further openings within the hour")


def test_frames_in_which_nothing_changed_change_nothing():
    film = play(Film(switch(confirm=(2, 3))), "AAB")
    film.show(skip="still", frames=20)
    assert film.opened == []
    assert play(film, "B").opening_frames == [23]
    film.show(skip="still", frames=5)
    assert film.rules.open_events()[0].seen == 2.8


def test_after_all_was_closed_the_next_class_is_the_first():
    film = play(Film(switch()), "AAB")
    [event] = film.rules.close_all(film.time, "stopped")
    assert event.close_reason == "stopped"
    assert play(film, "AA").opening_frames == [2]


def test_a_text_may_name_the_class_before():
    film = play(Film(switch(text="{before} -> {label} ({score}) {rule}")), "AB")
    assert film.opened[0].text == "open -> closed (0.90) door"


@pytest.mark.parametrize(
    ("keys", "letters", "lines"),
    [
        (
            {},
            "AAB",
            ["pass   score 0.9: needs 0.25", "pass   switch: closed after open, wanted any"],
        ),
        (
            {"label": "closed", "confirm": (2, 3)},
            "AABB",
            [
                "pass   score 0.9: needs 0.25",
                "pass   switch: closed after open, wanted closed",
                "pass   confirm 2 of 2: needs 2 of 3 inferred frames",
            ],
        ),
    ],
)
def test_an_event_tells_its_way_in_words(keys, letters, lines):
    [event] = play(Film(switch(**keys)), letters).opened
    assert list(explain(event.decisions)) == lines


@pytest.mark.parametrize(
    ("keys", "letters", "line"),
    [
        ({}, "AA", "stop   switch: still open, wanted any"),
        ({}, ".", "stop   switch: no class seen, the last was none"),
        ({}, "A.", "stop   switch: no class seen, the last was open"),
        ({}, "Ab", "stop   score 0.2: needs 0.25"),
        ({"confirm": (2, 2)}, "A", "stop   switch: open is the first class, it follows none"),
        ({"label": "jammed"}, "AB", "stop   switch: still closed, wanted jammed"),
        ({"label": "jammed", "confirm": (2, 2)}, "AAB",
         "stop   switch: closed after open, wanted jammed"),
        ({"confirm": (2, 3)}, "AAB", "stop   confirm 1 of 2: needs 2 of 3 inferred frames"),
        ({"cooldown_s": 9.0}, "ABC",
         "stop   cooldown of the rule: 0.1 s since the last, needs 9.0 s"),
    ],
)  # fmt: skip
def test_the_nearest_miss_says_what_kept_a_switch_from_opening(keys, letters, line):
    film = play(Film(switch(**keys)), letters)
    assert explain(film.misses[-1].decisions)[-2] == line


def test_while_its_class_is_there_an_event_is_no_miss_but_another_class_is():
    film = play(Film(switch(confirm=(2, 2))), "AABB")
    before = len(film.misses)
    assert len(play(film, "BB").misses) == before
    assert play(film, "C").stopped_at == "confirm"


# --- laws --------------------------------------------------------------------------------------

films = st.text("ABCab.", max_size=40)
confirms = st.sampled_from([(1, 1), (1, 2), (2, 3), (3, 5), (4, 4)])
labels = st.sampled_from([None, "open", ("closed", "jammed")])


@settings(max_examples=150)
@given(films, labels)
def test_law_without_confirm_a_switch_is_a_class_that_differs_from_the_last(letters, label):
    film = play(Film(switch(label=label)), letters)
    sure = [(i, CLASSES[letter]) for i, letter in enumerate(letters) if letter.isupper()]
    wanted = {None: CLASSES.values(), "open": ["open"]}.get(label, label)
    assert told(film) == [
        (i, f"{now} after {before}")
        for (_, before), (i, now) in pairwise(sure)
        if now != before and now in wanted
    ]


@settings(max_examples=150)
@given(films, confirms, labels)
def test_law_one_event_at_a_time_and_every_one_closes_once(letters, confirm, label):
    film = play(Film(switch(label=label, confirm=confirm)), letters)
    assert len(film.rules.open_events()) == len(film.opened) - len(film.closed) <= 1
    closed = film.closed + list(film.rules.close_all(film.time, "stopped"))
    assert [event.id for event in closed] == [event.id for event in film.opened]
    for event, follower in pairwise(closed):
        assert event.closed <= follower.opened
    for event in closed:
        assert event.label in event.text.split(" after ")[0]
        assert letters[event.frame].isupper()


@settings(max_examples=150)
@given(films, confirms)
def test_law_what_opens_was_seen_in_n_of_the_last_m_frames(letters, confirm):
    needed, window = confirm
    for event in play(Film(switch(confirm=confirm)), letters).opened:
        recent = letters[max(0, event.frame - window + 1) : event.frame + 1]
        assert sum(CLASSES.get(letter) == event.label for letter in recent) >= needed
