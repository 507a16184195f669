"""What a signal cannot have: nothing in it moves, has a place in a picture, or is one.

Rules: as in `agreement.py`, works on the plain values, and says nothing of what the schema refuses.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from edge_agent.config.lookup import items, mapping, text
from edge_agent.config.signal_uri import FILES
from edge_agent.config.yaml_text import Fault, Path

#: Keys of a pipeline that mean places or things in a picture.
_PICTURES = ("masks", "zones", "lines")


def source_faults(source: object, path: Path) -> Iterator[Fault]:
    """Keys of a signal that its kind has no use for."""
    if not isinstance(source, dict) or source.get("kind") != "signal":
        return
    kind = str(source.get("uri", "")).partition(":")[0]
    if source.get("loop") is True and kind not in FILES:
        yield Fault((*path, "loop"), "only a file begins again, allowed with csv: and wav:")
    for key in ("username", "password"):
        if source.get(key) is not None and kind != "mqtt":
            yield Fault((*path, key), f"{key} is a broker's, allowed with mqtt:")
    named = source.get("username") is not None or "@" in str(source.get("uri", ""))
    if source.get("password") is not None and not named:
        yield Fault((*path, "password"), "password without username, allowed: both or neither")


def pipeline_faults(pipeline: object, sources: dict[str, Any], path: Path) -> Iterator[Fault]:
    """Keys that a pipeline of a signal cannot have, and evidence that its source cannot give."""
    if not isinstance(pipeline, dict):
        return
    source = mapping(sources, text(pipeline, "source") or "")
    if not source:
        return
    signal = source.get("kind") == "signal"
    yield from _evidence_faults(pipeline, path, signal=signal)
    if not signal:
        return
    for key in ("motion", "stationary"):
        if mapping(pipeline, "gate").get(key) not in (None, False):
            message = f"nothing in a signal moves, allowed: {key}: false, or no such key"
            yield Fault((*path, "gate", key), message)
    for key in _PICTURES:
        if pipeline.get(key):
            message = f"a signal is no picture that could have {key}, allowed: none"
            yield Fault((*path, key), message)
    if pipeline.get("camera_health") not in (None, False):
        yield Fault((*path, "camera_health"), "a signal is no camera, allowed: false")


def _evidence_faults(pipeline: dict[str, Any], path: Path, *, signal: bool) -> Iterator[Fault]:
    wrong, right = ("snapshot", "window") if signal else ("window", "snapshot")
    what = "a signal" if signal else "a picture"
    parts: list[tuple[Path, Any]] = [(("defaults",), pipeline.get("defaults"))]
    parts += [(("rules", index), rule) for index, rule in enumerate(items(pipeline, "rules"))]
    for place, part in parts:
        for index, kind in enumerate(items(part, "evidence")):
            if kind == wrong:
                message = f"there is no {wrong} of {what}, allowed: {right}"
                yield Fault((*path, *place, "evidence", index), message)
