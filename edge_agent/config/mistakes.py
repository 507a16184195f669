"""What pydantic found becomes sentences: what stands there, what is allowed, what was meant.

Read `agreement.py` next: what no single key can know.
"""

from __future__ import annotations

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from edge_agent.config.keys import allowed_at, choices_at, names_at
from edge_agent.config.wording import did_you_mean, printable, shown
from edge_agent.config.yaml_text import Fault, Marks, Path


def schema_faults(error: ValidationError, data: object, marks: Marks) -> list[Fault]:
    """One fault for each thing that the schema does not allow."""
    return [_fault(details, data, marks) for details in error.errors(include_url=False)]


def _fault(details: ErrorDetails, data: object, marks: Marks) -> Fault:
    path = _path(details)
    match details["type"]:
        case "missing":
            return Fault(path, _missing(path, data), marks.key(path[:-1]))
        case "union_tag_not_found":
            path = (*path, "kind")
            return Fault(path, _missing(path, data), marks.key(path[:-1]))
        case "union_tag_invalid":
            return Fault((*path, "kind"), _unknown_kind(path, data, details["input"]))
        case "extra_forbidden":
            return Fault(path, _unknown_key(path, data), marks.key(path))
        case "value_error":
            place = marks.key(path) if details["loc"][-1:] == ("[key]",) else None
            return Fault(path, str(details["ctx"]["error"]), place)
        case "literal_error":
            hint = did_you_mean(str(details["input"]), choices_at(path, data))
            return Fault(path, _not_allowed(path, data, details["input"]) + hint)
    return Fault(path, _not_allowed(path, data, details["input"]))


def _path(details: ErrorDetails) -> Path:
    """Where it is in the file: pydantic also names the kind of a source and the key's own error."""
    path = details["loc"]
    if path[-1:] == ("[key]",):
        return path[:-1]
    return path[:2] + path[3:] if path[:1] in (("sources",), ("outputs",)) else path


def _missing(path: Path, data: object) -> str:
    if path[-1] == "kind":
        return "missing, allowed: " + " | ".join(choices_at(path[:-1], data))
    return f"missing, allowed: {allowed_at(path, data)}"


def _unknown_kind(path: Path, data: object, source: object) -> str:
    kind = source.get("kind") if isinstance(source, dict) else None
    known = choices_at(path, data)
    if not isinstance(kind, str):
        return f"{shown(kind)} stands here, allowed: {' | '.join(known)}"
    hint = did_you_mean(kind, known)
    return f"kind {printable(kind)}: this version reads {', '.join(known)}{hint}"


def _unknown_key(path: Path, data: object) -> str:
    known = names_at(path[:-1], data)
    return f"unknown key, allowed: {', '.join(known)}{did_you_mean(str(path[-1]), known)}"


def _not_allowed(path: Path, data: object, value: object) -> str:
    return f"{shown(value)} stands here, allowed: {allowed_at(path, data)}"
