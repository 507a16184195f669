"""Tables `frames`, `totals` and `summaries`: what became of the frames, per pipeline and window.

Rules: a row counts the frames that were decided in its window, so captured = inferred +
sum(skipped) + failed holds in every row and in every sum of rows; the frames that then still
waited for a verdict stand in `pending`. `totals` holds the sums of the boot in which a pipeline
wrote last, so that nobody has to add up years of rows. Read `query.py` next.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Collection, Iterable
from typing import Any

from edge_agent.policy.documents import dump
from edge_agent.store.clocks import correction_of
from edge_agent.store.rows import FramesRow, Summary
from edge_agent.types import Ledger

#: Every pipeline writes a row at every flush, so the living ones are among the newest rows.
_NEWEST = 256
_TOTALS = "captured, inferred, skipped, failed, pending"
_COLUMNS = "pipeline, began, ended, inferred, skipped, failed, pending, unaccounted_s"
#: SQL: a window's times as others tell them (clocks.py).
_BEGAN = f"(began + {correction_of('frames')})"
_ENDED = f"(ended + {correction_of('frames')})"
_TOLD = f"pipeline, {_BEGAN}, {_ENDED}, inferred, skipped, failed, pending, unaccounted_s"


def insert(connection: sqlite3.Connection, rows: Collection[FramesRow], boot: int) -> None:
    connection.executemany(
        f"INSERT INTO frames (boot, captured, {_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                boot,
                row.captured,
                row.pipeline,
                row.began,
                row.ended,
                row.inferred,
                dump(dict(row.skipped)),
                row.failed,
                row.pending,
                row.unaccounted_s,
            )
            for row in rows
        ],
    )
    for row in rows:
        _add(connection, row, boot)


def insert_summaries(
    connection: sqlite3.Connection, summaries: Iterable[Summary], boot: int
) -> None:
    connection.executemany(
        "INSERT INTO summaries (boot, pipeline, began, ended, body) VALUES (?, ?, ?, ?, ?)",
        [(boot, each.pipeline, each.began, each.ended, each.body) for each in summaries],
    )


def windows(connection: sqlite3.Connection, since: float) -> tuple[FramesRow, ...]:
    """Those that ended after `since`, in the order of writing."""
    rows = connection.execute(f"SELECT {_TOLD} FROM frames WHERE {_ENDED} > ? ORDER BY n", (since,))
    return tuple(_window(row) for row in rows)


def window_at(connection: sqlite3.Connection, pipeline: str, time: float) -> FramesRow | None:
    """The one that holds the moment."""
    row = connection.execute(
        f"SELECT {_TOLD} FROM frames WHERE pipeline = ? AND {_BEGAN} <= ? AND {_ENDED} > ?"
        " ORDER BY n LIMIT 1",
        (pipeline, time, time),
    ).fetchone()
    return None if row is None else _window(row)


def last_windows(connection: sqlite3.Connection) -> dict[str, FramesRow]:
    """The last one of each pipeline that still writes."""
    rows = connection.execute(
        f"SELECT {_TOLD} FROM (SELECT * FROM frames ORDER BY n DESC LIMIT ?) AS frames ORDER BY n",
        (_NEWEST,),
    )
    return {row[0]: _window(row) for row in rows}


def ends_of_boot(connection: sqlite3.Connection, boot: int) -> dict[str, float]:
    """When the last window of each pipeline ended in that boot, which is one of the latest."""
    rows = connection.execute(
        "SELECT pipeline, max(ended) FROM (SELECT * FROM frames ORDER BY n DESC LIMIT ?)"
        " WHERE boot = ? GROUP BY pipeline",
        (_NEWEST, boot),
    )
    return dict(rows.fetchall())


def since_time(connection: sqlite3.Connection, time: float) -> dict[str, Ledger]:
    return _sums(connection, f"{_ENDED} > ?", time)


def of_boot(connection: sqlite3.Connection, boot: int) -> dict[str, Ledger]:
    """Per pipeline the sum of its windows of that boot, the latest in which it wrote any."""
    rows = connection.execute(f"SELECT pipeline, {_TOTALS} FROM totals WHERE boot = ?", (boot,))
    return {
        pipeline: Ledger(captured + pending, inferred, json.loads(skipped), failed, pending)
        for pipeline, captured, inferred, skipped, failed, pending in rows
    }


def _add(connection: sqlite3.Connection, row: FramesRow, boot: int) -> None:
    """To the pipeline's sum; that of another boot is over."""
    found = connection.execute(
        f"SELECT {_TOTALS} FROM totals WHERE pipeline = ? AND boot = ?", (row.pipeline, boot)
    ).fetchone()
    captured, inferred, skipped, failed, _ = found or (0, 0, "{}", 0, 0)
    reasons = Counter(json.loads(skipped)) + Counter(row.skipped)
    connection.execute(
        f"INSERT OR REPLACE INTO totals (pipeline, boot, {_TOTALS}) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            row.pipeline,
            boot,
            captured + row.captured,
            inferred + row.inferred,
            dump(dict(sorted(reasons.items()))),
            failed + row.failed,
            row.pending,
        ),
    )


def _sums(connection: sqlite3.Connection, condition: str, value: float) -> dict[str, Ledger]:
    """Per pipeline the sum of its windows, and what was pending at the end of the last one."""
    skipped: dict[str, dict[str, int]] = {}
    for pipeline, reason, number in connection.execute(
        "SELECT pipeline, key, sum(value) FROM frames, json_each(skipped)"
        f" WHERE {condition} GROUP BY pipeline, key ORDER BY key",
        (value,),
    ):
        skipped.setdefault(pipeline, {})[reason] = number
    # In SQLite a bare column beside max() comes from the row of the maximum: the last window.
    sums = connection.execute(
        "SELECT pipeline, sum(captured), sum(inferred), sum(failed), pending, max(n) FROM frames"
        f" WHERE {condition} GROUP BY pipeline ORDER BY pipeline",
        (value,),
    )
    return {
        pipeline: Ledger(captured + pending, inferred, skipped.get(pipeline, {}), failed, pending)
        for pipeline, captured, inferred, failed, pending, _ in sums
    }


def _window(row: tuple[Any, ...]) -> FramesRow:
    pipeline, began, ended, inferred, skipped, *counts = row
    return FramesRow(pipeline, began, ended, inferred, json.loads(skipped), *counts)
