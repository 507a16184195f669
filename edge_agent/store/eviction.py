"""What goes first when there is too much, and how: one function per kind, a batch at a time.

Rules: a row that a receiver was promised is never dropped silently: the transaction that folds or
drops it declares it (`outbox.declare`). An event's row is changed before its files go, so that no
event refers to a picture that is not there. Read `retention.py` next, which says when.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import groupby, islice
from typing import Any, TypeAlias

from edge_agent.policy.correction import moved
from edge_agent.policy.documents import dump
from edge_agent.policy.fold import fold
from edge_agent.policy.lost import Reason
from edge_agent.store import clocks, outbox
from edge_agent.store.clocks import Before
from edge_agent.store.rows import Draft, Identity

#: So many summaries of one pipeline become one.
FOLDED = 12
#: Numbers of a table that one sweep looks through for a kind that no index knows.
WINDOW = 5000


@dataclass(slots=True)
class Sweep:
    """One transaction's worth of eviction. `files`: evidence that goes once it is through.

    `cursors` remember, per kind, how far earlier sweeps have looked. `goes_on`: there is more
    behind the window that this one looked through.
    """

    connection: sqlite3.Connection
    identity: Identity
    time: float
    batch: int
    cursors: dict[str, int] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)
    goes_on: bool = False

    def rows(self, kind: str, sql: str) -> list[tuple[Any, ...]]:
        """The next rows of a kind that an index leads to; `sql` begins with the number that the
        cursor follows. What was passed over is looked at again once the kind was found empty."""
        values = {"after": self.cursors.get(kind, 0), "batch": self.batch}
        found = self.connection.execute(sql, values).fetchall()
        self.cursors[kind] = found[-1][0] if len(found) == self.batch else 0
        return found

    def events(self, kind: str, columns: str, which: str) -> list[tuple[Any, ...]]:
        """The next closed events of a kind in a window. At the end of the table the cursor waits
        for what is open still; for what has been open for more than a window's worth of events,
        until all of it is looked through again (`retention.py`)."""
        found = self._window(kind, "events", "n", columns, f"closed IS NOT NULL AND {which}")
        if not (found or self.goes_on):
            (first,) = self.connection.execute(
                "SELECT min(n) FROM events WHERE closed IS NULL"
            ).fetchone()
            end = self.cursors[kind]
            if first is not None and first <= end:
                self.cursors[kind] = max(first - 1, end - WINDOW)
        return found

    def sent(self) -> list[tuple[Any, ...]]:
        """The next messages that a broker took, in a window. Who lets a row be sent that was
        looked at before lowers the cursor `SENT` (`retention.py`)."""
        return self._window(SENT, "outbox", "seq", "", "sent IS NOT NULL")

    def _window(
        self, kind: str, table: str, number: str, columns: str, which: str
    ) -> list[tuple[Any, ...]]:
        first, last = self.connection.execute(
            f"SELECT coalesce((SELECT min({number}) FROM {table}), 1),"
            f" coalesce((SELECT max({number}) FROM {table}), 0)"
        ).fetchone()
        if table == "outbox":
            last -= 1  # the newest carries the sequence and stays
        after = max(self.cursors.get(kind, 0), first - 1)
        until = min(after + WINDOW, last)
        found = self.connection.execute(
            f"SELECT {number}{columns} FROM {table} WHERE {which} AND {number} > ?"
            f" AND {number} <= ? ORDER BY {number} LIMIT ?",
            (after, until, self.batch),
        ).fetchall()
        self.cursors[kind] = found[-1][0] if len(found) == self.batch else until
        self.goes_on = self.cursors[kind] < last
        return found


#: Names of cursors: messages that a broker took; events whose pictures are too old.
SENT, AGED_EVIDENCE = "sent", "aged evidence"


#: Evicts a batch of one kind; whether there was anything, or more is to be looked through.
Evict: TypeAlias = Callable[[Sweep], bool]


def sent_rows(sweep: Sweep) -> bool:
    """Messages that a broker took, oldest first."""
    rows = sweep.sent()
    sweep.connection.executemany("DELETE FROM outbox WHERE seq = ?", rows)
    return bool(rows) or sweep.goes_on


def low_evidence(sweep: Sweep) -> bool:
    """Pictures of closed events that were no alerts."""
    return _evidence(sweep, "priority <> 'alert'")


def low_history(sweep: Sweep) -> bool:
    """Closed events that were no alerts; of ledger and local summaries as many rows."""
    found = _history(sweep, "priority <> 'alert'")
    if sweep.goes_on and not found:
        return True
    for table in ("frames", "summaries"):
        cursor = sweep.connection.execute(
            f"DELETE FROM {table} WHERE n IN (SELECT n FROM {table} ORDER BY n LIMIT"
            f" min(?, (SELECT count(*) / 2 FROM {table})))",
            (sweep.batch // 5,),
        )
        found = found or cursor.rowcount > 0
    return found


def unsent_summaries(sweep: Sweep) -> bool:
    """Folded into coarser ones: the newest values stay, the single windows go, declared."""
    rows = sweep.rows(
        "summary",
        "SELECT seq, json_extract(body, '$.pipeline'), body, created, clock, boot FROM outbox"
        f" WHERE {outbox.unsent_that_is(urgent=False)} AND topic = 'summary'"
        " AND seq > :after ORDER BY seq LIMIT :batch",
    )
    return fold_summaries(sweep, rows, 2, "folded")


def fold_summaries(sweep: Sweep, rows: list[tuple[Any, ...]], least: int, reason: Reason) -> bool:
    """Up to `FOLDED` of a pipeline become one, where there are at least so many; whether any did.

    `rows`: seq, pipeline, body, created, clock, boot of unsent summaries, by seq.
    """
    folded: list[int] = []
    for _, group in groupby(sorted(rows, key=lambda row: (row[1], row[0])), key=lambda row: row[1]):
        while len(some := list(islice(group, FOLDED))) >= least:
            *_, created, clock, boot = some[-1]  # the times of all are brought to its clock
            body = dump(fold([_on_clock_of(sweep, row[5], boot, row[2]) for row in some]))
            # Ids are unique beyond this store, as those of `lost` are.
            name = f"summary/{sweep.identity.store[:8]}/folded/{some[0][0]}"
            draft = Draft(name, "summary", created, body, clock=clock)
            outbox.insert(sweep.connection, draft, boot)
            folded += [row[0] for row in some]
    _drop(sweep, ((seq, "summary") for seq in folded), reason)
    return bool(folded)


def _on_clock_of(sweep: Sweep, boot: int, later: int, body: str) -> Mapping[str, Any]:
    """A summary of one boot as the clock of a later one would have told it, as far as is known."""
    seconds = clocks.shift(sweep.connection, boot, later) or 0.0
    return moved("summary", json.loads(body), seconds)


def alert_history(sweep: Sweep) -> bool:
    """Pictures of closed alerts, then the events; their messages still wait."""
    which = "priority = 'alert'"
    return _evidence(sweep, which) or _history(sweep, which) or sweep.goes_on


def unsent_others(sweep: Sweep) -> bool:
    """What is no alert (`ota`, the last summaries): dropped, declared."""
    rows = sweep.rows(
        "others",
        f"SELECT seq, topic FROM outbox WHERE {outbox.unsent_that_is(urgent=False)}"
        " AND topic NOT IN ('alert', 'lost') AND seq > :after ORDER BY seq LIMIT :batch",
    )
    return _drop(sweep, rows, "quota")


def unsent_alerts(sweep: Sweep) -> bool:
    """The last that goes: the oldest alerts, declared."""
    rows = sweep.rows(
        "alerts",
        f"SELECT seq, topic FROM outbox WHERE {outbox.unsent_that_is(urgent=True)}"
        " AND topic = 'alert'"
        " AND seq > :after ORDER BY seq LIMIT :batch",
    )
    return _drop(sweep, rows, "quota")


#: In the order in which they go: what nobody waits for, then what costs only detail.
HARMLESS: tuple[Evict, ...] = (sent_rows, low_evidence, low_history, unsent_summaries)
#: And then what somebody may miss.
PAINFUL: tuple[Evict, ...] = (alert_history, unsent_others, unsent_alerts)


# --- by age --------------------------------------------------------------------------------------


def aged(sweep: Sweep, before: Before) -> bool:
    """A batch of everything that ended before that moment; what waits to be sent is declared.

    Rows stand in the order of their age, so only the first ones are looked at.
    """
    connection, values = sweep.connection, (sweep.batch, before.boot, before.boot, before.time)
    events = connection.execute(
        "SELECT n, decision, evidence FROM (SELECT * FROM events WHERE closed IS NOT NULL"
        f" ORDER BY n LIMIT ?) WHERE {_older('opened')}",
        values,
    ).fetchall()
    _delete_events(sweep, events)
    messages = connection.execute(
        "SELECT seq, topic, sent FROM (SELECT seq, topic, sent, created, boot FROM outbox"
        " WHERE topic <> 'lost' OR sent IS NOT NULL ORDER BY seq LIMIT ?)"
        f" WHERE {_older('created')} AND seq < (SELECT max(seq) FROM outbox)",
        values,
    ).fetchall()
    _drop(sweep, ((seq, topic) for seq, topic, sent in messages if not sent), "quota")
    connection.executemany(
        "DELETE FROM outbox WHERE seq = ?", [(seq,) for seq, _, sent in messages if sent]
    )
    count = len(events) + len(messages)
    tables = (("frames", "ended"), ("summaries", "ended"), ("coverage", "ended"))
    for table, time in (*tables, ("decisions", "time")):
        others = " WHERE kind <> 'event'" if table == "decisions" else ""
        count += connection.execute(
            f"DELETE FROM {table} WHERE n IN (SELECT n FROM (SELECT n, boot, {time} FROM"
            f" {table}{others} ORDER BY n LIMIT ?) WHERE {_older(time)})",
            values,
        ).rowcount
    return count > 0


def aged_evidence(sweep: Sweep, before: Before) -> bool:
    """A batch of the pictures of closed events that opened before that moment.

    Those of an event that is open for so long go with the event.
    """
    found: list[tuple[Any, ...]] = []
    rows = sweep.connection.execute(
        "SELECT n, evidence, closed, boot, opened FROM events WHERE n > ? ORDER BY n LIMIT ?",
        (sweep.cursors.get(AGED_EVIDENCE, 0), WINDOW),
    ).fetchall()
    for n, evidence, closed, boot, opened in rows:
        if (boot, opened) >= (before.boot, before.time) or len(found) == sweep.batch:
            break
        sweep.cursors[AGED_EVIDENCE] = n
        if closed is not None and evidence != "[]":
            found.append((n, evidence))
    else:
        sweep.goes_on = len(rows) == WINDOW
    return _forget_evidence(sweep, found) or sweep.goes_on


def _older(time: str) -> str:
    """SQL: a row is older than a `Before`, whose boot, boot and time are the values."""
    return f"(boot < ? OR (boot = ? AND {time} < ?))"


# --- below: what they share ----------------------------------------------------------------------


def _evidence(sweep: Sweep, which: str) -> bool:
    rows = sweep.events(f"evidence {which}", ", evidence", f"evidence <> '[]' AND {which}")
    return _forget_evidence(sweep, rows) or sweep.goes_on


def _forget_evidence(sweep: Sweep, rows: list[tuple[Any, ...]]) -> bool:
    sweep.connection.executemany(
        "UPDATE events SET evidence = '[]' WHERE n = ?", [row[:1] for row in rows]
    )
    sweep.files += [path for row in rows for path in paths(row[1])]
    return bool(rows)


def _history(sweep: Sweep, which: str) -> bool:
    rows = sweep.events(f"history {which}", ", decision, evidence", which)
    _delete_events(sweep, rows)
    return bool(rows)


def _delete_events(sweep: Sweep, rows: list[tuple[Any, ...]]) -> None:
    sweep.connection.executemany("DELETE FROM events WHERE n = ?", [(row[0],) for row in rows])
    sweep.connection.executemany("DELETE FROM decisions WHERE n = ?", [(row[1],) for row in rows])
    sweep.files += [path for row in rows for path in paths(row[2])]


def _drop(sweep: Sweep, rows: Iterable[tuple[int, str]], reason: Reason) -> bool:
    return outbox.drop(sweep.connection, list(rows), reason, sweep.time) is not None


def paths(evidence: str) -> list[str]:
    """The files of an event, relative to the state directory: each has its notes beside it."""
    found = []
    for item in json.loads(evidence):
        stem, _, _ = str(item["path"]).rpartition(".")
        found += [str(item["path"]), f"{stem}.json"]
    return found
