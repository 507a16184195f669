"""For the decoders' tests: the plain reference, models made up, and real models on both engines."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from edge_agent.types import InputSpec, ModelSpec, TensorSpec


@pytest.fixture(scope="session")
def plain():
    """The independent reference beside this file."""
    place = importlib.util.spec_from_file_location("plain", Path(__file__).with_name("plain.py"))
    module = importlib.util.module_from_spec(place)
    place.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def output():
    """`output("scores", (1, 10), "int8", scale=1/256, zero=-128)`: an output tensor."""

    def make(name, shape, dtype="float32", scale=None, zero=0):
        scales, zeros = ((), ()) if scale is None else ((float(np.float32(scale)),), (zero,))
        return TensorSpec(0, name, shape, dtype, scales, zeros)

    return make


@pytest.fixture(scope="session")
def model():
    """`model("yolo", tensors, labels=…, min_score=…, head="rows")`: a model made up."""

    def make(family, outputs, labels=(), min_score=0.25, size=(64, 48), **settings):
        picture = TensorSpec(0, "input", (1, size[1], size[0], 3), "uint8")
        shown = InputSpec(*size)
        return ModelSpec(
            "made-up", "1", family, "", shown, picture, tuple(outputs), labels, min_score, settings
        )

    return make


@pytest.fixture(scope="session")
def found():
    """Detections as the plain reference gives them, for models without labels."""

    def columns(detections):
        return [
            (int(d.label), pytest.approx(d.score, abs=1e-6), pytest.approx(d.box, abs=1e-6))
            for d in detections
        ]

    return columns


class RealModel:
    """A model file on one engine, with its recurrent state carried from call to call."""

    def __init__(self, interpreter):
        self._interpreter = interpreter
        interpreter.allocate_tensors()
        self.inputs = [_tensor(detail) for detail in interpreter.get_input_details()]
        self.outputs = [_tensor(detail) for detail in interpreter.get_output_details()]

    def spec(self, family, picture, labels=(), min_score=0.0):
        tensors = self.inputs[0], tuple(self.outputs)
        return ModelSpec("real", "1", family, "", picture, *tensors, labels, min_score)

    def __call__(self, tensor):
        self._interpreter.set_tensor(self.inputs[0].index, tensor)
        self._interpreter.invoke()
        answers = [self._interpreter.get_tensor(output.index) for output in self.outputs]
        states = [out for out in zip(self.outputs, answers, strict=True) if len(out[0].shape) == 4]
        for state, (_, answer) in zip(self.inputs[1:], states, strict=False):
            self._interpreter.set_tensor(state.index, answer)
        return answers


def _tensor(detail):
    numbers = detail["quantization_parameters"]
    return TensorSpec(
        index=detail["index"],
        name=detail["name"],
        shape=tuple(detail["shape"].tolist()),
        dtype=np.dtype(detail["dtype"]).name,
        scales=tuple(numbers["scales"].tolist()),
        zero_points=tuple(numbers["zero_points"].tolist()),
        axis=numbers["quantized_dimension"],
    )


@pytest.fixture(scope="session", params=["ai_edge_litert", "tflite_runtime"])
def real_model(request, realdata):
    """`real_model("vww_96_int8")`, once per engine; the engine straight, without our own port."""
    engine = pytest.importorskip(f"{request.param}.interpreter")

    def load(name):
        path = realdata(f"models/{name}.tflite")
        return RealModel(engine.Interpreter(str(path), num_threads=1))

    return load
