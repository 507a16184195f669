"""`edge-agent models`: what people and scripts are told, and the exit codes."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import picture_models
import pytest
import yaml

from edge_agent.bundles.shipped import shipped_folders
from edge_agent.cli import obey
from edge_agent.engines import available
from edge_agent.pipeline.why import width

Said = tuple[int, str, str]
Models = Callable[..., Said]


@pytest.fixture
def models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Models:
    """`models("list", "--json")`: exit code, stdout, stderr."""
    monkeypatch.setenv("EDGE_AGENT_STATE", str(tmp_path / "state"))
    monkeypatch.delenv("EDGE_AGENT_CONFIG", raising=False)

    def call(*arguments: str | Path) -> Said:
        code = obey(["models", *map(str, arguments)])
        return (code, *capfd.readouterr())

    return call


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    path = tmp_path / "見張り.tflite"
    shutil.copyfile(shipped_folders()["scene-detector"] / "model.tflite", path)
    return path


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    path = tmp_path / "data.yaml"
    path.write_text("nc: 4\nnames: {0: 人, 1: フォークリフト, 2: 車, 3: 犬}\n", "utf-8")
    return path


def document(said: Said, schema: str) -> dict[str, Any]:
    code, out, err = said
    assert (code, err) == (0, "")
    found: dict[str, Any] = json.loads(out)
    file = resources.files("edge_agent") / "schemas" / f"{schema}.json"
    jsonschema.validate(found, json.loads(file.read_text("utf-8")))
    assert found["schema"] == f"{schema}/1"
    return found


def states(models: Models) -> list[tuple[str, str, str]]:
    listed = document(models("list", "--json"), "models")["models"]
    return [(each["name"], each["version"], each["state"]) for each in listed]


def test_the_shipped_ones_are_listed_from_an_absent_state_directory(
    models: Models, tmp_path: Path
) -> None:
    code, out, err = models("list")
    assert (code, err) == (0, "")
    assert out.splitlines()[0].split() == [
        "name",
        "version",
        "state",
        "sha256",
        "input",
        "measured",
    ]
    assert any(line.split()[:1] == ["scene-detector"] for line in out.splitlines())
    assert ("scene-detector", "active") in [(name, state) for name, _, state in states(models)]
    assert not (tmp_path / "state").exists()


def test_the_life_of_a_model(models: Models, bare: Path, labels: Path) -> None:
    code, out, err = models("import", bare)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "imported 見張り 1 (yolo, 0 labels)"
    assert lines[1].startswith("guessed: family yolo")
    assert lines[-1] == "next: edge-agent infer 見張り PICTURE"
    assert all(len(line) <= 80 for line in lines)

    code, out, _ = models("import", bare, "--labels", labels)
    assert out.splitlines()[0] == "imported 見張り 2 (yolo, 4 labels)"
    assert out.splitlines()[-1] == "next: edge-agent models activate 見張り 2"
    code, out, _ = models("import", bare, "--labels", labels)
    assert (code, out.splitlines()[0]) == (
        0, "is here already, nothing was changed: 見張り 2 (yolo, 4 labels)",
    )  # fmt: skip
    assert states(models)[-2:] == [("見張り", "1", "active"), ("見張り", "2", "candidate")]

    assert models("activate", "見張り")[:2] == (
        0, "active: 見張り 2\n"
        "on probation for 60 minutes and 200 frames: edge-agent models rollback 見張り\n"
        "no agent is running: its next start takes it\n",
    )  # fmt: skip
    assert states(models)[-2:] == [("見張り", "1", "previous"), ("見張り", "2", "active")]
    code, out, _ = models("show", "見張り")
    assert code == 0
    assert "4: 人, フォークリフト, 車, 犬" in out
    assert models("test", "見張り")[:2] == (
        0, "".join(f"{engine}: as recorded\n" for engine in available()),
    )  # fmt: skip

    code, _, err = models("remove", "見張り", "2")
    assert (code, err.splitlines()) == (2, [
        "edge-agent: version 2 of model 見張り is active: it can be removed when another one is",
        "next: edge-agent models activate 見張り 1",
    ])  # fmt: skip
    code, _, err = models("remove", "見張り", "1")
    assert (code, err.splitlines()[0]) == (2, "edge-agent: version 1 of model 見張り comes back "
        "if 2 does not prove itself")  # fmt: skip
    lives = " ".join(models("list")[1].split())
    dated = r"installed [-\d: ]+; took charge [-\d: ]+ \(1 time\); on"
    assert re.search(rf"見張り 2: {dated}", lives)
    assert "on probation for 60 minutes" in lives
    assert all(width(line) <= 80 for line in models("list")[1].splitlines())

    assert models("rollback", "見張り")[:2] == (
        0, "active: 見張り 1\nno agent is running: its next start takes it\n",
    )  # fmt: skip
    assert states(models)[-2:] == [("見張り", "1", "active"), ("見張り", "2", "candidate")]
    code, _, err = models("rollback", "見張り")
    assert (code, err.splitlines()[0]) == (
        2, "edge-agent: there is nothing to go back to from model 見張り 1",
    )  # fmt: skip
    assert models("remove", "見張り", "2")[:2] == (0, "removed 見張り 2\n")
    code, _, err = models("remove", "見張り", "1")
    assert (code, err.splitlines()) == (2, [
        "edge-agent: version 1 of model 見張り is active, and the only one: "
        "it goes with the whole model",
        "next: edge-agent models remove 見張り",
    ])  # fmt: skip
    assert models("remove", "見張り")[1] == (
        "removed 見張り\nit was active: pipelines that name it cannot start\n"
    )
    assert [name for name, _, _ in states(models)] == list(shipped_folders())
    steps = document(models("list", "--history", "--json"), "audit")["steps"]
    assert [(each["step"], each["version"]) for each in steps] == [
        ("removed", "1"), ("removed", "2"), ("rolled_back", "2"), ("swapped", "2"),
        ("golden", "2"), ("tested", "2"), ("installed", "2"), ("installed", "1"),
    ]  # fmt: skip
    assert {each["who"] for each in steps} == {"cli"}
    assert steps[3]["before"] == {"version": "1", "sha256": steps[-1]["sha256"]}
    text = models("list", "--history")[1]
    assert "model 見張り 2 swapped, instead of 1, by cli" in " ".join(text.split())
    assert all(width(line) <= 80 for line in text.splitlines())


def test_a_held_model_takes_no_other_version(models: Models, bare: Path, labels: Path) -> None:
    models("import", bare, "--name", "yard")
    models("import", bare, "--name", "yard", "--labels", labels)
    assert models("hold", "yard")[:2] == (
        0, "held: yard 1\nnext: edge-agent models release yard\n",
    )  # fmt: skip
    code, _, err = models("activate", "yard")
    assert (code, err.splitlines()) == (4, [
        "edge-agent: model yard 2 is not put in charge: version 1 is held",
        "next: edge-agent models release yard",
    ])  # fmt: skip
    assert "held at 1" in models("list")[1]
    assert document(models("hold", "yard", "2", "--json"), "models")["models"][0]["held"] == "2"
    assert models("activate", "yard")[0] == 0
    code, _, err = models("activate", "yard", "1", "--downgrade")
    assert (code, "version 2 is held" in err) == (4, True)
    assert models("release", "yard")[:2] == (0, "released: yard, it was held at 2\n")
    assert models("release", "yard")[0] == 2
    code, _, err = models("activate", "yard", "1")
    assert (code, err.splitlines()[0]) == (
        4, "edge-agent: model yard 1 is not put in charge: version 2 is in charge, which is newer",
    )  # fmt: skip
    assert models("activate", "yard", "1", "--downgrade")[0] == 0


def test_every_command_has_a_document_for_scripts(
    models: Models, bare: Path, labels: Path, tmp_path: Path
) -> None:
    (entry,) = document(
        models("import", bare, "--name", "yard", "--labels", labels, "--json"), "models"
    )["models"]
    assert (entry["name"], entry["version"], entry["state"]) == ("yard", "1", "active")
    assert (entry["size"], entry["labels"], entry["family"]) == ([192, 112], 4, "yolo")
    assert (tmp_path / "state/models/yard" / entry["slot"] / "model.tflite").is_file()

    shown = document(models("show", "yard", "--json"), "model")
    assert shown["labels"] == ["人", "フォークリフト", "車", "犬"]
    assert shown["sha256"] == entry["sha256"]
    tested = document(models("test", "yard", "--json"), "model-test")
    assert [each["engine"] for each in tested["engines"]] == list(available())
    assert all(each["differences"] == [] for each in tested["engines"])
    (again,) = document(models("activate", "yard", "1", "--json"), "models")["models"]
    assert again == entry
    assert document(models("remove", "yard", "--json"), "models")["models"] == []


def test_a_model_of_signals_is_told_in_samples(models: Models) -> None:
    (entry,) = [
        each
        for each in document(models("list", "--json"), "models")["models"]
        if each["name"] == "machine-anomaly"
    ]
    assert (entry["size"], entry["window"]) == (None, 4096)
    (row,) = [line for line in models("list")[1].splitlines() if line.startswith("machine-")]
    assert "4096 samples" in row
    _, shown, _ = models("show", "machine-anomaly")
    assert "none: its one finding is called anomaly" in shown
    assert "(32 in all)" in shown  # the means of its mel bands fill no screen
    assert all(len(line) <= 80 for line in shown.splitlines())


def test_a_bench_is_kept_and_listed(models: Models, tmp_path: Path) -> None:
    folder = tmp_path / "offered"
    shutil.copytree(shipped_folders()["scene-detector"], folder)
    manifest = yaml.safe_load((folder / "manifest.yaml").read_text("utf-8"))
    manifest |= {"name": "yard", "budget": {"invoke_ms_p95": 0.001}}
    (folder / "manifest.yaml").write_text(yaml.safe_dump(manifest), "utf-8")
    models("import", folder)
    found = document(models("bench", "yard", "--seconds", "0.5", "--json"), "model-bench")
    assert {each["engine"] for each in found["measurements"]} == set(available())
    assert "measured" in found["choice"]
    assert found["over"].startswith("over the budget of its manifest: p95 ")
    listed = document(models("list", "--json"), "models")["models"]
    (entry,) = [each for each in listed if each["name"] == "yard"]
    assert entry["engine"] in available()
    assert entry["invoke_ms"] > 0
    assert (
        f"{entry['invoke_ms']:.2f} ms, {entry['engine']} x{entry['threads']}" in models("list")[1]
    )


def test_a_broken_one_is_listed_and_the_factory_one_named(
    models: Models, bare: Path, tmp_path: Path
) -> None:
    models("import", bare, "--name", "scene-detector")
    models("activate", "scene-detector", "--downgrade")
    assert [state for _, _, state in states(models)][-2:] == ["factory", "active"]
    (folder,) = (tmp_path / "state/models/scene-detector").glob("1-*")
    (folder / "model.tflite").write_bytes(b"cut off")
    assert [state for _, _, state in states(models)][-1] == "broken"
    code, _, err = models("show", "scene-detector")
    assert code == 4
    assert "is damaged" in err
    assert "the shipped one is active again" in models("remove", "scene-detector")[1]


def test_answers_that_differ_are_exit_1(models: Models, bare: Path, tmp_path: Path) -> None:
    models("import", bare, "--name", "yard")
    (golden,) = (tmp_path / "state").rglob("golden.npz")
    with np.load(golden) as archive:
        stored = {name: archive[name] for name in archive.files}
    np.savez(golden, **stored | {"output_0": np.roll(stored["output_0"], 60, axis=3)})
    code, out, err = models("test", "yard", "--engine", "litert")
    assert code == 1
    assert out.startswith("litert: 3 differences\n  frame 0: output ")
    assert "answers otherwise than its golden set" in err
    code, _, err = models("activate", "yard")
    assert code == 4
    assert "answers otherwise" in err


@pytest.mark.skipif(len(available()) < 2, reason="only one engine is installed here")
def test_an_engine_that_does_not_take_the_model_says_so(models: Models, tmp_path: Path) -> None:
    path = picture_models.write("new_operator", tmp_path / "new.tflite")
    assert models("import", path)[0] == 0
    code, out, _ = models("test", "new")
    assert code == 0
    assert "litert: as recorded" in out
    assert "tflite-runtime: new.tflite needs" in out or "tflite-runtime: model.tflite needs" in out
    assert models("test", "new", "--engine", "tflite-runtime")[0] == 4
    odd = picture_models.write("scale_of_nothing", tmp_path / "odd.tflite")
    code, out, _ = models("import", odd)
    assert code == 0
    assert "but: odd.tflite crashed the runtime" in out


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["import", "nothing.tflite"], 2, "there is no file nothing.tflite"),
        (["import", "TEXT"], 4, "not a TensorFlow Lite model"),
        (["import", "EMPTY"], 4, "is empty"),
        (["import", "FOLDER"], 4, "is no model bundle: it has no model.tflite"),
        (["import", "."], 4, ". is no model bundle: it has no m"),
        (["import", "BARE", "--labels", "TEXT"], 4, "has 1 label, its output"),
        (["import", "BARE", "--labels", "EMPTY"], 2, "holds no labels"),
        (["import", "BARE", "--family", "blobs"], 2, "'blobs' is not decoded"),
        (["show", "nobody"], 2, "there is no model 'nobody'"),
        (["test", "BARE"], 1, "has no golden set"),
        (["test", "scene-detector", "--engine", "onnx"], 2, "onnx is not installed"),
        (["activate", "nobody"], 2, "there is no installed model 'nobody'"),
        (["activate", "scene-detector"], 2, "came with the package and no other version"),
        (["remove", "scene-detector"], 2, "came with the package and stays"),
        (["remove", ".."], 2, "no installed model"),
        (["bench", "nobody"], 2, "there is no model 'nobody'"),
    ],
)
def test_a_mistake_is_one_sentence_with_its_exit_code(
    models: Models, bare: Path, tmp_path: Path, arguments: list[str], code: int, said: str
) -> None:
    names = {
        "TEXT": tmp_path / "text.txt",
        "EMPTY": tmp_path / "empty.txt",
        "FOLDER": tmp_path / "folder",
        "BARE": bare,
    }
    names["TEXT"].write_text("some text")
    names["EMPTY"].write_text("")
    names["FOLDER"].mkdir()
    got, out, err = models(*[names.get(each, each) for each in arguments])
    assert (got, out) == (code, "")
    assert said in err
    assert len(err.splitlines()) <= 2
    got, _, err = models(*[names.get(each, each) for each in arguments], "--json")
    assert got == code
    assert said in json.loads(err)["error"]["message"]
