"""What Home Assistant is told of this device: one message, from which it makes its entities.

Pure. The format is Home Assistant's device discovery
(https://www.home-assistant.io/integrations/mqtt/#device-discovery-payload): a retained message on
`<prefix>/device/<device id>/config` with the device, who speaks, and all of its components.

Rules: an entity's `unique_id` is made of names, so it survives restarts and updates. A component
that is gone is named once more with its platform alone, which makes Home Assistant remove it. What
the entities show stands in our own retained topics, inside the envelope, and is picked by template.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import field
from typing import Any

from edge_agent.frozen import frozen

#: Home Assistant says `online` here when it has started, and wants everything again.
BIRTH = "status"
#: Shown as the maker of the software.
ORIGIN = "edge-agent"


@frozen
class Discovered:
    """Who is discovered. `base`: edge/v1/<device id>; `rules`: pairs of pipeline and rule."""

    device: str
    base: str
    version: str
    model: str = ""  # of the board
    site: str | None = None
    rules: tuple[tuple[str, str], ...] = ()
    pipelines: tuple[str, ...] = field(default=())
    models: tuple[str, ...] = ()
    policies: tuple[str, ...] = ()


def topic(prefix: str, device: str) -> str:
    return f"{prefix}/device/{device}/config"


def discovery(who: Discovered, gone: Iterable[str] = ()) -> dict[str, Any]:
    """The message. `gone`: component keys of earlier messages that are no longer there."""
    components = _components(who)
    for key in sorted(set(gone) - set(components)):
        components[key] = {"p": key.split("_", 1)[0].replace("-", "_")}
    device: dict[str, Any] = {
        "ids": [f"edge_agent_{who.device}"],
        "name": who.device,
        "mf": ORIGIN,
        "mdl": who.model or "edge device",
        "sw": who.version,
    }
    if who.site is not None:
        device["sa"] = who.site
    return {
        "dev": device,
        "o": {"name": ORIGIN, "sw": who.version},
        "cmps": components,
        "avty": [{"t": f"{who.base}/status", "val_tpl": "{{ value_json.data.status }}"}],
        "qos": 1,
    }


def keys(message: Mapping[str, Any]) -> tuple[str, ...]:
    """The components of a message that are there, to be told as `gone` when they are not."""
    return tuple(key for key, each in message["cmps"].items() if "uniq_id" in each)


def _components(who: Discovered) -> dict[str, dict[str, Any]]:
    state, health = f"{who.base}/state", f"{who.base}/health"
    found = {
        _key("binary-sensor", "problem"): {
            "p": "binary_sensor",
            "name": "Problem",
            "dev_cla": "problem",
            "ent_cat": "diagnostic",
            "stat_t": health,
            "val_tpl": "{{ 'ON' if value_json.data.reasons else 'OFF' }}",
            "json_attr_t": health,
            "json_attr_tpl": "{{ {'reasons': value_json.data.reasons} | tojson }}",
        },
        _key("sensor", "queue"): {
            "p": "sensor",
            "name": "Messages waiting",
            "ent_cat": "diagnostic",
            "stat_cla": "measurement",
            "stat_t": health,
            "val_tpl": "{{ value_json.data.pending.depth }}",
        },
    }
    for pipeline in who.pipelines:
        found[_key("sensor", "present", pipeline)] = {
            "p": "sensor",
            "name": f"{pipeline}: in sight",
            "stat_cla": "measurement",
            "stat_t": state,
            "val_tpl": (
                "{{ value_json.data.present.get(" + _quoted(pipeline) + ", {}).get('labels', {})"
                ".values() | sum }}"
            ),
        }
    for pipeline, rule in who.rules:
        found[_key("binary-sensor", "rule", pipeline, rule)] = {
            "p": "binary_sensor",
            "name": rule if len(who.pipelines) < 2 else f"{pipeline}: {rule}",
            "stat_t": state,
            "val_tpl": (
                "{{ 'ON' if " + _quoted(rule) + " in value_json.data.open.get("
                "" + _quoted(pipeline) + ", []) else 'OFF' }}"
            ),
        }
    for model in who.models:
        found[_key("update", "model", model)] = _update("Model", "models", model, health)
    for policy in who.policies:
        found[_key("update", "policy", policy)] = _update("Policy", "policies", policy, health)
    for key, each in found.items():
        each["uniq_id"] = f"edge_agent_{who.device}_{key}"
    return found


def _update(what: str, where: str, name: str, health: str) -> dict[str, Any]:
    """One that only shows: without a command topic there is no button. Home Assistant takes what
    the template gives as JSON, and nothing of an empty object; and no version but a text."""
    shows = (
        "'installed_version': m.version or 'none', 'latest_version': m.latest or 'none', "
        f"'in_progress': m.busy, 'title': {_quoted(name)}, 'release_summary': m.says"
    )
    return {
        "p": "update",
        "name": f"{what} {name}",
        "ent_cat": "diagnostic",
        "stat_t": health,
        "val_tpl": (
            f"{{% set m = (value_json.data.{where} or {{}}).get(" + _quoted(name) + ") %}"
            "{{ ({" + shows + "} if m else {}) | tojson }}"
        ),
    }


def _key(platform: str, *names: str) -> str:
    """Of letters, digits and hyphens, whatever the names are; it begins with the platform."""
    text = hashlib.sha256(json.dumps(names, ensure_ascii=True).encode()).hexdigest()[:12]
    return f"{platform}_{names[0]}_{text}"


def _quoted(name: str) -> str:
    """A string of a Jinja template: those of JSON in ASCII are the same."""
    return json.dumps(name, ensure_ascii=True)
