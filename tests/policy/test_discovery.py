"""Home Assistant makes the right entities of what it is told, whatever the names are."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.policy.discovery import Discovered, discovery, keys, topic

jinja2 = pytest.importorskip("jinja2.sandbox")

TOPIC = {"type": "string", "pattern": "^[^+#\0]+$"}
TEXT = {"type": "string", "minLength": 1}
#: What Home Assistant's own schema of a device message asks for, in its abbreviations
#: (homeassistant/components/mqtt/schemas.py, discovery.py; unknown keys are an error there, too).
AVAILABILITY = {
    "type": "object",
    "properties": {"t": TOPIC, "val_tpl": TEXT, "pl_avail": TEXT, "pl_not_avail": TEXT},
    "required": ["t"],
    "additionalProperties": False,
}
COMPONENT = {
    "type": "object",
    "oneOf": [
        {
            "properties": {"p": {"enum": ["binary_sensor", "sensor", "update"]}},
            "required": ["p"],
            "additionalProperties": False,
        },
        {
            "properties": {
                "p": {"enum": ["binary_sensor", "sensor"]},
                "uniq_id": {"type": "string", "pattern": "^[A-Za-z0-9_-]+$"},
                "name": TEXT,
                "dev_cla": {"enum": ["problem", "temperature"]},
                "ent_cat": {"enum": ["diagnostic", "config"]},
                "stat_cla": {"enum": ["measurement", "total"]},
                "stat_t": TOPIC,
                "val_tpl": TEXT,
                "json_attr_t": TOPIC,
                "json_attr_tpl": TEXT,
                "unit_of_meas": TEXT,
            },
            "required": ["p", "uniq_id", "stat_t"],
            "additionalProperties": False,
        },
        {
            "properties": {
                "p": {"const": "update"},
                "uniq_id": {"type": "string", "pattern": "^[A-Za-z0-9_-]+$"},
                "name": TEXT,
                "dev_cla": {"const": "firmware"},
                "ent_cat": {"enum": ["diagnostic", "config"]},
                "stat_t": TOPIC,
                "val_tpl": TEXT,
            },
            "required": ["p", "uniq_id", "stat_t"],
            "additionalProperties": False,
        },
    ],
}
#: What it takes as the state of an update entity (homeassistant/components/mqtt/update.py).
UPDATE = {
    "type": "object",
    "properties": {
        "installed_version": {"type": "string"},
        "latest_version": {"type": "string"},
        "title": {"type": "string"},
        "release_summary": {"type": "string", "maxLength": 255},
        "in_progress": {"type": "boolean"},
    },
    "additionalProperties": False,
}
MESSAGE = {
    "type": "object",
    "properties": {
        "dev": {
            "type": "object",
            "properties": {
                "ids": {"type": "array", "items": TEXT, "minItems": 1},
                **dict.fromkeys(("name", "mf", "mdl", "sw", "hw", "sn", "sa", "cu"), TEXT),
            },
            "required": ["ids"],
            "additionalProperties": False,
        },
        "o": {
            "type": "object",
            "properties": {"name": TEXT, "sw": TEXT, "url": TEXT},
            "required": ["name"],
            "additionalProperties": False,
        },
        "cmps": {
            "type": "object",
            "propertyNames": {"pattern": "^[A-Za-z0-9_-]+$"},
            "additionalProperties": COMPONENT,
            "minProperties": 1,
        },
        "avty": {"type": "array", "items": AVAILABILITY},
        "qos": {"enum": [0, 1, 2]},
        "stat_t": TOPIC,
    },
    "required": ["dev", "o", "cmps"],
    "additionalProperties": False,
}
DOCK = Discovered(
    device="dock-07",
    base="edge/v1/dock-07",
    version="0.1.0",
    model="Raspberry Pi 4",
    site="大阪",
    rules=(("庭", "侵入"), ("庭", 'it\'s "open" {{ 7 }}'), ("motor", "worn")),
    pipelines=("庭", "motor"),
)
STATE: dict[str, Any] = {
    "data": {
        "present": {"庭": {"labels": {"人": 2, "犬": 1}, "zones": {}}},
        "open": {"庭": ['it\'s "open" {{ 7 }}']},
    }
}


def shown(component: dict[str, Any], document: dict[str, Any]) -> str:
    """As Home Assistant renders it: a sandboxed Jinja with the message as `value_json`."""
    template = jinja2.SandboxedEnvironment().from_string(component["val_tpl"])
    return str(template.render(value_json=document))


def named(message: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = (each for each in message["cmps"].values() if each.get("name") == name)
    assert isinstance(found, dict)
    return found


def test_the_message_is_one_that_home_assistant_takes() -> None:
    jsonschema.validate(discovery(DOCK), MESSAGE)
    assert topic("homeassistant", "dock-07") == "homeassistant/device/dock-07/config"


def test_entities_show_what_the_retained_topics_say() -> None:
    message = discovery(DOCK)
    assert shown(named(message, "庭: 侵入"), STATE) == "OFF"
    assert shown(named(message, '庭: it\'s "open" {{ 7 }}'), STATE) == "ON"
    assert shown(named(message, "motor: worn"), STATE) == "OFF"
    assert shown(named(message, "庭: in sight"), STATE) == "3"
    assert shown(named(message, "motor: in sight"), STATE) == "0"
    sick = {"data": {"reasons": [{"code": "source_lost"}], "pending": {"depth": 12}}}
    assert shown(named(message, "Problem"), sick) == "ON"
    assert shown(named(message, "Problem"), {"data": {"reasons": []}}) == "OFF"
    assert shown(named(message, "Messages waiting"), sick) == "12"
    (available,) = message["avty"]
    online = jinja2.SandboxedEnvironment().from_string(available["val_tpl"])
    assert online.render(value_json={"data": {"status": "online"}}) == "online"


def test_a_rule_that_is_gone_is_removed_and_the_others_keep_their_identity() -> None:
    before = discovery(DOCK)
    fewer = Discovered(
        "dock-07", DOCK.base, "0.2.0", rules=DOCK.rules[1:], pipelines=DOCK.pipelines
    )
    after = discovery(fewer, gone=keys(before))
    jsonschema.validate(after, MESSAGE)
    removed = {key: each for key, each in after["cmps"].items() if "uniq_id" not in each}
    assert list(removed.values()) == [{"p": "binary_sensor"}]
    for key in keys(after):
        assert after["cmps"][key]["uniq_id"] == before["cmps"][key]["uniq_id"]
    assert not set(removed) & set(keys(after))


def test_a_model_is_an_update_entity_with_what_is_to_come() -> None:
    who = replace(DOCK, models=("yard", "庭\"{{ 7 }}'"))
    message = discovery(who, keys(discovery(DOCK)))
    jsonschema.validate(message, MESSAGE)
    entity = named(message, "Model 庭\"{{ 7 }}'")
    assert (entity["p"], entity["stat_t"]) == ("update", "edge/v1/dock-07/health")
    says = 'rollout r2, stage <b>: the apply window is "closed"'
    models = {"庭\"{{ 7 }}'": {"version": "1", "latest": "2", "busy": False, "says": says}}
    state = json.loads(shown(entity, {"data": {"reasons": [], "models": models}}))
    jsonschema.validate(state, UPDATE)
    assert state == {
        "installed_version": "1", "latest_version": "2", "in_progress": False,
        "title": "庭\"{{ 7 }}'", "release_summary": says,
    }  # fmt: skip
    for nothing in ({}, {"models": {}}):  # of an older agent, or of a moment without it
        assert shown(named(message, "Model yard"), {"data": nothing}) == "{}"


def test_a_policy_is_an_update_entity_also_before_it_is_in_charge() -> None:
    """A model of the same name is another entity."""
    who = replace(DOCK, models=("夜",), policies=("夜",))
    message = discovery(who)
    jsonschema.validate(message, MESSAGE)
    entity, model = named(message, "Policy 夜"), named(message, "Model 夜")
    assert entity["uniq_id"] != model["uniq_id"]
    waits = {"version": None, "latest": "2", "busy": True, "says": "rollout r2, stage all: held"}
    health = {"models": {}, "policies": {"夜": waits}}
    state = json.loads(shown(entity, {"data": health}))
    jsonschema.validate(state, UPDATE)
    assert state == {
        "installed_version": "none", "latest_version": "2", "in_progress": True,
        "title": "夜", "release_summary": "rollout r2, stage all: held",
    }  # fmt: skip
    assert shown(model, {"data": health}) == "{}"
    refused = {"policies": {"夜": {**waits, "latest": None}}}  # and none is in charge
    jsonschema.validate(json.loads(shown(entity, {"data": refused})), UPDATE)
    after = discovery(replace(who, policies=()), gone=keys(message))
    removed = [each for each in after["cmps"].values() if "uniq_id" not in each]
    assert removed == [{"p": "update"}]
    assert named(after, "Model 夜") == model


def test_the_entity_of_a_model_that_is_gone_is_removed() -> None:
    before = discovery(replace(DOCK, models=("yard", "dock")))
    after = discovery(replace(DOCK, models=("dock",)), gone=keys(before))
    jsonschema.validate(after, MESSAGE)
    removed = [each for each in after["cmps"].values() if "uniq_id" not in each]
    assert removed == [{"p": "update"}]
    assert named(after, "Model dock") == named(before, "Model dock")


NAMES = st.text(min_size=1, max_size=64)


@given(st.lists(st.tuples(NAMES, NAMES), max_size=5, unique=True))
@settings(deadline=None, max_examples=60)
def test_any_name_gives_a_template_that_renders(rules: list[tuple[str, str]]) -> None:
    who = Discovered("d", "edge/v1/d", "1", rules=tuple(rules))
    message = discovery(who)
    jsonschema.validate(message, MESSAGE)
    assert len(message["cmps"]) == len(rules) + 2
    state = {"data": {"present": {}, "open": {pipeline: [rule] for pipeline, rule in rules}}}
    for key, each in message["cmps"].items():
        if re.match("binary-sensor_rule", key):
            assert shown(each, state) in ("ON", "OFF")
