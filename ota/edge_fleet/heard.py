"""What the archive knows of one stream, as `completeness.py` asks for it."""

from __future__ import annotations

import json
import sqlite3

from edge_agent.policy import spans
from edge_agent.policy.spans import Spans
from edge_agent.policy.stick import Waiting
from edge_fleet.completeness import Declared, Heard


def heard(connection: sqlite3.Connection, stream: int, waiting: Waiting) -> Heard:
    reasons: dict[str, list[spans.Span]] = {}
    counts: dict[str, dict[str, int]] = {}
    successor, last_known = None, 0
    salvaged: list[spans.Span] = []
    for first, last, reason, told, next_store in connection.execute(
        "SELECT first, last, reason, counts, successor FROM losses WHERE stream = ? ORDER BY by",
        (stream,),
    ):
        if next_store is not None:
            successor, last_known = next_store, max(last_known, last)
            salvaged += [(first, last)] if first else []
            continue
        reasons.setdefault(reason, []).extend([(first, last)] if first else [])
        for topic, number in json.loads(told or "{}").items():
            table = counts.setdefault(reason, {})
            table[topic] = table.get(topic, 0) + number
    declared = tuple(
        Declared(reason, spans.joined(seqs), counts.get(reason, {}))
        for reason, seqs in sorted(reasons.items())
    )
    return Heard(
        _delivered(connection, stream),
        declared,
        waiting,
        successor,
        spans.joined(salvaged),
        last_known,
    )


def _delivered(connection: sqlite3.Connection, stream: int) -> Spans:
    """Islands in the numbers that arrived, found where they are."""
    rows = connection.execute(
        "SELECT min(seq), max(seq) FROM"
        " (SELECT seq, seq - row_number() OVER (ORDER BY seq) AS island FROM"
        " (SELECT seq FROM messages WHERE stream = ?"
        " UNION SELECT seq FROM repeats WHERE stream = ?)) GROUP BY island ORDER BY 1",
        (stream, stream),
    )
    return spans.joined((first, last) for first, last in rows)


def conflicts(connection: sqlite3.Connection, stream: int) -> int:
    found: int = connection.execute(
        "SELECT count(*) FROM conflicts WHERE stream = ?", (stream,)
    ).fetchone()[0]
    return found
