"""Which family a bare model is taken for: the usual shapes, and what must stay generic."""

from __future__ import annotations

import pytest

from edge_agent.bundles.anatomy import Anatomy
from edge_agent.bundles.family import SSD_OPERATOR, tell_family
from edge_agent.bundles.guess import NO_WISH, UnknownInput, Wish, guess
from edge_agent.errors import Refused
from edge_agent.pipeline.decode.pose import COCO
from edge_agent.types import TensorSpec

Shape = tuple[int, ...]


def tensor(shape: Shape, dtype: str = "float32", name: str = "t") -> TensorSpec:
    return TensorSpec(0, name, shape, dtype)


def family(given: Shape, *outputs: Shape, dtype: str = "float32", operators: str = "") -> str:
    made = [tensor(shape, dtype) for shape in outputs]
    return tell_family(tensor(given), made, operators.split())


PICTURE = (1, 192, 192, 3)


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ((1, 2), "classification"),
        ((1, 1, 1, 1001), "classification"),
        ((1, 1), "generic"),
        ((1, 1, 17, 3), "pose"),
        ((1, 17, 3), "pose"),
        ((1, 1, 33, 3), "generic"),
        ((1, 6, 56), "generic"),  # MoveNet of several bodies
        ((1, 5, 756), "yolo"),  # v8 on 192 x 192
        ((1, 84, 756), "yolo"),
        ((1, 2268, 85), "yolo"),  # v5: three anchors
        ((1, 720, 6), "yolo"),  # two grids
        ((1, 300, 6), "generic"),  # suppressed already
        ((1, 48, 6625), "generic"),  # letters, one after the other
        ((1, 468, 3), "generic"),
        ((1, 192, 192, 21), "segmentation"),
        ((1, 192, 192, 3), "generic"),  # a picture
        ((1, 384, 384, 3), "generic"),
        ((1, 192, 192, 2), "generic"),  # an optical flow
        ((1, 192, 192, 1), "generic"),  # a depth
        ((1, 24, 24, 2), "generic"),
        ((1, 6, 6, 255), "generic"),
        ((1, 12, 12, 320), "generic"),
        ((), "generic"),
        ((1, 0, 0, 4), "generic"),
    ],
)
def test_one_output_of_a_picture_model(output: Shape, expected: str) -> None:
    assert family(PICTURE, output) == expected


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ((1, 192, 192, 2), "segmentation"),
        ((1, 48, 48, 3), "segmentation"),
        ((1, 24, 24, 2), "fomo"),
        ((1, 12, 12, 5), "fomo"),
        ((1, 24, 24, 1), "generic"),
        ((1, 24, 12, 2), "generic"),
        ((1, 25, 25, 2), "generic"),
        ((1, 6, 6, 2), "generic"),
    ],
)
def test_a_softmax_says_that_a_map_holds_scores(output: Shape, expected: str) -> None:
    assert family(PICTURE, output, operators="CONV_2D SOFTMAX") == expected


@pytest.mark.parametrize(
    ("output", "dtype", "expected"),
    [
        ((1, 192, 192), "int64", "segmentation"),
        ((1, 96, 96, 1), "uint8", "segmentation"),
        ((1, 192, 192), "float32", "generic"),
        ((1, 100, 192), "int64", "generic"),
        ((1, 1001), "int64", "generic"),
    ],
)
def test_whole_numbers_in_a_grid_are_classes(output: Shape, dtype: str, expected: str) -> None:
    assert family(PICTURE, output, dtype=dtype) == expected


def test_ssd_is_told_by_its_operator_or_its_four_outputs() -> None:
    assert family(PICTURE, (), (), (), (), operators=SSD_OPERATOR) == "ssd"
    assert family(PICTURE, (1, 10, 4), (1, 10), (1, 10), (1,)) == "ssd"
    assert family(PICTURE, (1, 896, 16), (1, 896, 1)) == "generic"


@pytest.mark.parametrize(
    ("given", "output", "expected"),
    [
        ((1, 640), (1, 640), "anomaly"),
        ((1, 49, 10, 1), (1, 49, 10, 1), "anomaly"),  # a spectrum, too small for a picture
        ((1, 28, 28, 1), (1, 28, 28, 1), "generic"),
        ((1, 49, 10, 1), (1, 12), "classification"),
        ((1, 3, 40), (1, 1), "generic"),
        ((640,), (1, 4), "classification"),
        ((1, 640), (1, 8, 8), "generic"),
    ],
)
def test_signals_are_given_back_or_told_apart(given: Shape, output: Shape, expected: str) -> None:
    assert family(given, output) == expected


# --- what is guessed with it -------------------------------------------------------------------


def anatomy(inputs: list[TensorSpec], outputs: list[TensorSpec]) -> Anatomy:
    return Anatomy(tuple(inputs), tuple(outputs), ())


def test_findings_have_the_names_that_their_family_gives_them() -> None:
    picture = tensor(PICTURE)
    pose = guess(anatomy([picture], [tensor((1, 1, 17, 3))]), "m", NO_WISH)
    assert (pose.labels, pose.guessed["labels"]) == (COCO, "COCO's key points")
    raw = [tensor((1, 4), name="angles"), tensor((1, 1), name="speed")]
    generic = guess(anatomy([picture], raw), "m", NO_WISH)
    assert (generic.labels, generic.guessed["labels"]) == (
        ("angles", "speed"),
        "the outputs' names",
    )
    assert "min_score" not in generic.guessed
    nameless = guess(anatomy([picture], [raw[0], raw[0]]), "m", NO_WISH)
    assert (nameless.labels, nameless.guessed["labels"]) == ((), "the index")


def test_a_window_with_state_beside_it_is_the_input() -> None:
    state = tensor((1, 128), name="state")
    found = guess(anatomy([state, tensor((1, 640))], [tensor((1, 4)), state]), "m", NO_WISH)
    assert found.input["window"] == 640


@pytest.mark.parametrize(
    ("inputs", "named"),
    [
        ([tensor((1, 64), name="left"), tensor((1, 64), name="right")], ("left", "right")),
        ([tensor(PICTURE, name="a"), tensor(PICTURE, name="b")], ("a", "b")),
        ([], ("none",)),
        ([tensor((), name="x")], ("x",)),
        ([tensor((1, -1), name="x")], ("x",)),
    ],
)
def test_without_one_input_of_a_size_there_is_a_sentence(
    inputs: list[TensorSpec], named: tuple[str, ...]
) -> None:
    with pytest.raises(UnknownInput) as caught:
        guess(anatomy(inputs, [tensor((1, 4))]), "m", NO_WISH)
    assert all(name in caught.value.message for name in named)
    assert caught.value.next


def test_a_wish_for_places_in_a_signal_is_refused() -> None:
    with pytest.raises(Refused, match="cannot be of family fomo"):
        guess(anatomy([tensor((1, 640))], [tensor((1, 640))]), "m", Wish(family="fomo"))
