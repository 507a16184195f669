"""A day's bytes: never more in any twenty-four hours but for what is urgent, restarts or not."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from edge_agent.policy.budget import DAY_S, OPENS, ROOM_S, Budget, restored

DAY = 10_000.0
STEPS = st.lists(
    st.tuples(st.floats(0.0, 12_000.0), st.integers(1, 900), st.booleans(), st.booleans()),
    min_size=1,
    max_size=120,
)


@given(STEPS)
def test_any_day_has_its_bytes_and_one_message_more_at_most_but_for_what_is_urgent(steps) -> None:
    """Restarts in between, of which the device was off for a while."""
    budget, now, life, left = Budget(DAY), 1000.0, 0.0, []
    for pause, size, is_urgent, is_restarted in steps:
        now, life = now + pause, life + pause
        if is_restarted:  # on another clock
            kept = json.loads(json.dumps(budget.document(now, life)))
            life += 100.0
            left = [(at - now - 100.0, sent) for at, sent in left]
            now = 0.0
            budget = restored(DAY, kept, now, life)
        if is_urgent or not budget.is_spent(now):
            budget.sent(size, now)
            left += [] if is_urgent else [(now, size)]
    for at, _ in left:
        day = [size for began, size in left if at <= began < at + DAY_S - 130]  # rounded 120 times
        assert sum(day) <= DAY + 900


@given(STEPS)
def test_it_opens_when_it_says_and_not_before(steps) -> None:
    budget, now = Budget(DAY), 1000.0
    for pause, size, _, _ in steps:
        now += pause
        budget.sent(size, now)
        opens = budget.opens(now)
        assert (opens is None) == (not budget.is_spent(now))
    if opens is not None:
        assert now < opens <= now + DAY_S + ROOM_S
        assert budget.is_spent(opens - 0.01)
        assert not budget.is_spent(opens + 0.01)
        assert budget.total <= OPENS * DAY


def test_it_counts_what_left_and_forgets_it_a_day_later() -> None:
    budget = Budget(DAY)
    for hour in range(9):
        budget.sent(1000, hour * 3600.0)
    assert not budget.is_spent(9 * 3600.0)
    budget.sent(1000, 9 * 3600.0)
    assert (budget.total, budget.spent_since) == (10_000, 9 * 3600.0)
    assert budget.opens(9 * 3600.0) == ROOM_S + DAY_S
    assert not budget.is_spent(ROOM_S + DAY_S)
    assert (budget.total, budget.spent_since) == (9000, None)


def test_a_store_that_knows_nothing_of_it_begins_anew_and_a_life_that_went_back_ages_nothing() -> (
    None
):
    assert restored(DAY, {}, 5.0, 77.0).total == 0
    budget = Budget(DAY)
    budget.sent(20_000, 5.0)
    kept = budget.document(5.0, 1000.0)
    again = restored(DAY, kept, 0.0, 10.0)
    assert again.is_spent(DAY_S)
    assert not again.is_spent(DAY_S + ROOM_S)
