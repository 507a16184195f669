"""`edge-agent policies`, `check` and `replay --as-run`: policies by hand, where no agent runs."""

from __future__ import annotations

import json
import shutil
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from policies import Site

from edge_agent.cli import obey
from edge_agent.service.cases import cases
from edge_agent.service.policy_charge import commit

SCENE = "built-in:?seed=11&frames=120"


class Desk:
    """The command line on one site: exit code, stdout and stderr."""

    def __init__(self, site: Site, capsys: pytest.CaptureFixture[str]) -> None:
        self.site = site
        self._capsys = capsys

    def __call__(self, *words: object) -> tuple[int, str, str]:
        place = ("-c", self.site.config, "--state", self.site.state)
        code = obey([str(word) for word in (*words, *place)])
        said = self._capsys.readouterr()
        return code, said.out.replace(f"{self.site.folder}/", ""), said.err

    def document(self, *words: object, schema: str) -> Any:
        code, out, _ = self(*words, "--json")
        assert code == 0
        found = json.loads(out)
        text = (resources.files("edge_agent") / "schemas" / f"{schema}.json").read_text("utf-8")
        jsonschema.validate(found, json.loads(text))
        return found

    @property
    def policies(self) -> list[Any]:
        found: list[Any] = self.document("policies", "list", schema="policies")["policies"]
        return found

    @property
    def history(self) -> list[Any]:
        steps: list[Any] = self.document("models", "list", "--history", schema="audit")["steps"]
        return steps


@pytest.fixture
def edge(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Desk:
    return Desk(Site(tmp_path), capsys)


def test_by_hand_from_a_file_to_charge_and_back(edge: Desk) -> None:
    assert edge("policies", "list")[1] == "no policy is here: the configuration is all there is\n"
    assert edge("policies", "import", edge.site.offered())[0] == 0
    (kept,) = edge.document("policies", "list", schema="policies")["policies"]
    assert (kept["version"], kept["state"], kept["pipelines"]) == ("1", "candidate", ["yard"])
    code, out, _ = edge("policies", "activate", "night")
    assert code == 0
    assert out.splitlines()[0] == "active: policy night 1"
    (active,) = edge.document("policies", "list", schema="policies")["policies"]
    assert active["probation"]["before"] is None
    assert "night   1        active, on probation  yard" in edge("policies", "list")[1]
    assert edge("policies", "show", "night")[1].endswith(edge.site.offered().read_text())
    code, out, _ = edge("policies", "rollback", "night")
    assert code == 0
    assert out.startswith("active: none, policy night is not in charge any more\n")
    assert edge("policies", "rollback", "night")[0] == 2
    assert edge("policies", "activate", "day")[0] == 2


def test_a_held_policy_takes_no_other_version(edge: Desk) -> None:
    assert edge("policies", "hold", "night")[0] == 2  # there is none
    edge("policies", "import", edge.site.offered())
    code, _, err = edge("policies", "hold", "night")
    assert (code, "name a version: edge-agent policies hold night VERSION" in err) == (2, True)
    edge("policies", "activate", "night")
    assert edge("policies", "hold", "night")[1].startswith(
        "held: policy night 1\nnext: edge-agent policies release night "
    )
    edge("policies", "import", edge.site.offered("2"))
    code, _, err = edge("policies", "activate", "night")
    assert code == 4
    assert err.splitlines() == [
        "edge-agent: policy night 2 is not put in charge: version 1 is held",
        "next: edge-agent policies release night",
    ]
    assert "  night is held at 1\n" in edge("policies", "list")[1]
    held = edge.document("policies", "hold", "night", "2", schema="policies")["policies"]
    assert {each["held"] for each in held} == {"2"}
    assert edge("policies", "release", "night")[:2] == (
        0, "released: policy night, it was held at 2\n"
    )  # fmt: skip
    assert edge("policies", "release", "night")[0] == 2
    assert edge("policies", "activate", "night")[0] == 0
    assert [(each["kind"], each["step"]) for each in edge.history][:3] == [
        ("policy", "swapped"), ("policy", "released"), ("policy", "held"),
    ]  # fmt: skip


def test_remove_forgets_one_that_is_not_in_charge(edge: Desk) -> None:
    for version in ("1", "2"):
        edge("policies", "import", edge.site.offered(version))
    edge("policies", "activate", "night", "1")
    for words in (("night",), ("night", "1")):
        code, _, err = edge("policies", "remove", *words)
        assert code == 2
        assert err.splitlines() == [
            "edge-agent: policy night 1 is in charge",
            "next: edge-agent policies rollback night",
        ]
    assert edge("policies", "remove", "night", "2")[:2] == (0, "removed: policy night 2\n")
    assert edge("policies", "remove", "night", "2")[0] == 2
    assert [each["version"] for each in edge.policies] == ["1"]
    edge("policies", "rollback", "night")
    assert edge.site.found().known[edge.site.kept().slot].sent_back
    left = edge.document("policies", "remove", "night", schema="policies")
    assert (left["policies"], edge.site.found().known) == ([], {})
    assert not (edge.site.state / "policies" / "night").exists()
    assert edge("policies", "remove", "night")[0] == 2
    assert [each["step"] for each in edge.history][:3] == ["removed", "rolled_back", "removed"]


def test_one_that_a_probation_goes_back_to_is_not_removed(edge: Desk) -> None:
    edge("policies", "import", edge.site.offered())
    edge("policies", "activate", "night")
    commit("night", {}, edge.site.state, lambda step: None)
    edge("policies", "import", edge.site.offered("2"))
    edge("policies", "activate", "night")
    code, _, err = edge("policies", "remove", "night", "1")
    assert code == 2
    assert "version 1 of policy night comes back if 2 does not prove itself" in err


def test_check_names_what_was_set_by_hand(edge: Desk) -> None:
    edge("policies", "import", edge.site.offered())
    edge("policies", "activate", "night")
    edge.site.local.write_text("pipelines: {yard: {gate: {max_fps: 2}}}\n")

    def said(*words: str) -> str:
        """Without spaces, for lines are wrapped, and without the folder, which has any length."""
        return "".join(edge(*words)[1].split()).replace(f"{edge.site.config.parent}/", "")

    out = said("check")
    assert "policynight1(state/policies/night/1-" in out
    by_hand = "byhandpipelines.yard.gate.max_fps:2(config.local.yaml:1)insteadof5(state/pol"
    assert by_hand in out
    found = edge.document("check", schema="check")
    assert found["policies"][0]["name"] == "night"
    assert found["overridden"][0]["instead_of"] == "5"
    assert by_hand in said("ota", "status")
    assert edge.document("ota", "status", schema="ota-status")["overridden"] == found["overridden"]


def test_a_policy_with_a_mistake_is_not_kept(edge: Desk) -> None:
    code, _, err = edge("policies", "import", edge.site.offered("1", ("label", "lable")))
    assert code == 2
    assert "1.yaml:7:22: pipelines.yard.rules[0].lable: unknown key" in err
    assert not edge.site.state.exists()


def test_a_raised_threshold_that_loses_a_pinned_case_is_refused(edge: Desk) -> None:
    edge.site.config.write_text(
        edge.site.config.read_text().replace(
            "priority: alert}", "priority: alert, evidence: [{clip: {pre_s: 3, post_s: 2}}]}"
        )
    )
    code, out, _ = edge("replay", SCENE, "--store", edge.site.state)
    event = next(each for each in map(json.loads, out.splitlines()) if each["rule"] == "seen")
    assert edge("events", "pin", event["id"], "--name", "person-at-gate")[0] == 0
    assert len(cases(edge.site.state)) == 1
    same = ("zone: gate, min_score: 0.4", "min_score: 0.3, confirm: [2, 3]")
    edge("policies", "import", edge.site.offered("1", same))
    assert edge("policies", "activate", "night")[0] == 0
    raised = edge.site.offered("2", ("zone: gate, min_score: 0.4", "min_score: 1"))
    edge("policies", "import", raised)
    code, _, err = edge("policies", "activate", "night")
    assert code == 4
    assert "case person-at-gate: lost seen (person)" in err
    assert edge("regress", "--policy", raised)[0] == 4
    assert edge("regress")[0] == 0
    (active, waits) = edge.document("policies", "list", schema="policies")["policies"]
    assert (active["state"], active["version"]) == ("active", "1")
    assert (waits["state"], waits["version"]) == ("candidate", "2")


def test_replay_goes_by_the_file_alone_unless_asked(edge: Desk) -> None:
    alone = edge("replay", SCENE)[1]
    edge("policies", "import", edge.site.offered())
    edge("policies", "activate", "night")
    edge.site.local.write_text("pipelines: {yard: {rules: [{name: seen, priority: notice}]}}\n")
    assert edge("replay", SCENE)[1] == alone
    as_run = [json.loads(line) for line in edge("replay", SCENE, "--as-run")[1].splitlines()]
    assert {(each["rule"], each["priority"]) for each in as_run} == {("seen", "notice")}
    assert "any" in {json.loads(line)["rule"] for line in alone.splitlines()}
    assert as_run[0]["config_sha256"] not in alone
    shutil.rmtree(edge.site.state / "policies")
    edge.site.local.unlink()
    assert edge("replay", SCENE, "--as-run")[1] == alone
