"""What people are told of each model and policy: what runs, what is to come, and why it waits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import yard
from policies import Site

from edge_agent.bundles import slots
from edge_agent.bundles.slots import POLICIES
from edge_agent.policy.slots import Hold, Probation
from edge_agent.service.outlook import (
    SHORT,
    AtWork,
    Compared,
    Ordered,
    Views,
    lines,
    ota_document,
    policy_views,
    stored_views,
    told,
    views,
)

SCHEMAS = Path(__file__).parents[2] / "edge_agent" / "schemas"
RUNNING = {"yard": "1", "dock": "7"}
WAITS = Ordered("r2", "2", "canary", "the apply window is closed")


def valid(document: object, schema: str, *keys: str) -> None:
    part = json.loads((SCHEMAS / f"{schema}.json").read_text())
    for key in keys:
        part = part["properties"][key]
    jsonschema.validate(document, part)


def test_a_model_that_only_runs_says_nothing(tmp_path: Path) -> None:
    found = views(tmp_path, RUNNING)
    assert told(found)["dock"] == {"version": "7", "latest": "7", "busy": False, "says": ""}
    document = ota_document(Views(found, {}), tmp_path, None)
    valid(document, "status", "ota")
    assert list(lines("dock", document["models"]["dock"])) == []


def test_an_order_that_waits_says_why_and_what_is_to_come(tmp_path: Path) -> None:
    found = views(tmp_path, RUNNING, AtWork({"yard": WAITS}, {}))
    health = told(found)
    valid(health, "mqtt-health", "data", "models")
    assert health["yard"] == {
        "version": "1", "latest": "2", "busy": False,
        "says": "rollout r2, stage canary: the apply window is closed",
    }  # fmt: skip
    document = ota_document(Views(found, {}), tmp_path, None)
    valid(document, "status", "ota")
    (line,) = lines("yard", document["models"]["yard"])
    assert line == "yard 2 is ordered by rollout r2, stage canary: the apply window is closed"


def test_what_does_not_come_is_no_newer_version(tmp_path: Path) -> None:
    refused = Ordered("r2", "2", "canary", "refused here: " + "x" * 500, comes=False)
    health = told(views(tmp_path, RUNNING, AtWork({"yard": refused}, {})))
    valid(health, "mqtt-health", "data", "models")
    assert health["yard"]["latest"] == "1"
    assert len(health["yard"]["says"]) == SHORT


def test_a_candidate_in_the_shadow_is_busy_and_counted(tmp_path: Path) -> None:
    yard.installed(tmp_path, "1", "2")
    found = views(tmp_path, {"yard": "1"}, AtWork({}, {}, compared=Compared("yard", 12, 30)))
    assert (found["yard"].latest, found["yard"].busy) == ("2", True)
    document = ota_document(Views(found, {}), tmp_path, None)
    valid(document, "status", "ota")
    (line,) = lines("yard", document["models"]["yard"])
    assert line == "yard 2 is a candidate, 12 of 30 frames compared"
    hot = AtWork({}, {}, compared=Compared("yard", 12, 30, "the board is hot"))
    document = ota_document(Views(views(tmp_path, {"yard": "1"}, hot), {}), tmp_path, None)
    valid(document, "status", "ota")
    (line,) = lines("yard", document["models"]["yard"])
    assert line == "yard 2 is a candidate, 12 of 30 frames compared: the board is hot"
    assert stored_views(tmp_path).models["yard"].version == "1"


def test_a_probation_says_what_it_still_wants(tmp_path: Path) -> None:
    yard.installed(tmp_path, "0", "1")
    yard.on_probation(tmp_path, "1")
    work = AtWork({}, {"yard": "60 s to go"})
    found = Views(views(tmp_path, {"yard": "1"}, work), {})
    document = ota_document(found, tmp_path, None)
    valid(document, "status", "ota")
    (line,) = lines("yard", document["models"]["yard"])
    assert line == ("yard 1 on probation, 60 s to go; else back to 0")


# --- policies -------------------------------------------------------------------------------------


def document_of(found: dict[str, Any], state: Path) -> dict[str, Any]:
    document = ota_document(Views({}, found), state, None)
    valid(document, "status", "ota")
    valid(told(found), "mqtt-health", "data", "policies")
    policies: dict[str, Any] = document["policies"]
    return policies


def test_a_policy_is_told_as_soon_as_it_is_ordered(tmp_path: Path) -> None:
    found = policy_views(tmp_path, {}, AtWork({"night": WAITS}, {}))
    assert told(found)["night"] == {
        "version": None, "latest": "2", "busy": False,
        "says": "rollout r2, stage canary: the apply window is closed",
    }  # fmt: skip
    (line,) = lines("night", document_of(found, tmp_path)["night"])
    assert line == "night 2 is ordered by rollout r2, stage canary: the apply window is closed"
    refused = Ordered("r2", "2", "canary", "refused here: no zone", comes=False)
    found = policy_views(tmp_path, {}, AtWork({"night": refused}, {}))
    assert told(found)["night"]["latest"] is None
    document_of(found, tmp_path)


def test_of_a_first_policy_on_probation_nothing_but_the_configuration_comes_back(
    tmp_path: Path,
) -> None:
    site = Site(tmp_path)
    slot = site.kept().slot
    assert document_of(policy_views(site.state, {}), site.state)["night"]["candidate"] == "1"
    probation = Probation(None, 1.0)
    slots.change(site.state, "night", lambda each: each.with_active(slot, 1.0, probation), POLICIES)
    found = policy_views(site.state, {"night": "1"}, AtWork({}, {"night": "60 s to go"}))
    document = document_of(found, site.state)
    assert document["night"]["probation"] == {
        "before": None, "rollout": None, "to_go": "60 s to go"
    }  # fmt: skip
    (line,) = lines("night", document["night"])
    assert line == "night 1 on probation, 60 s to go; else back to the configuration alone"
    assert told(found)["night"]["says"] == "on probation, else back to the configuration alone"
    assert stored_views(site.state).policies["night"].version == "1"
    # A start has left it out: nobody watches it, and what the slots say is not at work.
    assert policy_views(site.state, {}) == {}


def test_a_second_policy_says_which_one_comes_back_and_one_that_went_back_is_gone(
    tmp_path: Path,
) -> None:
    site = Site(tmp_path)
    first, second = site.kept("1").slot, site.kept("2").slot

    def change(by: Any) -> None:
        slots.change(site.state, "night", by, POLICIES)

    change(lambda each: each.with_active(first, 1.0, None))
    change(lambda each: each.with_active(second, 2.0, Probation(first, 2.0)))
    found = policy_views(site.state, {"night": "2"})
    assert document_of(found, site.state)["night"]["probation"]["before"] == "1"
    change(lambda each: each.with_sent_back().with_back(None, 3.0))
    change(lambda each: each.with_hold(Hold("1", 1.0, "cli")))
    assert policy_views(site.state, {}) == {}
    assert stored_views(site.state).policies == {}
