"""Looking into the plain values of a file, of which any may be missing or of another kind.

Rule: nothing here raises. What the schema refuses is as good as not there: it says so itself. Read
`agreement.py` next.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from edge_agent.config.wording import did_you_mean, listed, quoted
from edge_agent.config.yaml_text import Fault, Path


def mapping(value: object, key: str) -> dict[str, Any]:
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, dict) else {}


def items(value: object, key: str) -> list[Any]:
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, list) else []


def text(value: object, key: str) -> str | None:
    """A name, as the schema will read it: a whole number is its digits."""
    found = value.get(key) if isinstance(value, dict) else None
    if isinstance(found, int) and not isinstance(found, bool):
        return str(found)
    return found if isinstance(found, str) else None


def unknown(part: object, path: Path, key: str, known: Iterable[str]) -> Iterator[Fault]:
    """A name that refers to nothing."""
    name, names = text(part, key), tuple(known)
    if name is not None and name not in names:
        there = f"allowed: {listed(names)}" if names else "there are none"
        hint = did_you_mean(name, names)
        yield Fault((*path, key), f"there is no {key} {quoted(name)}, {there}{hint}")
