"""What this device has found out about candidates, kept: refused, how the shadow went, and which
one was in the shadow when the agent ended.

`ota/verdicts.json` of the state directory. It keeps a device from trying again what it has refused
already; it never puts anything in charge. Damaged or gone, things are tried once more.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from edge_agent.bundles import slots
from edge_agent.bundles.folders import version_of
from edge_agent.policy.documents import dump
from edge_agent.service.install import sha256_in
from edge_agent.store.disk import store_file

FILE = "ota/verdicts.json"
#: The oldest are forgotten first.
MOST = 64
_Value = TypeVar("_Value")


class Verdicts:
    """By `key`; of ends in the shadow by the sha256 alone. One thread uses it."""

    def __init__(self, state: Path) -> None:
        self._path = state / FILE
        kept = _read(self._path)
        self._refused: dict[str, str] = _texts(kept.get("refused"))
        self._shadows: dict[str, dict[str, Any]] = _documents(kept.get("shadows"))
        self._cut: dict[str, int] = _counts(kept.get("cut"))
        self._in_shadow = ""  # of this process
        if isinstance(left := kept.get("in_shadow"), str) and left:
            self._cut = _newest(self._cut | {left: self._cut.get(left, 0) + 1})

    @property
    def refused(self) -> Mapping[str, str]:
        """Why, by what."""
        return self._refused

    @property
    def shadows(self) -> Mapping[str, Mapping[str, Any]]:
        """`shadow/1` of each candidate whose shadow has ended."""
        return self._shadows

    def refuse(self, about: str, reason: str) -> None:
        """Raises EdgeError where the disk takes nothing."""
        self._refused = _newest(self._refused | {about: reason})
        self._write()

    def shadowed(self, about: str, document: dict[str, Any]) -> None:
        """Raises EdgeError where the disk takes nothing."""
        self._shadows = _newest(self._shadows | {about: document})
        self._write()

    def cut_short(self, sha256: str) -> int:
        """How often the agent ended, unasked, while that was in the shadow."""
        return self._cut.get(sha256, 0)

    def shadow_begins(self, sha256: str) -> None:
        """What ends the agent from now on may be its doing. Raises EdgeError where the disk takes
        nothing: then it must not begin."""
        if self._in_shadow != sha256:
            self._in_shadow = sha256
            self._write()

    def shadow_is_over(self) -> None:
        """It ended as it should, whatever came of it. Raises as `shadow_begins`."""
        if self._in_shadow:
            self._in_shadow = ""
            self._write()

    def _write(self) -> None:
        document = {
            "schema": "verdicts/1",
            "refused": self._refused,
            "shadows": self._shadows,
            "cut": self._cut,
            "in_shadow": self._in_shadow,
        }
        store_file(self._path, f"{dump(document)}\n".encode())


def key(sha256: str, version: str) -> str:
    """A version may come with the model file of another and only other labels or scores."""
    return f"{sha256} {version}"


def shadow_of(state: Path, name: str) -> Mapping[str, Any] | None:
    """How the shadow of a model's candidate went, for people; None: it has none, or it goes on."""
    slot = slots.read_slots(state, name).candidate
    if slot is None:
        return None
    sha256 = sha256_in(slots.models_folder(state) / name / slot)
    return Verdicts(state).shadows.get(key(sha256, version_of(slot)))


def _newest(found: dict[str, _Value]) -> dict[str, _Value]:
    return dict(list(found.items())[-MOST:])


def _read(path: Path) -> dict[str, Any]:
    try:
        kept = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return kept if isinstance(kept, dict) else {}


def _texts(kept: Any) -> dict[str, str]:
    return {str(key): str(value) for key, value in kept.items()} if isinstance(kept, dict) else {}


def _counts(kept: Any) -> dict[str, int]:
    if not isinstance(kept, dict):
        return {}
    return {str(key): value for key, value in kept.items() if type(value) is int}


def _documents(kept: Any) -> dict[str, dict[str, Any]]:
    if not isinstance(kept, dict):
        return {}
    return {str(key): value for key, value in kept.items() if isinstance(value, dict)}
