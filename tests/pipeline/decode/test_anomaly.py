"""The anomaly decoder: the error against what the model was really given."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.errors import Refused
from edge_agent.pipeline.decode import decoder
from edge_agent.pipeline.prepare import preparer
from edge_agent.pipeline.preprocess import Geometry, Prepared
from edge_agent.types import SignalSpec

DTYPES = {"float32": (None, 0), "int8": (0.1, 5), "uint8": (0.05, 90), "int16": (0.01, 0)}


@pytest.fixture(scope="session")
def autoencoder(output, model):
    """A model whose input and output have these tensors."""

    def make(given_, made, **said):
        return replace(
            model("anomaly", [made], **said), input=SignalSpec(8, 8), input_tensor=given_
        )

    return make


def stored(random, dtype, shape):
    if dtype == "float32":
        return random.normal(size=shape).astype(dtype)
    limits = np.iinfo(dtype)
    return random.integers(limits.min, limits.max, shape).astype(dtype)


@settings(max_examples=120)
@given(
    st.sampled_from(sorted(DTYPES)),
    st.sampled_from(sorted(DTYPES)),
    st.integers(2, 40),
    st.integers(0, 2**32 - 1),
)
def test_the_score_is_the_mean_squared_error_of_real_numbers(
    plain, output, autoencoder, into, out, count, seed
):
    random = np.random.default_rng(seed)
    given_ = output("in", (1, count), into, *DTYPES[into])
    made = output("out", (1, count, 1), out, *DTYPES[out])
    before, after = stored(random, into, (1, count)), stored(random, out, (1, count, 1))
    (found,) = decoder(autoencoder(given_, made))([after], Prepared(before, Geometry()))
    expected = plain.squared_error(
        plain.real(before.ravel().tolist(), given_), plain.real(after.ravel().tolist(), made)
    )
    assert found.score == pytest.approx(expected, rel=1e-5)
    assert (found.label, found.box) == ("anomaly", (0, 0, 1, 1))


def test_what_comes_back_as_it_went_in_is_no_anomaly_and_a_label_may_name_it(output, autoencoder):
    tensor = output("x", (1, 64), "int8", 0.1, 0)
    raw = np.arange(-32, 32, dtype=np.int8)[None]
    (found,) = decoder(autoencoder(tensor, tensor, labels=("wear",)))(
        [raw], Prepared(raw, Geometry())
    )
    assert (found.label, found.score) == ("wear", 0.0)


def test_labels_of_several_classes_are_refused(output, autoencoder):
    model = autoencoder(output("in", (1, 8)), output("out", (1, 8)), labels=("healthy", "worn"))
    with pytest.raises(Refused, match="has 2 labels, and it finds one thing"):
        decoder(model)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("nonsense", [np.nan, np.inf])
def test_numbers_that_are_none_are_no_finding(output, autoencoder, nonsense):
    tensor = output("x", (1, 4))
    raw = np.array([[1, 2, nonsense, 4]], np.float32)
    decode = decoder(autoencoder(tensor, tensor))
    assert decode([raw], Prepared(np.zeros((1, 4), np.float32), Geometry())) == ()


@pytest.mark.parametrize("shape", [(1, 63), (1, 8, 8), (1, 2)])
def test_an_output_of_another_shape_is_refused_by_name(output, autoencoder, shape):
    with pytest.raises(Refused, match=r"output 'out' float32\[.* is not what the model would make"):
        decoder(autoencoder(output("in", (1, 64)), output("out", shape)))


def test_ad01_s_error_is_what_numpy_says_by_hand(real_model):
    engine = real_model("ad01_int8")
    given_, made = engine.inputs[0], engine.outputs[0]
    spec = replace(engine.spec("anomaly", None), input=SignalSpec(640, 640))
    samples = np.random.default_rng(3).uniform(-80, 10, (640, 1)).astype(np.float32)
    prepared = preparer(spec)(samples)
    output = engine(prepared.tensor)[0]
    (found,) = decoder(spec)([output], prepared)
    seen = (prepared.tensor.astype(np.float64) - given_.zero_points[0]) * given_.scales[0]
    back = (output.astype(np.float64) - made.zero_points[0]) * made.scales[0]
    assert found.score == pytest.approx(float(np.mean((seen - back) ** 2)), rel=1e-5)
    assert np.abs(seen.ravel() - samples.ravel()).max() < given_.scales[0]
