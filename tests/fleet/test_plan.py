"""Plans as files: what is right is read, what is wrong is told where it stands."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from desk import ROOT

from edge_agent.config.judging import adapter
from edge_agent.errors import UsageError
from edge_agent.policy.rollout import Mode, State, parse, write
from edge_fleet.plan import PLAN, Plan, document, load_plan, order, remembered
from edge_fleet.repository import Target

EXAMPLES = sorted((ROOT / "ota" / "plans").glob("*.yaml"))
GOOD = """\
id: r1
model: person
version: 2
stages:
  - {name: shadow, mode: shadow, percent: 10, at_least: {devices: 2, hours: 6}}
  - {name: ring, tags: {ring: canary}, at_least: {hours: 12}}
  - {name: all, percent: 100, at_least: {hours: 1}}
"""


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_examples_are_plans(path: Path) -> None:
    plan = load_plan(path)
    assert remembered(json.loads(json.dumps(document(plan)))) == plan
    target = Target(plan.target, path, 1, "0" * 64, {"sha256": "1" * 64})
    first = order(plan, target, 7)
    assert parse(write(first)) == first, "what devices read is what was meant"
    assert (first.state, first.stage, first.serial) == (State.RUNNING, 0, 7)
    assert first.stages[-1].mode is Mode.CHARGE


def test_there_are_examples_of_both_kinds() -> None:
    assert {load_plan(path).kind.value for path in EXAMPLES} == {"model", "policy"}


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("id: r1", "id: a/b", '1:5: id: "a/b" stands here, allowed: up to 64 letters'),
        ("id: r1\n", "", "1:1: id: missing"),
        ("model: person", "modle: person", "2:1: modle: unknown key, allowed: id"),
        ("model: person", "model: person\npolicy: x", "3:9: policy: a plan ships one thing"),
        ("hours: 6", "hours: 0", "hours: 0 stands here, allowed: a number above 0"),
        ("devices: 2", "devices: 0", "devices: 0 stands here, allowed: a whole number, 1 or more"),
        (", mode: shadow", "", "5:5: stages[0]: a model goes through shadow first"),
        ("percent: 100", "percent: 50", "7:5: stages[2]: the last stage is everybody in charge"),
        (", tags: {ring: canary}", "", "6:5: stages[1]: a stage has percent or tags"),
        ("tags: {ring: canary}", "percent: 100", "7:26: stages[2].percent: no more than the 100"),
        ("name: ring", "name: all", 'stages[2].name: the name "all" stands twice'),
        ("name: ring", "name: ring, mode: shade", "stages[1].mode: \"shade\" stands here"),
        ("version: 2", "version: 2\ntolerate: {refused: 2 %}", "a share such as"),
        (
            "version: 2", "version: 2\nguardrails: {failures: 0, event_rate_ratio: 2}",
            '4:27: guardrails.event_rate_ratio: unknown guardrail "event_rate_ratio", allowed: '
            "failures | wrong_answers | least_agreement | event_ratio | score_shift | "
            "latency_ratio | temperature_rise_c | memory_ratio (did you mean event_ratio?)",
        ),
        ("version: 2", "version: 2\nguardrails: {crashes: 0}", '4:14: guardrails.crashes: unknown'),
        ("version: 2", "version: 2\nversion: 3", "the key stands twice"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_where_it_stands(tmp_path: Path, old: str, new: str, said: str) -> None:
    path = tmp_path / "plan.yaml"
    assert old in GOOD
    path.write_text(GOOD)
    assert load_plan(path).what == "person"
    path.write_text(GOOD.replace(old, new, 1))
    found = PLAN.read(path)
    assert any(said in str(each) for each in found.mistakes), [str(m) for m in found.mistakes]
    assert len({(m.line, m.column) for m in found.mistakes}) == len(found.mistakes)
    with pytest.raises(UsageError, match=r"plan\.yaml:\d+:\d+: "):
        load_plan(path)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("model: person", "modle: person", ["2:1: modle: unknown key"]),
        ("model: person", "model: [person]", ["2:8: model: "]),
        ("percent: 10,", "percnt: 10,", ["5:34: stages[0].percnt: unknown key"]),
        ("percent: 100", "share: 100", ["7:17: stages[2].share: unknown key"]),
        ("percent: 100", "percent: all", ["7:26: stages[2].percent: "]),
        ("tags: {ring: canary}", "tags: canary", ["6:24: stages[1].tags: "]),
        ("mode: shadow", "mod: shadow", ["5:20: stages[0].mod: unknown key"]),
        ("mode: shadow", "mode: shade", ["5:26: stages[0].mode: "]),
        ("name: all", "name: all, mode: shade", ["7:23: stages[2].mode: "]),
        # What is wrong besides is told, too.
        (
            "tags: {ring: canary}", "nmae: x",
            ["6:5: stages[1]: a stage has percent", "6:18: stages[1].nmae: unknown key"],
        ),
        (
            "percent: 100", "percent: 50, tgas: {a: b}",
            ["7:5: stages[2]: the last stage", "7:30: stages[2].tgas: unknown key"],
        ),
        (
            "percent: 10,", "percent: 10, tags: {a: b}, percnt: 10,",
            ["5:5: stages[0]: a stage has percent", "5:61: stages[0].percnt: unknown key"],
        ),
    ],
)  # fmt: skip
def test_one_slip_is_one_mistake(tmp_path: Path, old: str, new: str, said: list[str]) -> None:
    path = tmp_path / "plan.yaml"
    assert old in GOOD
    path.write_text(GOOD.replace(old, new, 1))
    told = [str(each).removeprefix(f"{path}:") for each in PLAN.read(path).mistakes]
    assert len(told) == len(said), told
    for each, start in zip(told, said, strict=True):
        assert each.startswith(start), told


def test_the_schema_of_a_plan_is_the_programs() -> None:
    written = json.loads((ROOT / "ota/plans/schema.json").read_text("utf-8"))
    made = adapter(Plan).json_schema()
    assert written["properties"] == made["properties"]
    assert written["$defs"] == made["$defs"]


def test_a_plan_that_was_taken_is_read_again_whatever_guardrails_are_judged_now() -> None:
    kept = document(load_plan(ROOT / "ota/plans/careful.yaml"))
    assert remembered(kept | {"guardrails": {"crashes": 0.0}}).guardrails == {"crashes": 0.0}


def test_where_every_stage_is_wrong_the_first_mistake_is_told_and_not_that_none_is_left(
    tmp_path: Path,
) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(
        "id: r1\nmodel: person\nversion: '1'\nstages:\n"
        "  - {name: shadow, mode: shadow, percent: 100, at_least: {hours: -1}}\n"
        "  - {name: all, percent: 100, at_least: {hours: -1}}\n"
    )
    with pytest.raises(UsageError) as refused:
        load_plan(path)
    assert ":5:66: stages[0].at_least.hours: -1 stands here, allowed: " in refused.value.message
    path.write_text("id: r1\nmodel: person\nversion: '1'\nstages: []\n")
    with pytest.raises(UsageError, match=r"stages: \[\] stands here"):
        load_plan(path)
