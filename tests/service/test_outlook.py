"""What people are told of each model: what runs, what is to come, and why it waits."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import yard

from edge_agent.service.outlook import (
    SHORT,
    AtWork,
    Compared,
    Ordered,
    lines,
    ota_document,
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
    document = ota_document(found, tmp_path, None)
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
    document = ota_document(found, tmp_path, None)
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
    document = ota_document(found, tmp_path, None)
    valid(document, "status", "ota")
    (line,) = lines("yard", document["models"]["yard"])
    assert line == "yard 2 is a candidate, 12 of 30 frames compared"
    assert stored_views(tmp_path)["yard"].version == "1"


def test_a_probation_says_what_it_still_wants(tmp_path: Path) -> None:
    yard.installed(tmp_path, "0", "1")
    yard.on_probation(tmp_path, "1")
    work = AtWork({}, {"yard": "60 s to go"})
    document = ota_document(views(tmp_path, {"yard": "1"}, work), tmp_path, None)
    valid(document, "status", "ota")
    (line,) = lines("yard", document["models"]["yard"])
    assert line == ("yard 1 on probation, 60 s to go; else back to 0")
