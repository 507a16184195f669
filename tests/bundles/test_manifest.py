"""manifest.yaml: what is read, what is refused with its place; docs/models.md has every key."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from edge_agent.bundles import manifest as manifests
from edge_agent.bundles.bundle import open_bundle
from edge_agent.bundles.manifest import Manifest, as_manifest
from edge_agent.bundles.manifest_file import read_manifest
from edge_agent.config.judging import adapter
from edge_agent.config.part import plain
from edge_agent.errors import Refused
from edge_agent.pipeline.decode import FAMILIES

PAGE = (Path(__file__).parents[2] / "docs" / "models.md").read_text("utf-8")
REFERENCE = PAGE.partition("An unknown key is a mistake.")[2]
BY_FAMILY: dict[str, type[Manifest]] = {
    family: getattr(manifests, f"{family.capitalize()}Manifest") for family in FAMILIES
}


def keys(schema: dict[str, Any], definitions: dict[str, Any]) -> Iterator[tuple[str, set[str]]]:
    """Dotted name of every key and the words that may stand there."""
    for name, wanted in schema.get("properties", {}).items():
        words: set[str] = set()
        for option in alternatives(wanted, definitions):
            words |= {word for word in [*option.get("enum", []), option.get("const")] if word}
            words |= set(option.get("items", {}).get("enum", []))
            yield from ((f"{name}.{key}", said) for key, said in keys(option, definitions))
        yield name, {word for word in words if isinstance(word, str)}


def alternatives(schema: dict[str, Any], definitions: dict[str, Any]) -> list[dict[str, Any]]:
    options = schema.get("anyOf", schema.get("oneOf", [schema]))
    return [
        definitions[option["$ref"].rpartition("/")[2]] if "$ref" in option else option
        for option in options
    ]


def all_keys() -> dict[str, set[str]]:
    """Those of `output` with their family: it decides which they are."""
    found: dict[str, set[str]] = {}
    for family, model in BY_FAMILY.items():
        schema = adapter(model).json_schema()
        for key, words in keys(schema, schema["$defs"]):
            place = f"{key} ({family})" if key.startswith("output.") else key
            found[place] = found.get(place, set()) | words
    return found


def rows() -> dict[str, str]:
    found = re.findall(r"^\| `([a-z0-9_.]+)`(?: (\([a-z]+\)))? \|(.*)", REFERENCE, re.MULTILINE)
    return {" ".join(filter(None, (name, family))): text for name, family, text in found}


#: Mappings whose own keys have rows each.
GROUPS = {"input", "output", "requires", "budget"}


def test_the_reference_has_every_key_and_no_other() -> None:
    assert set(rows()) == set(all_keys()) - GROUPS


@pytest.mark.parametrize(("key", "words"), sorted(all_keys().items()))
def test_the_reference_names_every_word_that_may_stand_there(key: str, words: set[str]) -> None:
    missing = [word for word in words if key not in GROUPS and f"`{word}`" not in rows()[key]]
    assert missing == []


def test_the_example_of_the_page_is_a_manifest() -> None:
    (example,) = re.findall(r"```yaml\n(name: .*?)```", PAGE, re.DOTALL)
    manifest = as_manifest(yaml.safe_load(example))
    assert manifest.family in FAMILIES


def test_what_was_read_can_be_written_and_read_again(bundle: Path) -> None:
    manifest = read_manifest(bundle / "manifest.yaml")
    assert as_manifest(plain(manifest)) == manifest


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"family": "blobs"}, 'family: "blobs": this version decodes classification, ssd, yolo'),
        (
            {"family": "anomaly", "output": {}},
            r"min_score: 0\.\d+: should be less than or equal to 0",
        ),
        (
            {"family": "anomaly", "output": {"threshold": -1}, "min_score": 0},
            "output.threshold: -1",
        ),
        ({"family": "pose", "output": {"points": 17}}, "output.points: unknown key"),
        ({"family": None}, "family: nothing: this version decodes"),
        ({"colour": "rgb"}, "colour: unknown key"),
        ({"output": {"iuo": 0.5}}, "output.iuo: unknown key"),
        ({"output": {"iou": 1.5}}, r"output.iou: 1\.5: should be less than or equal to 1"),
        ({"output": {"background": True}}, "output.background: unknown key"),
        ({"input": {"kind": "image"}}, "input.size: missing"),
        (
            {"input": {"kind": "signal", "size": [1, 1]}},
            "input.kind: \"signal\": should be 'image'",
        ),
        ({"input": {"kind": "image", "size": [96]}}, r"input.size\[1\]: missing"),
        ({"input": {"kind": "image", "size": [96, 0]}}, r"input.size\[1\]: 0: should be greater"),
        (
            {"input": {"kind": "image", "size": [9, 9], "normalize": {"mean": [1]}}},
            "input.normalize.std: missing",
        ),
        ({"version": 1.0}, r"version: 1\.0: should be a valid string"),
        ({"version": "../../x"}, "version: .* without spaces and slashes"),
        ({"name": "../x"}, "name: .* a name has up to 60 letters"),
        ({"sha256": "abc"}, 'sha256: "abc": a SHA-256 has 64 hex digits'),
        ({"min_score": 7}, "min_score: 7: should be less"),
        ({"requires": {"agent": "latest"}}, r'requires.agent: "latest": it is written ">=0\.1"'),
        ({"labels": 5}, "labels: 5: should be"),
    ],
)
def test_a_mistake_is_refused_with_its_place(
    bundle: Path, change: Callable[..., None], changes: dict[str, Any], sentence: str
) -> None:
    change(**changes)
    with pytest.raises(Refused, match=rf"^manifest\.yaml:\d+:\d+: {sentence}"):
        open_bundle(bundle)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", r"manifest\.yaml:1:1: .*is empty"),
        (b"- a list", r"manifest\.yaml:1:1: "),
        (b"name: [a", r"manifest\.yaml:1:"),
        (b"name: a\nname: b\n", r"manifest\.yaml:2:1: name: "),
        (b"\xff\xfe", "not UTF-8"),
        (b"#" * 1_000_001, "larger than 1 MB"),
    ],
)
def test_what_is_no_manifest_is_refused(bundle: Path, content: bytes, sentence: str) -> None:
    (bundle / "manifest.yaml").write_bytes(content)
    with pytest.raises(Refused, match=sentence):
        open_bundle(bundle)


@pytest.mark.parametrize(
    "order", [["boxes"], ["boxes", "classes", "classes", "scores"], ["boxes", "count"]]
)
def test_an_order_of_outputs_is_complete(order: list[str]) -> None:
    data = {
        "name": "m",
        "version": "1",
        "family": "ssd",
        "input": {"kind": "image", "size": [8, 8]},
        "min_score": 0.5,
        "sha256": "0" * 64,
    }
    assert isinstance(as_manifest(data), Manifest)
    with pytest.raises(ValueError, match="must each stand there once"):
        as_manifest(data | {"output": {"order": order}})
