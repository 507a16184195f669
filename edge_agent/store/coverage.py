"""Table `coverage`: every rule's life without a gap, one row for each stretch of one attention.

Rules: a stretch that goes on lengthens its row, so a quiet month is one row; rows of one rule
follow each other, and their `seconds` sum up to the time that passed. Read `query.py` next.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Any

from edge_agent.policy.coverage import Attention, Cause, State, Stretch
from edge_agent.store.rows import CoverageRow

_COLUMNS = "pipeline, rule, began, ended, seconds, state, cause"


def insert(connection: sqlite3.Connection, rows: Iterable[CoverageRow], boot: int) -> None:
    for row in rows:
        each = row.stretch
        attention = each.attention
        longer = connection.execute(
            "UPDATE coverage SET ended = ?, seconds = seconds + ? WHERE n ="
            " (SELECT max(n) FROM coverage WHERE pipeline = ? AND rule = ?)"
            " AND boot = ? AND ended = ? AND state = ? AND cause = ?",
            (
                each.ended,
                each.seconds,
                row.pipeline,
                row.rule,
                boot,
                each.began,
                attention.state.value,
                attention.cause.value,
            ),
        )
        if not longer.rowcount:
            connection.execute(
                f"INSERT INTO coverage (boot, {_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    boot,
                    row.pipeline,
                    row.rule,
                    each.began,
                    each.ended,
                    each.seconds,
                    attention.state.value,
                    attention.cause.value,
                ),
            )


def latest_boot(connection: sqlite3.Connection, before: int) -> int:
    """The latest one before that which wrote anything; 0 for none."""
    newest = connection.execute("SELECT boot FROM coverage ORDER BY n DESC LIMIT 1").fetchone()
    return 0 if newest is None else min(int(newest[0]), before - 1)


def ends_of_boot(connection: sqlite3.Connection, boot: int) -> dict[tuple[str, str], float]:
    """Until when each pipeline's rules were accounted for in that boot."""
    rows = connection.execute(
        "SELECT pipeline, rule, max(ended) FROM coverage WHERE boot = ? GROUP BY pipeline, rule",
        (boot,),
    )
    return {(pipeline, rule): ended for pipeline, rule, ended in rows}


def since(connection: sqlite3.Connection, time: float) -> tuple[CoverageRow, ...]:
    """Those that ended after that moment, rule by rule in the order of time."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM coverage WHERE ended > ? ORDER BY pipeline, rule, n", (time,)
    )
    return tuple(_row(row) for row in rows)


def _row(row: tuple[Any, ...]) -> CoverageRow:
    pipeline, rule, began, ended, seconds, state, cause = row
    stretch = Stretch(began, ended, Attention(State(state), Cause(cause)), seconds)
    return CoverageRow(pipeline, rule, stretch)
