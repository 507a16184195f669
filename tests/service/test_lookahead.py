"""A belt: in order, none dropped, bounded, and its end or its failure comes in its turn."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.errors import SourceLost
from edge_agent.service.lookahead import Belt, Limits

LIMITS = Limits(2, 30.0, SourceLost("nothing came", "look"))


@given(st.lists(st.integers(), max_size=20))
def test_two_belts_in_a_row_carry_everything_in_order(numbers: list[int]) -> None:
    with (
        Belt("first", iter(numbers), LIMITS) as first,
        Belt("second", (number * 2 for number in first), LIMITS) as second,
    ):
        assert list(second) == [number * 2 for number in numbers]


def test_a_failure_comes_after_what_was_made_before_it() -> None:
    def entries() -> Iterator[int]:
        yield 1
        yield 2
        raise OSError("the stick was pulled out")

    with (
        Belt("first", entries(), LIMITS) as first,
        Belt("second", iter(first), LIMITS) as belt,
    ):
        taken = iter(belt)
        assert (next(taken), next(taken)) == (1, 2)
        with pytest.raises(OSError, match="stick"):
            next(taken)


def test_it_works_ahead_by_its_depth_and_no_further() -> None:
    made = []
    three = threading.Event()

    def entries() -> Iterator[int]:
        for number in range(100):
            made.append(number)
            if number == 2:
                three.set()
            yield number

    with Belt("belt", entries(), LIMITS) as belt:
        assert next(iter(belt)) == 0
        assert three.wait(10)
        # One taken, two waiting, one in the thread's hand.
        assert len(made) <= 4
    assert len(made) < 10  # leaving ends it


def test_silence_is_an_error_in_words() -> None:
    never = threading.Event()

    def entries() -> Iterator[int]:
        never.wait(20)
        yield 1

    silent = Limits(2, 0.05, SourceLost("nothing came", "look"))
    with Belt("belt", entries(), silent) as belt:
        with pytest.raises(SourceLost, match="nothing came"):
            next(iter(belt))
        never.set()
