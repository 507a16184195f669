"""Two models on the same inputs: the other one is asked in the numbers that it wants."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import picture_models
import pytest

from edge_agent.bundles.bare import open_bare
from edge_agent.bundles.bundle import Bundle
from edge_agent.bundles.manifest import Normalize
from edge_agent.errors import EdgeError, UsageError
from edge_agent.service.evaluate import delta, evaluate, offered, twin
from edge_agent.service.truth import read_truth


@pytest.fixture
def stored(tmp_path: Path) -> Bundle:
    """An int8 classifier that is given the pixel itself, less 128; its scale is 1/255."""
    made = picture_models.Model()
    made.graph()
    picture = made.tensor(picture_models.PICTURE, "int8", scale=1 / 255)
    made.ends([picture], [made.reshaped(picture, "int8", 1 / 255)])
    path = tmp_path / "stored.tflite"
    path.write_bytes(made.packed())
    bundle = open_bare(path)
    pixels = replace(bundle.manifest.input, normalize="none")
    return replace(bundle, manifest=replace(bundle.manifest, input=pixels))


@pytest.fixture
def in_floats(tmp_path: Path) -> Path:
    made = picture_models.Model()
    made.graph()
    picture = made.tensor(picture_models.PICTURE)
    made.ends([picture], [made.reshaped(picture)])
    path = tmp_path / "floats.tflite"
    path.write_bytes(made.packed())
    return path


def test_the_same_network_in_floats_is_given_what_the_stored_numbers_stand_for(
    stored: Bundle, in_floats: Path, tmp_path: Path
) -> None:
    other = twin(stored, str(in_floats), tmp_path / "state")
    normalize = other.manifest.input.normalize
    assert isinstance(normalize, Normalize)
    assert normalize.mean == (128.0,)
    assert normalize.std == pytest.approx((255.0,))
    lines = ["file,label"]
    for number in (3, 70, 100):
        rgb = np.zeros((8, 8, 3), np.uint8)
        rgb.flat[number] = 200
        cv2.imwrite(str(tmp_path / f"{number}.png"), rgb[:, :, ::-1])
        lines.append(f"{number}.png,{number}")
    truth = tmp_path / "truth.csv"
    truth.write_text("\n".join(lines))
    cases = read_truth(truth, "classification")
    first, second = (evaluate(each, cases, tmp_path / "state") for each in (stored, other))
    assert first.metrics["accuracy"] == second.metrics["accuracy"] == 1.0
    assert delta(first, second) == {"accuracy": 0.0}
    assert [each.opened.spec.input_tensor.dtype for each in (first, second)] == ["int8", "float32"]


def test_a_family_that_is_not_judged_is_refused(tmp_path: Path) -> None:
    """Two outputs that are alike: nobody knows what their numbers mean."""
    made = picture_models.Model()
    made.graph()
    picture = made.tensor(picture_models.PICTURE)
    made.ends([picture], [made.reshaped(picture), made.reshaped(picture)])
    path = tmp_path / "two.tflite"
    path.write_bytes(made.packed())
    with pytest.raises(UsageError, match="of family generic, which is not judged"):
        offered(str(path), tmp_path / "state")


def test_where_nothing_could_be_judged_that_is_the_answer(in_floats: Path, tmp_path: Path) -> None:
    truth = tmp_path / "truth.csv"
    truth.write_text("file,label\nnone.png,3\n")
    with pytest.raises(EdgeError, match=r"none\.png: No such file"):
        evaluate(open_bare(in_floats), read_truth(truth, "classification"), tmp_path / "state")
