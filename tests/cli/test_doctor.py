"""`edge-agent doctor` as a technician meets it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from edge_agent.cli.doctor import words
from edge_agent.service.doctor import NAMES
from edge_agent.service.doctor_finding import Finding
from edge_agent.service.support_members import MEMBERS

Ask = Callable[..., Any]
PAGE = (Path(__file__).parents[2] / "docs" / "doctor.md").read_text("utf-8")


def test_without_a_configuration_it_says_so_and_looks_at_the_rest(ask: Ask) -> None:
    told = ask("doctor", "-c", "none.yaml", "--only", "source", "--only", "disk")
    lines = told.out.splitlines()
    assert (told.code, told.err) == (1, "")
    assert told.widest <= 80
    assert lines[0].startswith("FAIL  configuration: there is no configuration none.yaml")
    assert lines[1].startswith("      next: ")
    assert lines[2] == "-     source: not looked at: configuration must pass first"
    assert lines[3].startswith("ok    disk: ")
    assert lines[-1] == "3 answers: 1 ok, 0 warnings, 1 failed, 1 skipped."


def test_everything_as_json_follows_its_schema(ask: Ask, config: Path) -> None:
    told = ask("doctor", "-c", config, "--json")
    document = json.loads(told.out)
    schema = resources.files("edge_agent") / "schemas" / "doctor.json"
    jsonschema.validate(document, json.loads(schema.read_text("utf-8")))
    assert told.code == (document["verdict"] == "fail")
    names = [each["name"].split()[0] for each in document["checks"]]
    assert list(dict.fromkeys(names)) == list(NAMES)
    by_name = {each["name"]: each["verdict"] for each in document["checks"]}
    for name in ("configuration", "models of yard", "source yard", "engine litert", "database"):
        assert by_name[name] == "ok"
    assert by_name["broker"] == "skipped"


def test_the_state_directory_of_the_configuration_is_looked_at(ask: Ask, config: Path) -> None:
    config.write_text(config.read_text("utf-8") + "store: {path: mine}\n", "utf-8")
    told = json.loads(ask("doctor", "-c", config, "--only", "database", "--json").out)
    assert told["state"] == str(config.parent / "mine")
    config.write_text("store: {path: mine}\n", "utf-8")  # wrong, and yet it says where
    told = json.loads(ask("doctor", "-c", config, "--only", "database", "--json").out)
    assert told["state"] == str(config.parent / "mine")


def test_an_unknown_check_is_exit_2(ask: Ask) -> None:
    wrong = ask("doctor", "--only", "brokers")
    assert (wrong.code, wrong.out) == (2, "")
    assert "there is no check 'brokers' (did you mean broker?)" in wrong.err


@pytest.mark.parametrize(
    ("hint", "shown"),
    [
        ("run: pip install x", ["      next: run: pip install x"]),
        (
            f"give it back to its user: sudo chown -R edge: /var/{'long/' * 16}",
            [
                "      next: give it back to its user:",
                f"            sudo chown -R edge: /var/{'long/' * 16}",
            ],
        ),
        (
            "one word after the other, " * 4 + "end",
            [
                "      next: one word after the other, one word after the other, one word after",
                "            the other, one word after the other, end",
            ],
        ),
    ],
)
def test_a_command_to_copy_stays_in_one_line(hint: str, shown: list[str]) -> None:
    assert words(Finding("disk", "fail", 0.2, "full", hint)).splitlines() == [
        "FAIL  disk: full",
        *shown,
    ]


def first_column(heading: str) -> list[str]:
    """The words in backticks of the first column of the guide's table with that heading."""
    table = PAGE.split(f"| {heading} |")[1].split("\n\n")[0]
    return [
        word
        for line in table.splitlines()[2:]
        for word in re.findall(r"`([^`]+)`", line.split("|")[1])
    ]


def test_every_check_has_its_row_in_the_guide() -> None:
    assert first_column("check") == list(NAMES)


def test_every_member_of_a_support_bundle_has_its_row_in_the_guide() -> None:
    assert set(first_column("in it")) == {*MEMBERS, "log.txt", "tables/", "pictures/"}
