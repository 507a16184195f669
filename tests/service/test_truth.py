"""The truth file: three kinds, two forms, and a mistake is named with its line."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from edge_agent.errors import UsageError
from edge_agent.service.truth import Stretch, read_truth


def written(folder: Path, text: str, name: str = "truth.csv") -> Path:
    path = folder / name
    path.write_text(text, "utf-8")
    return path


def test_classes_of_pictures_are_read_from_either_form(tmp_path: Path) -> None:
    table = written(tmp_path, "file,label\na.jpg,赤\nsub/b.jpg,green\n")
    lines = written(
        tmp_path,
        '{"file": "a.jpg", "label": "赤"}\n\n{"file": "sub/b.jpg", "label": "green"}\n',
        "truth.jsonl",
    )
    for path in (table, lines):
        cases = read_truth(path, "classification")
        assert [(case.file, case.label) for case in cases] == [
            (str(tmp_path / "a.jpg"), "赤"),
            (str(tmp_path / "sub" / "b.jpg"), "green"),
        ]


def test_objects_of_one_picture_are_one_case_and_a_picture_may_hold_none(tmp_path: Path) -> None:
    table = written(
        tmp_path,
        "file, label, x0, y0, x1, y1\na.png, dog, 0, 0, 0.5, 0.5\nb.png,,,,,\n"
        "a.png, van, 0.5, 0.5, 1, 1\n",
    )
    lines = written(
        tmp_path,
        '{"file": "a.png", "boxes": [{"label": "dog", "box": [0, 0, 0.5, 0.5]},'
        ' {"label": "van", "box": [0.5, 0.5, 1, 1]}]}\n{"file": "b.png", "boxes": []}\n',
        "truth.jsonl",
    )
    for path in (table, lines):
        first, second = read_truth(path, "yolo")
        assert first.boxes == (("dog", (0, 0, 0.5, 0.5)), ("van", (0.5, 0.5, 1, 1)))
        assert second.boxes == ()


def test_a_signal_has_stretches_and_without_times_it_is_one(tmp_path: Path) -> None:
    table = written(
        tmp_path,
        "file,anomaly,from,to\na.wav,0,0,60\na.wav,1,90,120\nb.wav,1,,\nbuilt-in:?seed=4,0,,9\n",
    )
    first, second, third = read_truth(table, "anomaly")
    assert first.stretches == (Stretch(0, 60, False), Stretch(90, 120, True))
    assert second.stretches == (Stretch(0, math.inf, True),)
    assert third.file == "built-in:?seed=4"
    assert third.stretches == (Stretch(0, 9, False),)


@pytest.mark.parametrize(
    ("family", "text", "says"),
    [
        ("classification", "", "1: the heading has no column `file`"),
        ("classification", "file,label\n", "holds no truth"),
        ("classification", "a.jpg,dog\n", "1: the heading has no column `file`"),
        ("classification", "file,label\na.jpg,\n", "2: no `label`"),
        ("classification", "file,label\na.jpg,dog\na.jpg,cat\n", "3: a.jpg stands there twice"),
        ("yolo", "file,label,x0,y0,x1,y1\na.jpg,dog,1,2,x,4\n", "2: 'x' is no number"),
        ("yolo", "file,label,x0,y0,x1,y1\na.jpg,dog,10,20,30,40\n", "2: the box 10, 20, 30, 40"),
        ("yolo", "file,label\na.jpg,dog\n", "2: no `x0`"),
        ("anomaly", "file,anomaly\na.wav,maybe\n", "2: `anomaly` is maybe"),
        ("anomaly", "file,label\na.wav,1\n", "2: `anomaly` is missing"),
        ("anomaly", "file,anomaly,from,to\na.wav,1,9,3\n", "2: from 9 to 3 is no stretch"),
        ("anomaly", "file,anomaly,from\na.wav,1,nan\n", "2: 'nan' is no number"),
    ],
)
def test_a_mistake_is_one_sentence_with_its_line(
    tmp_path: Path, family: str, text: str, says: str
) -> None:
    with pytest.raises(UsageError) as caught:
        read_truth(written(tmp_path, text), family)
    assert says in caught.value.message


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{\n", "1: not JSON"),
        ("[1]\n", "1: a line is an object"),
        ('{"label": "dog"}\n', "1: no `file`"),
        ('{"file": "a.jpg", "boxes": {"label": "dog"}}\n', "1: `boxes` is a list"),
        ('{"file": "a.jpg", "boxes": [{"label": "dog", "box": [1, 2]}]}\n', "1: a box is x0"),
    ],
)
def test_so_it_is_in_json_lines(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_truth(written(tmp_path, text, "truth.jsonl"), "ssd")
    assert says in caught.value.message


def test_a_file_that_is_not_there_or_no_text_is_a_mistake_of_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        read_truth(tmp_path / "none.csv", "yolo")
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="not UTF-8"):
        read_truth(tmp_path / "binary.csv", "yolo")


def test_key_points_of_one_picture_are_one_case(tmp_path: Path) -> None:
    table = written(
        tmp_path, "file,label,x,y\na.png,nose,0.5,0.25\nb.png,nose,0,1\na.png,左手,0.1,0.2\n"
    )
    lines = written(
        tmp_path,
        '{"file": "a.png", "points": [{"label": "nose", "point": [0.5, 0.25]},'
        ' {"label": "左手", "point": [0.1, 0.2]}]}\n'
        '{"file": "b.png", "points": [{"label": "nose", "point": [0, 1]}]}\n',
        "truth.jsonl",
    )
    for path in (table, lines):
        first, second = read_truth(path, "pose")
        assert first.boxes == (("nose", (0.5, 0.25, 0.5, 0.25)), ("左手", (0.1, 0.2, 0.1, 0.2)))
        assert second.boxes == (("nose", (0, 1, 0, 1)),)


def test_a_picture_has_a_mask(tmp_path: Path) -> None:
    (case,) = read_truth(written(tmp_path, "file,mask\na.jpg,masks/a.png\n"), "segmentation")
    assert (case.file, case.mask) == (str(tmp_path / "a.jpg"), str(tmp_path / "masks/a.png"))


@pytest.mark.parametrize(
    ("family", "text", "says"),
    [
        ("pose", "file,label,x\na.png,nose,0.5\n", "truth.csv:2: no `y`"),
        ("pose", "file,label,x,y\na.png,nose,0.5,7\n", "truth.csv:2: the point 0.5, 7 is outside"),
        ("pose", "file,label,x,y\na.png,nose,here,0\n", "truth.csv:2: 'here' is no number"),
        ("segmentation", "file,label\na.png,cat\n", "truth.csv:2: no `mask`"),
        ("segmentation", "file,mask\na.png,b.png\na.png,c.png\n", "a.png stands there twice"),
        ("yolo", "file,mask\na.png,b.png\n", "truth.csv:2: `mask` tells nothing about detections"),
    ],
)
def test_a_mistake_about_points_and_masks_is_named(
    tmp_path: Path, family: str, text: str, says: str
) -> None:
    with pytest.raises(UsageError) as fault:
        read_truth(written(tmp_path, text), family)
    assert says in fault.value.message
