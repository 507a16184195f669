"""What rules say of outputs: names that exist, and a name of a rule that is the camera's own.

Rules: as in `agreement.py`, works on the plain values, and says nothing of what the schema refuses.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from edge_agent.config.lookup import items, text, unknown
from edge_agent.config.yaml_text import Fault, Path
from edge_agent.pipeline.camera_events import RULE


def output_faults(pipeline: object, outputs: dict[str, Any], path: Path) -> Iterator[Fault]:
    """Outputs that are not there; a rule that would be mistaken for the health of the camera."""
    if not isinstance(pipeline, dict):
        return
    for key in ("defaults", "camera_health"):
        yield from unknown(pipeline.get(key), (*path, key), "output", outputs)
    watched = pipeline.get("camera_health") not in (None, False)
    for index, rule in enumerate(items(pipeline, "rules")):
        here: Path = (*path, "rules", index)
        yield from unknown(rule, here, "output", outputs)
        if watched and text(rule, "name") == RULE:
            yield Fault((*here, "name"), f"{RULE} is the name of camera_health's own events")
