"""FOMO's decoder against the plain flood, and on faces."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.errors import Refused
from edge_agent.pipeline.decode import decoder
from edge_agent.pipeline.preprocess import Geometry, Prepared, Preprocessor
from edge_agent.types import InputSpec

WHOLE = Prepared(np.empty(0), Geometry())
SCORES = {"uint8": (1 / 256, 0), "int8": (1 / 256, -128), "int16": (1 / 32768, 0)}


def heat(shape, *hot):
    """A map (h, w, C) of background with the cells (x, y, class, score) in it."""
    scores = np.zeros(shape, np.float32)
    scores[..., 0] = 1
    for x, y, kind, score in hot:
        scores[y, x] = 0
        scores[y, x, 0], scores[y, x, kind] = 1 - score, score
    return scores[None]


def as_rows(detections):
    return sorted((int(d.label), round(d.score, 6), tuple(np.round(d.box, 6))) for d in detections)


@settings(max_examples=120)
@given(
    st.sampled_from([*sorted(SCORES), "float32", "float16"]),
    st.integers(1, 14),
    st.integers(1, 14),
    st.integers(2, 5),
    st.integers(0, 2**32 - 1),
    st.sampled_from([0.3, 0.5, 0.8]),
    st.sampled_from([(0, 0, 1, 1), (0.0, -1 / 6, 1.0, 7 / 6), (0.2, 0.1, 0.7, 0.9)]),
)
def test_touching_cells_of_a_class_are_what_the_plain_flood_finds(
    plain, output, model, dtype, high, wide, classes, seed, least, view
):
    random = np.random.default_rng(seed)
    real = random.dirichlet(np.full(classes, 0.2), (high, wide))
    tensor = output("heat", (1, high, wide, classes), dtype, *SCORES.get(dtype, (None, 0)))
    raw = real
    if dtype in SCORES:
        scale, zero = SCORES[dtype]
        limits = np.iinfo(dtype)
        raw = (np.rint(real / scale) + zero).clip(limits.min, limits.max)
    raw = raw.astype(dtype)[None]
    found = decoder(model("fomo", [tensor], min_score=least))(
        [raw], Prepared(np.empty(0), Geometry(view))
    )
    expected = plain.fomo(plain.real(raw[0].tolist(), tensor), min_score=least, view=view)
    rows = [
        (kind, round(min(1, score), 6), tuple(np.round(box, 6))) for kind, score, box in expected
    ]
    assert as_rows(found) == sorted(rows)
    scores = [each.score for each in found]
    assert scores == sorted(scores, reverse=True)


def test_cells_that_touch_at_a_corner_are_one_object_and_classes_stay_apart(output, model):
    raw = heat((6, 8, 3), (1, 1, 1, 0.6), (2, 2, 1, 0.9), (3, 2, 2, 0.8), (6, 5, 1, 0.7))
    found = decoder(model("fomo", [output("heat", raw.shape)], ("cup", "cap"), 0.5))([raw], WHOLE)
    assert [(each.label, round(each.score, 3)) for each in found] == [
        ("cup", 0.9), ("cap", 0.8), ("cup", 0.7),
    ]  # fmt: skip
    assert found[0].box == (1 / 8, 1 / 6, 3 / 8, 3 / 6)


def test_a_ring_of_cells_is_one_object_and_equal_ones_come_as_one_reads(output, model):
    ring = [(x, y, 1, 0.75) for x in range(5) for y in range(5) if (x in (0, 4)) or (y in (0, 4))]
    raw = heat((5, 9, 2), *ring, (2, 2, 1, 0.75), (7, 4, 1, 0.75))
    boxes = [
        each.box
        for each in decoder(model("fomo", [output("heat", raw.shape)], min_score=0.5))([raw], WHOLE)
    ]
    assert boxes == [(0, 0, 5 / 9, 1), (2 / 9, 2 / 5, 3 / 9, 3 / 5), (7 / 9, 4 / 5, 8 / 9, 1)]


def test_numbers_that_are_no_scores_yet_go_through_a_softmax(output, model):
    raw = np.log(heat((4, 4, 2), (1, 1, 1, 0.9)) + 1e-6)
    (found,) = decoder(model("fomo", [output("heat", raw.shape)], min_score=0.5))([raw], WHOLE)
    assert found.score == pytest.approx(0.9, abs=1e-4)


@pytest.mark.parametrize("labels", [("cup",), ("background", "cup")])
def test_labels_name_the_background_or_leave_it_out(output, model, labels):
    raw = heat((4, 4, 2), (1, 1, 1, 0.9))
    made = model("fomo", [output("heat", raw.shape)], labels, 0.5)
    assert [each.label for each in decoder(made)([raw], WHOLE)] == ["cup"]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("nonsense", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_none_make_no_noise_and_no_finding_of_theirs(output, model, nonsense):
    raw = heat((4, 4, 2), (1, 1, 1, 0.9))
    raw[0, 3, 3, 1] = nonsense
    found = decoder(model("fomo", [output("heat", raw.shape)], min_score=0.5))([raw], WHOLE)
    assert all(0 <= each.score <= 1 and each.box[2] <= 0.75 for each in found)


@pytest.mark.parametrize(
    ("shapes", "labels"),
    [
        ([(1, 12, 12, 1)], ()),
        ([(1, 12, 12)], ()),
        ([(2, 12, 12, 2)], ()),
        ([(1, 12, 12, 2)], ("a", "b", "c")),
        ([(1, 12, 12, 2), (1, 6, 6, 2)], ()),
    ],
)
def test_what_is_no_one_map_is_refused_by_name(output, model, shapes, labels):
    outputs = [output(f"map{number}", shape) for number, shape in enumerate(shapes)]
    with pytest.raises(Refused, match=r"'map0' float32\[") as refused:
        decoder(model("fomo", outputs, labels))
    assert refused.value.next


# --- real pictures -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("picture", "face"),
    [
        ("grace_hopper.bmp", (0.5, 0.33)),
        ("squat.bmp", (0.58, 0.32)),
        ("cat_720p.jpg", None),
        ("traffic_0001.bmp", None),
        ("vww_no_person.bmp", None),
    ],
)
def test_faces_are_found_where_they_are_and_nowhere_else(real_model, realdata, picture, face):
    engine = real_model("fomo_face_detection")
    spec = engine.spec("fomo", InputSpec(96, 96), ("face",), min_score=0.5)
    prepared = Preprocessor(spec.input, spec.input_tensor)(
        cv2.imread(str(realdata(f"images/{picture}")))
    )
    found = decoder(spec)(engine(prepared.tensor), prepared)
    assert len(found) == (face is not None)
    for each in found:
        x0, y0, x1, y1 = each.box
        assert each.score > 0.9
        assert x0 - 0.05 <= face[0] <= x1 + 0.05
        assert y0 - 0.05 <= face[1] <= y1 + 0.05
