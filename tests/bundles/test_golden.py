"""The golden set tells a model that is right from one that merely runs."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_agent.bundles import golden
from edge_agent.bundles.bundle import open_bundle
from edge_agent.errors import Refused
from edge_agent.types import InputSpec, ModelSpec, SignalSpec, TensorSpec

INPUT = TensorSpec(0, "image", (1, 112, 192, 3), "int8", (1 / 255,), (-128,))
OUTPUT = TensorSpec(1, "heads", (1, 8, 420), "int8", (1 / 256,), (-128,))


class Steady:
    """An engine that answers with the same numbers, whatever it is asked."""

    name, version, threads, operators = "steady", "1", 1, ()
    inputs, outputs = (INPUT,), (OUTPUT,)

    def __init__(self, answer: np.ndarray[Any, Any]) -> None:
        self.answer = answer

    def invoke(self, tensor: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], ...]:
        return (self.answer,)

    def reset(self) -> None: ...

    def close(self) -> None: ...


@pytest.fixture
def spec(bundle: Path) -> ModelSpec:
    return open_bundle(bundle).spec(INPUT, [OUTPUT])


@pytest.fixture
def heads() -> np.ndarray[Any, Any]:
    """One person at (0.5, 0.5), half as wide and as high as the picture, with score 0.9."""
    numbers = np.full((1, 8, 420), -128, np.int8)
    numbers[0, :4, 7] = 0
    numbers[0, 4, 7] = 102
    return numbers


Record = Callable[[], Path]


@pytest.fixture
def recorded(bundle: Path, spec: ModelSpec, heads: np.ndarray[Any, Any]) -> Path:
    (bundle / "golden.npz").unlink()
    return golden.make(bundle, spec, Steady(heads), golden.made_up_frames(InputSpec(64, 48)))


def test_the_same_answer_is_as_recorded(
    recorded: Path, spec: ModelSpec, heads: np.ndarray[Any, Any]
) -> None:
    stored = golden.read(recorded, spec)
    assert [found.label for found in stored.answers[0].detections] == ["person"]
    assert golden.check(recorded, spec, Steady(heads)) == ()


def test_some_steps_more_or_less_are_allowed(
    recorded: Path, spec: ModelSpec, heads: np.ndarray[Any, Any]
) -> None:
    near = heads.copy()
    near[0, :, ::9] += 11
    assert golden.check(recorded, spec, Steady(near)) == ()


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        ((0, 4, 7), 60, "person 0.90 was not found again"),
        ((0, 0, 7), 100, "person 0.90 was not found again"),
        ((0, 5, 7), 120, "forklift 0.97 is new"),
        ((0, 6, 200), 120, None),  # has no size: it is no finding
    ],
)
def test_a_finding_that_went_or_came_is_a_difference(
    recorded: Path,
    spec: ModelSpec,
    heads: np.ndarray[Any, Any],
    place: tuple[int, ...],
    value: int,
    said: str | None,
) -> None:
    other = heads.copy()
    other[place] = value
    faults = golden.check(recorded, spec, Steady(other))
    assert (f"frame 0: {said}" in faults) is (said is not None)
    assert bool(faults) is (said is not None)


def test_other_numbers_are_a_difference_even_where_nothing_is_found(
    bundle: Path, spec: ModelSpec, heads: np.ndarray[Any, Any]
) -> None:
    nothing = np.full_like(heads, -128)
    path = golden.make(bundle, spec, Steady(nothing), golden.made_up_frames(InputSpec(64, 48)))
    other = nothing.copy()
    other[0, :4, ::20] = 20
    (fault, *_) = golden.check(path, spec, Steady(other))
    assert "output 'heads' int8[1,8,420] differs by 58% of its range, 10% is allowed" in fault


def test_a_classifier_s_last_places_may_change(bundle: Path, spec: ModelSpec) -> None:
    """The list ends with the best five: one a little worse may stand there or not."""
    output = replace(OUTPUT, name="scores", shape=(1, 7))
    model = replace(
        spec, family="classification", labels=(), output={}, output_tensors=(output,), min_score=0.0
    )
    before = np.array([[100, 40, 30, 20, 10, 8, 6]], np.int8)
    after = np.array([[98, 42, 29, 18, 8, 10, 7]], np.int8)
    path = golden.make(bundle, model, Steady(before), golden.made_up_frames(InputSpec(64, 48)))
    assert golden.check(path, model, Steady(after)) == ()
    other = np.array([[20, 40, 30, 100, 10, 8, 6]], np.int8)
    assert golden.check(path, model, Steady(other))


def damaged(path: Path, **changes: Any) -> None:
    with np.load(path) as archive:
        stored = {name: archive[name] for name in archive.files} | changes
    np.savez(path, **{name: value for name, value in stored.items() if value is not None})


def text(value: object) -> np.ndarray[Any, Any]:
    return np.frombuffer(json.dumps(value).encode(), np.uint8)


@pytest.mark.parametrize(
    "changes",
    [
        {"frames": None},
        {"output_0": None},
        {"tolerance": text({"steps": 3})},
        {"expected": text([[], []])},
        {"expected": text([[{"label": "x"}], [], []])},
        {"expected": np.array([7, 7], np.uint8)},
        {"frames": np.zeros((3, 4, 4), np.uint8)},
        {"frames": np.zeros((3, 4, 4, 3), np.float32)},
        {"frames": np.zeros((0, 4, 4, 3), np.uint8)},
        {"frames": np.array([{}])},
        {"output_0": np.zeros((3, 1, 8, 99), np.int8)},
        {"output_0": np.zeros((3, 1, 8, 420), np.float32)},
    ],
)
def test_a_golden_set_that_makes_no_sense_is_refused(
    recorded: Path, spec: ModelSpec, heads: np.ndarray[Any, Any], changes: dict[str, Any]
) -> None:
    damaged(recorded, **changes)
    with pytest.raises(Refused, match=r"^golden\.npz of model scene-detector (cannot be read|is)"):
        golden.check(recorded, spec, Steady(heads))


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04" + b"\0" * 40])
def test_what_is_no_archive_is_refused(
    recorded: Path, spec: ModelSpec, heads: np.ndarray[Any, Any], content: bytes
) -> None:
    recorded.write_bytes(content)
    with pytest.raises(Refused, match="cannot be read"):
        golden.check(recorded, spec, Steady(heads))


# --- families whose answers are told apart in another way ----------------------------------------


def of_family(spec: ModelSpec, family: str, output: TensorSpec, **changes: Any) -> ModelSpec:
    said = {"labels": (), "output": {}, "min_score": 0.0, **changes}
    return replace(spec, family=family, output_tensors=(output,), **said)  # type: ignore[arg-type]


def faults(folder: Path, model: ModelSpec, before: Any, after: Any) -> tuple[str, ...]:
    """What a golden set made of one answer says of another."""
    (folder / "golden.npz").unlink()
    path = golden.make(folder, model, Steady(before), golden.made_up_frames(InputSpec(64, 48)))
    assert golden.check(path, model, Steady(before)) == ()
    return golden.check(path, model, Steady(after))


def test_a_key_point_may_move_a_little_and_doubtful_ones_anywhere(
    bundle: Path, spec: ModelSpec
) -> None:
    model = of_family(spec, "pose", TensorSpec(1, "p", (1, 1, 17, 3), "float32"), min_score=0.3)
    before = np.full((1, 1, 17, 3), 0.2, np.float32)
    before[0, 0, 5] = (0.4, 0.5, 0.9)
    after = before[..., ::-1, :].copy()  # the doubtful ones changed their places
    after[0, 0, 11] = 0.2
    after[0, 0, 5] = (0.45, 0.52, 0.62)
    assert faults(bundle, model, before, after) == ()
    after[0, 0, 5, 1] = 0.75
    assert "left_shoulder 0.90 was not found again" in faults(bundle, model, before, after)[0]


def test_of_a_map_of_classes_some_cells_may_be_others(bundle: Path, spec: ModelSpec) -> None:
    model = of_family(spec, "segmentation", TensorSpec(1, "map", (1, 20, 20), "int64"))
    before = np.zeros((1, 20, 20), np.int64)
    before[0, 10:] = 15
    after = before.copy()
    after[0, 0, :30] = 20
    assert faults(bundle, model, before, after) == ()
    after[0, 8:10] = 20
    after[0, 12:14] = 0
    (said, *_) = faults(bundle, model, before, after)
    assert "differs by 25% of its range" in said


def test_an_error_without_a_range_may_differ_by_a_part_of_itself(
    bundle: Path, spec: ModelSpec
) -> None:
    output = TensorSpec(1, "back", INPUT.shape, "float32")
    model = of_family(spec, "anomaly", output)
    before = np.full(INPUT.shape, 10, np.float32)
    assert faults(bundle, model, before, before + np.float32(0.05)) == ()
    assert "anomaly" in faults(bundle, model, before, before + np.float32(0.09 * 10))[-1]


def test_raw_numbers_below_nought_are_held_to_their_record_too(
    bundle: Path, spec: ModelSpec
) -> None:
    model = of_family(
        spec, "generic", TensorSpec(1, "angle", (1, 2), "float32"), min_score=-math.inf
    )
    before = np.array([[-30, -50]], np.float32)
    assert faults(bundle, model, before, before + 1) == ()
    said = faults(bundle, model, before, before + 9)
    assert any(fault.endswith("angle -40.00 was not found again") for fault in said)


def test_windows_are_recorded_as_they_are(bundle: Path, spec: ModelSpec) -> None:
    window = TensorSpec(0, "x", (1, 32), "int8", (0.1,), (0,))
    model = replace(
        of_family(spec, "anomaly", TensorSpec(1, "y", (1, 32), "int8", (0.1,), (0,))),
        input=SignalSpec(32, 32),
        input_tensor=window,
    )
    path = golden.make(
        bundle, model, Steady(np.zeros((1, 32), np.int8)), golden.made_up_frames(model.input)
    )
    stored = golden.read(path, model)
    assert (stored.frames.shape, stored.frames.dtype) == ((3, 32, 1), np.float32)
    silence, ramp, _ = (answer.detections[0].score for answer in stored.answers)
    assert silence == 0
    assert ramp == pytest.approx(float((np.linspace(-1, 1, 32) ** 2).mean()), abs=0.01)


def test_a_set_that_unpacks_to_gigabytes_is_refused_unread(bundle: Path, spec: ModelSpec) -> None:
    """A bomb: 300 MB of zeros are 300 kB of golden.npz."""
    path = bundle / "golden.npz"
    np.savez_compressed(path, frames=np.zeros((1, 10_000, 10_000, 3), np.uint8))
    assert path.stat().st_size < 1_000_000
    with pytest.raises(Refused, match="unpacks to more than 256 MB"):
        golden.read(path, spec)
