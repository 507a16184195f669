"""What pydantic found becomes sentences: what stands there, what is allowed, what was meant.

Read `agreement.py` next: what no single key can know.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_agent.config.keys import allowed_at, choices_at, names_at
from edge_agent.config.part import Invalid, Part
from edge_agent.config.schema import Config
from edge_agent.config.wording import did_you_mean, printable, shown
from edge_agent.config.yaml_text import Fault, Marks, Path
from edge_agent.frozen import frozen

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails


def schema_faults(
    error: Invalid, data: object, marks: Marks, model: type[Part] = Config
) -> list[Fault]:
    """One fault for each thing that the schema of `model` does not allow."""
    read = _Read(data, marks, model)
    found = error.errors
    return [_fault(details, read) for details in found if not _is_empty_by_faults(details, found)]


def _is_empty_by_faults(details: ErrorDetails, found: list[ErrorDetails]) -> bool:
    """What pydantic calls too short because each of its items is wrong: these are the mistakes."""
    place = details["loc"]
    if details["type"] != "too_short":
        return False
    return any(other["loc"][: len(place)] == place != other["loc"] for other in found)


@frozen
class _Read:
    """What stands in the file, and what may."""

    data: object
    marks: Marks
    model: type[Part]

    def names(self, path: Path) -> tuple[str, ...]:
        return names_at(path, self.data, self.model)

    def choices(self, path: Path) -> tuple[str, ...]:
        return choices_at(path, self.data, self.model)

    def allowed(self, path: Path) -> str:
        return allowed_at(path, self.data, self.model)


def _fault(details: ErrorDetails, read: _Read) -> Fault:
    path = _path(details)
    match details["type"]:
        case "missing":
            return Fault(path, _missing(path, read), read.marks.key(path[:-1]))
        case "union_tag_not_found":
            path = (*path, "kind")
            return Fault(path, _missing(path, read), read.marks.key(path[:-1]))
        case "union_tag_invalid":
            return Fault((*path, "kind"), _unknown_kind(path, read, details["input"]))
        case "extra_forbidden":
            return Fault(path, _unknown_key(path, read), read.marks.key(path))
        case "value_error":
            place = read.marks.key(path) if details["loc"][-1:] == ("[key]",) else None
            return Fault(path, str(details["ctx"]["error"]), place)
        case "literal_error":
            hint = did_you_mean(str(details["input"]), read.choices(path))
            return Fault(path, _not_allowed(path, read, details["input"]) + hint)
    return Fault(path, _not_allowed(path, read, details["input"]))


def _path(details: ErrorDetails) -> Path:
    """Where it is in the file: pydantic also names the kind of a source and the key's own error."""
    path = details["loc"]
    if path[-1:] == ("[key]",):
        return path[:-1]
    return path[:2] + path[3:] if path[:1] in (("sources",), ("outputs",)) else path


def _missing(path: Path, read: _Read) -> str:
    if path[-1] == "kind":
        return "missing, allowed: " + " | ".join(read.choices(path[:-1]))
    return f"missing, allowed: {read.allowed(path)}"


def _unknown_kind(path: Path, read: _Read, source: object) -> str:
    kind = source.get("kind") if isinstance(source, dict) else None
    known = read.choices(path)
    if not isinstance(kind, str):
        return f"{shown(kind)} stands here, allowed: {' | '.join(known)}"
    hint = did_you_mean(kind, known)
    return f"kind {printable(kind)}: this version reads {', '.join(known)}{hint}"


def _unknown_key(path: Path, read: _Read) -> str:
    known = read.names(path[:-1])
    return f"unknown key, allowed: {', '.join(known)}{did_you_mean(str(path[-1]), known)}"


def _not_allowed(path: Path, read: _Read, value: object) -> str:
    return f"{shown(value)} stands here, allowed: {read.allowed(path)}"
