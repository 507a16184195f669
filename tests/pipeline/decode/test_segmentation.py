"""Segmentation's decoder against the plain loop over cells, and on a cat and a person."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.errors import Refused
from edge_agent.pipeline.decode import decoder
from edge_agent.pipeline.decode.segmentation import VOID, class_map
from edge_agent.pipeline.preprocess import Geometry, Prepared, Preprocessor
from edge_agent.types import InputSpec

VIEWS = [(0, 0, 1, 1), (0.0, -1 / 6, 1.0, 7 / 6), (-0.21, 0.0, 1.3, 1.0), (0.2, 0.1, 0.7, 0.93)]
WHOLE = Prepared(np.empty(0), Geometry())

views = st.sampled_from(VIEWS)
sizes = st.tuples(st.integers(1, 9), st.integers(1, 9))
seeds = st.integers(0, 2**32 - 1)


def seen(view):
    return Prepared(np.empty(0), Geometry(view))


def rows(detections):
    return [(int(d.label), pytest.approx(d.score), pytest.approx(d.box)) for d in detections]


def blocks(seed, size, classes):
    """A map (h, w) in which neighbours are mostly alike."""
    random = np.random.default_rng(seed)
    found = random.integers(0, classes, size)
    return np.where(random.random(size) < 0.6, found[0, 0], found)


@settings(max_examples=120)
@given(st.sampled_from(["int64", "int32", "uint8"]), sizes, seeds, st.booleans(), views)
def test_areas_and_outlines_are_what_the_plain_loop_adds_up(
    plain, output, model, dtype, size, seed, deep, view
):
    classes = blocks(seed, size, 5)
    shape = (1, *size, 1) if deep else (1, *size)
    made = model("segmentation", [output("map", shape, dtype)], min_score=0.0, background=False)
    found = decoder(made)([classes.reshape(shape).astype(dtype)], seen(view))
    expected = plain.segmentation(classes.tolist(), view=view)
    assert sorted(int(d.label) for d in found) == sorted(row[0] for row in expected)
    assert [d.score for d in found] == pytest.approx([row[1] for row in expected])
    by_class = {row[0]: row for row in expected}
    assert rows(found) == [by_class[int(d.label)] for d in found]


@settings(max_examples=60)
@given(sizes, seeds, views)
def test_all_areas_together_are_the_part_of_the_frame_that_the_model_sees(
    output, model, size, seed, view
):
    made = model("segmentation", [output("map", (1, *size), "uint8")], (), 0.0, background=False)
    found = decoder(made)([blocks(seed, size, 7).astype(np.uint8)[None]], seen(view))
    wide = min(1, view[2]) - max(0, view[0])
    high = min(1, view[3]) - max(0, view[1])
    assert sum(each.score for each in found) == pytest.approx(wide * high)


@settings(max_examples=60)
@given(
    st.sampled_from(["float32", "float16", "int8", "uint8", "int16"]),
    st.booleans(),
    sizes,
    seeds,
)
def test_of_scores_the_best_class_counts_whatever_their_type(
    plain, output, model, dtype, per_class, size, seed
):
    random = np.random.default_rng(seed)
    shape = (1, *size, 4)
    if dtype.startswith("float"):
        raw, tensor = random.normal(size=shape).astype(dtype), output("scores", shape, dtype)
        best = raw[0].argmax(axis=-1)
    else:
        limits = np.iinfo(dtype)
        raw = random.integers(limits.min, limits.max, shape).astype(dtype)
        tensor = output("scores", shape, dtype, 0.1, 3)
        if per_class:
            tensor = type(tensor)(0, "scores", shape, dtype, (0.1, 0.2, 0.4, 0.8), (3, 0, 0, 0), 3)
        real = (raw[0] - np.array(tensor.zero_points)) * np.array(tensor.scales)
        best = real.astype(np.float32).argmax(axis=-1)
    found = decoder(model("segmentation", [tensor], min_score=0.0))([raw], WHOLE)
    assert sorted(rows(found), key=lambda row: row[0]) == sorted(
        plain.segmentation(best.tolist(), nothing={0})
    )


@settings(max_examples=80)
@given(sizes, st.tuples(st.integers(1, 11), st.integers(1, 11)), seeds, views)
def test_every_pixel_has_the_class_of_the_cell_under_its_centre(
    plain, output, model, size, picture, seed, view
):
    classes = blocks(seed, size, 200)
    made = model("segmentation", [output("map", (1, *size), "int64")])
    shown = class_map(made)([classes[None]], seen(view), picture)
    assert (shown.shape, shown.dtype) == ((picture[1], picture[0]), np.uint8)
    assert shown.tolist() == plain.class_map(classes.tolist(), picture, view)


def test_a_picture_as_large_as_the_map_is_the_map(output, model):
    classes = np.random.default_rng(1).integers(0, 21, (513, 513))
    made = model("segmentation", [output("map", (1, 513, 513), "int64")])
    assert (class_map(made)([classes[None]], WHOLE, (513, 513)) == classes).all()


@pytest.mark.parametrize(
    ("labels", "background", "expected"),
    [
        ((), "auto", ["1"]),
        ((), False, ["0", "1"]),
        (("background", "cat"), "auto", ["cat"]),
        (("road", "cat"), "auto", ["road", "cat"]),
        (("road", "cat"), True, ["cat"]),
        (("cat",), "auto", ["cat"]),
        (("cat",), False, ["background", "cat"]),
    ],
)
def test_the_background_is_no_finding_unless_it_is_said_to_be(
    output, model, labels, background, expected
):
    scores = np.zeros((1, 4, 4, 2), np.float32)
    scores[..., 0], scores[:, 3, :, 1] = 0.5, 0.9
    made = model("segmentation", [output("s", scores.shape)], labels, 0.0, background=background)
    assert [each.label for each in decoder(made)([scores], WHOLE)] == expected


def test_areas_below_the_least_are_left_out(output, model):
    classes = np.zeros((1, 10, 10), np.uint8)
    classes[0, 0, 0], classes[0, 5:] = 1, 2
    made = model("segmentation", [output("map", classes.shape, "uint8")], min_score=0.02)
    assert [each.label for each in decoder(made)([classes], WHOLE)] == ["2"]


def test_classes_that_cannot_be_are_void(output, model):
    classes = np.array([[[-1, 255, 2**40, 3]]])
    made = model("segmentation", [output("map", classes.shape, "int64")], min_score=0.0)
    assert [each.label for each in decoder(made)([classes], WHOLE)] == ["3"]
    assert class_map(made)([classes], WHOLE, (4, 1)).tolist() == [[VOID, VOID, VOID, 3]]


@pytest.mark.parametrize(
    ("shape", "dtype", "labels"),
    [
        ((1, 8, 8), "float32", ()),
        ((1, 8, 8, 1), "float32", ()),
        ((1, 8, 8, 300), "float32", ()),
        ((1, 8, 8, 4), "float32", ("a", "b")),
        ((2, 8, 8), "int64", ()),
        ((1, 8), "int64", ()),
    ],
)
def test_what_is_no_map_of_classes_is_refused_by_name(output, model, shape, dtype, labels):
    with pytest.raises(Refused, match=r"'map' .*is not a map of classes") as refused:
        decoder(model("segmentation", [output("map", shape, dtype)], labels))
    assert refused.value.next


# --- real pictures -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("picture", "label", "least", "most", "inside", "outside"),
    [
        ("cat_720p.jpg", "cat", 0.35, 0.43, (640, 500), (60, 60)),
        ("grace_hopper.bmp", "person", 0.6, 0.7, (256, 250), (480, 60)),
        ("squat.bmp", "person", 0.14, 0.19, None, (20, 20)),
    ],
)
@pytest.mark.parametrize("resize", ["stretch", "letterbox", "crop"])
def test_deeplab_sees_the_cat_and_the_persons_in_the_picture_s_own_size(
    real_model, realdata, picture, label, least, most, inside, outside, resize
):
    engine = real_model("deeplabv3_mnv2_dm05_pascal_quant")
    labels = tuple(realdata("models/pascal_voc_segmentation_labels.txt").read_text().splitlines())
    spec = engine.spec("segmentation", InputSpec(513, 513, resize=resize), labels)
    image = cv2.imread(str(realdata(f"images/{picture}")))
    prepared = Preprocessor(spec.input, spec.input_tensor)(image)
    outputs = engine(prepared.tensor)
    best = decoder(spec)(outputs, prepared)[0]
    shown = class_map(spec)(outputs, prepared, (image.shape[1], image.shape[0]))
    assert best.label == label
    assert shown.shape == image.shape[:2]
    assert (shown == labels.index(label)).mean() == pytest.approx(best.score, abs=0.004)
    if resize != "crop":
        assert least <= best.score <= most + 0.04
        assert shown[outside[1], outside[0]] == 0
        assert VOID not in shown
    if inside is not None:
        assert shown[inside[1], inside[0]] == labels.index(label)
