"""Erase events for good: rows, messages, pictures, and every byte of them in the files.

Rules: the transaction that erases declares the numbers of the erased messages (`lost`, reason
`erased`), sent ones too, so that receivers erase their copies. An alert whose messages are not all
here any more (sent, and then evicted) is named there by its event's id, which its messages' ids
begin with: their numbers are not known any more, and the copies must go all the same. Deleted
content is overwritten, free pages leave the file, the log is emptied. An open event is left alone:
the agent still writes it. Works beside a running agent.
"""

from __future__ import annotations

import sqlite3
import time as clock
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from edge_agent.durable import sync_folder
from edge_agent.errors import EdgeError, UsageError
from edge_agent.frozen import frozen
from edge_agent.policy.documents import dump
from edge_agent.policy.lost import lost_document
from edge_agent.store import eviction, outbox
from edge_agent.store.db import FILE
from edge_agent.store.disk import disk_errors
from edge_agent.store.evidence import STILLS_FOLDER
from edge_agent.store.record import Store
from edge_agent.types import Priority

#: A reader holds the log for a moment; one that holds it for longer is named.
PATIENCE_S = 10.0
PAGES = 2000
#: An alert has an opening and a closing message.
MESSAGES = 2
#: Events that one declaration names: 2 kB.
NAMED = 100


@frozen
class Erased:
    """`lost_seq`: the (first) message that tells receivers, None where there is nothing to tell."""

    events: int
    messages: int
    files: int
    lost_seq: int | None


def erase(store: Store, ids: Sequence[str], now: float) -> Erased:
    """Erase these closed events. Raises UsageError for an open one, NoRoom, EdgeError.

    Also damaged databases that were set aside go, and pictures that the command `snapshot` took:
    whatever they hold cannot be looked into.
    """
    state = store.database.path.parent
    with store.database.reading() as connection:
        connection.execute("PRAGMA secure_delete = ON").fetchall()
    with store.database.transaction() as connection:
        rows = [_row(connection, id_) for id_ in ids]
        messages = _messages(connection, ids)
        seq = _declare(connection, messages, _unnumbered(rows, ids, messages), now)
        connection.executemany("DELETE FROM outbox WHERE seq = ?", [row[:1] for row in messages])
        connection.executemany("DELETE FROM events WHERE n = ?", [row[:1] for row in rows])
        connection.executemany("DELETE FROM decisions WHERE n = ?", [row[1:2] for row in rows])
        connection.executemany("DELETE FROM labels WHERE event = ?", [(id_,) for id_ in ids])
        store.database.wipe_redo()
    files = [state / path for row in rows for path in eviction.paths(row[2])]
    files += [each for id_ in ids for each in (state / "evidence").glob(f"*/*/{id_}.*")]
    files += (state / STILLS_FOLDER).glob("*")
    files += list(state.glob(f"{FILE}.damaged-*"))
    removed = _remove(files)
    _wipe(store)
    return Erased(len(rows), len(messages), removed, seq)


def _row(connection: sqlite3.Connection, id_: str) -> tuple[int, int, str, str]:
    found = connection.execute(
        "SELECT n, decision, evidence, closed, priority FROM events WHERE id = ?", (id_,)
    ).fetchone()
    if found is None:
        raise UsageError(f"there is no event {id_}", "see: edge-agent events list")
    if found[3] is None:
        raise UsageError(f"event {id_} is still open", "erase it when it has closed")
    return found[0], found[1], found[2], found[4]


def _unnumbered(
    rows: Sequence[tuple[int, int, str, str]],
    ids: Sequence[str],
    messages: Sequence[tuple[int, str, str]],
) -> list[str]:
    """The alerts among them of which not every message is here."""
    here = Counter(event for _, _, event in messages)
    return [
        id_
        for row, id_ in zip(rows, ids, strict=True)
        if row[3] == Priority.ALERT.value and here[id_] < MESSAGES
    ]


def _messages(connection: sqlite3.Connection, ids: Sequence[str]) -> list[tuple[int, str, str]]:
    """(seq, topic, event) of every message of these events; one walk: alerts have no index."""
    wanted = set(ids)
    rows = connection.execute("SELECT seq, topic, id FROM outbox WHERE topic = 'alert'")
    return [
        (seq, topic, event)
        for seq, topic, id_ in rows
        if (event := id_.partition("/")[0]) in wanted
    ]


def _declare(
    connection: sqlite3.Connection,
    messages: list[tuple[int, str, str]],
    unnumbered: list[str],
    now: float,
) -> int | None:
    """The first message that says so; None where nobody outside ever heard of them."""
    parts = [unnumbered[at : at + NAMED] for at in range(0, len(unnumbered), NAMED)] or [[]]
    declared = None
    for place, events in enumerate(parts):
        numbered = [] if place else [(seq, topic) for seq, topic, _ in messages]
        if not (numbered or events):
            return None
        body = lost_document(numbered, "erased") | ({"events": events} if events else {})
        name = numbered[0][0] if numbered else events[0]
        seq = outbox.declare(connection, name, dump(body), now)
        declared = seq if declared is None else declared
    return declared


def _remove(files: list[Path]) -> int:
    removed = 0
    for path in dict.fromkeys(files):
        with disk_errors(path):
            if path.exists():
                path.unlink()
                sync_folder(path.parent)
                removed += 1
    return removed


def _wipe(store: Store) -> None:
    """Free pages leave the file, and the log is emptied. Raises EdgeError where a reader is in the
    way for too long: what is erased then still stands in the log."""
    until = clock.monotonic() + PATIENCE_S
    while True:
        with store.database.reading() as connection:
            while connection.execute("PRAGMA freelist_count").fetchone()[0]:
                before = connection.execute("PRAGMA page_count").fetchone()[0]
                connection.executescript(f"PRAGMA incremental_vacuum({PAGES})")
                if connection.execute("PRAGMA page_count").fetchone()[0] == before:
                    connection.execute("VACUUM")  # a file of an early version: no page map
            (busy, _, _) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if not busy:
            return
        if clock.monotonic() > until:
            raise EdgeError(
                f"it is erased, but a program that reads {store.database.path} keeps old pages of"
                " it in the log",
                f"end that program (fuser {store.database.path}), then run the same command again"
                " on any event, or restart the agent",
            )
        clock.sleep(0.1)
