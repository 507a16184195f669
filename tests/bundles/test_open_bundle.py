"""A bundle is opened only when it is whole, unchanged, for this agent, and of its own model."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from edge_agent.bundles.agreement import check_operators
from edge_agent.bundles.bundle import Bundle, open_bundle
from edge_agent.bundles.find import find, locate
from edge_agent.bundles.guess import Wish
from edge_agent.errors import Refused, UsageError
from edge_agent.types import TensorSpec

Change = Callable[..., None]
INPUT = TensorSpec(0, "image", (1, 112, 192, 3), "int8", (1 / 255,), (-128,))
OUTPUT = TensorSpec(1, "heads", (1, 8, 420), "int8", (1 / 256,), (-128,))


def test_a_bundle_says_what_its_files_say(bundle: Path) -> None:
    opened = open_bundle(bundle)
    spec = opened.spec(INPUT, [OUTPUT])
    assert not opened.bare
    assert (spec.family, spec.labels) == ("yolo", ("person", "forklift", "van", "dog"))
    assert spec.sha256 == opened.manifest.sha256
    assert spec.output["iou"] == 0.45


@pytest.mark.parametrize("file", ["model.tflite", "manifest.yaml", "labels.txt"])
def test_a_missing_file_is_named(bundle: Path, file: str) -> None:
    (bundle / file).unlink()
    with pytest.raises(Refused, match=file):
        open_bundle(bundle)


def test_another_model_than_the_manifest_names_is_refused(bundle: Path) -> None:
    with (bundle / "model.tflite").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(
        Refused, match=r"damaged: its SHA-256 is \w{12}…, the manifest says"
    ) as told:
        open_bundle(bundle)
    assert told.value.next


@pytest.mark.parametrize("agent", [">=0.2", ">=1", ">=0.1.1", ">=0.10.0"])
def test_a_bundle_for_a_newer_agent_is_refused(bundle: Path, change: Change, agent: str) -> None:
    change(requires={"agent": agent})
    with pytest.raises(Refused, match=rf"needs edge-agent {agent[2:]} or newer, this is 0\.1\.0"):
        open_bundle(bundle)


def test_a_bundle_for_this_agent_is_taken(bundle: Path, change: Change) -> None:
    for agent in (">=0", ">=0.0.9", ">=0.1", ">=0.1.0"):
        change(requires={"agent": agent})
        assert open_bundle(bundle).manifest.requires.agent == agent


def test_labels_may_stand_in_the_manifest(bundle: Path, change: Change) -> None:
    change(labels=["人", "フォークリフト", "", "dog"])
    assert open_bundle(bundle).labels == ("人", "フォークリフト", "2", "dog")


def test_an_empty_line_of_the_labels_is_a_class_without_a_name(bundle: Path) -> None:
    (bundle / "labels.txt").write_text("\ufeffperson\r\n\r\n 0 van \n\n", "utf-8")
    assert open_bundle(bundle).labels == ("person", "1", "0 van")


def test_labels_outside_of_the_bundle_are_refused(bundle: Path, change: Change) -> None:
    change(labels="../labels.txt")
    with pytest.raises(Refused, match="outside its bundle"):
        open_bundle(bundle)


def test_a_tensor_of_another_size_is_refused(bundle: Path) -> None:
    other = replace(INPUT, shape=(1, 96, 96, 3))
    with pytest.raises(Refused, match=r"wants \[1, 112, 192, 3\], .* 'image' int8\[1,96,96,3\]"):
        open_bundle(bundle).spec(other, [OUTPUT])


def test_stated_quantization_must_be_the_model_s(bundle: Path, change: Change) -> None:
    picture = {"kind": "image", "size": [192, 112]}
    change(input=picture | {"quantization": {"scale": 0.003921569, "zero_point": -128}})
    open_bundle(bundle).spec(INPUT, [OUTPUT])
    change(input=picture | {"quantization": {"scale": 0.0078, "zero_point": -1}})
    with pytest.raises(Refused, match=r"says scale 0\.0078 and zero point -1, .* 'image'"):
        open_bundle(bundle).spec(INPUT, [OUTPUT])


@pytest.mark.parametrize(
    ("family", "shape", "labels", "said"),
    [
        ("yolo", (1, 8, 420), 3, None),  # 4 + objectness + 3
        ("yolo", (1, 8, 420), 4, None),
        ("yolo", (1, 420, 8), 4, None),
        ("yolo", (1, 8, 420), 5, "has 5 labels, its output 'heads' int8[1,8,420] has 4 or 3"),
        ("yolo", (1, 25200, 85), 91, "has 91 labels, .* has 80 or 81"),
        ("yolo", (1, 5, 756), 2, "has 2 labels, .* has 1 class"),
        ("classification", (1, 1001), 1001, None),
        ("classification", (1, 1001), 1000, None),
        ("classification", (1, 1, 1, 1001), 999, "has 999 labels, .* has 1001 or 1000"),
        ("ssd", (1, 10, 4), 7, None),  # does not say
    ],
)
def test_labels_that_are_not_as_many_as_classes_are_refused_with_both_numbers(
    bundle: Path,
    change: Change,
    family: str,
    shape: tuple[int, ...],
    labels: int,
    said: str | None,
) -> None:
    change(family=family, output={}, labels=[f"l{i}" for i in range(labels)])
    opened, output = open_bundle(bundle), replace(OUTPUT, shape=shape)
    if said is None:
        assert len(opened.spec(INPUT, [output]).labels) == labels
    else:
        with pytest.raises(Refused) as told:
            opened.spec(INPUT, [output])
        for part in said.split(".*"):
            assert part in told.value.message


def test_an_operator_that_the_model_does_not_have_is_refused(bundle: Path, change: Change) -> None:
    opened = open_bundle(bundle)
    check_operators(opened.manifest, [*opened.manifest.requires.ops, "PAD"])
    with pytest.raises(Refused, match="requires the operator ADD"):
        check_operators(opened.manifest, opened.manifest.requires.ops[1:])


# --- what a person writes ----------------------------------------------------------------------


def put(bundle: Path, state: Path, name: str) -> Path:
    folder = state / "models" / name / "1-ab"
    shutil.copytree(bundle, folder)
    (folder.parent / "slots.json").write_text('{"active": "1-ab", "previous": null}')
    return folder


def test_a_name_is_an_installed_model_else_a_shipped_one(bundle: Path, tmp_path: Path) -> None:
    assert find("scene-detector", tmp_path / "state", tmp_path).shipped
    folder = put(bundle, tmp_path / "state", "scene-detector")
    assert find("scene-detector", tmp_path / "state", tmp_path).folder == folder


@pytest.mark.parametrize("reference", ["copy", "./copy", "copy/../copy"])
def test_a_path_is_relative_to_the_configuration(bundle: Path, reference: str) -> None:
    assert find(reference, None, bundle.parent).folder.resolve() == bundle


def test_a_bare_model_is_found_by_its_path(bundle: Path) -> None:
    assert find("copy/model.tflite", None, bundle.parent).bare


def test_what_is_not_there_is_wrong_usage_and_the_nearest_name_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no model 'scene-detecter'") as told:
        find("scene-detecter", tmp_path, tmp_path)
    assert "did you mean scene-detector?" in told.value.next
    with pytest.raises(UsageError, match=r"no model 'x\.tflite'"):
        find("x.tflite", tmp_path, tmp_path)


def test_an_installed_model_without_an_active_version_is_said(bundle: Path, tmp_path: Path) -> None:
    (put(bundle, tmp_path, "yard").parent / "slots.json").unlink()
    with pytest.raises(UsageError, match="no version of the model 'yard' is active") as told:
        find("yard", tmp_path, tmp_path)
    assert told.value.next == "edge-agent models activate yard"


def test_of_a_bundle_nothing_can_be_wished(bundle: Path) -> None:
    with pytest.raises(UsageError, match="says its name, family and labels itself"):
        locate("copy", None, bundle.parent).open(Wish(family="yolo"))


def test_neither_reading_a_name_nor_a_state_makes_anything(tmp_path: Path) -> None:
    found = find("scene-detector", tmp_path / "state", tmp_path)
    assert isinstance(found, Bundle)
    assert list(tmp_path.iterdir()) == []
