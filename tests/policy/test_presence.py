"""`state` keeps within the bytes of a day, tells at once what appears, and ends at the truth."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from edge_agent.policy.presence import DAY_S, LONGEST_S, PURSE_S, Presence

COST = 300


def body(persons: int = 0, rule: bool = False) -> dict[str, Any]:
    here = {"person": persons} if persons else {}
    zones = {"gate": here} if here else {}
    opened = {"yard": ["entered"]} if rule else {}
    return {"present": {"yard": {"labels": here, "zones": zones}}, "open": opened}


def emptied(day_bytes: float, now: float, share: float) -> Presence:
    """One of whose purse only that share is left; nothing in sight was told last."""
    presence = Presence(day_bytes)
    presence.told(body(), round((1 - share) * day_bytes * PURSE_S / DAY_S), now)
    return presence


CHANGES = st.lists(
    st.tuples(st.floats(0.0, 3000.0), st.integers(0, 3), st.booleans()), min_size=1, max_size=80
)


@given(CHANGES, st.floats(10_000.0, 1e6))
def test_no_stretch_of_time_costs_more_than_its_share_and_one_purse(changes, day_bytes) -> None:
    presence, now, sent = Presence(day_bytes), 50.0, []
    for pause, persons, rule in changes:
        now += pause
        if presence.is_due(body(persons, rule), now):
            presence.told(body(persons, rule), COST, now)
            sent.append(now)
    for first, began in enumerate(sent):
        for last in range(first, len(sent)):
            most = day_bytes * (PURSE_S + sent[last] - began) / DAY_S
            assert (last - first) * COST <= most + 1e-6


@given(CHANGES)
def test_what_lasts_is_told_in_the_end_and_nothing_twice(changes) -> None:
    presence, now, told = Presence(100_000.0), 0.0, None
    for pause, persons, rule in changes:
        now += pause
        if presence.is_due(body(persons, rule), now):
            assert told != body(persons, rule)
            told = body(persons, rule)
            presence.told(told, COST, now)
    persons, rule = changes[-1][1:]
    for _ in range(4 * 360):  # the purse is full by then
        now += 10.0
        if presence.is_due(body(persons, rule), now):
            told = body(persons, rule)
            presence.told(told, COST, now)
    assert told == body(persons, rule)


def test_in_a_quiet_house_everything_is_told_within_a_second_or_two() -> None:
    presence = Presence(100_000.0)
    presence.told(body(), COST, 0.0)
    assert presence.is_due(body(1), 7200.0)
    presence.told(body(1), COST, 7200.0)
    assert not presence.is_due(body(), 7212.0)
    assert presence.is_due(body(), 7213.5)


def test_where_people_come_and_go_arrivals_are_at_once_and_leaving_waits() -> None:
    presence = emptied(100_000.0, 0.0, share=0.5)
    assert presence.is_due(body(1), 0.0)
    presence.told(body(1), COST, 0.0)
    assert not presence.is_due(body(), 5.0)
    assert not presence.is_due(body(), 100.0)
    assert not presence.is_due(body(1), 101.0)  # back: it was never told to have left
    assert not presence.is_due(body(), 102.0)
    assert presence.is_due(body(), 102.0 + LONGEST_S)


def test_a_rule_that_opens_is_an_arrival_and_a_number_that_changes_is_not() -> None:
    presence = emptied(100_000.0, 0.0, share=0.5)
    presence.told(body(1), COST, 0.0)
    assert presence.is_due(body(1, rule=True), 1.0)
    assert not presence.is_due(body(2), 1.0)


def test_the_last_quarter_is_for_arrivals_and_then_there_is_nothing() -> None:
    presence = emptied(100_000.0, 0.0, share=0.2)
    assert presence.patience_s is None
    assert presence.is_due(body(1), 0.0)
    presence = emptied(100_000.0, 0.0, share=0.0)
    assert not presence.is_due(body(1), 0.0)
    assert presence.is_due(body(1), 60.0)


def test_without_a_limit_every_change_is_due_at_once() -> None:
    presence = Presence(None)
    for second in range(10_000):
        here = body(second % 2)
        assert presence.is_due(here, float(second))
        presence.told(here, COST, float(second))
        assert not presence.is_due(here, float(second))
