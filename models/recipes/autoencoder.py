"""An autoencoder for windows of a signal: trained on what is healthy, it repeats nothing else well.

Rules: the features are the package's own, so that the device computes the very same; the threshold
comes from windows that the training never saw; both are judged after int8. Used by
`machine-anomaly` and by `anomaly`, the recipe for your own data.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from edge_agent.errors import UsageError
from edge_agent.pipeline.features import Featurizer, feature_shape
from edge_agent.types import SignalSpec, TensorSpec
from models.recipes.command import SEED, say, seeded
from models.recipes.tflite import Asked, as_tflite

HIDDEN, NARROW = 64, 8
#: The input holds at least so many deviations, so that a fault shows, and at most so many: what
#: is rare and far out, such as standing still, must not make all steps of int8 coarse.
LEAST_REACH, MOST_REACH = 10.0, 40.0
#: This part of the held-out healthy windows lies below the threshold, before the margin.
HEALTHY_PART = 0.999
MARGIN = 1.1
#: With fewer windows than this nothing that is learnt would hold.
FEWEST_WINDOWS = 50


@dataclass(frozen=True)
class Fitted:
    """A trained model with its threshold; scores of the held-out windows before and after int8."""

    spec: SignalSpec
    content: bytes
    as_float: bytes
    threshold: float
    scores: np.ndarray
    float_scores: np.ndarray


def features_of(spec: SignalSpec, windows: Iterable[np.ndarray]) -> np.ndarray:
    """Windows (samples, channels) as the rows (n, numbers) that stand before the normalisation."""
    count = int(np.prod(feature_shape(spec)))
    featurizer = Featurizer(
        replace(spec, mean=None, std=None), TensorSpec(0, "features", (1, count), "float32")
    )
    return np.concatenate([featurizer(window).tensor for window in windows])


def fit(spec: SignalSpec, rows: np.ndarray, held_out: Sequence[np.ndarray], epochs: int) -> Fitted:
    """Train on the features of healthy windows; choose the threshold by other healthy windows.

    `rows` is what `features_of` gives. Raises UsageError when they are too few, or all the same.
    """
    if len(rows) < FEWEST_WINDOWS or len(held_out) < FEWEST_WINDOWS // 4:
        raise UsageError(
            f"{len(rows)} windows to learn from and {len(held_out)} to choose a threshold by are "
            f"too few: at least {FEWEST_WINDOWS} and {FEWEST_WINDOWS // 4} are needed",
            "record longer, or choose a smaller --window or --hop",
        )
    bands = rows.reshape(-1, feature_shape(spec)[-1]).astype(np.float64)
    low, mean, high = np.quantile(bands, (0.16, 0.5, 0.84), axis=0)
    std = (high - low) / 2  # as of a normal distribution, whatever the outliers
    if not std.max() > 1e-6:
        raise UsageError("the signal never changes", "is the sensor connected?")
    # A band without life must not blow a hair's breadth up to a fault.
    std = np.maximum(std, 0.05 * std.max())
    spec = replace(spec, mean=_few_digits(mean), std=_few_digits(std))
    inputs = (bands - np.array(spec.mean)) / np.array(spec.std)
    inputs = inputs.clip(-MOST_REACH, MOST_REACH).reshape(len(rows), -1).astype(np.float32)
    model = _trained(inputs, epochs)
    as_float, content = as_tflite(model, None), as_tflite(model, _calibration(inputs))
    float_scores, scores = (
        Asked(each, "anomaly", spec).scores(held_out) for each in (as_float, content)
    )
    threshold = float(f"{np.quantile(scores, HEALTHY_PART) * MARGIN:.4g}")
    return Fitted(spec, content, as_float, threshold, scores, float_scores)


def _trained(inputs: np.ndarray, epochs: int) -> object:
    seeded()
    import tensorflow as tf

    layers, count = tf.keras.layers, inputs.shape[1]
    model = tf.keras.Sequential(
        [
            layers.Input((count,)),
            layers.Dense(HIDDEN, "relu"),
            layers.Dense(NARROW, "relu"),
            layers.Dense(HIDDEN, "relu"),
            layers.Dense(count),
        ]
    )
    batch = min(128, max(8, len(inputs) // 8))
    steps = epochs * -(-len(inputs) // batch)
    rate = tf.keras.optimizers.schedules.CosineDecay(3e-3, steps, 0.01)
    model.compile(tf.keras.optimizers.Adam(rate), "mse")
    say(f"training on {len(inputs)} windows of {count} numbers, {epochs} epochs")
    model.fit(inputs, inputs, batch_size=batch, epochs=epochs, verbose=0)
    return model


def _calibration(inputs: np.ndarray) -> np.ndarray:
    """Healthy rows, of which each has one number far out, so that the range reaches that far."""
    rows = inputs[:: max(1, len(inputs) // 500)].copy()
    each, places = (
        np.arange(len(rows)),
        np.random.default_rng(SEED).integers(0, inputs.shape[1], len(rows)),
    )
    least, most = min(inputs.min(), -LEAST_REACH), max(inputs.max(), LEAST_REACH)
    rows[each, places] = np.where(each % 2, most, least)
    return rows


def _few_digits(numbers: np.ndarray) -> tuple[float, ...]:
    """As the manifest will have them: what is trained and what is read are then the same."""
    return tuple(float(f"{number:.5g}") for number in numbers)
