"""Table `decisions`: why, of every event, of the nearest misses and of skipped frames.

Rules: an event's row is reached by its number, which the event holds; misses and skips by pipeline
and time. Of these a bounded number per pipeline is kept. Numbers are rounded as
`policy/documents` rounds them. Read `events.py` next.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection

from edge_agent.policy.documents import decision_document, dump
from edge_agent.store import clocks
from edge_agent.store.rows import Judged, Kind
from edge_agent.types import Decision, Event

#: Misses and skips kept per pipeline (about 5 MB); pruned by tenths, since each pruning writes.
KEPT = 10_000

_OTHERS = "FROM decisions WHERE kind <> 'event' AND pipeline = ?"


def insert(connection: sqlite3.Connection, judged: Judged, boot: int) -> int:
    """Add a row; its number."""
    cursor = connection.execute(
        "INSERT INTO decisions (kind, pipeline, rule, time, frame, track, label, stages, boot)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            judged.kind,
            judged.pipeline,
            judged.rule,
            judged.time,
            judged.frame,
            judged.track,
            judged.label,
            to_json(judged.decisions),
            boot,
        ),
    )
    assert cursor.lastrowid is not None  # an INSERT that did not raise
    return cursor.lastrowid


def insert_others(connection: sqlite3.Connection, judged: Collection[Judged], boot: int) -> None:
    """Add misses and skips; forget a pipeline's oldest once a tenth too many are there."""
    for each in judged:
        insert(connection, each, boot)
    for pipeline in sorted({each.pipeline for each in judged}):
        (count,) = connection.execute(f"SELECT count(*) {_OTHERS}", (pipeline,)).fetchone()
        if count > KEPT + KEPT // 10:
            connection.execute(
                f"DELETE FROM decisions WHERE n IN (SELECT n {_OTHERS} ORDER BY n LIMIT ?)",
                (pipeline, count - KEPT),
            )


def others_around(
    connection: sqlite3.Connection, pipeline: str, time: float, limit: int
) -> list[Judged]:
    """The `limit` misses and skips before `time`, and as many after it, of each likely boot.

    Times are as others tell them.
    """
    columns = "SELECT kind, pipeline, time, frame, stages, rule, track, label"
    sides = (("<=", "DESC"), (">", "ASC"))
    return [
        _judged(row, span.correction)
        for span in clocks.spans(connection, time)
        for compare, order in sides
        for row in connection.execute(
            f"{columns} {_OTHERS} AND boot {span.boots} AND time {compare} ?"
            f" AND time BETWEEN ? AND ? ORDER BY time {order} LIMIT ?",
            (pipeline, time - span.correction, span.first, span.last, limit),
        )
    ]


def of_event(event: Event) -> Judged:
    return Judged(
        kind="event",
        pipeline=event.pipeline,
        time=event.opened,
        frame=event.frame,
        decisions=event.decisions,
        rule=event.rule,
        track=event.track,
        label=event.label,
        event=event.id,
    )


def to_json(decisions: tuple[Decision, ...]) -> str:
    return dump([decision_document(decision) for decision in decisions])


def from_json(text: str) -> tuple[Decision, ...]:
    return tuple(Decision(**stage) for stage in json.loads(text))


def _judged(
    row: tuple[Kind, str, float, int, str, str | None, int | None, str | None], correction: float
) -> Judged:
    kind, pipeline, time, frame, stages, rule, track, label = row
    told = time + correction
    return Judged(kind, pipeline, told, frame, from_json(stages), rule, track, label)
