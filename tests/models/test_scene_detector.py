"""The shipped detector is the one its manifest names, and finds what is there on unseen scenes.

The decoder and the matching below are written for this test alone, so that a fault in the
package's own decoding or in the recipe's evaluation cannot vouch for itself.
"""

from __future__ import annotations

import hashlib
import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

from edge_agent.sources.scene import LABELS, Scene, SceneSpec, Truth

BUNDLE = Path(__file__).parents[2] / "models" / "scene-detector"
UNSEEN = (7, 4242)  # the recipe trains on 1000..1063 alone
MOMENTS = range(0, 3000, 20)  # every other second of five minutes, by day and by night


@dataclass(frozen=True)
class Case:
    light: str
    picture: np.ndarray  # BGR, in the model's size
    truths: tuple[Truth, ...]


@pytest.fixture(scope="module")
def manifest() -> dict[str, Any]:
    return yaml.safe_load((BUNDLE / "manifest.yaml").read_text())


@pytest.fixture(params=["ai_edge_litert", "tflite_runtime"])
def interpreter(request: pytest.FixtureRequest) -> Any:
    runtime = pytest.importorskip(f"{request.param}.interpreter")
    engine = runtime.Interpreter(str(BUNDLE / "model.tflite"), num_threads=1)
    engine.allocate_tensors()
    return engine


def test_the_committed_model_is_the_one_that_the_manifest_names(manifest: dict[str, Any]) -> None:
    content = (BUNDLE / "model.tflite").read_bytes()
    assert hashlib.sha256(content).hexdigest() == manifest["sha256"]
    assert len(content) < 400_000
    labels = (BUNDLE / manifest["labels"]).read_text(encoding="utf-8").split()
    assert tuple(labels) == LABELS


def test_its_tensors_are_int8_and_of_the_manifest_s_size(
    manifest: dict[str, Any], interpreter: Any
) -> None:
    (given,), (said,) = interpreter.get_input_details(), interpreter.get_output_details()
    width, height = manifest["input"]["size"]
    assert given["shape"].tolist() == [1, height, width, 3]
    assert given["dtype"] is said["dtype"] is np.int8
    assert said["shape"].tolist()[:2] == [1, 4 + len(LABELS)]
    scale, zero = given["quantization"]
    assert zero == -128  # the pixel itself, minus 128: what `normalize: none` says
    assert scale == pytest.approx(1 / 255, rel=1e-5)
    assert manifest["input"]["normalize"] == "none"


def test_the_manifest_lists_exactly_the_operators_of_the_model(manifest: dict[str, Any]) -> None:
    runtime = importlib.import_module("ai_edge_litert.interpreter")
    engine = runtime.Interpreter(
        str(BUNDLE / "model.tflite"),
        experimental_op_resolver_type=runtime.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    names = {op["op_name"] for op in engine._get_ops_details()}
    assert sorted(names) == sorted(manifest["requires"]["ops"])


@pytest.fixture(scope="module")
def cases(manifest: dict[str, Any]) -> list[Case]:
    size = tuple(manifest["input"]["size"])
    scenes = [Scene("unseen", SceneSpec(seed=seed)) for seed in UNSEEN]
    return [
        Case(
            "day" if scene.light(index) > 0.5 else "night",
            cv2.resize(scene.picture(index), size, interpolation=cv2.INTER_AREA),
            scene.truth(index),
        )
        for scene in scenes
        for index in MOMENTS
    ]


def test_on_unseen_scenes_f1_is_at_least_0_95_by_day_and_by_night(
    manifest: dict[str, Any], interpreter: Any, cases: list[Case]
) -> None:
    counts = {"day": np.zeros(3, int), "night": np.zeros(3, int)}  # hits, false, missed
    for case in cases:
        found = detect(interpreter, case.picture, manifest["min_score"])
        counts[case.light] += compare(found, case.truths)
    for light, (hits, false, missed) in counts.items():
        f1 = 2 * hits / (2 * hits + false + missed)
        assert hits + missed > 150, light
        assert f1 >= 0.95, (light, hits, false, missed)


def detect(engine: Any, picture: np.ndarray, floor: float) -> list[tuple[str, np.ndarray]]:
    """Label and corners of everything that scores `floor` or more, best first."""
    pixels = (picture[None, :, :, ::-1].astype(int) - 128).astype(np.int8)
    (given,), (said,) = engine.get_input_details(), engine.get_output_details()
    engine.set_tensor(given["index"], pixels)
    engine.invoke()
    scale, zero = said["quantization"]
    cells = (engine.get_tensor(said["index"])[0].T.astype(float) - zero) * scale
    claims = []
    for cx, cy, w, h, *scores in cells[cells[:, 4:].max(axis=1) >= floor]:
        corners = np.clip([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2], 0, 1)
        best = int(np.argmax(scores))
        claims.append((scores[best], LABELS[best], corners))
    kept: list[tuple[str, np.ndarray]] = []
    for _, label, corners in sorted(claims, key=lambda claim: -claim[0]):
        if all(label != other or overlap(corners, box) <= 0.45 for other, box in kept):
            kept.append((label, corners))
    return kept


def compare(found: list[tuple[str, np.ndarray]], truths: tuple[Truth, ...]) -> tuple[int, int, int]:
    """Hits, false alarms, misses; what is less than 0.4 visible is left out on both sides."""
    open_truths = [truth for truth in truths if truth.visible >= 0.4]
    hidden = [truth for truth in truths if truth.visible < 0.4]
    hits = false = 0
    for label, corners in found:
        fits = {overlap(corners, truth.box): truth for truth in open_truths if truth.label == label}
        best = max(fits, default=0.0)
        if best >= 0.5:
            hits += 1
            open_truths.remove(fits[best])
        elif not any(overlap(corners, t.box) >= 0.5 for t in hidden if t.label == label):
            false += 1
    return hits, false, len(open_truths)


def overlap(a: Any, b: Any) -> float:
    """Intersection over union of two boxes (x0, y0, x1, y1)."""
    shared = np.prod(np.maximum(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0))
    return float(shared / (area(a) + area(b) - shared))


def area(box: Any) -> float:
    return float((box[2] - box[0]) * (box[3] - box[1]))
