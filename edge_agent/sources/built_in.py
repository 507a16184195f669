"""The uris of what is built in, scene and machine: `built-in:?seed=7&fps=10`.

Every key is a setting with a range of its own, and may be missing. Read `scene.py` and `machine.py`
next.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias
from urllib.parse import parse_qsl

from edge_agent.errors import UsageError
from edge_agent.frozen import frozen

SCHEME = "built-in:"

#: What a setting's text means. Raises ValueError where it means nothing.
Reading: TypeAlias = Callable[[str], Any]


@frozen
class Settings:
    """What one built-in thing can be told."""

    thing: str  # "scene"
    allowed: str  # for people, with an example
    readings: Mapping[str, Reading]

    def of(self, uri: str) -> dict[str, Any]:
        """The settings that stand in the uri. Raises UsageError for anything else."""
        rest = uri.removeprefix(SCHEME)
        if rest == uri or (rest and not rest.startswith("?")):
            raise UsageError(
                f"{uri!r} is no built-in {self.thing}", f"write {SCHEME} and {self.allowed}"
            )
        stated = parse_qsl(rest[1:], keep_blank_values=True)
        return {key: self._read(uri, key, value) for key, value in stated}

    def _read(self, uri: str, key: str, value: str) -> Any:
        if key not in self.readings:
            raise UsageError(
                f"{uri}: the built-in {self.thing} has no setting {key!r}", f"use {self.allowed}"
            )
        try:
            return self.readings[key](value)
        except ValueError:
            raise UsageError(
                f"{uri}: {value!r} is no value for {key}", f"use {self.allowed}"
            ) from None


def whole(low: float, high: float) -> Reading:
    """A whole number from `low` to `high`."""
    return lambda text: _within(int(text), low, high)


def number(low: float, high: float) -> Reading:
    """Any number from `low` to `high`."""
    return lambda text: _within(float(text), low, high)


def _within(found: float, low: float, high: float) -> float:
    if not low <= found <= high:
        raise ValueError(found)
    return found
