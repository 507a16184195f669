"""The documents against the code: what they say exists, and what exists is said."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from reference import reference

from edge_agent.cli import COMMANDS, root
from edge_agent.policy.commands import LARGEST, NAMES
from edge_agent.service.commands import MOST_RESENT
from edge_agent.store.evidence import STILLS

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *ROOT.glob("docs/**/*.md")])


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def test_the_command_reference_is_what_the_program_says() -> None:
    written = (ROOT / "docs" / "commands.md").read_text("utf-8")
    assert written == reference(), "python tests/reference.py > docs/commands.md"


def test_the_first_configuration_has_eight_lines_and_is_the_shipped_one() -> None:
    first = blocks((ROOT / "README.md").read_text("utf-8"), "yaml")[0]
    assert len(first.splitlines()) == 8
    assert first == (ROOT / "configs" / "minimal.yaml").read_text("utf-8")


def test_every_command_that_a_document_shows_exists() -> None:
    shown = re.compile(r"^\$ edge-agent ([a-z-]+)", re.MULTILINE)
    unknown = [
        f"{path.name}: {name}"
        for path in DOCUMENTS
        for name in shown.findall(path.read_text("utf-8"))
        if name not in COMMANDS
    ]
    assert unknown == []


def test_every_listed_command_can_be_loaded_and_has_a_help() -> None:
    context = root.make_context("edge-agent", ["version"])
    for name in COMMANDS:
        command = root.get_command(context, name)
        assert command is not None
        assert command.help, name


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    text = path.read_text("utf-8")
    targets = [target.split("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", text)]
    missing = [
        target
        for target in targets
        if target and "://" not in target and not (path.parent / target).exists()
    ]
    assert missing == []


def test_every_topic_and_table_is_documented() -> None:
    topics = (ROOT / "docs" / "mqtt.md").read_text("utf-8")
    for topic in ("status", "alert", "summary", "ota", "lost", "state", "health", "doctor"):
        assert f"`{topic}`" in topics, topic
    schema = (ROOT / "edge_agent" / "store" / "schema.sql").read_text("utf-8")
    tables = (ROOT / "docs" / "store.md").read_text("utf-8")
    for table in re.findall(r"CREATE TABLE (\w+)", schema):
        assert re.search(rf"\b{table}\b", tables), table


def test_every_command_by_mqtt_is_documented() -> None:
    page = (ROOT / "docs" / "mqtt.md").read_text("utf-8")
    section = page.split("## Commands")[1].split("\n## ")[0]
    for name in NAMES:
        assert f"`{name}`" in section, name
    assert f"at most {LARGEST:,} bytes" in section
    assert f"at most {MOST_RESENT:,} numbers" in section
    assert f"newest {STILLS};" in section


def test_every_decision_is_numbered_once() -> None:
    numbers = [path.name[:4] for path in sorted((ROOT / "docs" / "decisions").glob("*.md"))]
    assert numbers == [f"{place:04}" for place in range(1, len(numbers) + 1)]
