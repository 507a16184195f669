"""The classifier's decoder against the plain reference, and on pictures everybody uses."""

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
LOGITS = {"uint8": (0.1, 120), "int8": (0.1, -3), "int16": (1e-3, 0)}


@settings(max_examples=120, deadline=None)
@given(
    st.sampled_from(sorted(SCORES)),
    st.sampled_from(["auto", "none", "softmax", "sigmoid"]),
    st.booleans(),
    st.integers(1, 40),
    st.integers(0, 2**32 - 1),
    st.sampled_from([0.0, 0.2]),
)
def test_quantized_numbers_give_what_the_plain_loop_gives(
    plain, output, model, found, dtype, activation, logits, count, seed, min_score
):
    limits = np.iinfo(dtype)
    raw = np.random.default_rng(seed).integers(limits.min, limits.max, (1, count)).astype(dtype)
    tensor = output("classes", (1, count), dtype, *(LOGITS if logits else SCORES)[dtype])
    made = model("classification", [tensor], min_score=min_score, activation=activation)
    squash = "sigmoid" if count == 1 else "softmax"
    expected = plain.classification(
        plain.real(raw[0].tolist(), tensor),
        activation=activation if activation != "auto" else squash if logits else "none",
        min_score=min_score,
    )
    assert found(decoder(made)([raw], WHOLE)) == expected


@settings(max_examples=80, deadline=None)
@given(
    st.sampled_from(["float32", "float16"]),
    st.lists(st.integers(-40, 40), min_size=1, max_size=30),
    st.booleans(),
)
def test_float_numbers_are_scores_if_they_look_it_and_logits_otherwise(
    plain, output, model, found, dtype, quarters, squashed
):
    logits = np.array(quarters) / 4 - 0.125
    numbers = np.exp(logits) / np.exp(logits).sum() if squashed else logits
    raw = numbers.astype(dtype).reshape(1, -1)
    alone = len(quarters) == 1
    scores = squashed or (alone and 0 <= logits[0] <= 1)
    if not scores and (logits >= 0).all() and logits.sum() < 1.5:
        return  # logits that nobody can tell from scores
    made = model("classification", [output("classes", raw.shape, dtype)], min_score=0.0)
    expected = plain.classification(
        raw[0].tolist(),
        activation="none" if scores else "sigmoid" if alone else "softmax",
        min_score=0.0,
    )
    assert found(decoder(made)([raw], WHOLE)) == expected


def test_scores_that_went_through_eight_bits_are_still_scores(output, model):
    raw = np.zeros((1, 1001), np.float32)
    raw[0, 286], raw[0, 300:400] = 0.84, 1 / 256  # they sum to 1.23
    (best,) = decoder(model("classification", [output("classes", (1, 1001))], top=1))([raw], WHOLE)
    assert (best.label, best.score) == ("286", pytest.approx(0.84))


def test_the_best_come_first_and_equal_ones_by_index(output, model):
    raw = np.array([[3, 9, 9, 1, 9, 3]], np.uint8)
    tensor = output("classes", (1, 6), "uint8", 1 / 256, 0)
    found = decoder(model("classification", [tensor], min_score=0.0, top=4))([raw], WHOLE)
    assert [d.extra["index"] for d in found] == [1, 2, 4, 0]
    assert {d.box for d in found} == {(0.0, 0.0, 1.0, 1.0)}


def test_five_are_given_unless_told_otherwise_and_none_below_the_least_score(output, model):
    raw = np.array([[0.3, 0.2, 0.15, 0.12, 0.1, 0.08, 0.05]], np.float32)
    tensor = output("classes", (1, 7))
    assert len(decoder(model("classification", [tensor], min_score=0.0))([raw], WHOLE)) == 5
    assert len(decoder(model("classification", [tensor], min_score=0.2))([raw], WHOLE)) == 2


@pytest.mark.parametrize("shape", [(1, 3), (1, 1, 3), (1, 1, 1, 3)])
def test_extra_dimensions_of_one_do_not_matter(output, model, shape):
    decode = decoder(model("classification", [output("classes", shape)], ("a", "b", "c")))
    raw = np.array([0.1, 0.7, 0.2], np.float32).reshape(shape)
    assert [d.label for d in decode([raw], WHOLE)] == ["b"]


@pytest.mark.parametrize(
    ("labels", "background", "expected"),
    [
        ((), "auto", ["1", "0"]),
        (("background", "cat"), "auto", ["cat", "background"]),
        (("dog", "cat"), False, ["cat", "dog"]),
        (("cat",), "auto", ["cat", "background"]),
        (("cat",), True, ["cat", "background"]),
    ],
)
def test_labels_name_the_background_or_leave_it_out(output, model, labels, background, expected):
    made = model("classification", [output("classes", (1, 2))], labels, 0.0, background=background)
    found = decoder(made)([np.array([[0.3, 0.7]], np.float32)], WHOLE)
    assert [d.label for d in found] == expected
    assert [d.extra["index"] for d in found] == [1, 0]


@pytest.mark.parametrize(
    ("shape", "labels", "settings"),
    [
        ((1, 10), ("a",) * 8, {}),
        ((1, 10), ("a",) * 11, {}),
        ((1, 10), ("a",) * 9, {"background": False}),
        ((1, 10), ("a",) * 10, {"background": True}),
        ((1, 12, 12, 2), (), {}),
        ((2, 10), (), {}),
        ((10,), (), {}),
    ],
)
def test_counts_and_shapes_that_disagree_are_refused_by_name(
    output, model, shape, labels, settings
):
    with pytest.raises(Refused, match=r"'classes' float32\[") as refused:
        decoder(model("classification", [output("classes", shape)], labels, **settings))
    assert refused.value.next


def test_labels_choose_among_several_outputs(output, model):
    outputs = [output("embedding", (1, 128)), output("classes", (1, 2)), output("state", (1, 8, 8))]
    decode = decoder(model("classification", outputs, ("a", "b")))
    answers = [np.zeros((1, 128)), np.array([[0.9, 0.1]], np.float32), np.zeros((1, 8, 8))]
    assert [d.label for d in decode(answers, WHOLE)] == ["a"]
    with pytest.raises(Refused, match=r"'embedding' float32\[1,128\], 'classes' float32\[1,2\]"):
        decoder(model("classification", outputs))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("activation", ["auto", "none", "softmax", "sigmoid"])
@pytest.mark.parametrize("nonsense", [np.nan, np.inf, -np.inf, 3e38, -3e38])
def test_numbers_that_are_none_make_no_noise(output, model, activation, nonsense):
    made = model(
        "classification", [output("classes", (1, 3))], min_score=0.0, activation=activation
    )
    for numbers in ([0.5, nonsense, 0.1], [nonsense] * 3):
        for detection in decoder(made)([np.array([numbers], np.float32)], WHOLE):
            assert 0 <= detection.score <= 1


# --- real pictures -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def imagenet(realdata):
    return tuple(realdata("models/imagenet_labels.txt").read_text().splitlines())


def classify(engine, spec, image):
    prepared = Preprocessor(spec.input, spec.input_tensor)(image)
    return decoder(spec)(engine(prepared.tensor), prepared)


@pytest.mark.parametrize(
    ("picture", "label", "score"),
    [("cat_720p.jpg", "Egyptian cat", 0.84), ("grace_hopper.bmp", "military uniform", 0.93)],
)
def test_mobilenet_v2_sees_what_is_known(real_model, realdata, imagenet, picture, label, score):
    engine = real_model("mobilenet_v2_1.0_224_quant")
    spec = engine.spec("classification", InputSpec(224, 224), imagenet)
    best, *others = classify(engine, spec, cv2.imread(str(realdata(f"images/{picture}"))))
    assert best.label == label
    assert best.score == pytest.approx(score, abs=0.08)  # the two engines differ by 0.07
    assert imagenet[best.extra["index"]] == label
    assert all(other.score < best.score for other in others)


def test_the_background_may_be_left_out_of_imagenets_labels(real_model, realdata, imagenet):
    engine = real_model("mobilenet_v2_1.0_224_quant")
    spec = engine.spec("classification", InputSpec(224, 224), imagenet[1:])
    best = classify(engine, spec, cv2.imread(str(realdata("images/cat_720p.jpg"))))[0]
    assert (best.label, best.extra["index"]) == ("Egyptian cat", 286)


def test_mobilenet_v1_quarter_sees_a_cat_and_a_gown(real_model, realdata, imagenet):
    engine = real_model("mobilenet_v1_0.25_128_quant")
    spec = engine.spec("classification", InputSpec(128, 128), imagenet)
    best = classify(engine, spec, cv2.imread(str(realdata("images/cat_720p.jpg"))))[0]
    assert best.label == "Egyptian cat"
    best = classify(engine, spec, cv2.imread(str(realdata("images/grace_hopper.bmp"))))[0]
    assert best.label.startswith("academic gown")


@pytest.mark.parametrize(
    ("picture", "person"),
    [("grace_hopper.bmp", 0.859), ("squat.bmp", 0.977), ("cat_720p.jpg", 0.051)],
)
def test_visual_wake_words_tells_persons_from_cats(real_model, realdata, picture, person):
    engine = real_model("vww_96_int8")
    spec = engine.spec("classification", InputSpec(96, 96), ("nobody", "person"))
    image = cv2.imread(str(realdata(f"images/{picture}")))
    scores = {d.label: d.score for d in classify(engine, spec, image)}
    assert scores["person"] == pytest.approx(person, abs=0.03)
    assert scores["nobody"] == pytest.approx(1 - scores["person"], abs=0.01)


@pytest.mark.parametrize(("picture", "person"), [("vww_person", 0.863), ("vww_no_person", 0.117)])
def test_raw_bytes_of_visual_wake_words_give_the_published_scores(
    real_model, realdata, picture, person
):
    engine = real_model("vww_96_int8")
    spec = engine.spec("classification", InputSpec(96, 96), ("nobody", "person"))
    rgb = cv2.imread(str(realdata(f"images/{picture}.bmp")))[:, :, ::-1].copy()
    scores = {d.label: d.score for d in decoder(spec)(engine(rgb.view(np.int8)[None]), WHOLE)}
    assert scores["person"] == pytest.approx(person, abs=0.02)
