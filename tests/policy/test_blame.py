"""Who is blamed for a series of ends, and when nobody is."""

from __future__ import annotations

from edge_agent.policy.blame import SERIES, Blame, End, Hand, blame

DOCK, GATE = Hand("dock", "aaa", 1, answered=True), Hand("gate", "bbb", 7)


def ends(*hands: tuple[Hand, ...], config: str = "new") -> list[End]:
    return [End(config, each) for each in hands]


def test_the_same_frame_each_time_is_to_blame() -> None:
    assert blame(ends(*[(DOCK,)] * SERIES), "new") == Blame("frame", "dock", "1")


def test_a_model_that_never_answered_is_to_blame_and_not_the_frame_that_comes_first() -> None:
    assert blame(ends(*[(GATE,)] * SERIES), "new") == Blame("model", "gate", "bbb")


def test_another_frame_each_time_blames_the_model_that_was_always_at_hand() -> None:
    others = [(Hand("dock", "aaa", number), *each) for number, each in enumerate([(GATE,), (), ()])]
    assert blame(ends(*others), "new") == Blame("model", "dock", "aaa")


def test_a_model_that_dies_while_it_is_loaded_is_to_blame() -> None:
    assert blame(ends(*[(Hand("dock", "aaa"),)] * SERIES), None) == Blame("model", "dock", "aaa")


def test_fewer_ends_than_a_series_blame_nobody() -> None:
    assert blame(ends(*[(DOCK,)] * (SERIES - 1)), "new") is None


def test_a_configuration_is_blamed_only_where_another_one_held() -> None:
    nothing = ends(*[()] * SERIES)
    assert blame(nothing, "old") == Blame("config", "", "new")
    assert blame(nothing, "new") is None
    assert blame(nothing, None) is None


def test_another_configuration_in_between_begins_a_new_series() -> None:
    mixed = [*ends((DOCK,), config="old"), *ends((DOCK,), (DOCK,))]
    assert blame(mixed, "old") is None


def test_a_model_that_was_changed_in_between_is_not_blamed_for_the_one_before() -> None:
    changed = ends((Hand("dock", "ccc", 5),), (Hand("dock", "aaa", 2),), (Hand("dock", "aaa", 3),))
    assert blame(changed, "new") is None
