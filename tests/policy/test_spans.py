"""Spans are sets of numbers: every operation against Python's own sets."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.policy import spans

SETS = st.sets(st.integers(1, 60))


@given(SETS, SETS)
def test_spans_do_what_sets_do(left: set[int], right: set[int]) -> None:
    one, other = spans.of(left), spans.of(right)
    assert spans.without(one, other) == spans.of(left - right)
    assert spans.both(one, other) == spans.of(left & right)
    assert spans.joined(one + other) == spans.of(left | right)
    assert spans.count(one) == len(left)
    assert list(spans.numbers(one)) == sorted(left)
    assert {number for number in range(70) if spans.has(one, number)} == left


@given(st.lists(st.tuples(st.integers(1, 60), st.integers(0, 9))))
def test_overlapping_declarations_are_one_set(given_spans: list[tuple[int, int]]) -> None:
    document = [[first, first + more] for first, more in given_spans]
    numbers = {seq for first, last in document for seq in range(first, last + 1)}
    assert spans.parse(document) == spans.of(numbers)
    assert spans.parse(spans.document(spans.of(numbers))) == spans.of(numbers)


@pytest.mark.parametrize(
    "nonsense",
    [None, {}, "1-2", [1], [[1]], [[1, 2, 3]], [["1", 2]], [[0, 1]], [[2, 1]], [[True, 2]],
     [[1, 2**63]], [[1.0, 2]]],
)  # fmt: skip
def test_what_is_no_list_of_ranges_is_refused(nonsense: Any) -> None:
    with pytest.raises(ValueError, match="range"):
        spans.parse(nonsense)


def test_a_person_reads_the_first_of_many() -> None:
    assert spans.text(spans.of([1, 2, 3, 7])) == "1-3, 7"
    assert spans.text(spans.of(range(1, 40, 2)), most=2) == "1, 3, and 18 more"
    assert spans.text(()) == "none"
