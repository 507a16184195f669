"""`mqtt.commands`: which commands may come by MQTT, and whether a picture may leave with one."""

from __future__ import annotations

from typing import Annotated

from edge_agent.config.annotations import allowed, instead
from edge_agent.config.wording import did_you_mean, shown
from edge_agent.frozen import frozen
from edge_agent.policy.commands import NAMES

ALLOWED = f"a list of {', '.join(NAMES)}, or {{snapshot: {{publish: true}}}}"


@frozen
class Allowed:
    """Names, and whether `snapshot` may publish its picture."""

    names: tuple[str, ...] = ()
    publish: bool = False


def _commands(value: object) -> Allowed:
    if not isinstance(value, list | tuple):
        raise ValueError(f"{shown(value)} stands here, allowed: {ALLOWED}")
    names: list[str] = []
    publish = False
    for entry in value:
        name = entry
        if isinstance(entry, dict) and list(entry) == ["snapshot"]:
            name, publish = "snapshot", _publish(entry["snapshot"])
        if name not in NAMES:
            hint = did_you_mean(name, NAMES) if isinstance(name, str) else ""
            raise ValueError(f"{shown(entry)} is no command{hint}, allowed: {ALLOWED}")
        if name in names:
            raise ValueError(f"{name} stands here twice")
        names.append(name)
    return Allowed(tuple(names), publish)


def _publish(value: object) -> bool:
    if isinstance(value, dict) and list(value) == ["publish"]:
        found = value["publish"]
        if isinstance(found, bool):
            return found
    raise ValueError(f"{shown(value)} stands at snapshot, allowed: {{publish: true}}")


Commands = Annotated[Allowed, instead(_commands), allowed(ALLOWED, "array")]
