"""Commands that arrive by MQTT: what one looks like, what its reply looks like, how many are run.

Pure. A command is `{"id", "args"}` on `cmd/<name>`; its reply `{"id", "ok", "data" | "error"}`.
What is none gets an error in reply. docs/mqtt.md explains each. Read `uplink/inbox.py` next.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import field, replace
from typing import Any

from edge_agent.frozen import frozen

#: Those that can be allowed.
NAMES = (
    "ping", "detail", "snapshot", "resend", "pause", "resume", "ack", "label",
    "ota-check", "rollback",
)  # fmt: skip
#: A larger command is none.
LARGEST = 65_536
#: Also the last level of the topic `reply/<id>`, hence no wildcards and no slashes.
_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")


@frozen
class Command:
    name: str
    id: str
    args: Mapping[str, Any] = field(default_factory=dict)


class Malformed(ValueError):
    """It is no command; the text says why. `id` is its id, where it has one."""

    def __init__(self, why: str, id: str | None = None) -> None:  # noqa: A002 - the contract's word
        super().__init__(why)
        self.id = id


def parse(name: str, payload: bytes) -> Command:
    """Raises Malformed."""
    if len(payload) > LARGEST:
        raise Malformed(f"a command has at most {LARGEST} bytes, this one has {len(payload)}")
    try:
        document = json.loads(payload)
    except (ValueError, RecursionError):
        raise Malformed('a command is JSON: {"id", "args"}') from None
    id_ = document.get("id") if isinstance(document, dict) else None
    if not isinstance(id_, str) or not _ID.fullmatch(id_):
        raise Malformed("a command has an id of 1 to 64 letters, digits and . _ : -")
    args = document.get("args") or {}
    if not isinstance(args, dict):
        raise Malformed("args is an object", id_)
    return Command(name, id_, args)


def success(id_: str, data: Mapping[str, Any]) -> dict[str, Any]:
    return {"schema": "mqtt-reply/1", "id": id_, "ok": True, "data": data}


def failure(id_: str | None, code: str, message: str, next_step: str = "") -> dict[str, Any]:
    error = {"code": code, "message": message, "next": next_step or None}
    return {"schema": "mqtt-reply/1", "id": id_, "ok": False, "error": error}


@frozen
class Budget:
    """So many commands at once, and so many a second after that."""

    most: float = 10.0
    per_s: float = 1.0
    left: float = 10.0
    as_of: float | None = None

    def spent(self, now: float) -> Budget | None:
        """With one less; None where none is left."""
        passed = 0.0 if self.as_of is None else max(0.0, now - self.as_of)
        left = min(self.most, self.left + passed * self.per_s)
        return replace(self, left=left - 1.0, as_of=now) if left >= 1.0 else None
