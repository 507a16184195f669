"""The devices that the desk knows, enrolled by a person or heard of; and what they reported.

Rules: a device's own word about its tags (`status`) counts, for it decides by them which stage it
is in; the enrolment's count until it was heard. Who is enrolled and silent is known, so that a
stage knows whom it has. Every function reads or writes within a transaction of the archive.
"""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from edge_agent.policy.documents import dump
from edge_fleet.decide import Report

#: A `health` or `status` as the desk keeps it.
Told = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Device:
    """`heard`: when anything of it was received last; None: never."""

    name: str
    tags: Mapping[str, str]
    enrolled: bool
    heard: float | None
    status: Told | None
    health: Told | None

    @property
    def state(self) -> str:
        """online, offline, or never (nothing was ever heard of its status)."""
        return "never" if self.status is None else str(self.status.get("status", "unknown"))


def enroll(connection: sqlite3.Connection, name: str, tags: Mapping[str, str], now: float) -> bool:
    """Whether it is new; of one that is not its tags are replaced."""
    known = connection.execute("SELECT 1 FROM enrolled WHERE device = ?", (name,)).fetchone()
    connection.execute(
        "INSERT INTO enrolled VALUES (?, ?, ?) ON CONFLICT (device) DO UPDATE SET tags = ?",
        (name, dump(dict(tags)), now, dump(dict(tags))),
    )
    return known is None


def dismiss(connection: sqlite3.Connection, name: str) -> bool:
    """Not expected any more; whether it was. What was received of it stays."""
    return connection.execute("DELETE FROM enrolled WHERE device = ?", (name,)).rowcount > 0


def devices(connection: sqlite3.Connection) -> tuple[Device, ...]:
    """All of them, by name."""
    enrolled = {
        name: json.loads(tags)
        for name, tags in connection.execute("SELECT device, tags FROM enrolled")
    }
    told: dict[tuple[str, str], Told] = {}
    heard: dict[str, float] = {}
    for name, topic, data, received in connection.execute(
        "SELECT device, topic, data, received FROM latest"
    ):
        told[name, topic] = json.loads(data)
        heard[name] = max(received, heard.get(name, 0.0))
    for name, received in connection.execute(
        "SELECT s.device, max(m.received) FROM streams s"
        " LEFT JOIN messages m ON m.n = (SELECT max(n) FROM messages WHERE stream = s.n)"
        " GROUP BY s.device"
    ):
        if received is not None:
            heard[name] = max(received, heard.get(name, 0.0))
        else:
            heard.setdefault(name, math.nan)
    return tuple(
        Device(
            name,
            _tags(told.get((name, "status")), enrolled.get(name, {})),
            name in enrolled,
            None if math.isnan(heard.get(name, math.nan)) else heard[name],
            told.get((name, "status")),
            told.get((name, "health")),
        )
        for name in sorted(enrolled.keys() | heard.keys())
    )


def reports(connection: sqlite3.Connection, rollout: str, sha256: str) -> Iterator[Report]:
    """What devices said of one rollout and its very target."""
    for device, id_, text, received in connection.execute(
        "SELECT s.device, m.id, m.data, m.received FROM messages m JOIN streams s ON s.n = m.stream"
        " WHERE m.topic = 'ota' AND json_extract(m.data, '$.rollout') = ?",
        (rollout,),
    ):
        data = json.loads(text)
        if data.get("sha256") == sha256:
            yield _report(device, id_, received, data)


def _report(device: str, id_: str, received: float, data: Mapping[str, Any]) -> Report:
    """What is no text or number in it says nothing."""
    numbers = data.get("numbers")
    return Report(
        id=f"{device}/{id_}",
        device=device,
        step=str(data.get("step")),
        verdict=str(data.get("verdict")),
        at=received,
        reason=str(data.get("reason") or ""),
        numbers={
            str(name): float(value)
            for name, value in (numbers.items() if isinstance(numbers, dict) else ())
            if isinstance(value, int | float) and not isinstance(value, bool)
        },
    )


def _tags(status: Told | None, enrolled: Mapping[str, str]) -> Mapping[str, str]:
    said = None if status is None else status.get("tags")
    tags = said if isinstance(said, dict) else enrolled
    return {str(key): str(value) for key, value in tags.items()}
