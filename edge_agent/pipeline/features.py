"""A window of samples becomes the model's input tensor: as it is, as a spectrum, as mel bands.

How is part of the model (`SignalSpec`), never of the pipeline. The order is: cut into overlapping
frames, weight, transform, logarithm, normalise, lay out, quantize. The formulas stand in
docs/models.md. The features are laid out row by row, as C does, whatever the tensor's shape:

    raw             (samples, channels)
    fft, logmel     (frames, channels, bins or bands): of one frame the channels' spectra in a row

A `Featurizer` keeps no state: every tensor it returns is fresh, and threads may share it. Read
`quantize.py` next.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from edge_agent.errors import Refused
from edge_agent.pipeline.preprocess import Geometry, Prepared
from edge_agent.pipeline.quantize import describe, quantize

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge_agent.types import Array, Features, SignalSpec, TensorSpec

    Numbers: TypeAlias = NDArray[np.float64]

#: Silence has no logarithm: magnitudes count as this much at least, energies as its square
#: (librosa's `amplitude_to_db` and `power_to_db` begin there too).
LEAST_MAGNITUDE = 1e-5
LEAST_ENERGY = LEAST_MAGNITUDE**2

_DTYPES = ("uint8", "int8", "int16", "float16", "float32")


class Featurizer:
    """Turns windows (samples, channels) float32 into the model's input tensor.

    Making one raises Refused when the features cannot be made of such a window, or the tensor holds
    another count of numbers.
    """

    def __init__(self, spec: SignalSpec, tensor: TensorSpec) -> None:
        shape = feature_shape(spec)
        if tensor.dtype not in _DTYPES:
            raise Refused(f"input tensor {describe(tensor)} is of a type that signals do not have")
        if int(np.prod(shape)) != int(np.prod(tensor.shape)):
            raise Refused(
                f"input tensor {describe(tensor)} has {int(np.prod(tensor.shape))} numbers, "
                f"{described(spec)} gives {int(np.prod(shape))} ({' x '.join(map(str, shape))})",
                "correct window, channels or features of the model's input",
            )
        self._mean, self._std = _normalization(spec, tensor, shape[-1])
        self._work_out = _transform(spec)
        self._tensor = tensor

    def __call__(self, samples: Array) -> Prepared:
        """`samples` is (window, channels) in the sensor's own units."""
        features = (self._work_out(samples) - self._mean) / self._std
        return Prepared(quantize(features.reshape(self._tensor.shape), self._tensor), Geometry())


def feature_shape(spec: SignalSpec) -> tuple[int, ...]:
    """The features of one window, as the module's docstring lays them out."""
    features = spec.features
    if features.kind == "raw":
        return spec.window, spec.channels
    if not 0 < features.n <= spec.window or features.hop < 1:
        raise Refused(
            f"spectra over {features.n} samples, every {features.hop}, "
            f"cannot be taken of a window of {spec.window}",
            "correct window, or n and hop of the features",
        )
    frames = 1 + (spec.window - features.n) // features.hop
    bins = features.mels if features.kind == "logmel" else features.n // 2 + 1
    return frames, spec.channels, bins


def described(spec: SignalSpec) -> str:
    """The features as error messages name them: `fft of a window of 1024 x 3`."""
    return f"{spec.features.kind} of a window of {spec.window} x {spec.channels}"


# --- the formulas ------------------------------------------------------------------------------


def weights(features: Features) -> Numbers:
    """The weight of each of the `n` samples: the periodic Hann or Hamming window, or ones."""
    turn = 2 * np.pi * np.arange(features.n) / features.n
    match features.window:
        case "hann":
            return np.asarray(0.5 - 0.5 * np.cos(turn))
        case "hamming":
            return np.asarray(0.54 - 0.46 * np.cos(turn))
        case "none":
            return np.ones(features.n)


def mel_filters(features: Features, rate_hz: float) -> Numbers:
    """Triangles (mels, n // 2 + 1) on Slaney's scale, each of area 1: librosa's default.

    Slaney, M.: Auditory Toolbox, Technical Report 1998-010, Interval Research; as in
    librosa.filters.mel(htk=False, norm="slaney").
    """
    hertz = np.arange(features.n // 2 + 1) * rate_hz / features.n
    ends = np.array([_mel(features.fmin), _mel(features.fmax)])
    edges = _hertz(np.linspace(ends[0], ends[1], features.mels + 2))
    low, middle, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising, falling = (hertz - low) / (middle - low), (high - hertz) / (high - middle)
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    return np.asarray(triangles * (2.0 / (high - low)))


#: Slaney's scale is linear up to 1 kHz (15 mel), from there 27 mel are a factor of 6.4.
_LINEAR_HZ = 200.0 / 3.0
_KINK_HZ = 1000.0
_STEP = np.log(6.4) / 27.0


def _mel(hertz: float) -> float:
    if hertz < _KINK_HZ:
        return hertz / _LINEAR_HZ
    return float(_KINK_HZ / _LINEAR_HZ + np.log(hertz / _KINK_HZ) / _STEP)


def _hertz(mel: Numbers) -> Numbers:
    kink = _KINK_HZ / _LINEAR_HZ
    logarithmic = _KINK_HZ * np.exp(_STEP * np.maximum(mel - kink, 0.0))
    return np.where(mel < kink, mel * _LINEAR_HZ, logarithmic)


# --- the window --------------------------------------------------------------------------------


def _transform(spec: SignalSpec) -> Callable[[Array], Array]:
    """Samples (window, channels) to features in the shape of `feature_shape`."""
    features = spec.features
    if features.kind == "raw":
        return lambda samples: samples
    weight = weights(features)
    filters = _filters(spec).T.copy() if features.kind == "logmel" else None
    least = LEAST_MAGNITUDE if filters is None else LEAST_ENERGY

    def work_out(samples: Array) -> Array:
        frames = sliding_window_view(samples, features.n, axis=0)[:: features.hop]
        spectra = np.abs(np.fft.rfft(frames * weight))  # (frames, channels, bins)
        found = spectra if filters is None else np.square(spectra) @ filters
        return np.log(np.maximum(found, least)) if features.log else found

    return work_out


def _filters(spec: SignalSpec) -> Numbers:
    features, rate = spec.features, spec.rate_hz
    if rate is None:
        raise Refused("mel bands need the rate of the samples", "write input.rate_hz")
    if not 0 <= features.fmin < features.fmax <= rate / 2:
        raise Refused(
            f"mel bands from {features.fmin:g} to {features.fmax:g} Hz cannot be taken "
            f"at {rate:g} samples a second",
            f"choose 0 <= fmin < fmax <= {rate / 2:g}",
        )
    filters = mel_filters(features, rate)
    empty = np.flatnonzero(~filters.any(axis=1))
    if len(empty):
        raise Refused(
            f"mel band {empty[0]} of {features.mels} holds no frequency of spectra over "
            f"{features.n} samples at {rate:g} a second",
            "choose fewer mels, or a larger n_fft",
        )
    return filters


def _normalization(spec: SignalSpec, tensor: TensorSpec, last: int) -> tuple[Array, Array]:
    mean = np.array((0.0,) if spec.mean is None else spec.mean)
    std = np.array((1.0,) if spec.std is None else spec.std)
    if not {len(mean), len(std)} <= {1, last} or not std.all():
        raise Refused(
            f"the normalization of input tensor {describe(tensor)} needs one mean and one std "
            f"(not 0), or {last} of each"
        )
    return mean, std
