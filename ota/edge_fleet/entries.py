"""How one message becomes rows of the archive: known by its number, and by its id.

Rules: the first that came with a number stays; what comes again changes nothing, but that a whole
alert replaces a cut one. What a `lost` message declares is taken in with it, and what it says is
erased is deleted here. Every function works
within a transaction of the caller. Read `heard.py` for the way out.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from edge_agent.policy.documents import dump
from edge_agent.policy.spans import Spans
from edge_agent.policy.stick import Damaged, Waiting, waiting_of
from edge_fleet.message import Loss, Message

#: The reason of a loss that is for receivers, too.
ERASED = "erased"
#: Payloads that were no message, and bytes of each, that are kept.
REFUSED_KEPT = 1000
REFUSED_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Rejected:
    """A payload that was no message, and why."""

    topic: str
    reason: str
    payload: bytes


def keep(connection: sqlite3.Connection, message: Message, via: str, now: float) -> str:
    stream = stream_of(connection, message.device, message.store, now)
    known = connection.execute(
        "SELECT n, id, data FROM messages WHERE stream = ? AND seq = ?"
        " UNION ALL SELECT m.n, m.id, m.data FROM repeats r JOIN messages m ON m.n = r.message"
        " WHERE r.stream = ? AND r.seq = ?",
        (stream, message.seq, stream, message.seq),
    ).fetchone()
    if known is not None:
        return _again(connection, message, stream, known) or _conflict(
            connection, message, stream, now
        )
    if _is_erased(connection, stream, message.seq) or _is_of_erased(connection, message, stream):
        return "erased"  # it came by another way, or later than the word that it must go
    if message.loss is not None:
        _declare(connection, message, message.loss, stream, now)
    original = connection.execute(
        "SELECT m.n FROM messages m JOIN streams s ON s.n = m.stream"
        " WHERE m.id = ? AND s.device = ? AND m.topic = ?",
        (message.id, message.device, message.topic),
    ).fetchone()
    if original is not None:
        connection.execute(
            "INSERT INTO repeats VALUES (?, ?, ?)", (stream, message.seq, original[0])
        )
        return "repeated"
    connection.execute(
        "INSERT INTO messages (stream, seq, id, topic, time, clock, boot, session, data, via,"
        " received) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            stream,
            message.seq,
            message.id,
            message.topic,
            message.time,
            message.clock,
            message.boot,
            message.session,
            _text(message),
            via,
            now,
        ),
    )
    return "new"


def _again(
    connection: sqlite3.Connection, message: Message, stream: int, known: tuple[int, str, str]
) -> str:
    """The same message once more; "" when it is another one. A whole alert replaces a cut one."""
    n, id_, data = known
    if id_ != message.id:
        return ""
    if json.loads(data).get("cut") is True and not message.is_cut:
        connection.execute("UPDATE messages SET data = ? WHERE n = ?", (_text(message), n))
    return "repeated"


def _conflict(connection: sqlite3.Connection, message: Message, stream: int, now: float) -> str:
    connection.execute(
        "INSERT OR IGNORE INTO conflicts VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            stream,
            message.seq,
            message.id,
            message.topic,
            message.time,
            _text(message),
            now,
        ),
    )
    return "conflicting"


def _declare(
    connection: sqlite3.Connection, message: Message, loss: Loss, stream: int, now: float
) -> None:
    successor = None
    if loss.previous_store is not None and loss.previous_store != message.store:
        stream = stream_of(connection, message.device, loss.previous_store, now)
        successor = message.store
    by, counts = f"{message.store}/{message.seq}", dump(dict(loss.counts))
    connection.executemany(
        "INSERT OR IGNORE INTO losses VALUES (?, ?, ?, ?, ?, ?, ?)",
        [
            (stream, by, first, last, loss.reason, None if place else counts, successor)
            for place, (first, last) in enumerate(_ranges(loss))
        ],
    )
    if loss.reason == ERASED and successor is None:
        _erase(connection, stream, loss.seqs)
        for event in loss.events:
            _erase_event(connection, message, event)


def _ranges(loss: Loss) -> Spans:
    """As rows; the one that begins at 0 only tells how far the store before had counted."""
    tells = loss.previous_seq or not (loss.seqs or loss.events)
    return (*([(0, loss.previous_seq)] if tells else []), *loss.seqs)


def _is_erased(connection: sqlite3.Connection, stream: int, seq: int | None) -> bool:
    found = connection.execute(
        "SELECT 1 FROM losses WHERE reason = 'erased' AND stream = ? AND first <= ? AND last >= ?"
        " AND successor IS NULL",
        (stream, seq, seq),
    )
    return found.fetchone() is not None


def _erase(connection: sqlite3.Connection, stream: int, seqs: Spans) -> None:
    """What the device erased for somebody's sake is erased here, under whatever number it came."""
    for first, last in seqs:
        span = {"stream": stream, "first": first, "last": last}
        here = "stream = :stream AND seq BETWEEN :first AND :last"
        copies = [
            row[:1]
            for row in connection.execute(
                f"SELECT n FROM messages WHERE {here}"
                f" UNION SELECT message FROM repeats WHERE {here}",
                span,
            )
        ]
        connection.executemany("DELETE FROM repeats WHERE message = ?", copies)
        connection.executemany("DELETE FROM messages WHERE n = ?", copies)
        connection.execute(f"DELETE FROM conflicts WHERE {here}", span)


def _erase_event(connection: sqlite3.Connection, message: Message, event: str) -> None:
    """All of its messages that are here, under whatever number: the device names them no more."""
    by = f"{message.store}/{message.seq}"
    connection.execute("INSERT OR IGNORE INTO erased VALUES (?, ?, ?)", (message.device, event, by))
    numbers = connection.execute(
        "SELECT stream, seq FROM messages JOIN streams s ON s.n = stream"
        " WHERE s.device = :device AND id BETWEEN :first AND :last"
        " UNION SELECT r.stream, r.seq FROM repeats r JOIN messages m ON m.n = r.message"
        " JOIN streams s ON s.n = r.stream"
        " WHERE s.device = :device AND m.id BETWEEN :first AND :last"
        " UNION SELECT stream, seq FROM conflicts JOIN streams s ON s.n = stream"
        " WHERE s.device = :device AND id BETWEEN :first AND :last",
        {"device": message.device, "first": f"{event}/", "last": f"{event}/~"},
    ).fetchall()
    for stream, seq in numbers:
        _lose(connection, stream, seq, by)
        _erase(connection, stream, ((seq, seq),))


def _is_of_erased(connection: sqlite3.Connection, message: Message, stream: int) -> bool:
    """A copy of what was erased by its event's id; its number counts as erased from now on."""
    found = connection.execute(
        "SELECT by FROM erased WHERE device = ? AND event = ?",
        (message.device, message.id.partition("/")[0]),
    ).fetchone()
    if found is None or message.seq is None:
        return False
    _lose(connection, stream, message.seq, found[0])
    return True


def _lose(connection: sqlite3.Connection, stream: int, seq: int, by: str) -> None:
    connection.execute(
        "INSERT OR IGNORE INTO losses VALUES (?, ?, ?, ?, ?, NULL, NULL)",
        (stream, by, seq, seq, ERASED),
    )


def latest(connection: sqlite3.Connection, message: Message, now: float) -> str:
    """`status` and `health`; of others, which are not counted, nothing is kept."""
    if message.topic in ("status", "health"):
        connection.execute(
            "INSERT OR REPLACE INTO latest VALUES (?, ?, ?, ?, ?)",
            (message.device, message.topic, message.time, _text(message), now),
        )
    if message.topic == "health":
        stream = stream_of(connection, message.device, message.store, now)
        try:
            waiting = waiting_of(message.data.get("pending"))
        except Damaged:
            return "unknown"
        told_by(connection, stream, waiting, message.time)
    return "latest"


def told_by(connection: sqlite3.Connection, stream: int, waiting: Waiting, told: str) -> None:
    """What it holds counts as of `told`; "" where something newer is known of that."""
    connection.execute(
        "UPDATE streams SET last_seq = max(last_seq, ?) WHERE n = ?", (waiting.last_seq, stream)
    )
    if told:
        connection.execute(
            "UPDATE streams SET told = ?, depth = ?, oldest_seq = ?, newest_seq = ? WHERE n = ?",
            (told, waiting.depth, waiting.oldest_seq, waiting.newest_seq, stream),
        )


def reject(connection: sqlite3.Connection, rejected: Sequence[Rejected], now: float) -> None:
    connection.executemany(
        "INSERT INTO refused (topic, reason, payload, received) VALUES (?, ?, ?, ?)",
        [(each.topic, each.reason, each.payload[:REFUSED_BYTES], now) for each in rejected],
    )
    if rejected:
        connection.execute(
            "DELETE FROM refused WHERE n <= (SELECT max(n) FROM refused) - ?", (REFUSED_KEPT,)
        )


def stream_of(connection: sqlite3.Connection, device: str, store: str, now: float) -> int:
    """The stream's number; a new one where it was never heard of."""
    found = connection.execute(
        "SELECT n FROM streams WHERE device = ? AND store = ?", (device, store)
    ).fetchone()
    if found is not None:
        return int(found[0])
    cursor = connection.execute(
        "INSERT INTO streams (device, store, since) VALUES (?, ?, ?)", (device, store, now)
    )
    assert cursor.lastrowid is not None  # an INSERT that did not raise
    return cursor.lastrowid


def _text(message: Message) -> str:
    return dump(dict(message.data)).encode("utf-8", "replace").decode()
