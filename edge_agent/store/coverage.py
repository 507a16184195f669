"""Table `coverage`: every rule's life without a gap, one row for each stretch of one attention.

Rules: a stretch that goes on lengthens its row, so a quiet month is one row; rows of one rule
follow each other, and their `seconds` sum up to the time that passed. Read `query.py` next.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from edge_agent.policy.coverage import Attention, Cause, State, Stretch
from edge_agent.store.clocks import correction_of
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
    """Those that ended after that moment, rule by rule in the order of writing.

    Times are as others tell them; how long nobody ran between two boots is known from these.
    """
    rows = connection.execute(
        f"SELECT {_COLUMNS}, boot, {correction_of('coverage')} FROM coverage"
        " ORDER BY pipeline, rule, n"
    )
    told: list[CoverageRow] = []
    last: tuple[CoverageRow, int] | None = None
    for *columns, boot, correction in rows:
        row = _row(columns, correction)
        if last is not None and last[0].key == row.key and last[1] != boot:
            row = _reaching_back(row, last[0].stretch.ended)
        last = row, boot
        if row.stretch.ended > time:
            told.append(row)
    return tuple(told)


def _row(columns: Sequence[Any], correction: float) -> CoverageRow:
    pipeline, rule, began, ended, seconds, state, cause = columns
    attention = Attention(State(state), Cause(cause))
    stretch = Stretch(began + correction, ended + correction, attention, seconds)
    return CoverageRow(pipeline, rule, stretch)


def _reaching_back(row: CoverageRow, to: float) -> CoverageRow:
    """The first of a boot tells of the time since the one before: it began where that ended."""
    each = row.stretch
    if each.attention.cause not in (Cause.POWER_OFF, Cause.STOPPED) or to >= each.ended:
        return row
    return replace(row, stretch=Stretch.of(to, each.ended, each.attention))
