"""The reference and the shipped configurations say what the schema says, and all of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_agent.config.keys import ANY_ITEM, ANY_NAME, every_key
from edge_agent.config.load import read
from edge_agent.config.reference import renewed

ROOT = Path(__file__).parents[2]
CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))

#: Mappings whose keys are names of the user's own.
NAMED = {("sources",), ("pipelines",), ("outputs",), ("device", "tags")} | {
    ("pipelines", ANY_NAME, part) for part in ("zones", "lines")
}


def _generic(path: tuple[str | int, ...]) -> tuple[str, ...]:
    """A path of the file as the schema has it."""
    found: tuple[str, ...] = ()
    for step in path:
        item = isinstance(step, int)
        found += (ANY_ITEM if item else ANY_NAME if found in NAMED else str(step),)
    return found


def _is_documented(path: tuple[str, ...]) -> bool:
    """Names are no keys, and `defaults` has the keys of a rule, which stand there once."""
    return path[-1] != ANY_NAME and "defaults" not in path[:-1]


def test_the_reference_has_every_key_of_the_schema_and_no_other() -> None:
    loaded = read(ROOT / "configs/reference.yaml")
    assert loaded.mistakes == ()
    assert isinstance(loaded.data, dict)
    kinds = {
        (part, name): entry["kind"]
        for part in ("sources", "outputs")
        for name, entry in loaded.data[part].items()
    }
    stated = {
        (_generic(path), kinds.get((str(path[0]), str(path[1])), "") if len(path) > 2 else "")
        for path in loaded.marks.keys
    }
    stated = {(path, kind) for path, kind in stated if _is_documented(path)}
    known = {(key.path, key.kind) for key in every_key() if _is_documented(key.path)}
    assert known - stated == set(), "not in configs/reference.yaml"
    assert stated - known == set(), "not in the schema"


def test_every_key_has_a_meaning_and_says_what_is_allowed() -> None:
    for key in every_key():
        assert key.meaning.endswith("."), key
        assert key.allowed, key


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_shipped_configuration_has_no_mistakes(path: Path) -> None:
    loaded = read(path)
    assert loaded.mistakes == ()
    assert loaded.warnings == ()


def test_the_shortest_configuration_has_eight_lines() -> None:
    lines = (ROOT / "configs/minimal.yaml").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 8
    assert all(lines)


def test_the_document_has_the_tables_of_this_schema() -> None:
    text = (ROOT / "docs/configuration.md").read_text(encoding="utf-8")
    assert renewed(text) == text, "run: python -m edge_agent.config.reference docs/configuration.md"


def test_the_document_begins_with_the_shortest_configuration() -> None:
    document = (ROOT / "docs/configuration.md").read_text(encoding="utf-8")
    shortest = (ROOT / "configs/minimal.yaml").read_text(encoding="utf-8")
    assert document.split("```yaml\n", 1)[1].split("```", 1)[0] == shortest
