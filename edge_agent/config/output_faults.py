"""What rules say of outputs: names that exist, and a name of a rule that is the camera's own.

Rules: as in `agreement.py`, works on the plain values, and says nothing of what the schema refuses.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from edge_agent.config.wording import did_you_mean, listed, quoted
from edge_agent.config.yaml_text import Fault, Path
from edge_agent.pipeline.camera import RULE


def output_faults(pipeline: object, outputs: dict[str, Any], path: Path) -> Iterator[Fault]:
    """Outputs that are not there; a rule that would be mistaken for the health of the camera."""
    if not isinstance(pipeline, dict):
        return
    for key in ("defaults", "camera_health"):
        yield from _unknown(pipeline.get(key), outputs, (*path, key))
    rules = pipeline.get("rules")
    watched = pipeline.get("camera_health") not in (None, False)
    for index, rule in enumerate(rules if isinstance(rules, list) else ()):
        here: Path = (*path, "rules", index)
        yield from _unknown(rule, outputs, here)
        if watched and isinstance(rule, dict) and rule.get("name") == RULE:
            yield Fault((*here, "name"), f"{RULE} is the name of camera_health's own events")


def _unknown(part: object, outputs: dict[str, Any], path: Path) -> Iterator[Fault]:
    name = part.get("output") if isinstance(part, dict) else None
    if isinstance(name, int) and not isinstance(name, bool):
        name = str(name)
    if isinstance(name, str) and name not in outputs:
        there = f"allowed: {listed(tuple(outputs))}" if outputs else "there are none"
        hint = did_you_mean(name, tuple(outputs))
        yield Fault((*path, "output"), f"there is no output {quoted(name)}, {there}{hint}")
