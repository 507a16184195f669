"""Table `outbox`: what is still to be sent, in order, and what the broker acknowledged.

Rules: a message is written with the event it tells of, in one transaction (`record.py`), and stays
pending until it is acknowledged. Acknowledgements wait in memory and ride with the next
transaction, because a commit of their own would cost more than the alert: a crash before that
means that those messages are sent once more, and receivers drop repeats by id. Whoever sends never
waits for the disk: it reads on a connection of its own (`aside.py`; in calm hours on the first one,
which alone sees what is deferred), knows how much waits without counting (`unsent.py`), and where
somebody attends, that one writes the acknowledgements.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import replace
from heapq import merge
from itertools import islice

from edge_agent.errors import EdgeError
from edge_agent.policy import spans
from edge_agent.policy.correction import corrected
from edge_agent.policy.documents import dump
from edge_agent.policy.lost import Reason, lost_document, merged_document
from edge_agent.policy.spans import Spans
from edge_agent.store import clocks
from edge_agent.store.aside import Aside
from edge_agent.store.db import Database
from edge_agent.store.rows import Depth, Draft, Resent
from edge_agent.store.unsent import Unsent
from edge_agent.types import Message

_COLUMNS = (
    "seq, id, topic, created, body, boot, clock,"
    " (SELECT correction FROM clocks WHERE clocks.boot = outbox.boot)"
)
#: So many acknowledgements are written at once even if nothing else is (a backlog drains).
WAITING = 100
#: And so many by the sender itself, where the one who attends does not come.
MOST_WAITING = 2000
#: What stands in `sent` of a message that the broker refused: declared, kept, never offered again.
ASIDE = 2
#: A declaration takes over so many that wait, as long as it says no more ranges than this (4 kB).
MERGED = 8
RANGES = 200


URGENCIES = (True, False)


def unsent_that_is(urgent: bool) -> str:
    """The condition that the index `outbox_unsent` answers, without a look at the rows."""
    return f"sent IS NULL AND (priority > 0) = {int(not urgent)}"


def _lane(urgent: bool) -> str:
    return (
        f"SELECT {_COLUMNS} FROM outbox WHERE {unsent_that_is(urgent)} AND seq > ?"
        " ORDER BY seq LIMIT ?"
    )


class Outbox:
    """Thread-safe; writes with the store's one connection and lock."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._aside = Aside(database)
        self._unsent = Unsent(database)
        self._waiting: set[int] = set()  # acknowledged, not yet written
        self._lowest_sent: int | None = None  # since somebody asked
        self._is_attended = False
        self.due = threading.Event()  # for whoever attends: acknowledgements are to be written

    def pending(
        self, limit: int = 100, after: int = 0, urgent: bool | None = None
    ) -> list[Message]:
        """Unsent messages with seq > `after`, by seq, at most `limit`: the urgent ones (priority
        0), the others, or (None) all of them."""
        which = URGENCIES if urgent is None else (urgent,)
        waiting = frozenset(self._waiting)  # before the rows: they may be written meanwhile
        with self._reading() as connection, ExitStack() as open_:
            lanes = [
                open_.enter_context(
                    closing(connection.execute(_lane(each), (after, limit + len(waiting))))
                )
                for each in which
            ]
            rows = merge(*lanes, key=lambda row: row[0])
            return [
                _message(row) for row in islice((r for r in rows if r[0] not in waiting), limit)
            ]

    def acknowledge(self, seqs: Iterable[int]) -> None:
        """The broker has them: never offer them again. Written with the next transaction.

        One that is not pending is left out. While the disk takes no writes they wait in memory.
        """
        with self._reading() as connection:
            taken = [seq for seq in seqs if _is_unsent(connection, seq)]
        self._waiting.update(taken)
        if len(self._waiting) < WAITING:
            return
        if self._is_attended and len(self._waiting) < MOST_WAITING:
            self.due.set()
        elif self._database.refusal is None:
            # The refusal stands in the database, and they wait on: a crash only repeats them.
            with suppress(EdgeError):
                self.settle()

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """Aside; but what is deferred only the first connection sees, seldom at work then."""
        reading = self._database.reading if self._database.has_deferred else self._aside.reading
        with reading() as connection:
            yield connection

    @contextmanager
    def attended(self) -> Iterator[None]:
        """Meanwhile somebody waits for `due` and calls `settle`."""
        self._is_attended = True
        try:
            yield
        finally:
            self._is_attended = False

    def settle(self) -> None:
        """Write the waiting acknowledgements now (going down, or nothing else to write)."""
        with self._database.lock:
            if self._waiting:
                with self._database.transaction() as connection:
                    written = self.write_waiting(connection)
                self.forget(written)

    def close(self) -> None:
        self._aside.close()

    def give_up(self, seqs: Collection[int], reason: Reason, time: float) -> int | None:
        """Drop unsent messages that will never be sent; the seq of the `lost` that says so.

        One transaction: the rows are gone and declared, or neither. What was refused is kept
        like what was sent: it can be asked for again once the broker takes it. `lost` messages
        themselves are never dropped, and what is sent or gone already is left out; None when
        nothing remains.
        """
        with self._database.transaction() as connection:
            marks = ",".join("?" * len(seqs))
            rows = connection.execute(
                "SELECT seq, topic FROM outbox WHERE sent IS NULL AND topic <> 'lost'"
                f" AND seq IN ({marks}) ORDER BY seq",
                tuple(seqs),
            ).fetchall()
            rows = [row for row in rows if row[0] not in self._waiting]
            return drop(connection, rows, reason, time)

    def resend(self, asked: Spans, time: float) -> Resent:
        """Let what was sent wait once more; what is not here any more is declared lost.

        One transaction. The `lost` messages that declared some of it before are sent again, too.
        """
        self.settle()
        with self._database.transaction() as connection:
            last = _ends(connection, ()).last_seq
            asked = spans.both(asked, ((1, last),)) if last else ()
            declaring, declared = _declared(connection, asked)
            queued, here = 0, spans.of(declaring)
            for first, end in (*asked, *here):
                here += _present(connection, first, end)
                queued += connection.execute(
                    "UPDATE outbox SET sent = NULL WHERE sent IS NOT NULL AND seq BETWEEN ? AND ?",
                    (first, end),
                ).rowcount
            gone = spans.without(spans.without(asked, spans.joined(here)), declared)
            lost = None
            if gone:
                body = {
                    "ranges": spans.document(gone),
                    "counts": {"unknown": spans.count(gone)},
                    "reason": "quota",
                    "previous_store": None,
                }
                lost = declare(connection, gone[0][0], dump(body), time)
        return Resent(asked, queued, gone, lost)

    def depth(self) -> Depth:
        waiting = frozenset(self._waiting)
        count = self._unsent.count()
        with self._reading() as connection:
            ends = _ends(connection, waiting)
        if ends.oldest_seq is None:
            return ends
        return replace(ends, depth=max(1, count - len(waiting)))

    def write_waiting(self, connection: sqlite3.Connection) -> tuple[int, ...]:
        """Take the acknowledgements along in a transaction; `forget` them once it is through."""
        written = tuple(sorted(self._waiting))
        connection.executemany(
            "UPDATE outbox SET sent = 1 WHERE seq = ? AND sent IS NULL",
            [(seq,) for seq in written],
        )
        return written

    def forget(self, written: Collection[int]) -> None:
        self._waiting.difference_update(written)
        low = min(written, default=None)
        if low is not None and (self._lowest_sent is None or low < self._lowest_sent):
            self._lowest_sent = low

    def take_lowest_sent(self) -> int | None:
        """The lowest seq that was written as sent since somebody asked; None for none."""
        low, self._lowest_sent = self._lowest_sent, None
        return low


def insert(connection: sqlite3.Connection, draft: Draft, boot: int) -> int:
    """Add a message; its seq. Raises sqlite3.IntegrityError for an id that is there already."""
    boot = boot if draft.boot is None else draft.boot
    cursor = connection.execute(
        "INSERT INTO outbox (id, topic, created, body, boot, clock, priority)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (draft.id, draft.topic, draft.time, draft.body, boot, draft.clock, draft.priority),
    )
    assert cursor.lastrowid is not None  # an INSERT that did not raise
    return cursor.lastrowid


def declare(connection: sqlite3.Connection, first: int | str, body: str, time: float) -> int:
    """Add a `lost` message; its seq. `first`: the lowest seq that it declares, or the first event
    that it names, so its id is new."""
    meta = dict(connection.execute("SELECT key, value FROM meta WHERE key IN ('store', 'boot')"))
    # Ids are unique beyond this store: a receiver drops repeats by id.
    word = clocks.word_of(connection, meta["boot"])
    draft = Draft(f"lost/{meta['store'][:8]}/{first}", "lost", time, body, priority=0, clock=word)
    return insert(connection, draft, meta["boot"])


def drop(
    connection: sqlite3.Connection, rows: Sequence[tuple[int, str]], reason: Reason, time: float
) -> int | None:
    """Delete these unsent (seq, topic) rows and declare them; the seq of the `lost`, None for none.

    Declarations of the same reason that still wait become part of the new one: the queue of an
    overloaded device does not fill with them.
    """
    if not rows:
        return None
    body, merged = lost_document(rows, reason), []
    for seq, text in connection.execute(
        "SELECT seq, body FROM outbox WHERE sent IS NULL AND topic = 'lost'"
        " ORDER BY seq DESC LIMIT ?",
        (MERGED,),
    ).fetchall():
        joined = merged_document(body, json.loads(text), seq)
        if joined is not None and len(joined["ranges"]) <= RANGES:
            body = joined
            merged.append(seq)
    # The declaration comes first: it is then the newest row, which must stay.
    declared = declare(connection, rows[0][0], dump(body), time)
    dropped = [(row[0],) for row in rows]
    if reason == "refused":
        connection.executemany(f"UPDATE outbox SET sent = {ASIDE} WHERE seq = ?", dropped)
        dropped = []
    gone = [*dropped, *((seq,) for seq in merged)]
    connection.executemany("DELETE FROM outbox WHERE seq = ?", gone)
    return declared


def unsent(connection: sqlite3.Connection) -> Depth:
    """The depth of the queue as it is written, counted."""
    (count,) = connection.execute("SELECT count(*) FROM outbox WHERE sent IS NULL").fetchone()
    return replace(_ends(connection, ()), depth=count)


def _ends(connection: sqlite3.Connection, waiting: Collection[int]) -> Depth:
    """All but the depth, leaving out those in `waiting` (acknowledged, not yet written)."""
    (last,) = connection.execute("SELECT coalesce(max(seq), 0) FROM outbox").fetchone()
    return Depth(
        oldest_seq=_end(connection, "ASC", waiting),
        newest_seq=_end(connection, "DESC", waiting),
        last_seq=last,
    )


def _is_unsent(connection: sqlite3.Connection, seq: int) -> bool:
    found = connection.execute("SELECT 1 FROM outbox WHERE seq = ? AND sent IS NULL", (seq,))
    return found.fetchone() is not None


def _end(connection: sqlite3.Connection, order: str, waiting: Collection[int]) -> int | None:
    ends = []
    for urgent in URGENCIES:
        rows = connection.execute(
            f"SELECT seq FROM outbox WHERE {unsent_that_is(urgent)} ORDER BY seq {order} LIMIT ?",
            (len(waiting) + 1,),
        )
        ends += [seq for (seq,) in rows if seq not in waiting][:1]
    return (min if order == "ASC" else max)(ends, default=None)


def _message(row: tuple[int, str, str, float, str, int, str, float | None]) -> Message:
    """As it leaves: on the true clock where that of its boot is known by now."""
    seq, id_, topic, created, body, boot, clock, correction = row
    message = Message(
        seq=seq,
        id=id_,
        topic=topic,
        qos=1,
        retain=False,
        time=created,
        body=json.loads(body),
        boot=boot,
        clock=clock,
    )
    return message if correction is None else corrected(message, correction)


def _present(connection: sqlite3.Connection, first: int, last: int) -> Spans:
    rows = connection.execute("SELECT seq FROM outbox WHERE seq BETWEEN ? AND ?", (first, last))
    return spans.of(seq for (seq,) in rows)


def _declared(connection: sqlite3.Connection, asked: Spans) -> tuple[list[int], Spans]:
    """The `lost` rows that declare some of what is asked for, and all that they declare."""
    seqs: list[int] = []
    declared: Spans = ()
    rows = connection.execute(  # by the index of ids that are no alerts'
        "SELECT seq, body FROM outbox WHERE topic <> 'alert' AND topic = 'lost'"
        " AND id >= 'lost/' AND id < 'lost0'"
    )
    for seq, text in rows:
        body = json.loads(text)
        told = spans.parse(body["ranges"]) if body.get("previous_store") is None else ()
        if spans.both(told, asked):
            seqs.append(seq)
            declared = spans.joined(declared + told)
    return seqs, declared


# --- what leaves by a stick ----------------------------------------------------------------------


def rows_after(
    connection: sqlite3.Connection, after: int, limit: int, *, urgent: bool
) -> list[Message]:
    """Unsent messages with seq > `after`, by seq: those of priority 0, or all others."""
    return [_message(row) for row in connection.execute(_lane(urgent), (after, limit))]


def rows_between(connection: sqlite3.Connection, first: int, last: int) -> list[Message]:
    """Every message that is still here, sent or not, by seq."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM outbox WHERE seq BETWEEN ? AND ? ORDER BY seq", (first, last)
    )
    return [_message(row) for row in rows]


def unsent_between(connection: sqlite3.Connection, first: int, last: int) -> Spans:
    rows = connection.execute(
        "SELECT seq FROM outbox WHERE sent IS NULL AND seq BETWEEN ? AND ?", (first, last)
    )
    return spans.of(seq for (seq,) in rows)


def waiting_by_topic(connection: sqlite3.Connection) -> dict[str, int]:
    """How many unsent messages of each topic."""
    rows = connection.execute(
        "SELECT topic, count(*) FROM outbox WHERE sent IS NULL GROUP BY topic ORDER BY topic"
    )
    return dict(rows.fetchall())
