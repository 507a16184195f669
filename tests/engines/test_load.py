"""`engines.load` on real models and on tiny ones made for one property each."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge_agent.engines import RUNTIMES, EngineName, Plan, available, load, version
from edge_agent.errors import Refused, UsageError

Find = Callable[[str], Path]
Tiny = Callable[[str], bytes]

REAL = [
    "mobilenet_v1_0.25_128_quant",
    "vww_96_int8",
    "ad01_int8",
    "fomo_face_detection",
    "yolov8n_192",
    "movenet_single_pose_lightning_ptq",
]


def plain(engine: EngineName, model: Path, threads: int = 1) -> Any:
    """The runtime's own interpreter, without any code of ours."""
    module = importlib.import_module(f"{RUNTIMES[engine][0]}.interpreter")
    interpreter = module.Interpreter(model_path=str(model), num_threads=threads)
    interpreter.allocate_tensors()
    return interpreter


def noise(shape: tuple[int, ...], dtype: str) -> Any:
    return np.random.default_rng(7).integers(0, 100, shape).astype(dtype)


@pytest.mark.parametrize("name", REAL)
@pytest.mark.parametrize("threads", [1, 2])
def test_outputs_are_those_of_the_plain_interpreter(
    realdata: Find, engine: EngineName, name: str, threads: int
) -> None:
    path = realdata(f"models/{name}.tflite")
    loaded = load(path, Plan(engine, threads))
    spec = loaded.inputs[0]
    tensor = noise(spec.shape, spec.dtype)
    reference = plain(engine, path, threads)
    reference.set_tensor(spec.index, tensor)
    reference.invoke()
    for output, found in zip(loaded.outputs, loaded.invoke(tensor), strict=True):
        expected = reference.get_tensor(output.index)
        assert found.shape == output.shape == expected.shape
        assert found.dtype == output.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("name", "steps"), [("mobilenet_v1_0.25_128_quant", 16), ("vww_96_int8", 8)]
)
def test_both_engines_agree_within_a_few_quantization_steps(
    realdata: Find, name: str, steps: int
) -> None:
    if len(available()) < 2:
        pytest.skip("only one engine is installed here")
    picture = cv2.imread(str(realdata("images/grace_hopper.bmp")))
    answers = []
    for engine in available():
        loaded = load(realdata(f"models/{name}.tflite"), Plan(engine))
        _, height, width, _ = loaded.inputs[0].shape
        pixels = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)[None, ..., ::-1]
        offset = 128 if loaded.inputs[0].dtype == "int8" else 0
        answers.append(
            loaded.invoke((pixels.astype(int) - offset).astype(loaded.inputs[0].dtype))[0]
        )
    assert np.abs(answers[0].astype(int) - answers[1].astype(int)).max() <= steps


def test_earlier_outputs_stay_what_they_were(tiny: Tiny, engine: EngineName) -> None:
    loaded = load(tiny("relu"), Plan(engine))
    first = loaded.invoke(np.full((1, 4), 1, np.float32))
    loaded.invoke(np.full((1, 4), 2, np.float32))  # with `first` alive
    np.testing.assert_array_equal(first[0], np.full((1, 4), 1))


def test_a_recurrent_model_carries_its_state_over_three_frames(
    realdata: Find, engine: EngineName
) -> None:
    """This model's state comes out as zero on any runtime (its scales are about 1e-35), but garbage
    in the state changes its boxes; that a state is truly carried, `counts` shows below."""
    path = realdata("models/traffic_model.tflite")
    frames = [cv2.imread(str(realdata(f"images/traffic_000{i}.bmp")))[None] for i in (1, 2, 3)]
    loaded, reference = load(path, Plan(engine)), plain(engine, path)
    picture, *states = [detail["index"] for detail in reference.get_input_details()]
    *results, cell, hidden = [detail["index"] for detail in reference.get_output_details()]
    memory = [np.zeros((1, 8, 8, 320), np.uint8)] * 2
    assert [spec.index for spec in loaded.inputs] == [picture, *states]
    for frame in frames:
        reference.set_tensor(picture, frame)
        for state, value in zip(states, memory, strict=True):
            reference.set_tensor(state, value)
        reference.invoke()
        memory = [reference.get_tensor(cell), reference.get_tensor(hidden)]
        for index, found in zip(results, loaded.invoke(frame), strict=False):
            np.testing.assert_array_equal(found, reference.get_tensor(index))


def test_state_is_carried_from_zero_until_reset(tiny: Tiny, engine: EngineName) -> None:
    loaded = load(tiny("counts"), Plan(engine))
    picture = np.zeros((1, 2, 2, 1), np.float32)
    assert [spec.name for spec in loaded.inputs] == ["picture", "state"]
    assert loaded.inputs[1].zero_points == (3,)  # real zero is not a stored zero
    seen = [loaded.invoke(picture)[1].max() for _ in range(3)]
    loaded.reset()
    assert [*seen, loaded.invoke(picture)[1].max()] == [0, 1, 2, 0]


def test_state_is_carried_to_another_number_of_threads(tiny: Tiny, engine: EngineName) -> None:
    loaded = load(tiny("counts"), Plan(engine, 1))
    picture = np.zeros((1, 2, 2, 1), np.float32)
    assert loaded.movable
    seen = []
    for threads in (1, 2, 1):
        loaded.use(threads)
        assert loaded.threads == threads
        seen += [loaded.invoke(picture)[1].max() for _ in range(2)]
    assert seen == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("model", ["variable_tensor", "resource_variable"])
def test_what_is_kept_inside_cannot_be_carried(tiny: Tiny, engine: EngineName, model: str) -> None:
    assert load(tiny(model), Plan(engine)).movable is False


@pytest.mark.parametrize(
    ("model", "shape"), [("variable_tensor", (1, 2)), ("resource_variable", (1, 4))]
)
def test_reset_forgets_state_kept_inside(
    tiny: Tiny, engine: EngineName, model: str, shape: tuple[int, int]
) -> None:
    loaded = load(tiny(model), Plan(engine))
    tensor = np.ones(shape, np.float32)
    first, second = loaded.invoke(tensor)[0].max(), loaded.invoke(tensor)[0].max()
    loaded.reset()
    assert second == 2 * first
    assert loaded.invoke(tensor)[0].max() == first


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16"])
def test_quantization_is_read_from_the_model(tiny: Tiny, engine: EngineName, dtype: str) -> None:
    loaded = load(tiny(f"stored_{dtype}"), Plan(engine))
    spec = loaded.inputs[0]
    stored = np.array([[3, 50, 100]], dtype)
    assert spec.dtype == dtype
    assert spec.scales == (0.5,)
    real = (stored.astype(int) - spec.zero_points[0]) * spec.scales[0]
    np.testing.assert_allclose(loaded.invoke(stored)[0], real)


def test_quantization_per_axis_is_read_from_the_model(tiny: Tiny, engine: EngineName) -> None:
    loaded = load(tiny("per_axis"), Plan(engine))
    spec = loaded.inputs[0]
    assert (spec.scales, spec.zero_points, spec.axis) == ((0.5, 0.25, 0.125), (0, 0, 0), 1)
    stored = np.array([[8, 8, 8]], np.int8)
    np.testing.assert_allclose(loaded.invoke(stored)[0], [[4.0, 2.0, 1.0]])


def test_float16_weights_run_as_they_are(tiny: Tiny, engine: EngineName) -> None:
    loaded = load(tiny("float16_weights"), Plan(engine))
    found = loaded.invoke(np.array([[1, 2, 3, 4]], np.float32))[0]
    np.testing.assert_allclose(found, [[1.5, 3.0, 4.5, 6.0]])
    assert loaded.inputs[0].scales == ()


def test_an_engine_says_what_it_is(realdata: Find, engine: EngineName) -> None:
    loaded = load(realdata("models/vww_96_int8.tflite"), Plan(engine, threads=2))
    assert (loaded.name, loaded.version, loaded.threads) == (engine, version(engine), 2)
    assert set(loaded.operators) == {
        "CONV_2D", "DEPTHWISE_CONV_2D", "AVERAGE_POOL_2D", "RESHAPE", "FULLY_CONNECTED", "SOFTMAX",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        ("custom_operator", "needs the custom operator MyOwnOp"),
        ("future_operator", "needs version 77 of the operator SOFTMAX"),
        ("open_size", "input tensor 'tensor_0' has no fixed size [-1, -1, -1, 3]"),
        ("two_pictures", "2 inputs ('left' [1, 4, 4, 3], 'right' [1, 4, 4, 3])"),
    ],
)
def test_what_a_runtime_cannot_run_is_refused_by_name(
    tiny_file: Find, engine: EngineName, model: str, sentence: str
) -> None:
    with pytest.raises(Refused) as refused:
        load(tiny_file(model), Plan(engine))
    assert refused.value.message.startswith(f"{model}.tflite")
    assert sentence in refused.value.message


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        ("model_invoking_error", "custom operator fake-op-double"),
        (
            "person_detect_bad_quantization",
            "tensor 33 is quantized along dimension 3 and has only 1",
        ),
    ],
)
def test_the_known_bad_models_are_refused_by_name(
    realdata: Find, engine: EngineName, model: str, sentence: str
) -> None:
    with pytest.raises(Refused, match=sentence):
        load(realdata(f"invalid/{model}.tflite"), Plan(engine))


def test_a_model_that_fails_at_invoke_is_refused_then(tiny: Tiny) -> None:
    loaded = load(tiny("divides_by_input"), Plan("litert"), name="ratio")
    assert loaded.invoke(np.full((1, 4), 1, np.int32))[0].tolist() == [[1, 1, 1, 1]]
    with pytest.raises(Refused, match=r"^ratio cannot run .* operator DIV \(node 0\)"):
        loaded.invoke(np.zeros((1, 4), np.int32))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(b"", "x is empty"), (b"hello, I am a text", "is no TensorFlow Lite model")],
)
def test_what_is_no_model_never_reaches_a_runtime(
    engine: EngineName, content: bytes, sentence: str
) -> None:
    with pytest.raises(Refused, match=sentence):
        load(content, Plan(engine), "x")


def test_a_missing_file_and_a_folder_are_usage_errors(tmp_path: Path, engine: EngineName) -> None:
    with pytest.raises(UsageError, match=r"nothing\.tflite: no such file"):
        load(tmp_path / "nothing.tflite", Plan(engine))
    with pytest.raises(UsageError, match="is a directory"):
        load(tmp_path, Plan(engine))


def test_zero_threads_are_a_usage_error(tiny: Tiny, engine: EngineName) -> None:
    with pytest.raises(UsageError, match="threads must be 1 or more"):
        load(tiny("relu"), Plan(engine, threads=0))


def test_an_engine_that_is_not_installed_names_the_one_that_is(tiny: Tiny) -> None:
    if "tflite-runtime" in available():
        pytest.skip("tflite-runtime is installed here")
    with pytest.raises(UsageError) as missing:
        load(tiny("relu"), Plan("tflite-runtime"))
    assert "Python 3.11" in missing.value.message
    assert "litert" in missing.value.next
