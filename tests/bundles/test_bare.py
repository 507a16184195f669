"""A bare model: what its file says, what is guessed, and what is refused with one sentence."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_agent.bundles.anatomy import dissect
from edge_agent.bundles.bare import bundle_name, open_bare
from edge_agent.bundles.bundle import Bundle
from edge_agent.bundles.guess import Wish
from edge_agent.bundles.labels import Labels
from edge_agent.errors import Refused, UsageError
from edge_agent.pipeline.decode import decoder
from edge_agent.types import SignalSpec, TensorSpec

Find = Callable[[str], Path]


@pytest.mark.parametrize(
    ("model", "family", "size", "labels"),
    [
        ("mobilenet_v2_1.0_224_quant", "classification", (224, 224), 1001),
        ("mobilenet_v1_0.25_128_quant", "classification", (128, 128), 1001),
        ("vww_96_int8", "classification", (96, 96), 0),
        ("yolov8n_192", "yolo", (192, 192), 0),
        ("traffic_model", "ssd", (256, 256), 0),
        ("fomo_face_detection", "fomo", (96, 96), 0),
        ("movenet_single_pose_lightning_ptq", "pose", (192, 192), 17),
        ("deeplabv3_mnv2_dm05_pascal_quant", "segmentation", (513, 513), 0),
    ],
)
def test_the_family_and_the_labels_are_told_from_the_file(
    realdata: Find, model: str, family: str, size: tuple[int, int], labels: int
) -> None:
    bundle = open_bare(realdata(f"models/{model}.tflite"))
    assert bundle.bare
    assert bundle.manifest.family == family
    assert bundle.manifest.input.size == size
    assert len(bundle.labels) == labels
    assert bundle.manifest.input.normalize == "none"
    assert bundle.guessed["family"] == family
    assert bundle.guessed["normalize"] == "the pixel itself"
    assert bundle.guessed["resize"] == ("letterbox" if family == "yolo" else "stretch")
    assert bundle.guessed.get("min_score", 0) == bundle.manifest.min_score


def test_normalization_and_labels_stand_in_the_metadata(realdata: Find) -> None:
    path = realdata("models/mobilenet_v2_1.0_224_quant.tflite")
    metadata = dissect(path.read_bytes(), path.name).metadata
    assert metadata.normalization == ((127.5,), (127.5,))
    assert metadata.labels is not None
    assert metadata.labels[0] == "imagenet_labels.txt"
    bundle = open_bare(path)
    assert (bundle.labels[0], bundle.labels[286]) == ("background", "Egyptian cat")
    assert "labels" not in bundle.guessed


def test_class_names_inside_a_model_name_no_outputs_of_a_generic_one(realdata: Find) -> None:
    path = realdata("models/mobilenet_v1_0.25_128_quant.tflite")
    bundle = open_bare(path, Wish(family="generic"))
    assert len(bundle.labels) == 1
    assert "background" not in bundle.labels
    assert bundle.guessed["labels"] == "the outputs' names"


def test_only_operators_that_are_used_are_listed(realdata: Find) -> None:
    """vww's table of operators also names QUANTIZE and DEQUANTIZE, which no node has."""
    path = realdata("models/vww_96_int8.tflite")
    operators = dissect(path.read_bytes(), path.name).operators
    assert "CONV_2D" in operators
    assert "QUANTIZE" not in operators


def test_what_sees_no_picture_sees_a_window_of_as_many_samples(realdata: Find) -> None:
    bundle = open_bare(realdata("models/ad01_int8.tflite"))
    assert (bundle.manifest.family, bundle.labels) == ("anomaly", ("anomaly",))
    assert bundle.manifest.input.spec() == SignalSpec(640, 640)
    assert bundle.guessed == {
        "family": "anomaly", "window": 640, "features": "raw", "labels": "anomaly",
    }  # fmt: skip


def test_a_family_that_looks_at_pictures_is_no_wish_for_a_signal(realdata: Find) -> None:
    with pytest.raises(Refused, match=r"family pose, which .*'input_1' int8\[1,640\] is none"):
        open_bare(realdata("models/ad01_int8.tflite"), Wish(family="pose"))
    bundle = open_bare(realdata("models/vww_96_int8.tflite"), Wish(family="yolo"))
    spec = bundle.spec(*_tensors(bundle))
    with pytest.raises(Refused, match="is no YOLO head"):
        decoder(spec)


def _tensors(bundle: Bundle) -> tuple[TensorSpec, tuple[TensorSpec, ...]]:
    anatomy = dissect(bundle.model.read_bytes(), bundle.model.name)
    return anatomy.inputs[0], anatomy.outputs


def test_a_wish_wins_over_a_guess(realdata: Find) -> None:
    wish = Wish("front", "classification", Labels({0: "no person", 1: "person"}))
    bundle = open_bare(realdata("models/vww_96_int8.tflite"), wish)
    assert (bundle.name, bundle.labels) == ("front", ("no person", "person"))
    assert "family" not in bundle.guessed
    assert "labels" not in bundle.guessed


def test_a_family_that_is_none_is_wrong_usage(bundle: Path) -> None:
    with pytest.raises(UsageError, match="'blobs' is not decoded"):
        open_bare(bundle / "model.tflite", Wish(family="blobs"))


NAMES = ("person", "forklift", "van", "dog")
BEHIND = {
    "metadata.json": json.dumps({"task": "detect", "names": dict(enumerate(NAMES))}),
    "temp_meta.txt": str({"stride": 8, "names": dict(enumerate(NAMES))}),
    "labelmap.txt": "\n".join(NAMES),
    "classes.txt": "\n".join(NAMES),
}


@pytest.mark.parametrize(("file", "content"), BEHIND.items())
def test_labels_are_read_from_a_file_behind_the_model(
    bundle: Path, file: str, content: str
) -> None:
    with zipfile.ZipFile(bundle / "model.tflite", "a") as archive:
        archive.writestr(file, content)
    opened = open_bare(bundle / "model.tflite")
    assert opened.labels == NAMES
    assert "labels" not in opened.guessed


@pytest.mark.parametrize("content", ["", "{'names': 7}", "{"])
def test_a_label_file_inside_that_holds_none_is_named(bundle: Path, content: str) -> None:
    with zipfile.ZipFile(bundle / "model.tflite", "a") as archive:
        archive.writestr("labels.txt", content)
    opened = open_bare(bundle / "model.tflite")
    assert opened.labels == ()
    assert opened.guessed["labels"] == "the index (labels.txt in the model cannot be read)"


def test_a_damaged_archive_behind_the_model_counts_as_none(bundle: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("labels.txt", "person\n" * 50)
    data = bytearray(packed.getvalue())
    data[45] ^= 0xFF  # in the compressed text
    path = bundle / "model.tflite"
    path.write_bytes(path.read_bytes() + data)
    assert open_bare(path).guessed["labels"] == "the index"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("yolov8n_192", "yolov8n_192"),
        ("人検出", "人検出"),
        ("my model (2)", "my-model-2"),
        ("../../etc", "etc"),
        ("...", "model"),
        ("x" * 200, "x" * 60),
        ("Cafe\u0301", "Café"),
    ],
)
def test_any_file_s_name_becomes_a_bundle_s_name(text: str, name: str) -> None:
    assert bundle_name(text) == name


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "empty"),
        (b"TFL3", "not a TensorFlow Lite model"),
        (b"hello, this is text", "not a TensorFlow Lite model"),
        (b"\x00" * 64, "not a TensorFlow Lite model"),
        (b"\xff\xff\xff\x7fTFL3" + b"\xff" * 64, "damaged or truncated"),
        (b"\x1c\x00\x00\x00TFL3", "damaged or truncated"),
    ],
)
def test_no_model_is_refused(tmp_path: Path, content: bytes, sentence: str) -> None:
    (tmp_path / "x.tflite").write_bytes(content)
    with pytest.raises(Refused, match=rf"^x\.tflite is {sentence}"):
        open_bare(tmp_path / "x.tflite")


def test_what_cannot_be_read_is_wrong_usage(tmp_path: Path) -> None:
    for path in (tmp_path / "nothing.tflite", tmp_path):
        with pytest.raises(UsageError, match="cannot be read"):
            open_bare(path)


def test_damage_anywhere_is_a_sentence_and_never_a_traceback(bundle: Path) -> None:
    """Cuts all along the file and a sweep of flipped bytes in the tables at its two ends."""
    path = bundle / "model.tflite"
    data = path.read_bytes()
    mutants = [data[:length] for length in range(0, len(data), 4999)]
    mutants += [
        data[:position] + bytes([data[position] ^ 0xFF]) + data[position + 1 :]
        for position in [*range(0, 400, 3), *range(len(data) - 6000, len(data), 37)]
    ]
    refused = 0
    for mutant in mutants:
        path.write_bytes(mutant)
        try:
            open_bare(path, Wish(family="yolo"))
        except Refused:
            refused += 1
    assert refused >= len(data) // 4999
