"""Laws of quantization, for every type and both kinds of parameters."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.pipeline.quantize import dequantize, describe, least_raw, quantize
from edge_agent.types import TensorSpec

INTEGERS = ("uint8", "int8", "int16")
scales = st.floats(2**-20, 2**10, width=32)


@st.composite
def quantized(draw):
    dtype = draw(st.sampled_from(INTEGERS))
    limits = np.iinfo(dtype)
    zero = draw(st.integers(int(limits.min), int(limits.max)))
    return TensorSpec(0, "t", (1, 4), dtype, (draw(scales),), (zero,))


def range_of(tensor):
    limits = np.iinfo(tensor.dtype)
    ends = np.array([limits.min, limits.max]).astype(tensor.dtype)
    return dequantize(ends, tensor).astype(float)


@settings(max_examples=60, deadline=None)
@given(quantized(), st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_a_number_within_range_comes_back_within_half_a_step(tensor, parts):
    low, high = range_of(tensor)
    real = low + np.array(parts) * (high - low)
    there_and_back = dequantize(quantize(real, tensor), tensor)
    assert np.abs(there_and_back - real).max() <= tensor.scales[0] * 0.501


@settings(max_examples=60, deadline=None)
@given(quantized())
def test_every_stored_number_comes_back_as_itself(tensor):
    limits = np.iinfo(tensor.dtype)
    every = np.arange(limits.min, limits.max + 1).astype(tensor.dtype)
    assert np.array_equal(quantize(dequantize(every, tensor), tensor), every)


@settings(deadline=None)
@given(quantized())
def test_numbers_out_of_range_saturate(tensor):
    limits = np.iinfo(tensor.dtype)
    assert quantize(np.array([-1e9, 1e9]), tensor).tolist() == [limits.min, limits.max]


@settings(max_examples=60, deadline=None)
@given(st.sampled_from((*INTEGERS, "int32")), st.integers(0, 2), st.integers(0, 2**32 - 1))
def test_one_scale_per_slice_is_each_slice_with_its_own_scale(dtype, axis, seed):
    random = np.random.default_rng(seed)
    raw = random.integers(0, 100, (3, 4, 5)).astype(dtype)
    steps = tuple(random.uniform(1e-3, 1, raw.shape[axis]).astype(np.float32).tolist())
    zeros = tuple(random.integers(0, 100, raw.shape[axis]).tolist())
    real = dequantize(raw, TensorSpec(0, "t", raw.shape, dtype, steps, zeros, axis))
    for i, (step, zero) in enumerate(zip(steps, zeros, strict=True)):
        alone = TensorSpec(0, "t", (), dtype, (step,), (zero,))
        assert np.array_equal(real.take(i, axis), dequantize(raw.take(i, axis), alone))
        back = quantize(real.take(i, axis), alone)
        whole = quantize(real, TensorSpec(0, "t", raw.shape, dtype, steps, zeros, axis))
        assert np.array_equal(back, whole.take(i, axis))


def test_float_tensors_pass_through_and_halves_are_widened():
    numbers = np.array([0.5, -2.0], np.float32)
    single, half = (TensorSpec(0, "t", (2,), dtype) for dtype in ("float32", "float16"))
    assert dequantize(numbers, single) is numbers
    assert quantize(numbers, half).dtype == np.float16
    widened = dequantize(numbers.astype(np.float16), half)
    assert widened.dtype == np.float32
    assert widened.tolist() == [0.5, -2.0]


def test_without_scales_integers_are_what_they_say():
    classes = TensorSpec(0, "t", (3,), "int64")
    assert dequantize(np.array([0, 7, 20]), classes).tolist() == [0.0, 7.0, 20.0]
    assert quantize(np.array([0.4, 7.0, 1e4]), TensorSpec(0, "t", (3,), "uint8")).tolist() == [
        0,
        7,
        255,
    ]


def test_wide_integers_lose_nothing_before_the_scale():
    bias = TensorSpec(0, "t", (1,), "int32", (0.5,), (2**24,))
    assert dequantize(np.array([2**24 + 1], np.int32), bias).tolist() == [0.5]


@settings(max_examples=60, deadline=None)
@given(quantized(), st.floats(-0.2, 1.2))
def test_a_raw_threshold_tells_exactly_what_the_real_one_tells(tensor, part):
    low, high = range_of(tensor)
    threshold = low + part * (high - low)
    limits = np.iinfo(tensor.dtype)
    every = np.arange(limits.min, limits.max + 1).astype(tensor.dtype)
    passes = dequantize(every, tensor).astype(float) >= threshold
    assert np.array_equal(every >= least_raw(threshold, tensor), passes)


@settings(deadline=None)
@given(st.sampled_from([np.float16, np.float32]), st.floats(0, 1))
def test_a_raw_threshold_of_floats_is_exact_too(dtype, threshold):
    nearest = dtype(threshold)
    around = np.array([np.nextafter(nearest, dtype(-9)), nearest, np.nextafter(nearest, dtype(9))])
    least = least_raw(threshold, TensorSpec(0, "t", (3,), np.dtype(dtype).name))
    assert np.array_equal(around >= least, around.astype(float) >= threshold)


def test_a_tensor_is_described_by_name_type_and_shape():
    tensor = TensorSpec(3, "Identity", (1, 5, 756), "int8")
    assert describe(tensor) == "'Identity' int8[1,5,756]"


@pytest.mark.parametrize("dtype", INTEGERS)
def test_halves_round_to_even(dtype):
    tensor = TensorSpec(0, "t", (4,), dtype, (1.0,), (0,))
    assert quantize(np.array([0.5, 1.5, 2.5, 3.5]), tensor).tolist() == [0, 2, 2, 4]
