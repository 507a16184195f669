"""The shipped anomaly model is the one its manifest names, and hears wear on machines that its
training never heard: in good time, and without crying wolf.

The score is worked out here for this test alone; features come from the package, whose own tests
hold them to a plain reference. Of each claim there is a short form, and a long one for `make
acceptance`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from edge_agent.bundles.bundle import open_bundle
from edge_agent.bundles.shipped import shipped_folders
from edge_agent.pipeline.features import Featurizer
from edge_agent.sources.machine import Machine, MachineSpec
from edge_agent.types import TensorSpec

BUNDLE = Path(__file__).parents[2] / "models" / "machine-anomaly"
UNSEEN = (7, 100, 101, 102, 104, 105)  # the recipe hears 1000..1063 alone
WORN = 0.7  # health of a machine that is worn
FOR_S = 600.0
WEEK_S = 7 * 86_400.0

Score = Callable[[np.ndarray], float]


@pytest.fixture(scope="module")
def manifest() -> dict[str, Any]:
    return yaml.safe_load((BUNDLE / "manifest.yaml").read_text())


@pytest.fixture(scope="module", params=["ai_edge_litert", "tflite_runtime"])
def score(request: pytest.FixtureRequest) -> Score:
    """Mean squared error, in real numbers, between what the model was given and what it made."""
    runtime = pytest.importorskip(f"{request.param}.interpreter")
    engine = runtime.Interpreter(str(BUNDLE / "model.tflite"), num_threads=1)
    engine.allocate_tensors()
    (given,), (made,) = engine.get_input_details(), engine.get_output_details()
    spec = open_bundle(BUNDLE).manifest.input.spec()
    shape = tuple(int(size) for size in given["shape"])
    features = Featurizer(spec, TensorSpec(0, "features", shape, "float32"))
    (scale, zero), (made_scale, made_zero) = given["quantization"], made["quantization"]

    def worked_out(window: np.ndarray) -> float:
        steps = np.rint(features(window).tensor / scale) + zero
        engine.set_tensor(given["index"], steps.clip(-128, 127).astype(np.int8))
        engine.invoke()
        answer = (engine.get_tensor(made["index"]).astype(float) - made_zero) * made_scale
        return float(np.mean((answer - (steps.clip(-128, 127) - zero) * scale) ** 2))

    return worked_out


@pytest.fixture
def litert_only(request: pytest.FixtureRequest) -> None:
    """The long claims are about the model: one engine is enough for them."""
    if "tflite_runtime" in request.node.callspec.id:
        pytest.skip("looked at on LiteRT alone: it takes minutes")


def test_the_committed_model_is_the_one_that_the_manifest_names(manifest: dict[str, Any]) -> None:
    content = (BUNDLE / "model.tflite").read_bytes()
    assert hashlib.sha256(content).hexdigest() == manifest["sha256"]
    assert len(content) < 50_000
    assert shipped_folders()["machine-anomaly"] == BUNDLE


def test_it_is_int8_from_end_to_end() -> None:
    runtime = pytest.importorskip("ai_edge_litert.interpreter")
    engine = runtime.Interpreter(str(BUNDLE / "model.tflite"))
    (given,), (made,) = engine.get_input_details(), engine.get_output_details()
    assert given["dtype"] is made["dtype"] is np.int8
    assert given["shape"].tolist() == made["shape"].tolist() == [1, 128]


def test_worn_machines_score_higher_than_healthy_ones(score: Score) -> None:
    """ROC AUC over windows of unseen seeds, counted pair by pair."""
    healthy, worn = [], []
    for seed in UNSEEN:
        machine = Machine(MachineSpec(seed=seed))
        wear = machine.spec.decline
        before = np.linspace(0, wear.onset_s, 40, endpoint=False)
        after = np.linspace(wear.onset_s, wear.failure_s, 60)
        healthy += [score(at(machine, moment)) for moment in before]
        worn += [score(at(machine, moment)) for moment in after if is_worn(machine, moment)]
    assert len(worn) > 100
    above = np.array(worn)[:, None] > np.array(healthy)
    assert above.mean() >= 0.98


@pytest.mark.parametrize("seed", UNSEEN)
def test_wear_is_reported_at_least_an_hour_before_the_failure(
    score: Score, manifest: dict[str, Any], seed: int
) -> None:
    """By the last two hours at the latest: a window a minute, ten in a row above the threshold."""
    machine = Machine(MachineSpec(seed=seed))
    failure = machine.spec.decline.failure_s
    scores = [score(at(machine, moment)) for moment in every(failure - 7200, failure - 3600, 60)]
    assert reports(scores, 60, manifest["output"]["threshold"])


def test_a_healthy_week_gives_at_most_one_false_alarm(
    score: Score, manifest: dict[str, Any], litert_only: None
) -> None:
    """The short form: a window each ten minutes, of which two in a row would be a report."""
    machine = Machine(MachineSpec(seed=UNSEEN[0], life_h=1e5))
    scores = [score(at(machine, moment)) for moment in every(0, WEEK_S, 600)]
    assert reports(scores, 600, manifest["output"]["threshold"]) <= 1


@pytest.mark.acceptance
@pytest.mark.parametrize("seed", [7, 201, 202, 203, 204, 205])
def test_so_does_every_other_week(
    score: Score, manifest: dict[str, Any], litert_only: None, seed: int
) -> None:
    machine = Machine(MachineSpec(seed=seed, life_h=1e5))
    scores = [score(at(machine, moment)) for moment in every(0, WEEK_S, 60)]
    assert reports(scores, 60, manifest["output"]["threshold"]) <= 1


def is_worn(machine: Machine, moment: float) -> bool:
    truth = machine.truth(moment)
    return truth.health <= WORN and truth.running


def at(machine: Machine, moment: float) -> np.ndarray:
    return machine.vibration(int(moment * machine.spec.rate_hz), 4096)


def every(start: float, end: float, seconds: float) -> Iterator[float]:
    yield from np.arange(start, end, seconds)


def reports(scores: list[float], every_s: float, threshold: float) -> int:
    """How often a score stays above the threshold for `FOR_S`."""
    count, since = 0, 0.0
    for score in scores:
        since = since + every_s if score > threshold else 0.0
        if since - every_s == FOR_S - FOR_S % every_s:
            count += 1
    return count
