"""The exponential histogram: exact merges, bounded buckets, a known error."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.policy.sketch import MAX_BUCKETS, Sketch, merge, parse, quantile

VALUES = st.lists(
    st.one_of(st.just(0.0), st.floats(1e-8, 1e8), st.sampled_from([0.25, 0.5, 1.0, 2.0])),
    max_size=60,
)


def sketch_of(values: list[float]) -> Sketch:
    sketch = Sketch()
    for value in values:
        sketch.add(value)
    return sketch


@given(VALUES, VALUES)
@settings(deadline=None)
def test_the_sketch_of_a_union_is_the_merge_of_the_sketches(
    first: list[float], second: list[float]
) -> None:
    merged = merge(sketch_of(first), sketch_of(second))
    assert merged.document() == sketch_of(first + second).document()


@given(VALUES, st.randoms(use_true_random=False))
@settings(deadline=None)
def test_the_order_of_values_does_not_matter(values: list[float], random) -> None:
    shuffled = list(values)
    random.shuffle(shuffled)
    assert sketch_of(values).document() == sketch_of(shuffled).document()


@given(VALUES)
@settings(deadline=None)
def test_every_value_is_counted_in_few_buckets(values: list[float]) -> None:
    sketch = sketch_of(values)
    assert sketch.count == len(values)
    assert len(sketch.document()["counts"]) <= MAX_BUCKETS


@given(VALUES, st.integers(2, 12))
@settings(deadline=None)
def test_narrowing_loses_precision_but_no_value(values: list[float], buckets: int) -> None:
    sketch = sketch_of(values)
    sketch.narrow(buckets)
    assert sketch.count == len(values)
    assert len(sketch.document()["counts"]) <= buckets


@given(VALUES)
@settings(deadline=None)
def test_a_document_gives_the_sketch_back(values: list[float]) -> None:
    document = sketch_of(values).document()
    assert parse(document).document() == document


@given(
    st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=80),
    st.sampled_from([0.0, 0.5, 0.95, 0.99, 1.0]),
)
@settings(deadline=None)
def test_a_quantile_is_within_the_error_that_the_scale_promises(
    values: list[float], q: float
) -> None:
    sketch = sketch_of(values)
    base = 2.0 ** (2.0**-sketch.scale)
    error = (base - 1) / (base + 1)
    truth = float(np.quantile(values, q, method="lower"))
    answer = quantile(sketch, q)
    assert answer is not None
    assert abs(answer - truth) <= truth * (error + 1e-9)


@settings(max_examples=30, deadline=None)
@given(st.floats(0.02, 50.0))
def test_a_bucket_bears_its_upper_end_and_not_its_lower(value: float) -> None:
    """(base**i, base**(i + 1)], as OpenTelemetry's data model says."""
    sketch = sketch_of([value])
    index, base = sketch.document()["offset"], 2.0 ** (2.0**-sketch.scale)
    assert base**index < value * (1 + 1e-12)
    assert value <= base ** (index + 1) * (1 + 1e-12)


def test_powers_of_two_stand_at_the_end_of_their_bucket() -> None:
    assert sketch_of([1.0]).document() == {"scale": 5, "zero": 0, "offset": -1, "counts": [1]}
    assert sketch_of([2.0]).document()["offset"] == 31


def test_what_is_no_measure_is_left_out() -> None:
    assert sketch_of([math.nan, math.inf, -1.0]).count == 0


def test_an_empty_sketch_has_no_quantile_and_zeros_have() -> None:
    assert quantile(Sketch(), 0.5) is None
    assert quantile(sketch_of([0.0, 0.0, 8.0]), 0.5) == 0.0


def test_a_document_with_a_part_missing_is_refused() -> None:
    with pytest.raises(KeyError):
        parse({"scale": 5, "zero": 0, "offset": 0})
