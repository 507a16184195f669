"""docs/rules.md names every key, stage, field and close reason, and its examples are right."""

import re
from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from edge_agent.config.explain import rule_spec
from edge_agent.config.known import part_of
from edge_agent.config.schema import Rule, RuleKeys
from edge_agent.pipeline.family import KINDS
from edge_agent.pipeline.rules import RuleSpec, rule_fault
from edge_agent.pipeline.rulespec import KEYS_OF_KIND, Kind
from edge_agent.pipeline.sentence import FIELDS
from edge_agent.pipeline.why import STAGES

PAGE = (Path(__file__).parents[2] / "docs" / "rules.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.splitlines()
    if line.startswith("| `")
]
KEYS = {row[0].strip("`"): row for row in ROWS if len(row) == 5}
STAGE_ROWS = {row[0].strip("`") for row in ROWS if len(row) == 2}
LETTERS = dict(zip("PCNALS", Kind, strict=True))
FAMILIES = {
    family: row[3] for row in ROWS if len(row) == 4 for family in re.findall(r"`(\w+)`", row[0])
}


def test_every_key_of_a_rule_has_its_row_and_no_other():
    assert set(KEYS) == {key.name for key in fields(RuleSpec)}


def test_the_kinds_of_a_row_are_those_that_the_key_means_something_to():
    particular = frozenset().union(*KEYS_OF_KIND.values())
    for key, row in KEYS.items():
        meant = {kind for kind in Kind if key in KEYS_OF_KIND[kind] or key not in particular}
        told = set(Kind) if row[1] == "all" else {LETTERS[letter] for letter in row[1].split()}
        assert told == meant, key


def test_the_kinds_of_a_family_are_those_that_make_sense_for_it():
    assert {
        family: {LETTERS[letter] for letter in kinds.split()} for family, kinds in FAMILIES.items()
    } == KINDS


def test_every_stage_and_every_field_of_a_text_is_named():
    assert set(STAGES) == STAGE_ROWS
    assert all(f"`{{{field}}}`" in PAGE for field in FIELDS)


@pytest.mark.parametrize(("key", "example"), [(key, row[3]) for key, row in KEYS.items()])
def test_the_example_of_a_key_is_accepted(key, example):
    stated = yaml.safe_load(example.strip("`"))
    assert list(stated) == [key]
    part_of(Rule, {"name": "example", **stated})


def test_the_rules_of_the_page_are_right_and_of_every_kind():
    rules = [
        rule_spec(part_of(Rule, entry), RuleKeys())
        for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
        for entry in yaml.safe_load(block)["rules"]
    ]
    assert [rule_fault(rule) for rule in rules] == [None] * len(rules)
    assert {rule.kind for rule in rules} == set(Kind)
