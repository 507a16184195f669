"""`inference/1` of every family: its own words, its schema, and JSON whatever the model says."""

from __future__ import annotations

import json
import math
from importlib import resources
from typing import Any

import jsonschema
import pytest

from edge_agent.pipeline.decode import FAMILIES
from edge_agent.policy.documents import dump
from edge_agent.policy.inference import Inferred, inference_document
from edge_agent.types import Detection, InputSpec, ModelSpec, TensorSpec

SCHEMA = json.loads((resources.files("edge_agent") / "schemas/inference.json").read_text("utf-8"))
WHOLE = (0.0, 0.0, 1.0, 1.0)
BOX = (0.1, 0.2, 0.3, 0.4)
POINT = (0.5, 0.25, 0.5, 0.25)
NUMBERS = {"shape": [1, 2], "dtype": "int8", "min": -1 / 3, "max": 2e6 / 3, "mean": 1e-9 / 3}


def document(family: str, *found: Detection) -> dict[str, Any]:
    tensor = TensorSpec(0, "t", (1, 8, 8, 3), "uint8")
    model = ModelSpec(
        "m", "1", family, "", InputSpec(8, 8), tensor, (tensor,), (), -math.inf  # type: ignore[arg-type]
    )  # fmt: skip
    made = inference_document(model, Inferred("x.png", "litert", 1.23456, found))
    jsonschema.validate(json.loads(dump(made)), SCHEMA)
    return made


@pytest.mark.parametrize(
    ("family", "found", "key", "expected"),
    [
        (
            "classification",
            [Detection("cat", 0.9, WHOLE, {"index": 3})],
            "top",
            [{"index": 3, "label": "cat", "score": 0.9}],
        ),
        (
            "fomo",
            [Detection("face", 0.9, BOX)],
            "detections",
            [{"label": "face", "score": 0.9, "box": list(BOX)}],
        ),
        (
            "pose",
            [Detection("b", 0.9, POINT, {"index": 1}), Detection("a", 0.1, POINT, {"index": 0})],
            "keypoints",
            [
                {"name": "a", "x": 0.5, "y": 0.25, "score": 0.1},
                {"name": "b", "x": 0.5, "y": 0.25, "score": 0.9},
            ],
        ),
        (
            "segmentation",
            [
                Detection("cat", 0.4, BOX, {"index": 1}),
                Detection("dog", 0.1, BOX, {"index": 2}),
                Detection("cat", 0.05, BOX, {"index": 3}),
            ],
            "areas",
            {"cat": 0.45, "dog": 0.1},
        ),
        ("anomaly", [Detection("anomaly", 1000 / 3, WHOLE)], "score", 333.333),
        ("anomaly", [Detection("anomaly", 1e-5 / 3, WHOLE)], "score", 3.33333e-06),
        ("anomaly", [], "score", None),
        (
            "generic",
            [Detection("angle", 1e-9 / 3, WHOLE, NUMBERS)],
            "outputs",
            [
                {
                    "name": "angle", "shape": [1, 2], "dtype": "int8",
                    "min": -0.333333, "max": 666667.0, "mean": 3.33333e-10,
                }
            ],
        ),
    ],
)  # fmt: skip
def test_every_family_answers_in_its_own_words(
    family: str, found: list[Detection], key: str, expected: object
) -> None:
    assert document(family, *found)[key] == expected


@pytest.mark.parametrize("family", FAMILIES)
def test_nothing_found_is_an_answer_too(family: str) -> None:
    assert document(family)["family"] == family


def test_an_answer_of_another_family_is_none() -> None:
    made = document("pose") | {"family": "generic"}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(made, SCHEMA)
