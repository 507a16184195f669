"""The YOLO decoder against the plain reference on made-up heads, and on real people."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from edge_agent.errors import Refused
from edge_agent.pipeline.decode import decoder
from edge_agent.pipeline.preprocess import Geometry, Prepared, Preprocessor
from edge_agent.types import InputSpec

WHOLE = Prepared(np.empty(0), Geometry())
WIDTH, HEIGHT = 64, 48
STORED = {  # dtype: scale and zero point that hold 0..1, or pixels of the input
    "float32": (None, 0),
    "float16": (None, 0),
    "uint8": (1 / 255, 0),
    "int8": (1 / 255, -128),
    "int16": (1 / 32767, 0),
}


@st.composite
def heads(draw):
    """A head of candidates in rows as real numbers, in clusters so that many overlap."""
    count, classes = draw(st.integers(1, 60)), draw(st.sampled_from([1, 2, 7]))
    objectness = draw(st.booleans()) if classes > 1 else False
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    centres = random.choice(random.uniform(0, 1, (4, 2)), count)
    centres += random.normal(0, 0.02, (count, 2))
    sizes = random.uniform(0.02, 0.4, (count, 2))
    scores = random.uniform(0, 1, (count, classes + objectness)) ** 2
    return np.concatenate((centres, sizes, scores), axis=1), objectness


def stored(rows, dtype):
    """The raw head [N, C] of real numbers in 0..1, as a tensor of that type holds it."""
    scale, zero = STORED[dtype]
    if scale is None:
        return rows.astype(dtype)
    limits = np.iinfo(dtype)
    return (rows / scale + zero).round().clip(limits.min, limits.max).astype(dtype)


def near_threshold(plain, boxes, iou):
    """Whether any pair overlaps by so nearly `iou` that float32 may see it otherwise."""
    return any(abs(plain.iou(a, b) - iou) < 1e-5 for i, a in enumerate(boxes) for b in boxes[:i])


@settings(max_examples=150, deadline=None)
@given(heads(), st.sampled_from(sorted(STORED)), st.booleans(), st.sampled_from([0.05, 0.25, 0.6]))
def test_every_head_gives_what_the_plain_loop_gives(
    plain, output, model, found, head, dtype, in_rows, min_score
):
    rows, objectness = head
    raw = stored(rows, dtype)
    tensor = output("head", (1, *(raw.shape if in_rows else raw.T.shape)), dtype, *STORED[dtype])
    candidates = plain.real(raw.tolist(), tensor)
    corners = [(x - w / 2, y - h / 2, x + w / 2, y + h / 2) for x, y, w, h, *_ in candidates]
    assume(not near_threshold(plain, corners, 0.45))
    view = (-0.2, 0.1, 1.3, 0.8)

    layout = "rows" if in_rows else "columns"
    made = model("yolo", [tensor], (), min_score, head=layout, objectness=objectness)
    detections = decoder(made)(
        [raw[None] if in_rows else raw.T[None]], Prepared(np.empty(0), Geometry(view))
    )
    expected = plain.yolo(
        candidates,
        objectness=objectness,
        pixels=False,
        size=(WIDTH, HEIGHT),
        min_score=min_score,
        view=view,
    )
    assert found(detections) == expected


@settings(max_examples=40, deadline=None)
@given(heads(), st.booleans())
def test_boxes_in_pixels_are_recognized_and_scaled(plain, output, model, found, head, told):
    rows, objectness = head
    raw = (rows * ((WIDTH, HEIGHT) * 2 + (1,) * (rows.shape[1] - 4))).astype(np.float32)
    assume((raw[:, 2:4] > 2).any())
    corners = [(x - w / 2, y - h / 2, x + w / 2, y + h / 2) for x, y, w, h, *_ in rows.tolist()]
    assume(not near_threshold(plain, corners, 0.45))
    settings = {"boxes": "pixel"} if told else {}
    made = model(
        "yolo", [output("head", (1, *raw.shape))], objectness=objectness, head="rows", **settings
    )
    expected = plain.yolo(
        raw.tolist(), objectness=objectness, pixels=True, size=(WIDTH, HEIGHT), min_score=0.25
    )
    assert found(decoder(made)([raw[None]], WHOLE)) == expected


def test_a_quantized_range_of_pixels_says_pixels(output, model):
    tensor = output("head", (1, 5, 9), "uint8", 64 / 255, 0)
    raw = np.zeros((1, 5, 9), np.uint8)
    raw[0, :, 0] = (128, 96, 64, 48, 255)  # real: 32.1, 24.1, 16.1, 12.0 pixels, score 64
    (detection,) = decoder(model("yolo", [tensor]))([raw], WHOLE)
    assert detection.box == pytest.approx((0.376, 0.376, 0.627, 0.627), abs=0.01)
    assert detection.score == 1.0
    pixel_told_otherwise = decoder(model("yolo", [tensor], boxes="normalized"))([raw], WHOLE)
    assert pixel_told_otherwise == ()  # 16 to 48 times the picture: nothing of it is in the frame


# --- which head --------------------------------------------------------------------------------


def one_hit(shape, columns_last, candidate):
    head = np.zeros(shape, np.float32)
    (head[0] if columns_last else head[0].T)[3] = candidate
    return head


@pytest.mark.parametrize(
    ("shape", "in_rows", "labels", "candidate", "label", "score"),
    [
        ((1, 756, 5), True, (), [0.5, 0.5, 0.2, 0.2, 0.8], "0", 0.8),
        ((1, 5, 756), False, (), [0.5, 0.5, 0.2, 0.2, 0.8], "0", 0.8),
        ((1, 5, 756), False, ("person",), [0.5, 0.5, 0.2, 0.2, 0.8], "person", 0.8),
        ((1, 756, 6), True, ("person",), [0.5, 0.5, 0.2, 0.2, 0.8, 0.5], "person", 0.4),
        ((1, 756, 6), True, ("a", "b"), [0.5, 0.5, 0.2, 0.2, 0.1, 0.5], "b", 0.5),
        ((1, 6, 756), False, (), [0.5, 0.5, 0.2, 0.2, 0.1, 0.5], "1", 0.5),
        ((1, 756, 7), True, (), [0.5, 0.5, 0.2, 0.2, 0.8, 0.1, 0.5], "1", 0.4),
        ((1, 7, 756), False, ("a", "b"), [0.5, 0.5, 0.2, 0.2, 0.8, 0.1, 0.5], "b", 0.4),
        ((1, 9, 4), False, tuple("abcde"), [0.5, 0.5, 0.2, 0.2, 0, 0, 0.5, 0, 0], "c", 0.5),
    ],
)
def test_the_shape_and_the_labels_say_how_to_read_the_head(
    output, model, shape, in_rows, labels, candidate, label, score
):
    decode = decoder(model("yolo", [output("head", shape)], labels))
    (detection,) = decode([one_hit(shape, in_rows, candidate)], WHOLE)
    assert (detection.label, detection.score) == (label, pytest.approx(score))
    assert detection.box == pytest.approx((0.4, 0.4, 0.6, 0.6))


def test_settings_overrule_what_the_shape_suggests(output, model):
    tensor, shape = output("head", (1, 7, 756)), (1, 7, 756)
    candidate = [0.5, 0.5, 0.2, 0.2, 0.8, 0.1, 0.5]
    with_it = decoder(model("yolo", [tensor], objectness=True))
    assert with_it([one_hit(shape, False, candidate)], WHOLE)[0].score == pytest.approx(0.4)
    without = decoder(model("yolo", [tensor], objectness=False))
    assert without([one_hit(shape, False, candidate)], WHOLE)[0].score == pytest.approx(0.8)
    rows = decoder(model("yolo", [tensor], head="rows", min_score=0.9))
    head = np.zeros((1, 7, 756), np.float32)
    head[0, 2, :5], head[0, 2, 700] = (0.5, 0.5, 0.2, 0.2, 1.0), 0.95
    assert [d.label for d in rows([head], WHOLE)] == ["695"]


def test_other_outputs_are_ignored(output, model):
    tensors = [output("state", (1, 8, 8, 32)), output("head", (1, 5, 20)), output("n", (1,))]
    head = one_hit((1, 5, 20), False, [0.5, 0.5, 0.2, 0.2, 0.8])
    found = decoder(model("yolo", tensors))([np.zeros((1, 8, 8, 32)), head, np.zeros(1)], WHOLE)
    assert len(found) == 1


@pytest.mark.parametrize(
    ("shape", "dtype", "labels", "settings", "sentence"),
    [
        ((1, 20, 20, 255), "float32", (), {}, r"'head' float32\[1,20,20,255\] is no YOLO head"),
        ((1, 4, 756), "float32", (), {}, r"'head' float32\[1,4,756\] is no YOLO head"),
        ((2, 5, 756), "float32", (), {}, r"'head' float32\[2,5,756\] is no YOLO head"),
        ((1, 5, 756), "int64", (), {}, r"'head' int64\[1,5,756\] is no YOLO head"),
        ((1, 5, 756), "int8", (), {}, r"'head' int8\[1,5,756\] is no YOLO head"),
        ((1, 116, 756), "float32", ("a",) * 80, {}, r"with C 4 or 5 \+ 80"),
        ((1, 85, 756), "float32", ("a",) * 80, {"objectness": False}, "is no YOLO head"),
        ((1, 84, 756), "float32", ("a",) * 80, {"head": "rows"}, "is no YOLO head"),
        ((1, 84, 84), "float32", ("a",) * 80, {}, "in several ways"),
        ((1, 84, 85), "float32", ("a",) * 80, {}, "in several ways"),
        ((1, 84, 84), "float32", (), {}, "in several ways"),
        ((1, 300, 6), "float32", (), {}, "already suppressed"),
        ((1, 300, 6), "float32", ("a", "b"), {}, "already suppressed"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(
    output, model, shape, dtype, labels, settings, sentence
):
    with pytest.raises(Refused, match=sentence) as refused:
        decoder(model("yolo", [output("head", shape, dtype)], labels, **settings))
    assert refused.value.next


def test_two_heads_are_refused(output, model):
    with pytest.raises(Refused, match=r"'a' .* and 'b' .* in several ways"):
        decoder(model("yolo", [output("a", (1, 5, 20)), output("b", (1, 5, 80))]))


# --- what comes out ----------------------------------------------------------------------------


def test_never_more_than_300_best_first(output, model):
    head = np.zeros((1, 5, 1000), np.float32)
    place = np.arange(1000)
    head[0] = (place % 40 / 40, place // 40 / 25, 0 * place + 0.02, 0 * place + 0.02, place / 1000)
    found = decoder(model("yolo", [output("head", (1, 5, 1000))]))([head], WHOLE)
    scores = [detection.score for detection in found]
    assert len(found) == 300
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= value <= 1 for detection in found for value in detection.box)


def test_candidates_without_an_area_take_nobodys_place(output, model):
    head = np.zeros((1, 5, 1000), np.float32)
    place = np.arange(1000)
    head[0] = (place % 40 / 40, place // 40 / 25, 0 * place - 0.02, 0 * place - 0.02, place / 1000)
    head[0, :, 300] = (0.5, 0.5, 0.2, 0.2, 0.3)
    found = decoder(model("yolo", [output("head", (1, 5, 1000))]))([head], WHOLE)
    assert [detection.score for detection in found] == [pytest.approx(0.3)]


def test_a_box_in_the_border_of_a_letterbox_is_not_in_the_frame(output, model):
    head = one_hit((1, 5, 20), False, [0.5, 0.05, 0.2, 0.1, 0.8])
    decode = decoder(model("yolo", [output("head", (1, 5, 20))]))
    assert len(decode([head], WHOLE)) == 1
    assert decode([head], Prepared(np.empty(0), Geometry((0.0, -0.2, 1.0, 1.2)))) == ()


@pytest.mark.parametrize("nonsense", [np.nan, np.inf, -np.inf])
@pytest.mark.filterwarnings("error")
def test_numbers_that_are_none_give_no_detection(output, model, nonsense):
    decode = decoder(model("yolo", [output("head", (1, 7, 20))]))
    for row in range(7):
        head = one_hit((1, 7, 20), False, [0.5, 0.5, 0.2, 0.2, 0.8, 0.3, 0.3])
        head[0, row, 3] = nonsense
        for detection in decode([head], WHOLE):
            assert np.isfinite((detection.score, *detection.box)).all()
    assert decode([np.full((1, 7, 20), nonsense, np.float32)], WHOLE) == ()


def test_nothing_of_the_engines_memory_is_kept(output, model):
    head = one_hit((1, 5, 20), False, [0.5, 0.5, 0.2, 0.2, 0.8])
    found = decoder(model("yolo", [output("head", (1, 5, 20))]))([head], WHOLE)
    before = repr(found)
    head[:] = 0
    assert repr(found) == before


# --- real people -------------------------------------------------------------------------------


def test_people_are_found_on_real_video_as_the_plain_loop_finds_them(
    real_model, realdata, plain, found
):
    engine = real_model("yolov8n_192")
    spec = engine.spec("yolo", InputSpec(192, 192, resize="letterbox"), min_score=0.25)
    prepare, decode = Preprocessor(spec.input, spec.input_tensor), decoder(spec)
    video = cv2.VideoCapture(str(realdata("video/vtest.avi")))
    counts = []
    for index in range(200):
        _, image = video.read()
        if index % 20:
            continue
        prepared = prepare(image)
        (head,) = engine(prepared.tensor)
        detections = decode([head], prepared)
        expected = plain.yolo(
            head[0].T.tolist(),
            objectness=False,
            pixels=False,
            size=(192, 192),
            min_score=0.25,
            view=prepared.geometry.view,
        )
        assert found(detections) == expected
        counts.append(len(detections))
        for detection in detections:
            x0, y0, x1, y1 = detection.box
            assert (y1 - y0) * 576 > (x1 - x0) * 768  # people who walk are taller than wide
    assert min(counts) >= 1
    assert sum(counts) >= 30


def test_the_letterbox_gives_the_same_people_as_a_frame_already_square(real_model, realdata):
    engine = real_model("yolov8n_192")
    spec = engine.spec("yolo", InputSpec(192, 192, resize="letterbox"), min_score=0.5)
    prepare, decode = Preprocessor(spec.input, spec.input_tensor), decoder(spec)
    _, image = cv2.VideoCapture(str(realdata("video/vtest.avi"))).read()
    square = cv2.copyMakeBorder(image, 96, 96, 0, 0, cv2.BORDER_CONSTANT, value=(114,) * 3)
    answers = []
    for picture in (image, square):
        prepared = prepare(picture)
        answers.append(decode(engine(prepared.tensor), prepared))
    for inside, outside in zip(*answers, strict=True):
        x0, y0, x1, y1 = outside.box
        back = (x0, (y0 * 768 - 96) / 576, x1, (y1 * 768 - 96) / 576)
        assert inside.box == pytest.approx(back, abs=1e-6)
