"""`edge-agent infer`: one model on pictures, for people, for scripts, and as annotated pictures."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import cv2
import jsonschema
import numpy as np
import picture_models
import pytest

from edge_agent.bundles.shipped import shipped_folders
from edge_agent.cli import obey
from edge_agent.engines import available
from edge_agent.sources.scene import Scene, SceneSpec

Find = Callable[[str], Path]
Said = tuple[int, str, str]
Infer = Callable[..., Said]

SCHEMA = json.loads((resources.files("edge_agent") / "schemas/inference.json").read_text("utf-8"))


@pytest.fixture
def infer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Infer:
    """`infer("scene-detector", picture, "--json")`: exit code, stdout, stderr."""
    monkeypatch.setenv("EDGE_AGENT_STATE", str(tmp_path / "state"))
    monkeypatch.delenv("EDGE_AGENT_CONFIG", raising=False)

    def call(*arguments: str | Path) -> Said:
        code = obey(["infer", *map(str, arguments)])
        return (code, *capfd.readouterr())

    return call


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """The built-in scene, crowded, in a file with a name of another script."""
    scene = Scene("golden", SceneSpec(seed=7))
    crowded = max(range(0, 1800, 25), key=lambda index: len(scene.truth(index)))
    path = tmp_path / "庭.png"
    path.write_bytes(cv2.imencode(".png", scene.picture(crowded))[1].tobytes())
    return path


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    path = tmp_path / "見張り.tflite"
    shutil.copyfile(shipped_folders()["scene-detector"] / "model.tflite", path)
    return path


def documents(out: str) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in out.splitlines()]
    for document in found:
        jsonschema.validate(document, SCHEMA)
    return found


# --- what it says ------------------------------------------------------------------------------


def test_people_read_findings_engine_and_guesses_in_80_columns(
    infer: Infer, bare: Path, picture: Path
) -> None:
    code, out, err = infer(bare, picture)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == str(picture)
    assert lines[1].startswith("  0.") or lines[1].startswith("  1.000")
    assert any(line.startswith("engine: litert ") for line in lines)
    assert any(line.startswith("guessed: family yolo, color rgb, ") for line in lines)
    assert all(len(line) <= 80 for line in lines[1:])


def test_scripts_read_one_document_for_each_picture(
    infer: Infer, picture: Path, tmp_path: Path
) -> None:
    blank = tmp_path / "blank.png"
    cv2.imwrite(str(blank), np.full((90, 160, 3), 128, np.uint8))
    code, out, err = infer("scene-detector", picture, blank, "--json")
    assert (code, err) == (0, "")
    crowded, empty = documents(out)
    assert crowded["input"] == str(picture)
    assert (crowded["model"], crowded["family"], crowded["guessed"]) == (
        "scene-detector", "yolo", {},
    )  # fmt: skip
    assert {found["label"] for found in crowded["detections"]} >= {"person", "van"}
    scores = [found["score"] for found in crowded["detections"]]
    assert scores == sorted(scores, reverse=True)
    assert empty["detections"] == []


def test_every_guess_of_a_bare_model_is_named(infer: Infer, bare: Path, picture: Path) -> None:
    (document,) = documents(infer(bare, picture, "--json")[1])
    assert document["guessed"] == {
        "family": "yolo",
        "color": "rgb",
        "normalize": "the pixel itself",
        "resize": "letterbox",
        "pad": 114,
        "interpolation": "linear",
        "labels": "the index",
        "min_score": 0.25,
        "nms_iou": 0.45,
    }
    assert document["model"] == "見張り"


def test_folders_and_patterns_are_inputs_too(infer: Infer, picture: Path, tmp_path: Path) -> None:
    for index in (10, 2):
        shutil.copyfile(picture, tmp_path / f"shot{index}.png")
    (tmp_path / "notes.txt").write_text("no picture")
    everything = documents(infer("scene-detector", tmp_path, "--json")[1])
    assert [Path(each["input"]).name for each in everything] == [
        "shot2.png",
        "shot10.png",
        "庭.png",
    ]
    shots = documents(infer("scene-detector", tmp_path / "shot*.png", "--json")[1])
    assert len(shots) == 2


def test_a_bundle_is_taken_by_name_by_folder_and_as_tar(
    infer: Infer, picture: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(shipped_folders()["scene-detector"], folder)
    archive = shutil.make_archive(str(tmp_path / "copy"), "tar", folder)
    answers = [
        documents(infer(model, picture, "--json")[1])[0]["detections"]
        for model in ("scene-detector", folder, archive)
    ]
    assert answers[0] == answers[1] == answers[2]


@pytest.mark.skipif(len(available()) < 2, reason="only one engine is installed here")
def test_engine_and_threads_can_be_said(infer: Infer, picture: Path) -> None:
    code, out, _ = infer(
        "scene-detector", picture, "--engine", "tflite-runtime", "--threads", "2", "--json"
    )
    assert code == 0
    assert documents(out)[0]["engine"] == "tflite-runtime"


# --- the annotated picture ---------------------------------------------------------------------


def test_the_annotated_picture_has_the_boxes_where_the_objects_are(
    infer: Infer, picture: Path, tmp_path: Path
) -> None:
    out = tmp_path / "made" / "here"
    (document,) = documents(infer("scene-detector", picture, "--json", "--out", out)[1])
    before, after = cv2.imread(str(picture)), cv2.imread(str(out / "庭.png"))
    assert before is not None
    assert after is not None
    assert after.shape == before.shape
    changed = (before != after).any(axis=2)
    height, width = changed.shape
    assert document["detections"]
    for found in document["detections"]:
        x0, y0, x1, y1 = np.array(found["box"]) * [width, height, width, height]
        left, middle = max(0, round(x0) - 2), round((y0 + y1) / 2)
        assert changed[middle, left : left + 5].any(), found
        assert changed[min(height - 3, round(y1) - 2) :, round((x0 + x1) / 2)].any(), found
    assert 0.001 < changed.mean() < 0.4


def test_a_label_of_another_script_is_written_in_the_picture(
    infer: Infer, bare: Path, picture: Path, tmp_path: Path
) -> None:
    drawings = []
    for number, labels in enumerate(
        (["人", "車", "車", "犬"], ["人", "車", "車", "象"], ["?"] * 4)
    ):
        file = tmp_path / f"labels{number}.txt"
        file.write_text("\n".join(labels), "utf-8")
        code, _, err = infer(bare, picture, "--labels", file, "--out", tmp_path / f"{number}")
        assert (code, err) == (0, "")
        drawings.append(cv2.imread(str(tmp_path / f"{number}" / "庭.png")))
    assert (drawings[0] != drawings[1]).any()
    assert (drawings[0] != drawings[2]).any()


def test_no_picture_is_ever_overwritten(infer: Infer, picture: Path, tmp_path: Path) -> None:
    before = picture.read_bytes()
    code, _, err = infer("scene-detector", picture, "--out", tmp_path)
    assert code == 2
    assert "would replace an input" in err
    assert picture.read_bytes() == before
    (tmp_path / "other").mkdir()
    twin = tmp_path / "other" / "庭.bmp"
    cv2.imencode(".bmp", np.zeros((9, 9, 3), np.uint8))[1].tofile(twin)
    code, _, err = infer("scene-detector", picture, twin, "--out", tmp_path / "out")
    assert code == 2
    assert "would both be drawn to" in err
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written_is_one_sentence(
    infer: Infer, picture: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    code, _, err = infer("scene-detector", picture, "--out", tmp_path / "file")
    assert code == 1
    assert "cannot be written" in err


# --- what goes wrong ---------------------------------------------------------------------------


@pytest.mark.parametrize("as_json", [False, True])
def test_what_cannot_be_read_is_named_and_the_others_are_done(
    infer: Infer, picture: Path, tmp_path: Path, as_json: bool
) -> None:
    (tmp_path / "text.jpg").write_text("no picture")
    (tmp_path / "empty.png").write_bytes(b"")
    inputs = [tmp_path / "text.jpg", tmp_path / "nothing.png", picture, tmp_path / "empty.png"]
    code, out, err = infer("scene-detector", *inputs, *(["--json"] if as_json else []))
    assert code == 1
    sentences = err.splitlines()
    if as_json:
        assert len(documents(out)) == 1
        sentences = [json.loads(line)["error"]["message"] for line in sentences]
    assert len(sentences) == 3
    for name, reason in (
        ("text.jpg", "not a picture"),
        ("empty.png", "empty"),
        ("nothing.png", "no"),
    ):
        assert any(name in sentence and reason in sentence for sentence in sentences), name
    assert str(picture) in out


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["scene-detector", "nothing.png"], 2, "there is no picture at nothing.png"),
        (["nothing.tflite", "PICTURE"], 2, "there is no model 'nothing.tflite'"),
        (["scene-detector", "PICTURE", "--family", "yolo"], 2, "says its name, family and labels"),
        (["BARE", "PICTURE", "--family", "blobs"], 2, "'blobs' is not decoded"),
        (["BARE", "PICTURE", "--labels", "nothing.txt"], 2, "nothing.txt cannot be read"),
        (["BARE", "PICTURE", "--family", "ssd"], 4, "[1,8,420] can be the boxes"),
        (["BARE", "PICTURE", "--family", "classification"], 4, "int8[1,8,420] is no [1,N]"),
        (["BARE", "PICTURE", "--engine", "onnx"], 2, "'onnx' is not one of"),
        (["BARE", "PICTURE", "--threads", "0"], 2, "0 is not in the range"),
        (["scene-detector"], 2, "Missing argument 'INPUT...'"),
    ],
)
def test_a_mistake_is_one_sentence_with_its_exit_code(
    infer: Infer, bare: Path, picture: Path, arguments: list[str], code: int, said: str
) -> None:
    names = {"BARE": str(bare), "PICTURE": str(picture)}
    got, out, err = infer(*[names.get(each, each) for each in arguments])
    assert (got, out) == (code, "")
    assert said in err
    assert len(err.splitlines()) <= 2


@pytest.mark.parametrize("model", ["custom_operator", "crashes", "fails"])
def test_a_model_that_cannot_run_is_exit_4_and_we_live(
    infer: Infer, picture: Path, tmp_path: Path, model: str
) -> None:
    path = picture_models.write(model, tmp_path / "bad.tflite")
    code, out, err = infer(path, picture, "--json")
    assert (code, out) == (4, "")
    assert json.loads(err)["error"]["code"] == "refused"


def test_a_model_of_two_inputs_is_exit_4_with_both_names(
    infer: Infer, picture: Path, tmp_path: Path
) -> None:
    code, out, err = infer(picture_models.write("two_pictures", tmp_path / "two.tflite"), picture)
    assert (code, out) == (4, "")
    assert "two.tflite has 2 inputs" in err
    assert "'tensor_0'" in err
    assert "'tensor_1'" in err
    assert len(err.splitlines()) == 2


@pytest.mark.parametrize("kept", [0, 4, 500, 0.5, 0.95])
def test_a_truncated_model_is_exit_4(infer: Infer, bare: Path, picture: Path, kept: float) -> None:
    data = bare.read_bytes()
    bare.write_bytes(data[: kept if isinstance(kept, int) else int(kept * len(data))])
    code, out, err = infer(bare, picture)
    assert (code, out) == (4, "")
    assert err.startswith(f"edge-agent: {bare.name} is ")


def test_a_file_name_that_is_no_utf_8_is_shown_all_the_same(
    infer: Infer, picture: Path, tmp_path: Path
) -> None:
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.png"))
    shutil.copyfile(picture, odd)
    for arguments in ((odd,), (odd, "--json")):
        code, out, err = infer("scene-detector", *arguments)
        assert (code, err) == (0, "")
        assert "caf\ufffd.png" in out


# --- real models -------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["litert", "tflite-runtime"])
def test_mobilenet_v2_sees_a_cat_and_a_uniform(infer: Infer, realdata: Find, engine: str) -> None:
    if engine not in available():
        pytest.skip(f"{engine} is not installed here")
    model = realdata("models/mobilenet_v2_1.0_224_quant.tflite")
    pictures = [realdata("images/cat_720p.jpg"), realdata("images/grace_hopper.bmp")]
    code, out, _ = infer(model, *pictures, "--engine", engine, "--json")
    assert code == 0
    (cat, *_), (uniform, *_) = (document["top"] for document in documents(out))
    assert (cat["index"], cat["label"]) == (286, "Egyptian cat")
    assert cat["score"] == pytest.approx(0.84, abs=0.08)
    assert uniform["label"] == "military uniform"
    assert uniform["score"] == pytest.approx(0.93, abs=0.02)


@pytest.mark.parametrize(
    ("model", "picture", "found", "engine"),
    [
        ("yolov8n_192", "squat.bmp", 1, "litert"),
        ("yolov8n_192", "squat.bmp", 1, "tflite-runtime"),
        ("yolov8n_192", "cat_720p.jpg", 0, "litert"),
        ("traffic_model", "traffic_0001.bmp", 3, "litert"),
    ],
)
def test_detectors_find_what_there_is(
    infer: Infer, realdata: Find, model: str, picture: str, found: int, engine: str
) -> None:
    if engine not in available():
        pytest.skip(f"{engine} is not installed here")
    path, image = realdata(f"models/{model}.tflite"), realdata(f"images/{picture}")
    code, out, _ = infer(path, image, "--engine", engine, "--json")
    assert code == 0
    (document,) = documents(out)
    assert len(document["detections"]) >= found
    assert bool(document["detections"]) is bool(found)


@pytest.fixture(params=["litert", "tflite-runtime"])
def engine(request: pytest.FixtureRequest) -> str:
    if request.param not in available():
        pytest.skip(f"{request.param} is not installed here")
    return str(request.param)


@pytest.mark.parametrize("dtype", ["float32", "int8"])
@pytest.mark.parametrize("classes", [2, 21, 965, 1001])
def test_classifiers_without_metadata_have_any_number_of_classes(
    infer: Infer, tmp_path: Path, engine: str, classes: int, dtype: str
) -> None:
    model = picture_models.write_classifier(tmp_path / "bare.tflite", classes, dtype)
    cv2.imwrite(str(tmp_path / "white.png"), np.full((20, 30, 3), 255, np.uint8))
    code, out, err = infer(model, tmp_path / "white.png", "--engine", engine, "--json")
    assert (code, err) == (0, "")
    (document,) = documents(out)
    best = document["top"][0]
    assert (document["family"], document["guessed"]["labels"]) == ("classification", "the index")
    assert (best["index"], best["label"]) == (classes - 2, str(classes - 2))
    assert best["score"] > 0.99
    assert len(document["top"]) == min(5, classes)


def test_where_the_drawing_is_is_said(infer: Infer, picture: Path, tmp_path: Path) -> None:
    out = tmp_path / "made"
    code, said, _ = infer("scene-detector", picture, "--out", out)
    assert code == 0
    assert f"  drawn: {out / '庭.png'}" in said.splitlines()


def test_fomo_finds_faces_and_draws_them(
    infer: Infer, realdata: Find, tmp_path: Path, engine: str
) -> None:
    pictures = [realdata(f"images/{name}") for name in ("grace_hopper.bmp", "cat_720p.jpg")]
    code, out, err = infer(
        realdata("models/fomo_face_detection.tflite"), *pictures, "--engine", engine, "--json",
        "--out", tmp_path,
    )  # fmt: skip
    assert (code, err) == (0, "")
    face, nothing = documents(out)
    (found,) = face["detections"]
    assert found["score"] > 0.9
    assert nothing["detections"] == []
    before, after = (cv2.imread(str(each)) for each in (pictures[0], tmp_path / "grace_hopper.png"))
    assert before is not None
    assert after is not None
    assert 0.005 < (before != after).mean() < 0.3


def test_movenet_s_key_points_are_where_they_were_published(
    infer: Infer, realdata: Find, tmp_path: Path, engine: str
) -> None:
    name = "movenet_single_pose_lightning_ptq"
    csv = np.loadtxt(realdata(f"models/{name}_reference.csv"), delimiter=",", skiprows=1)
    arguments = (
        realdata(f"models/{name}.tflite"),
        realdata("images/squat.bmp"),
        "--engine",
        engine,
    )
    (document,) = documents(infer(*arguments, "--json", "--out", tmp_path)[1])
    points = document["keypoints"]
    assert [point["name"] for point in points][:2] == ["nose", "left_eye"]
    assert np.abs(np.array([[p["x"], p["y"]] for p in points]) - csv[:, 4:6]).max() <= 0.05
    before, drawing = cv2.imread(str(arguments[1])), cv2.imread(str(tmp_path / "squat.png"))
    assert before is not None
    assert drawing is not None
    changed = (before != drawing).any(axis=2)
    for point in (point for point in points if point["score"] >= 0.3):
        x, y = round(point["x"] * changed.shape[1]), round(point["y"] * changed.shape[0])
        assert changed[y - 1 : y + 2, x - 1 : x + 2].all(), point
    assert 0.005 < changed.mean() < 0.1
    code, out, _ = infer(*arguments)
    assert code == 0
    assert " of 17 key points above 0.3" in out
    assert all(len(line) <= 80 for line in out.splitlines()[1:])


@pytest.mark.parametrize(
    ("picture", "label", "index", "least"),
    [("cat_720p.jpg", "cat", 8, 0.35), ("grace_hopper.bmp", "person", 15, 0.6)],
)
def test_deeplab_s_areas_and_its_classes_in_the_picture_s_size(
    infer: Infer, realdata: Find, tmp_path: Path, picture: str, label: str, index: int, least: float
) -> None:
    path, labels = (
        realdata(f"images/{picture}"),
        realdata("models/pascal_voc_segmentation_labels.txt"),
    )
    model = realdata("models/deeplabv3_mnv2_dm05_pascal_quant.tflite")
    code, out, err = infer(model, path, "--labels", labels, "--json", "--out", tmp_path)
    assert (code, err) == (0, "")
    (document,) = documents(out)
    assert next(iter(document["areas"])) == label
    assert document["areas"][label] > least
    assert "background" not in document["areas"]
    classes = cv2.imread(str(tmp_path / f"{path.stem}.classes.png"), cv2.IMREAD_UNCHANGED)
    before, drawing = cv2.imread(str(path)), cv2.imread(str(tmp_path / f"{path.stem}.png"))
    assert before is not None
    assert drawing is not None
    assert classes is not None
    assert (classes.dtype, classes.shape) == (np.uint8, before.shape[:2])
    assert (classes == index).mean() == pytest.approx(document["areas"][label], abs=0.004)
    untouched = (before == drawing).all(axis=2)[40:]  # below the list in the corner
    assert untouched[classes[40:] == 0].all()
    assert not untouched[classes[40:] == index].mean() > 0.1


def test_raw_tensors_are_told_with_their_numbers(infer: Infer, realdata: Find) -> None:
    model, picture = realdata("models/vww_96_int8.tflite"), realdata("images/squat.bmp")
    (document,) = documents(infer(model, picture, "--family", "generic", "--json")[1])
    (output,) = document["outputs"]
    assert (output["name"], output["shape"], output["dtype"]) == ("Identity_int8", [1, 2], "int8")
    assert output["max"] == pytest.approx(0.977, abs=0.03)
    assert output["mean"] == pytest.approx(0.5, abs=0.01)
    code, out, _ = infer(model, picture, "--family", "generic")
    assert code == 0
    assert "Identity_int8" in out
    assert all(len(line) <= 80 for line in out.splitlines()[1:])


def test_a_window_s_error_is_its_score_and_nothing_is_drawn_of_it(
    infer: Infer, realdata: Find, tmp_path: Path
) -> None:
    window = np.random.default_rng(2).uniform(-80, 10, (640, 1)).astype(np.float32)
    np.save(tmp_path / "window.npy", window)
    model, out_to = realdata("models/ad01_int8.tflite"), tmp_path / "out"
    code, out, err = infer(model, tmp_path / "window.npy", "--json", "--out", out_to)
    assert (code, err) == (0, "")
    (document,) = documents(out)
    assert document["family"] == "anomaly"
    assert document["score"] > 10
    assert not out_to.exists()
    code, out, _ = infer(model, tmp_path / "window.npy", "--out", out_to)
    assert code == 0
    assert f"{document['score']:g}  anomaly" in out
    assert "nothing is drawn of a signal" in out
