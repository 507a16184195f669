"""The SSD decoder against the plain reference, in every order of outputs, and on real traffic."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

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
N = 40
SHAPES = {"boxes": (1, N, 4), "classes": (1, N), "scores": (1, N), "count": (1,)}
ROLES = tuple(SHAPES)
TF1 = ("TFLite_Detection_PostProcess", *(f"TFLite_Detection_PostProcess:{i}" for i in (1, 2, 3)))
TF2 = tuple(f"StatefulPartitionedCall:{i}" for i in (3, 2, 1, 0))
WORDS = ("detection_boxes", "detection_classes", "detection_scores", "num_detections")
METADATA = ("location", "category", "score", "number of detections")


def answer(seed=1, count=7):
    random = np.random.default_rng(seed)
    corner = random.uniform(-0.2, 0.9, (1, N, 2))
    return {
        "boxes": np.concatenate((corner, corner + random.uniform(0, 0.4, (1, N, 2))), axis=2),
        "classes": random.integers(0, 4, (1, N)).astype(float),
        "scores": random.integers(0, 9, (1, N)) / 8,
        "count": np.array([count], float),
    }


def tensors(output, names, shapes=SHAPES):
    return [output(name, shapes[role]) for name, role in zip(names, ROLES, strict=True)]


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, N), st.sampled_from([0.0, 0.3, 0.5]))
def test_rows_are_decoded_as_the_plain_loop_does(
    plain, output, model, found, seed, count, min_score
):
    given_ = {role: array.astype(np.float32) for role, array in answer(seed, count).items()}
    view = (-0.1, 0.2, 1.1, 0.9)
    made = model("ssd", tensors(output, TF1), min_score=min_score)
    expected = plain.ssd(
        given_["boxes"][0].tolist(),
        given_["classes"][0].tolist(),
        given_["scores"][0].tolist(),
        count,
        min_score=min_score,
        view=view,
    )
    assert (
        found(
            decoder(made)([given_[role] for role in ROLES], Prepared(np.empty(0), Geometry(view)))
        )
        == expected
    )


@pytest.mark.parametrize("names", [TF1, TF2, WORDS, METADATA], ids=["tf1", "tf2", "words", "meta"])
def test_outputs_come_in_any_order(output, model, names):
    straight = tensors(output, names)
    rows = answer()
    expected = decoder(model("ssd", straight))([rows[role] for role in ROLES], WHOLE)
    assert len(expected) >= 3
    for order in permutations(range(4)):
        made = model("ssd", [straight[i] for i in order])
        assert decoder(made)([rows[ROLES[i]] for i in order], WHOLE) == expected


def test_the_manifest_says_the_order_of_outputs_without_names(output, model):
    names = [f"Identity_{i}" for i in range(4)]
    rows = answer()
    expected = decoder(model("ssd", tensors(output, TF1)))([rows[role] for role in ROLES], WHOLE)
    for order in permutations(ROLES):
        outputs = [output(name, SHAPES[role]) for name, role in zip(names, order, strict=True)]
        made = model("ssd", outputs, order=list(order))
        assert decoder(made)([rows[role] for role in order], WHOLE) == expected


def test_a_name_for_one_of_the_two_tells_the_other(output, model):
    names = ("a", "b", "the_scores", "d")
    rows = answer()
    expected = decoder(model("ssd", tensors(output, TF1)))([rows[role] for role in ROLES], WHOLE)
    made = decoder(model("ssd", tensors(output, names)))
    assert made([rows[role] for role in ROLES], WHOLE) == expected


def test_whole_numbers_are_classes_and_no_scores(output, model):
    outputs = [output("a", (1, N, 4)), output("b", (1, N)), output("c", (1, N), "int32")]
    rows = answer(count=N)
    expected = decoder(model("ssd", tensors(output, TF1)))([rows[role] for role in ROLES], WHOLE)
    whole = rows["classes"].astype(np.int32)
    assert decoder(model("ssd", outputs))([rows["boxes"], rows["scores"], whole], WHOLE) == expected


def test_a_single_row_and_a_count_of_two_dimensions_are_told_by_name(output, model):
    shapes = {"boxes": (1, 1, 4), "classes": (1, 1), "scores": (1, 1), "count": (1, 1)}
    made = decoder(model("ssd", tensors(output, TF1, shapes)))
    box = np.array([[[0.1, 0.2, 0.3, 0.4]]])
    (detection,) = made([box, np.array([[5.0]]), np.array([[0.75]]), np.array([[1.0]])], WHOLE)
    assert (detection.label, detection.score) == ("5", 0.75)
    assert detection.box == pytest.approx((0.2, 0.1, 0.4, 0.3))


def test_quantized_outputs_are_read_by_their_parameters(output, model):
    outputs = [
        output("boxes", (1, N, 4), "uint8", 1 / 250, 0),
        output("classes", (1, N), "uint8", 1.0, 0),
        output("scores", (1, N), "int8", 1 / 250, -128),
    ]
    raw = (
        np.zeros((1, N, 4), np.uint8),
        np.full((1, N), 3, np.uint8),
        np.full((1, N), -128, np.int8),
    )
    raw[0][0, 4] = (25, 50, 125, 200)
    raw[2][0, 4] = -128 + 225
    (detection,) = decoder(model("ssd", outputs))(raw, WHOLE)
    assert (detection.label, detection.score) == ("3", pytest.approx(0.9))
    assert detection.box == pytest.approx((0.2, 0.1, 0.8, 0.5))


@pytest.mark.parametrize(
    ("labels", "background", "expected"),
    [
        ((), "auto", "1"),
        (("person", "car"), "auto", "car"),
        (("???", "person", "car"), "auto", "car"),
        (("Background", "person", "car"), "auto", "car"),
        (("nothing", "person", "car"), True, "car"),
        (("???", "person", "car"), False, "person"),
        (("person",), "auto", "1"),
    ],
)
def test_labels_begin_with_a_background_or_not(output, model, labels, background, expected):
    made = model("ssd", tensors(output, TF1), labels, background=background)
    box = np.tile([0.1, 0.1, 0.5, 0.5], (1, N, 1))
    rows = [box, np.ones((1, N)), np.linspace(0.9, 0.1, N)[None], np.array([1.0])]
    (detection,) = decoder(made)(rows, WHOLE)
    assert detection.label == expected


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("nonsense", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_none_give_no_detection(output, model, nonsense):
    decode = decoder(model("ssd", tensors(output, TF1)))
    for role in ROLES:
        rows = answer() | {role: np.full(SHAPES[role], nonsense)}
        for detection in decode([rows[role] for role in ROLES], WHOLE):
            assert np.isfinite((detection.score, *detection.box)).all()
            assert 0.25 <= detection.score <= 1


# --- what is refused ---------------------------------------------------------------------------


def test_what_to_do_can_be_done(output, model):
    unnamed = [output("a", (1, N, 4)), output("b", (1, N)), output("c", (1, N))]
    with pytest.raises(Refused) as told:
        decoder(model("ssd", unnamed))
    assert told.value.next.startswith("say in the manifest, under output, order: [boxes,")
    bare = replace(model("ssd", unnamed), guessed={"family": "ssd"})
    with pytest.raises(Refused) as told:
        decoder(bare)  # has no manifest: how to come by one is said first
    assert told.value.next.startswith("edge-agent models import FILE --family generic")
    with pytest.raises(Refused) as told:
        decoder(model("ssd", [output("heat", (1, 12, 12, 2))]))  # no order would help
    assert told.value.next.startswith("say another --family")


def test_classes_and_scores_that_only_shapes_could_tell_are_refused(output, model):
    with pytest.raises(Refused, match=r"'b' float32\[1,40\], 'c' float32\[1,40\] could be") as told:
        decoder(model("ssd", tensors(output, "abcd")))
    assert "order: [boxes, classes, scores, count]" in told.value.next


def test_raw_boxes_without_suppression_are_refused(output, model):
    outputs = [output("raw_boxes", (1, 1917, 4)), output("raw_scores", (1, 1917, 91))]
    with pytest.raises(Refused, match=r"none of the outputs 'raw_boxes' float32\[1,1917,4\]"):
        decoder(model("ssd", outputs))


def test_names_that_contradict_the_shapes_are_refused(output, model):
    names = [f"StatefulPartitionedCall:{i}" for i in (0, 1, 2, 3)]  # boxes would be the count
    with pytest.raises(Refused, match="'StatefulPartitionedCall:0'"):
        decoder(model("ssd", tensors(output, names)))


def test_an_order_that_contradicts_the_shapes_is_refused(output, model):
    order = ["classes", "boxes", "scores", "count"]
    with pytest.raises(Refused, match="can be the boxes"):
        decoder(model("ssd", tensors(output, TF1), order=order))


# --- real traffic ------------------------------------------------------------------------------


def test_traffic_is_found_with_the_state_carried_over_three_frames(
    real_model, realdata, plain, found
):
    engine = real_model("traffic_model")
    spec = engine.spec("ssd", InputSpec(256, 256), min_score=0.3)
    prepare, decode = Preprocessor(spec.input, spec.input_tensor), decoder(spec)
    pickup = []
    for index in (1, 2, 3):
        image = cv2.imread(str(realdata(f"images/traffic_000{index}.bmp")))
        prepared = prepare(image)
        answers = engine(prepared.tensor)
        detections = decode(answers, prepared)
        boxes, classes, scores, count = (answer[0].tolist() for answer in answers[:4])
        assert found(detections) == plain.ssd(boxes, classes, scores, count, min_score=0.3)
        pickup.append(detections[0])
    # The dark pick-up enters from the right and drives on to the left; the car before it is second.
    assert [detection.label for detection in pickup] == ["1", "1", "1"]
    assert [d.score for d in pickup] == pytest.approx([0.41, 0.47, 0.41], abs=0.05)
    left = [detection.box[0] for detection in pickup]
    assert left == pytest.approx([0.846, 0.825, 0.804], abs=0.01)
    assert left == sorted(left, reverse=True)
