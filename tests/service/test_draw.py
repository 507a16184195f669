"""Annotated pictures: letters of every script, readable, inside the picture."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_agent.errors import EdgeError
from edge_agent.pipeline.decode.pose import COCO
from edge_agent.service.draw import COLORS, annotated, posed, tinted, write, write_picture
from edge_agent.service.lettering import HEIGHT, lettered
from edge_agent.types import Detection

WHOLE = (0.0, 0.0, 1.0, 1.0)


@pytest.mark.parametrize(
    ("text", "width"),
    [("", 0), ("A", 8), ("person 0.93", 88), ("人", 16), ("侵入", 32), ("Привет", 48), ("ã", 8)],
)
def test_narrow_and_wide_letters_take_their_room(text: str, width: int) -> None:
    assert lettered(text).shape == (HEIGHT, width)
    assert lettered(text).any() == bool(text)


def test_letters_are_told_apart_and_unknown_ones_are_shown_as_such() -> None:
    scripts = ["a", "б", "γ", "ش", "न", "人", "入", "ク", "한"]
    assert len({lettered(letter).tobytes() for letter in scripts}) == len(scripts)
    assert (lettered("\U0001f600") == lettered("\N{REPLACEMENT CHARACTER}")).all()


def test_an_accent_is_put_on_its_letter() -> None:
    assert (lettered("e\u0301") == lettered("é")).all()
    marked = lettered("q\u0301")  # there is no such letter in one piece
    assert marked.shape == lettered("q").shape
    assert marked.sum() > lettered("q").sum()


def test_letters_grow_by_whole_numbers() -> None:
    assert (lettered("人", 3)[::3, ::3] == lettered("人")).all()


@pytest.mark.parametrize("at", [(-50, -50), (0, 0), (70, 40), (500, 500)])
@pytest.mark.parametrize("text", ["x", "a text that is wider than the picture"])
def test_text_never_leaves_the_picture(at: tuple[int, int], text: str) -> None:
    picture = np.zeros((48, 80, 3), np.uint8)
    write(picture, text, at, (255, 255, 255))
    assert picture.any()


def test_text_stands_out_from_its_ground() -> None:
    for color in COLORS:
        picture = np.zeros((20, 20, 3), np.uint8)
        write(picture, "x", (0, 0), color)
        shades = {tuple(pixel) for pixel in picture[:18, :10].reshape(-1, 3).tolist()}
        assert color in shades
        (ink,) = shades - {color}
        assert abs(sum(ink) - sum(color)) > 200


def test_boxes_are_drawn_on_a_copy_in_the_colour_of_their_label() -> None:
    image = np.zeros((360, 640, 3), np.uint8)
    found = [Detection("人", 0.9, (0.25, 0.5, 0.5, 0.75)), Detection("犬", 0.8, (0.6, 0, 0.9, 1))]
    picture = annotated(image, found, ("人", "犬"))
    assert not image.any()
    assert tuple(picture[220, 160].tolist()) == COLORS[0]
    assert tuple(picture[180, 576].tolist()) == COLORS[1]
    assert not picture[100:160, 10:150].any()


def test_classes_are_a_list_in_the_corner_one_below_the_other() -> None:
    image = np.full((400, 600, 3), 128, np.uint8)
    found = [Detection(f"class {i}", 0.9 - i / 10, WHOLE, {"index": i}) for i in range(5)]
    picture = annotated(image, found, ())
    rows = (picture != 128).any(axis=(1, 2))
    assert rows[: 5 * (HEIGHT + 2)].all()
    assert not rows[5 * (HEIGHT + 2) :].any()


def point(index: int, x: float, y: float, label: str = "") -> Detection:
    return Detection(label or COCO[index], 0.9, (x, y, x, y), {"index": index})


def test_bones_join_the_key_points_that_are_there() -> None:
    image = np.zeros((200, 300, 3), np.uint8)
    found = [point(5, 0.2, 0.5), point(7, 0.8, 0.5), point(16, 0.5, 0.9)]
    picture = posed(image, found)
    assert not image.any()
    assert picture[100, 150].any()  # between shoulder and elbow
    assert not picture[140, 150].any()  # the ankle's neighbours are not there
    assert all(picture[round(p.box[1] * 200), round(p.box[0] * 300)].any() for p in found)


def test_key_points_of_another_body_have_no_bones() -> None:
    found = [point(5, 0.2, 0.5, "wing"), point(7, 0.8, 0.5, "7")]
    assert not posed(np.zeros((200, 300, 3), np.uint8), found)[100, 100:200].any()


def test_areas_are_tinted_in_the_colour_of_their_label() -> None:
    image = np.full((40, 60, 3), 100, np.uint8)
    classes = np.zeros((40, 60), np.uint8)
    classes[:, 30:] = 2
    found = [Detection("cat", 0.5, (0.5, 0, 1, 1), {"index": 2})]
    picture = tinted(image, classes, found, ("", "", "cat"))
    assert (picture[:, :30] == 100).all()
    expected = (100 + np.array(COLORS[2], float)) / 2
    assert np.abs(picture[5, 50] - expected).max() <= 1


def test_a_picture_is_written_with_any_name(tmp_path: Path) -> None:
    write_picture(tmp_path / "新しい" / "庭.png", np.full((4, 4, 3), 7, np.uint8))
    data = (tmp_path / "新しい" / "庭.png").read_bytes()
    assert (cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) == 7).all()
    with pytest.raises(EdgeError, match="cannot be written"):
        write_picture(Path("/proc/nothing/x.png"), np.zeros((4, 4, 3), np.uint8))
