"""A Keras model becomes a .tflite, float or int8, and is asked the way the device asks it.

Asking goes through the package: its features, its quantization, its engine, its decoder. So what a
recipe measures, before int8 and after, is what the device will say.
"""

from __future__ import annotations

import contextlib
import io
import tempfile
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from edge_agent.engines import Plan, load
from edge_agent.pipeline.decode import decoder
from edge_agent.pipeline.prepare import preparer
from edge_agent.types import Detection, Family, InputSpec, ModelSpec, SignalSpec


def as_tflite(model: Any, calibration: np.ndarray | None) -> bytes:
    """The network as it is, or in int8, input and output too, where calibration inputs are given.

    `calibration` is (n, ...) of the network's inputs; its least and greatest number become the ends
    of the input's range.
    """
    import tensorflow as tf

    given = tf.keras.layers.Input(model.input_shape[1:], batch_size=1)
    converter = tf.lite.TFLiteConverter.from_keras_model(tf.keras.Model(given, model(given)))
    if calibration is not None:
        rows = calibration.astype(np.float32)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([row[None]] for row in rows)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
    with contextlib.redirect_stdout(io.StringIO()), _quiet_stderr():
        content: bytes = converter.convert()
    return content


@contextlib.contextmanager
def _quiet_stderr() -> Iterator[None]:
    """The converter's C++ writes pages past Python; where it fails, it raises all the same."""
    import os

    with tempfile.TemporaryFile() as pages:
        before = os.dup(2)
        os.dup2(pages.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(before, 2)
            os.close(before)


class Asked:
    """A .tflite with what its manifest will say of it."""

    def __init__(
        self,
        content: bytes,
        family: Family,
        wanted: InputSpec | SignalSpec,
        labels: tuple[str, ...] = (),
    ) -> None:
        self._engine = load(content, Plan("litert"), "model.tflite")
        spec = ModelSpec(
            name="model",
            version="0",
            family=family,
            sha256="0" * 64,
            input=wanted,
            input_tensor=self._engine.inputs[0],
            output_tensors=self._engine.outputs,
            labels=labels,
            min_score=0.0,
        )
        self._prepare, self._decode = preparer(spec), decoder(spec)

    def __call__(self, frame: np.ndarray) -> tuple[Detection, ...]:
        """What it finds in a picture (height, width, 3) or a window (samples, channels)."""
        prepared = self._prepare(frame)
        return self._decode(self._engine.invoke(prepared.tensor), prepared)

    def scores(self, frames: Iterable[np.ndarray]) -> np.ndarray:
        """The score of the best finding in each frame: (n,) float64."""
        return np.array([self(frame)[0].score for frame in frames])
