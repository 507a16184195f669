"""Table `labels`: what a person said of an event, right or wrong. The last word counts."""

from __future__ import annotations

import sqlite3
from typing import Literal, TypeAlias

from edge_agent.frozen import frozen

By: TypeAlias = Literal["cli", "mqtt"]


@frozen
class Label:
    """`is_true`: the event was what it said. `time`: when that was said."""

    event: str
    is_true: bool
    time: float
    by: By


def put(connection: sqlite3.Connection, label: Label) -> None:
    connection.execute(
        "INSERT OR REPLACE INTO labels VALUES (?, ?, ?, ?)",
        (label.event, label.is_true, label.time, label.by),
    )


def of(connection: sqlite3.Connection, event: str) -> Label | None:
    found = connection.execute(
        "SELECT event, label, time, by FROM labels WHERE event = ?", (event,)
    ).fetchone()
    return None if found is None else Label(found[0], bool(found[1]), found[2], found[3])
