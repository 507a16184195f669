"""Raw tensors: their real numbers, whatever the model is."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.errors import Refused
from edge_agent.pipeline.decode import decoder
from edge_agent.pipeline.preprocess import Geometry, Prepared, Preprocessor
from edge_agent.types import InputSpec

WHOLE = Prepared(np.empty(0), Geometry())
DTYPES = {
    "float32": (None, 0), "float16": (None, 0), "int8": (0.1, 5), "uint8": (0.05, 90),
    "int16": (0.01, 0), "int32": (0.001, 7), "int64": (None, 0), "bool": (None, 0),
}  # fmt: skip


@settings(max_examples=120)
@given(
    st.lists(st.sampled_from(sorted(DTYPES)), min_size=1, max_size=4),
    st.lists(st.integers(1, 4), max_size=4),
    st.integers(0, 2**32 - 1),
)
def test_every_output_is_a_finding_with_its_real_numbers(plain, output, model, dtypes, shape, seed):
    random = np.random.default_rng(seed)
    tensors = [output(f"out{k}", shape, kind, *DTYPES[kind]) for k, kind in enumerate(dtypes)]
    raw = [random.uniform(-100, 100, shape).astype(tensor.dtype) for tensor in tensors]
    found = decoder(model("generic", tensors, min_score=-math.inf))(raw, WHOLE)
    assert [each.label for each in found] == [tensor.name for tensor in tensors]
    for each, tensor, numbers in zip(found, tensors, raw, strict=True):
        real = plain.real(np.ravel(numbers).tolist(), tensor)
        assert each.extra["shape"] == list(shape)
        assert each.extra["dtype"] == tensor.dtype
        assert each.extra["min"] == pytest.approx(min(real))
        assert each.extra["max"] == pytest.approx(max(real))
        assert each.score == each.extra["mean"]
        assert each.score == pytest.approx(sum(real) / len(real), rel=1e-5, abs=1e-5)


def test_one_number_is_its_own_score_and_labels_name_the_outputs(output, model):
    tensors = [output("a", (1, 1)), output("", (1,)), output("c", ())]
    numbers = [np.array([[-7.5]], np.float32), np.array([2e6], np.float32), np.float32(0.25)]
    made = model("generic", tensors, ("angle",), min_score=-math.inf)
    found = decoder(made)(numbers, WHOLE)
    assert [(each.label, each.score) for each in found] == [
        ("angle", -7.5), ("1", 2e6), ("c", 0.25),
    ]  # fmt: skip


def test_more_labels_than_outputs_are_refused_with_both_numbers(output, model):
    with pytest.raises(Refused, match=r"has 3 labels and 1 output$"):
        decoder(model("generic", [output("a", (1, 3))], ("no", "yes", "perhaps")))


def test_what_is_no_number_is_left_out(output, model):
    tensors = [output("some", (3,)), output("none", (2,)), output("empty", (0,))]
    raw = [np.array([1, np.nan, 3]), np.array([np.nan, np.inf]), np.empty(0)]
    (found,) = decoder(model("generic", tensors))([each.astype(np.float32) for each in raw], WHOLE)
    assert (found.label, found.score, found.extra["max"]) == ("some", 2.0, 3.0)


@pytest.mark.parametrize("dtype", ["object", "bytes", "complex64", "void32"])
def test_texts_and_resources_are_refused_by_name(output, model, dtype):
    with pytest.raises(Refused, match=rf"output 'text' {dtype}\[1\] holds no numbers"):
        decoder(model("generic", [output("text", (1,), dtype)]))


def test_any_real_model_may_be_read_so(real_model, realdata):
    engine = real_model("vww_96_int8")
    spec = engine.spec("generic", InputSpec(96, 96), min_score=-math.inf)
    prepared = Preprocessor(spec.input, spec.input_tensor)(
        cv2.imread(str(realdata("images/grace_hopper.bmp")))
    )
    (found,) = decoder(spec)(engine(prepared.tensor), prepared)
    assert found.extra["max"] == pytest.approx(0.859, abs=0.03)
    assert found.score == pytest.approx(0.5, abs=0.01)
