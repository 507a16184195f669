"""`edge-agent models eval`: the numbers are those of a plain count, on the shipped models and on a
classifier whose answer is known: the brightest number of an 8 x 8 picture."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import cv2
import jsonschema
import numpy as np
import picture_models
import pytest

from edge_agent.bundles.shipped import shipped_folders
from edge_agent.pipeline.decode.pose import COCO
from edge_agent.sources.machine import Machine, MachineSpec
from edge_agent.sources.scene import Scene, SceneSpec

Ask = Callable[..., Any]
SEED = 104  # of a machine whose bearing wears


def document(answer: Any, code: int = 0) -> dict[str, Any]:
    assert answer.code == code, answer.err
    found: dict[str, Any] = json.loads(answer.out)
    schema = resources.files("edge_agent") / "schemas" / "evaluation.json"
    jsonschema.validate(found, json.loads(schema.read_text("utf-8")))
    return found


# --- classification ----------------------------------------------------------------------------


@pytest.fixture
def classifier(tmp_path: Path) -> Path:
    return picture_models.write("plain", tmp_path / "plain.tflite")


def dots(folder: Path, pairs: Sequence[tuple[int, str]]) -> Path:
    """Pictures whose number k is the brightest one, and a truth file that calls them so."""
    lines = ["file,label"]
    for place, (number, label) in enumerate(pairs):
        rgb = np.zeros((8, 8, 3), np.uint8)
        rgb.flat[number] = 255
        cv2.imwrite(str(folder / f"{place}.png"), rgb[:, :, ::-1])
        lines.append(f"{place}.png,{label}")
    path = folder / "truth.csv"
    path.write_text("\n".join(lines), "utf-8")
    return path


def test_a_classifier_gets_accuracy_and_confusion(
    ask: Ask, classifier: Path, tmp_path: Path
) -> None:
    truth = dots(tmp_path, [(3, "3"), (3, "3"), (70, "3"), (70, "70")])
    found = document(ask("models", "eval", classifier, "--truth", truth, "--json"))
    assert found["items"] == 4
    assert found["metrics"]["accuracy"] == 0.75
    assert found["metrics"]["confusion"] == {"labels": ["3", "70"], "counts": [[2, 1], [0, 1]]}
    assert found["metrics"]["labels"]["70"]["precision"] == 0.5
    assert (found["against"], found["delta"]) == (None, None)
    said = ask("models", "eval", classifier, "--truth", truth)
    assert said.code == 0
    assert "accuracy  0.7500" in said.out
    assert said.widest <= 80


@pytest.mark.parametrize(
    ("label", "says"),
    [
        (
            "persn",
            "line 1 of the truth: 'persn' is no label of scene-detector (did you mean person?)",
        ),
        ("", "line 1 of the truth: '' is no label of scene-detector"),
    ],
)
def test_a_label_that_the_detector_does_not_know_is_refused(
    ask: Ask, tmp_path: Path, label: str, says: str
) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((60, 80, 3), np.uint8))
    box = {"label": label, "box": [0.1, 0.1, 0.5, 0.5]}
    (tmp_path / "truth.jsonl").write_text(json.dumps({"file": "a.png", "boxes": [box]}))
    answer = ask("models", "eval", "scene-detector", "--truth", tmp_path / "truth.jsonl")
    assert answer.code == 2
    assert says in answer.err
    assert "next: its labels: person" in answer.err


def test_a_label_of_a_model_without_labels_is_an_index(
    ask: Ask, classifier: Path, tmp_path: Path
) -> None:
    answer = ask("models", "eval", classifier, "--truth", dots(tmp_path, [(3, "three")]))
    assert answer.code == 2
    assert "'three' is no label of plain" in answer.err


def test_what_cannot_be_read_is_named_and_the_rest_is_judged(
    ask: Ask, classifier: Path, tmp_path: Path
) -> None:
    truth = dots(tmp_path, [(3, "3"), (5, "5"), (6, "6")])
    (tmp_path / "1.png").write_bytes(b"no picture")
    (tmp_path / "2.png").unlink()
    answer = ask("models", "eval", classifier, "--truth", truth, "--json")
    found = document(answer, code=1)
    assert found["items"] == 1
    assert len(found["unread"]) == 2
    errors = [json.loads(line)["error"]["message"] for line in answer.err.splitlines()]
    assert errors == found["unread"]
    (tmp_path / "0.png").unlink()
    none = ask("models", "eval", classifier, "--truth", truth)
    assert none.code == 1
    assert "0.png: No such file" in none.err


def test_a_label_that_the_model_does_not_know_is_a_mistake(
    ask: Ask, classifier: Path, tmp_path: Path
) -> None:
    bundle = ask("models", "import", classifier, "--labels", labels(tmp_path))
    assert bundle.code == 0, bundle.err
    refused = ask("models", "eval", "plain", "--truth", dots(tmp_path, [(3, "klass 3"), (3, "x")]))
    assert refused.code == 2
    assert "line 3 of the truth: 'x' is no label of plain" in refused.err


def labels(folder: Path) -> Path:
    path = folder / "labels.txt"
    path.write_text("".join(f"klass {k}\n" for k in range(192)), "utf-8")
    return path


# --- detections --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def yard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A truth file with twelve pictures of an unseen scene, and all that is clear to see there."""
    folder = tmp_path_factory.mktemp("yard")
    scene = Scene("yard", SceneSpec(seed=11))
    lines = []
    for index in range(20, 260, 20):
        cv2.imwrite(str(folder / f"{index}.png"), scene.picture(index))
        boxes = [
            {"label": truth.label, "box": list(truth.box)}
            for truth in scene.truth(index)
            if truth.visible > 0.4
        ]
        lines.append(json.dumps({"file": f"{index}.png", "boxes": boxes}))
    (folder / "truth.jsonl").write_text("\n".join(lines), "utf-8")
    return folder


def test_a_detector_gets_f1_and_the_same_model_differs_by_nothing(ask: Ask, yard: Path) -> None:
    bare = yard / "same.tflite"
    shutil.copyfile(shipped_folders()["scene-detector"] / "model.tflite", bare)
    command = ("models", "eval", "scene-detector", "--truth", yard / "truth.jsonl")
    found = document(ask(*command, "--against", bare, "--json"))
    metrics = found["metrics"]
    assert found["items"] == 12
    assert metrics["f1"] > 0.9
    assert metrics["hits"] == sum(label["hits"] for label in metrics["labels"].values())
    assert found["against"]["metrics"] == metrics
    assert set(found["delta"].values()) == {0.0}
    said = ask(*command, "--against", bare)
    assert "+0.0000" in said.out
    assert said.widest <= 80


def test_boxes_that_are_elsewhere_are_false_alarms_and_misses(
    ask: Ask, yard: Path, tmp_path: Path
) -> None:
    shutil.copyfile(yard / "40.png", tmp_path / "a.png")
    line = {"file": "a.png", "boxes": [{"label": "van", "box": [0, 0, 0.02, 0.02]}]}
    (tmp_path / "truth.jsonl").write_text(json.dumps(line), "utf-8")
    found = document(
        ask("models", "eval", "scene-detector", "--truth", tmp_path / "truth.jsonl", "--json")
    )
    assert found["metrics"]["hits"] == 0
    assert found["metrics"]["missed"] == 1
    assert found["metrics"]["f1"] == 0.0


# --- anomalies ---------------------------------------------------------------------------------


def test_an_anomaly_model_gets_auc_from_stretches_of_a_signal(ask: Ask, tmp_path: Path) -> None:
    """A recording that is half healthy, half worn, with a second in between that is neither."""
    machine = Machine(MachineSpec(seed=SEED, life_h=10.0))
    parts = [machine.vibration(int(hour * 3600 * 8000), 40_000) for hour in (1.0, 9.9)]
    np.savetxt(tmp_path / "motor.csv", np.concatenate(parts), header="x", comments="", fmt="%.5f")
    (tmp_path / "truth.csv").write_text(
        "file,anomaly,from,to\nmotor.csv,0,0,5\nmotor.csv,1,5.5,10\n", "utf-8"
    )
    found = document(
        ask("models", "eval", "machine-anomaly", "--truth", tmp_path / "truth.csv", "--json")
    )
    metrics = found["metrics"]
    assert (metrics["healthy"], metrics["anomalies"]) == (9, 8)  # windows of 0.512 s, whole ones
    assert metrics["auc"] == 1.0
    assert metrics["recall"] == 1.0
    said = ask("models", "eval", "machine-anomaly", "--truth", tmp_path / "truth.csv")
    assert "8 windows of anomalies, 9 healthy" in said.out
    assert said.widest <= 80


def test_the_built_in_machine_needs_no_recording(ask: Ask, tmp_path: Path) -> None:
    uri = f"built-in:?seed={SEED}&every_s=600&life_h=10&hours=10"
    wear = MachineSpec.parse(uri).decline
    (tmp_path / "truth.csv").write_text(
        f"file,anomaly,from,to\n{uri},0,0,{wear.onset_s}\n"
        f"{uri},1,{(wear.onset_s + wear.failure_s) / 2},36000\n",
        "utf-8",
    )
    found = document(
        ask("models", "eval", "machine-anomaly", "--truth", tmp_path / "truth.csv", "--json")
    )
    assert found["metrics"]["auc"] == 1.0
    assert found["items"] > 40


def test_windows_of_a_numpy_file_are_judged_and_an_absent_recording_is_named(
    ask: Ask, tmp_path: Path
) -> None:
    machine = Machine(MachineSpec(seed=SEED, life_h=10.0))
    for name, hour in (("new", 1.0), ("worn", 9.9)):
        first = int(hour * 3600 * 8000)
        np.save(tmp_path / f"{name}.npy", machine.vibration(first, 3 * 4096).reshape(3, 4096))
    truth = tmp_path / "truth.csv"
    truth.write_text("file,anomaly\nnew.npy,0\nworn.npy,1\nlost.wav,1\n", "utf-8")
    answer = ask("models", "eval", "machine-anomaly", "--truth", truth, "--json")
    found = document(answer, code=1)
    assert found["items"] == 6
    assert found["metrics"]["auc"] == 1.0
    assert len(found["unread"]) == 1
    assert "lost.wav" in found["unread"][0]


def test_one_kind_of_window_alone_has_no_area_under_a_curve(ask: Ask, tmp_path: Path) -> None:
    uri = f"built-in:?seed={SEED}&every_s=600&life_h=10&hours=1"
    (tmp_path / "truth.csv").write_text(f"file,anomaly\n{uri},0\n", "utf-8")
    found = document(
        ask("models", "eval", "machine-anomaly", "--truth", tmp_path / "truth.csv", "--json")
    )
    assert found["metrics"]["auc"] is None
    assert found["metrics"]["healthy"] == 6
    said = ask("models", "eval", "machine-anomaly", "--truth", tmp_path / "truth.csv")
    assert "ROC AUC    unknown" in said.out


# --- what is refused ---------------------------------------------------------------------------


def test_wrong_usage_is_one_sentence(ask: Ask, classifier: Path, tmp_path: Path) -> None:
    truth = dots(tmp_path, [(3, "3")])
    for arguments, code, says in (
        (("no-such-model", "--truth", truth), 2, "there is no model 'no-such-model'"),
        ((classifier, "--truth", tmp_path / "none.csv"), 2, "cannot be read"),
        ((classifier, "--truth", truth, "--against", "nothing"), 2, "there is no model"),
        ((classifier, "--truth", truth, "--against", "scene-detector"), 2, "of family yolo"),
        ((classifier, "--truth", truth, "--against", truth), 4, "not a TensorFlow Lite model"),
    ):
        answer = ask("models", "eval", *arguments)
        assert answer.code == code, answer.err
        assert says in answer.err
        assert "Traceback" not in answer.err


# --- key points, areas and places, by the real models ------------------------------------------

Find = Callable[[str], Path]


def test_a_pose_is_judged_by_the_key_points_that_are_named(
    ask: Ask, realdata: Find, tmp_path: Path
) -> None:
    """The published answer is the truth; one point is moved away, and one is not named."""
    name = "movenet_single_pose_lightning_ptq"
    model = realdata(f"models/{name}.tflite")
    shutil.copyfile(realdata("images/squat.bmp"), tmp_path / "squat.bmp")
    told = np.loadtxt(realdata(f"models/{name}_reference.csv"), delimiter=",", skiprows=1)
    points = {label: [float(x), float(y)] for label, (x, y) in zip(COCO, told[:, -2:], strict=True)}
    points["nose"][0] += 0.2
    del points["left_ear"]
    line = {
        "file": "squat.bmp",
        "points": [{"label": label, "point": point} for label, point in points.items()],
    }
    (tmp_path / "truth.jsonl").write_text(json.dumps(line), "utf-8")
    command = ("models", "eval", model, "--truth", tmp_path / "truth.jsonl")
    found = document(ask(*command, "--against", model, "--json"))
    metrics = found["metrics"]
    assert metrics["within"] == 0.05
    assert (metrics["labels"]["nose"]["false"], metrics["labels"]["nose"]["missed"]) == (1, 1)
    assert "left_ear" not in metrics["labels"]
    assert metrics["hits"] >= 12  # doubtful ones are below min_score: missed
    assert metrics["hits"] + metrics["missed"] == len(points)
    assert metrics["false"] == 1
    assert found["delta"] == {"f1": 0.0, "precision": 0.0, "recall": 0.0}
    assert ask(*command).widest <= 80
    assert unnamed(ask, model, tmp_path)["metrics"] == metrics  # COCO's names go without saying


def unnamed(ask: Ask, model: Path, folder: Path) -> dict[str, Any]:
    """What a bundle of the pose model gets that names no key points."""
    bundle = folder / "unnamed"
    bundle.mkdir()
    shutil.copyfile(model, bundle / "model.tflite")
    digest = hashlib.sha256(model.read_bytes()).hexdigest()
    (bundle / "manifest.yaml").write_text(
        'name: unnamed\nversion: "1"\nfamily: pose\nlabels: []\nmin_score: 0.3\n'
        f"input: {{kind: image, size: [192, 192]}}\nsha256: {digest}\n"
    )
    return document(ask("models", "eval", bundle, "--truth", folder / "truth.jsonl", "--json"))


def test_a_segmentation_is_judged_by_its_pixels(ask: Ask, realdata: Find, tmp_path: Path) -> None:
    """Its own map is a truth without a fault; where a band of it is another class, it is not."""
    model = realdata("models/deeplabv3_mnv2_dm05_pascal_quant.tflite")
    names = realdata("models/pascal_voc_segmentation_labels.txt")
    cat = shutil.copyfile(realdata("images/cat_720p.jpg"), tmp_path / "cat.jpg")
    assert ask("models", "import", model, "--labels", names, "--name", "areas").code == 0
    assert ask("infer", "areas", cat, "--out", "out").code == 0
    mask = cv2.imread("out/cat.classes.png", cv2.IMREAD_UNCHANGED)
    (tmp_path / "truth.csv").write_text("file,mask\ncat.jpg,mask.png\n", "utf-8")
    command = ("models", "eval", "areas", "--truth", "truth.csv")
    cv2.imwrite("mask.png", mask)
    whole = document(ask(*command, "--json"))["metrics"]
    assert (whole["accuracy"], whole["mean_iou"]) == (1.0, 1.0)
    assert set(whole["labels"]) == {"background", "cat"}
    mask[:, :100], mask[300:320] = 255, 15  # not judged, and a person
    cv2.imwrite("mask.png", mask)
    found = document(ask(*command, "--against", model, "--json"))
    person = found["metrics"]["labels"]["person"]
    assert (person["iou"], person["missed"]) == (0.0, 20 * mask.shape[1])
    judged = int((mask != 255).sum())
    assert found["metrics"]["accuracy"] == round(1 - person["missed"] / judged, 4)
    assert found["delta"] == {"accuracy": 0.0, "mean_iou": 0.0}
    answer = ask(*command)
    assert "mean IoU" in answer.out
    assert answer.widest <= 80
    cv2.imwrite("mask.png", mask[1:])
    answer = ask(*command)
    assert answer.code == 1
    assert "the mask is 1280x719 and its picture 1280x720" in answer.err


def test_fomo_is_judged_by_where_the_middles_are(ask: Ask, realdata: Find, tmp_path: Path) -> None:
    model = realdata("models/fomo_face_detection.tflite")
    for picture in ("grace_hopper.bmp", "squat.bmp", "cat_720p.jpg"):
        shutil.copyfile(realdata(f"images/{picture}"), tmp_path / picture)
    (tmp_path / "truth.csv").write_text(
        "file,label,x0,y0,x1,y1\ngrace_hopper.bmp,1,0.35,0.2,0.7,0.5\n"
        "squat.bmp,1,0.05,0.7,0.1,0.8\ncat_720p.jpg,,,,,\n",
        "utf-8",
    )
    found = document(ask("models", "eval", model, "--truth", tmp_path / "truth.csv", "--json"))
    metrics = found["metrics"]
    assert (metrics["hits"], metrics["false"], metrics["missed"]) == (1, 1, 1)
    assert "iou" not in metrics
