"""The pose decoder: every key point where the model put it, and MoveNet's published answer."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.errors import Refused
from edge_agent.pipeline.decode import decoder
from edge_agent.pipeline.decode.pose import BONES, COCO
from edge_agent.pipeline.preprocess import Geometry, Prepared, Preprocessor
from edge_agent.types import InputSpec

WHOLE = Prepared(np.empty(0), Geometry())
QUANTIZED = {"uint8": (1 / 256, 0), "int8": (1 / 256, -128), "int16": (1 / 32768, 0)}


@settings(max_examples=120)
@given(
    st.sampled_from([*sorted(QUANTIZED), "float32", "float16"]),
    st.integers(1, 30),
    st.booleans(),
    st.integers(0, 2**32 - 1),
    st.sampled_from([0.0, 0.3]),
    st.sampled_from([(0, 0, 1, 1), (0.0, -1 / 6, 1.0, 7 / 6), (0.2, 0.1, 0.7, 0.9)]),
)
def test_key_points_are_where_the_numbers_say(
    plain, output, model, dtype, count, deep, seed, least, view
):
    random = np.random.default_rng(seed)
    shape = (1, 1, count, 3) if deep else (1, count, 3)
    tensor = output("points", shape, dtype, *QUANTIZED.get(dtype, (None, 0)))
    if dtype in QUANTIZED:
        limits = np.iinfo(dtype)
        raw = random.integers(limits.min, limits.max, shape).astype(dtype)
    else:
        raw = random.uniform(-0.2, 1.2, shape).astype(dtype)
    labels = tuple(f"point {index}" for index in range(count))
    found = decoder(model("pose", [tensor], labels, least))(
        [raw], Prepared(np.empty(0), Geometry(view))
    )
    expected = []
    for index, (y, x, score) in enumerate(plain.real(raw.reshape(-1, 3).tolist(), tensor)):
        at = (view[0] + x * (view[2] - view[0]), view[1] + y * (view[3] - view[1]))
        x, y = (min(1.0, max(0.0, value)) for value in at)
        score = min(1.0, max(0.0, score))
        if score >= least:
            expected.append((-score, index, labels[index], (x, y, x, y)))
    assert [
        (-d.score, d.extra["index"], d.label, pytest.approx(d.box, abs=1e-6)) for d in found
    ] == [
        (pytest.approx(score), index, label, box) for score, index, label, box in sorted(expected)
    ]


def test_seventeen_points_without_labels_have_coco_s_names(output, model):
    raw = np.zeros((1, 1, 17, 3), np.float32)
    raw[0, 0, 9] = (0.25, 0.75, 0.9)
    (found,) = decoder(model("pose", [output("points", raw.shape)]))([raw], WHOLE)
    assert (found.label, found.box) == ("left_wrist", (0.75, 0.25, 0.75, 0.25))
    raw = raw[:, :, :10]
    (found,) = decoder(model("pose", [output("points", raw.shape)]))([raw], WHOLE)
    assert found.label == "9"


def test_bones_join_left_with_left() -> None:
    sides = [{COCO[end].partition("_")[0] for end in bone} for bone in BONES]
    across = [bone for bone, side in zip(BONES, sides, strict=True) if side == {"left", "right"}]
    assert {frozenset(COCO[end].partition("_")[2] for end in bone) for bone in across} == {
        frozenset({"hip"}), frozenset({"shoulder"}), frozenset({"eye"}),
    }  # fmt: skip
    assert {end for bone in BONES for end in bone} == set(range(17))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("nonsense", [np.nan, np.inf, -np.inf])
def test_a_point_of_no_numbers_is_there_with_score_nought(output, model, nonsense):
    raw = np.full((1, 1, 3, 3), 0.5, np.float32)
    raw[0, 0, 1, 0] = nonsense
    found = decoder(model("pose", [output("points", raw.shape)], min_score=0.0))([raw], WHOLE)
    assert [(each.label, each.score) for each in found] == [("0", 0.5), ("2", 0.5), ("1", 0.0)]
    assert found[2].box == (0, 0, 0, 0)


@pytest.mark.parametrize(
    ("shape", "labels"),
    [((1, 1, 17, 2), ()), ((1, 17), ()), ((1, 6, 17, 3), ()), ((1, 17, 3), ("nose",))],
)
def test_what_is_no_list_of_points_is_refused_by_name(output, model, shape, labels):
    with pytest.raises(Refused, match=r"output 'points' float32\[.*\] is not a list"):
        decoder(model("pose", [output("points", shape)], labels))


def test_movenet_gives_the_published_points(real_model, realdata):
    name = "movenet_single_pose_lightning_ptq"
    engine = real_model(name)
    csv = np.loadtxt(realdata(f"models/{name}_reference.csv"), delimiter=",", skiprows=1)
    spec = engine.spec("pose", InputSpec(192, 192))
    prepared = Preprocessor(spec.input, spec.input_tensor)(
        cv2.imread(str(realdata("images/squat.bmp")))
    )
    found = decoder(spec)(engine(prepared.tensor), prepared)
    assert sorted(each.label for each in found) == sorted(COCO)
    for each in found:
        x, y = csv[each.extra["index"], 4:6]
        assert each.box[:2] == pytest.approx((x, y), abs=0.05), each.label


def test_movenet_finds_the_same_points_under_a_letterbox(real_model, realdata):
    """The picture is 500 x 610: what undoes the border is right if nothing moves."""
    engine = real_model("movenet_single_pose_lightning_ptq")
    image = cv2.imread(str(realdata("images/squat.bmp")))
    places = []
    for resize in ("stretch", "letterbox"):
        spec = engine.spec("pose", InputSpec(192, 192, resize=resize))
        prepared = Preprocessor(spec.input, spec.input_tensor)(image)
        found = decoder(spec)(engine(prepared.tensor), prepared)
        places.append({each.label: each.box[:2] for each in found if each.score >= 0.3})
    both = places[0].keys() & places[1].keys()
    assert len(both) >= 10
    off = [
        abs(a - b) for name in both for a, b in zip(places[0][name], places[1][name], strict=True)
    ]
    assert float(np.median(off)) < 0.02
