"""Every line is printed or counted, and every count is told."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge_agent.policy.repeats import MOST, SPAN_S, Repeats


def test_it_is_printed_once_a_minute_with_how_often_it_was_said() -> None:
    repeats: Repeats[str] = Repeats()
    said = [
        (second, repeats.due(second), repeats.is_news(second, "x", "x")) for second in range(90)
    ]
    assert [second for second, _, news in said if news] == [0, 60]
    ((told,),) = [due for _, due, _ in said if due]
    assert (told.times, told.seconds) == (59, SPAN_S)


@given(st.lists(st.tuples(st.floats(0, 30), st.integers(0, 2 * MOST)), max_size=300))
def test_nothing_is_lost_and_memory_is_bounded(lines: list[tuple[float, int]]) -> None:
    repeats: Repeats[int] = Repeats()
    now, printed, told = 0.0, 0, 0
    for pause, number in lines:
        now += pause
        told += sum(again.times for again in repeats.due(now))
        printed += repeats.is_news(now, str(number), number)
        assert len(repeats._said) <= MOST
    told += sum(again.times for again in repeats.due(now, everything=True))
    assert printed + told == len(lines)
