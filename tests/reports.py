"""What devices report on topic `ota`, as messages of the archive and as payloads for a broker."""

from __future__ import annotations

import json
import uuid
from itertools import count
from typing import Any

from edge_agent.policy.rollout import Rollout
from edge_fleet.message import Message, read

_NUMBERS = count(1)


def envelope(device: str, topic: str, data: dict[str, Any], seq: int | None) -> bytes:
    store = uuid.uuid5(uuid.NAMESPACE_DNS, device)
    name = f"{topic}/{next(_NUMBERS)}"
    return json.dumps(
        {
            "schema": f"mqtt-{topic}/1", "device": device, "store": str(store), "boot": 1,
            "session": 1, "seq": seq, "id": name, "time": "2026-11-30T10:00:00.000Z",
            "clock": "synced", "data": data,
        }
    ).encode()  # fmt: skip


def report(device: str, order: Rollout, step: str, verdict: str = "ok", **numbers: float) -> bytes:
    data = {
        "rollout": order.id, "serial": order.serial, "stage": order.stage,
        "kind": order.kind.value, "name": order.name, "version": order.version,
        "sha256": order.sha256, "step": step, "verdict": verdict, "reason": f"{step} {verdict}",
        "numbers": numbers, "before": None,
    }  # fmt: skip
    return envelope(device, "ota", data, next(_NUMBERS))


def status(device: str, tags: dict[str, str], word: str = "online") -> bytes:
    body = {"status": word, "boot": 1, "session": 1, "version": "0.1.0", "tags": tags}
    return envelope(device, "status", body, None)


def messages(*payloads: bytes) -> list[Message]:
    return [read(payload) for payload in payloads]
