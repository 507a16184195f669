"""A rule's `evidence`: which files are kept with an event."""

from __future__ import annotations

from typing import Annotated

from edge_agent.config.annotations import after, allowed, instead
from edge_agent.config.values import is_number
from edge_agent.config.wording import did_you_mean, shown
from edge_agent.pipeline.rulespec import Clip

KINDS = ("snapshot", "window", "clip")
ALLOWED = "snapshot | window | {clip: {pre_s: 5, post_s: 5, max_mb: 16}}"
#: What a board can hold of the seconds before an event, and of what follows it.
LONGEST_S = 120.0
LARGEST_MB = 256.0


def _entry(entry: object) -> str | Clip:
    if isinstance(entry, Clip) or entry in ("snapshot", "window"):
        return entry
    if entry == "clip":
        return Clip()
    if isinstance(entry, dict) and list(entry) == ["clip"]:
        return _clip(entry["clip"])
    hint = did_you_mean(entry, KINDS) if isinstance(entry, str) else ""
    raise ValueError(f"{shown(entry)} stands here{hint}, allowed: {ALLOWED}")


def _clip(value: object) -> Clip:
    keys = ("pre_s", "post_s", "max_mb")
    if not isinstance(value, dict):
        raise ValueError(
            f"{shown(value)} stands at clip, allowed: a mapping with {', '.join(keys)}"
        )
    for key, number in value.items():
        if key not in keys:
            hint = did_you_mean(key, keys) if isinstance(key, str) else ""
            raise ValueError(f"unknown key {shown(key)} at clip{hint}, allowed: {', '.join(keys)}")
        least, most = (0.1, LARGEST_MB) if key == "max_mb" else (0.0, LONGEST_S)
        if not is_number(number) or not least <= number <= most:
            raise ValueError(f"{shown(number)} stands at {key}, allowed: {least:g} to {most:g}")
    clip = Clip(**{str(key): float(number) for key, number in value.items()})
    if clip.pre_s + clip.post_s == 0:
        raise ValueError("a clip of no length, allowed: pre_s or post_s above 0")
    return clip


def _once_each(evidence: tuple[str | Clip, ...]) -> tuple[str | Clip, ...]:
    kinds = ["clip" if isinstance(entry, Clip) else entry for entry in evidence]
    for kind in kinds:
        if kinds.count(kind) > 1:
            raise ValueError(f"{kind} stands here twice")
    return evidence


Kind = Annotated[str | Clip, instead(_entry), allowed(ALLOWED)]
Evidence = Annotated[tuple[Kind, ...], after(_once_each)]
