"""Features against plain Python: sums, loops and the formulas as docs/models.md has them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.errors import Refused
from edge_agent.pipeline.features import Featurizer, feature_shape, mel_filters, weights
from edge_agent.pipeline.prepare import blank, preparer
from edge_agent.pipeline.quantize import dequantize
from edge_agent.types import Features, InputSpec, ModelSpec, SignalSpec, TensorSpec

RATE = 1000.0


def tensor(count, dtype="float32", scale=None, zero=0):
    scales, zeros = ((), ()) if scale is None else ((scale,), (zero,))
    return TensorSpec(0, "window", (1, count), dtype, scales, zeros)


def made(spec, samples, *numbers):
    shape = feature_shape(spec)
    return Featurizer(spec, tensor(math.prod(shape), *numbers))(samples).tensor.reshape(shape)


def noise(window, channels=1, seed=1):
    return np.random.default_rng(seed).standard_normal((window, channels)).astype(np.float32)


# --- the plain reference -------------------------------------------------------------------------


def plain_weight(window, n, i):
    turn = math.cos(2 * math.pi * i / n)
    return {"hann": 0.5 - 0.5 * turn, "hamming": 0.54 - 0.46 * turn, "none": 1.0}[window]


def plain_magnitudes(signal, features):
    """|sum of x * w * e^(-2 pi i k t / n)| by sums, frame after frame."""
    n, frames = features.n, []
    for start in range(0, len(signal) - n + 1, features.hop):
        piece = [float(signal[start + i]) * plain_weight(features.window, n, i) for i in range(n)]
        bins = []
        for k in range(n // 2 + 1):
            real = sum(x * math.cos(2 * math.pi * k * i / n) for i, x in enumerate(piece))
            imaginary = sum(x * math.sin(2 * math.pi * k * i / n) for i, x in enumerate(piece))
            bins.append(math.hypot(real, imaginary))
        frames.append(bins)
    return frames


def plain_mel(hertz):
    return hertz * 3 / 200 if hertz < 1000 else 15 + 27 * math.log(hertz / 1000) / math.log(6.4)


def plain_hertz(mel):
    return mel * 200 / 3 if mel < 15 else 1000 * math.exp(math.log(6.4) * (mel - 15) / 27)


def plain_bands(magnitudes, features, rate):
    low, high = plain_mel(features.fmin), plain_mel(features.fmax)
    step = (high - low) / (features.mels + 1)
    edges = [plain_hertz(low + step * i) for i in range(features.mels + 2)]
    bands = []
    for left, middle, right in zip(edges, edges[1:], edges[2:], strict=False):
        energy = 0.0
        for k, magnitude in enumerate(magnitudes):
            hertz = k * rate / features.n
            if left < hertz < right:
                rises = (hertz - left) / (middle - left)
                falls = (right - hertz) / (right - middle)
                energy += magnitude**2 * min(rises, falls) * 2 / (right - left)
        bands.append(energy)
    return bands


# --- the laws ------------------------------------------------------------------------------------


@settings(max_examples=25)
@given(
    st.integers(2, 24),
    st.integers(1, 24),
    st.integers(0, 30),
    st.sampled_from(["hann", "hamming", "none"]),
    st.integers(1, 3),
)
def test_spectra_are_the_sums_of_the_definition(n, hop, more, window, channels):
    spec = SignalSpec(n + more, n, None, channels, Features("fft", n, hop, window))
    samples = noise(spec.window, channels)
    found = made(spec, samples)
    for channel in range(channels):
        wanted = plain_magnitudes(samples[:, channel], spec.features)
        assert found[:, channel] == pytest.approx(np.array(wanted), rel=1e-5, abs=1e-5)


@settings(max_examples=15)
@given(st.integers(1, 8), st.floats(0, 100), st.floats(300, 500), st.integers(1, 2))
def test_mel_bands_are_slaneys_triangles(mels, fmin, fmax, channels):
    features = Features("logmel", 128, 50, "hann", False, mels, fmin, fmax)
    spec = SignalSpec(200, 100, RATE, channels, features)
    samples = noise(200, channels)
    found = made(spec, samples)
    for channel in range(channels):
        spectra = plain_magnitudes(samples[:, channel], features)
        wanted = [plain_bands(each, features, RATE) for each in spectra]
        assert found[:, channel] == pytest.approx(np.array(wanted), rel=1e-4, abs=1e-7)


def test_the_scale_is_slaneys_on_both_sides_of_its_kink():
    features = Features("logmel", 2048, 1, "hann", False, 40, 100.0, 7800.0)
    filters = mel_filters(features, 16000.0)
    centres = filters.argmax(axis=1) * 16000 / 2048
    step = (plain_mel(7800) - plain_mel(100)) / 41
    wanted = [plain_hertz(plain_mel(100) + step * (i + 1)) for i in range(40)]
    assert np.abs(centres - wanted).max() <= 16000 / 2048
    area = filters.sum(axis=1) * 16000 / 2048
    assert area == pytest.approx(np.ones(40), abs=0.07), "each triangle has the area 1"


def test_silence_has_a_logarithm():
    fft = SignalSpec(16, 16, None, 1, Features("fft", 16, 16, "hann", True))
    assert made(fft, np.zeros((16, 1), np.float32)) == pytest.approx(math.log(1e-5))
    mel = SignalSpec(64, 64, RATE, 1, Features("logmel", 64, 64, "hann", True, 4, 0, 500))
    assert made(mel, np.zeros((64, 1), np.float32)) == pytest.approx(math.log(1e-10))


def test_the_logarithm_is_the_natural_one():
    plain = SignalSpec(16, 16, None, 1, Features("fft", 16, 8))
    logs = SignalSpec(16, 16, None, 1, Features("fft", 16, 8, "hann", True))
    samples = noise(16)
    assert made(logs, samples) == pytest.approx(np.log(made(plain, samples)), rel=1e-5)


def test_raw_samples_lie_channel_by_channel_within_each_sample():
    spec = SignalSpec(3, 3, None, 2)
    samples = np.array([[1, 10], [2, 20], [3, 30]], np.float32)
    flat = Featurizer(spec, tensor(6))(samples).tensor
    assert flat.tolist() == [[1, 10, 2, 20, 3, 30]]


def test_spectra_of_the_channels_stand_in_a_row_within_each_frame():
    spec = SignalSpec(8, 8, None, 2, Features("fft", 4, 4, "none"))
    samples = np.zeros((8, 2), np.float32)
    samples[:4, 0], samples[4:, 1] = 1.0, 2.0  # a constant: all of it in bin 0
    flat = Featurizer(spec, tensor(12))(samples).tensor.reshape(2, 2, 3)
    assert flat[:, :, 0].tolist() == [[4, 0], [0, 8]]


def test_one_mean_for_all_or_one_for_each_band():
    features = Features("fft", 4, 4, "none")
    samples = noise(8)
    plain = made(SignalSpec(8, 8, None, 1, features), samples)
    one = made(SignalSpec(8, 8, None, 1, features, (2.0,), (4.0,)), samples)
    assert one == pytest.approx((plain - 2) / 4, rel=1e-5)
    each = made(SignalSpec(8, 8, None, 1, features, (1.0, 2.0, 3.0), (2.0, 4.0, 8.0)), samples)
    wanted = (plain - np.array([1, 2, 3])) / np.array([2, 4, 8])
    assert each == pytest.approx(wanted, rel=1e-5)


def test_an_int8_tensor_gets_quantized_features():
    spec = SignalSpec(16, 16, None, 1, Features("fft", 16, 16, "hann", True))
    samples, scale, zero = noise(16), 0.05, -20
    real = made(spec, samples).reshape(-1)
    quantized = Featurizer(spec, tensor(9, "int8", scale, zero))(samples).tensor
    assert quantized.dtype == np.int8
    back = dequantize(quantized, tensor(9, "int8", scale, zero)).reshape(-1)
    assert np.abs(back - real).max() <= scale / 2 + 1e-6


def test_the_tensor_has_its_own_shape():
    spec = SignalSpec(64, 64, None, 1, Features("fft", 16, 16))
    image = TensorSpec(0, "picture", (1, 4, 9, 1), "float32")
    assert Featurizer(spec, image)(noise(64)).tensor.shape == (1, 4, 9, 1)


def test_mlperf_tinys_anomaly_detector_gets_the_features_it_was_trained_on():
    """128 bands of 5 frames, 10 * log10 of the energies: what the normalisation can say."""
    decibels = math.log(10) / 10
    features = Features("logmel", 1024, 512, "hann", True, 128, 0.0, 8000.0)
    spec = SignalSpec(3072, 512, 16000.0, 1, features, (0.0,), (decibels,))
    assert feature_shape(spec) == (5, 1, 128)
    with pytest.raises(Refused, match="mel band 0 of 4000 holds no frequency"):
        Featurizer(
            SignalSpec(
                3072, 512, 16000.0, 1, Features("logmel", 1024, 512, "hann", True, 4000, 0, 8000)
            ),
            tensor(20000),
        )
    tone = np.sin(2 * np.pi * 1000 * np.arange(3072) / 16000).astype(np.float32)[:, None]
    found = made(spec, tone)[0, 0]
    loudest = plain_hertz((int(found.argmax()) + 1) * plain_mel(8000) / 129)
    assert loudest == pytest.approx(1000, rel=0.05)


# --- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "target", "sentence"),
    [
        (SignalSpec(10, 10), tensor(12),
         r"input tensor 'window' float32\[1,12\] has 12 numbers, raw of a window of 10 x 1 "
         r"gives 10 \(10 x 1\)"),
        (SignalSpec(10, 10, None, 1, Features("fft", 8, 2)), tensor(12),
         r"'window' float32\[1,12\] has 12 numbers, fft of a window of 10 x 1 gives 10 "
         r"\(2 x 1 x 5\)"),
        (SignalSpec(10, 10, None, 1, Features("fft", 16, 2)), tensor(12),
         "spectra over 16 samples, every 2, cannot be taken of a window of 10"),
        (SignalSpec(10, 10), tensor(10, "int64"), "'window' int64.* is of a type that signals"),
        (SignalSpec(64, 64, None, 1, Features("logmel", 64, 64, "hann", True, 4, 0, 500)),
         tensor(4), "mel bands need the rate"),
        (SignalSpec(64, 64, RATE, 1, Features("logmel", 64, 64, "hann", True, 4, 0, 600)),
         tensor(4), "mel bands from 0 to 600 Hz cannot be taken at 1000 samples a second"),
        (SignalSpec(10, 10, None, 1, Features(), (1.0, 2.0), (1.0,)), tensor(10),
         "needs one mean and one std"),
        (SignalSpec(10, 10, None, 1, Features(), (1.0,), (0.0,)), tensor(10), r"std \(not 0\)"),
    ],
)  # fmt: skip
def test_features_that_do_not_fit_are_refused_with_the_tensors_name(spec, target, sentence):
    with pytest.raises(Refused, match=sentence):
        Featurizer(spec, target)


# --- which of the two ----------------------------------------------------------------------------


@pytest.mark.parametrize("wanted", [InputSpec(8, 4), SignalSpec(8, 4, None, 3)])
def test_a_model_of_either_kind_can_be_tried_on_a_blank_frame(wanted):
    shape = (1, 4, 8, 3) if isinstance(wanted, InputSpec) else (1, 24)
    target = TensorSpec(0, "x", shape, "float32")
    model = ModelSpec("m", "1", "generic", "0" * 64, wanted, target, (), (), 0.0)
    assert preparer(model)(blank(wanted)).tensor.shape == shape


def test_weights_of_one_period_add_up():
    """Periodic, not symmetric: two Hann windows half a window apart add up to 1."""
    hann = weights(Features("fft", 32, 16, "hann"))
    assert hann[:16] + hann[16:] == pytest.approx(np.ones(16))
