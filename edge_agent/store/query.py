"""The reading side: works while the agent runs and while it is down, and never writes.

Rules: the connection is read-only; every answer is one short read, so that the write-ahead log can
begin anew. Everything comes back as dataclasses of `rows.py` and `types.py`, with times as others
tell them (`clocks.py`).
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from edge_agent.errors import EdgeError, NoRoom, ReadOnly, UsageError
from edge_agent.policy.spans import Spans
from edge_agent.store import audit, coverage, decisions, events, labels, ledger, outbox, redo
from edge_agent.store.audit import Told
from edge_agent.store.db import (
    FILE,
    Database,
    connect,
    device,
    has_name,
    identity,
    kept_wear,
    open_database,
    read_header,
    refuse_contents,
)
from edge_agent.store.disk import disk_errors, is_full
from edge_agent.store.labels import Label
from edge_agent.store.migrate import LATEST, version
from edge_agent.store.rows import (
    CoverageRow,
    Depth,
    EventFilter,
    FramesRow,
    Identity,
    Judged,
    LastStatus,
    StoredEvent,
)
from edge_agent.types import Ledger, Message

ANY = EventFilter()
_ALWAYS = float("-inf")
#: So many candidates are named when a prefix is ambiguous.
_NAMED = 5


def open_reader(state: Path) -> Reader:
    """Read the store in the folder `state`.

    Raises UsageError when there is none, Refused when a newer version wrote it, EdgeError when it
    cannot be read as it is (an older version's; a log that has to be replayed on a read-only disk).
    """
    path = state / FILE
    with disk_errors(path):
        if not path.exists() or path.stat().st_size == 0:
            raise _absent(state)
        read_header(path)
        connection = _connect(path)
        try:
            refuse_contents(path, connection)
            if (found := version(connection)) == 0 or not has_name(connection):
                raise _absent(state)
            if redo.waits(connection, path):
                _finish(state)
            if found < LATEST:
                raise EdgeError(
                    f"{path} is of an older version and not yet migrated",
                    "start the agent once: it migrates the database",
                )
        except BaseException:
            connection.close()
            raise
    return Reader(path, connection)


def reader_beside(database: Database) -> Reader:
    """For the process that writes it: SQLite alone opens the file. Whoever closes one of SQLite's
    takes away its locks (https://www.sqlite.org/howtocorrupt.html, 2.2). Raises EdgeError."""
    with disk_errors(database.path):
        return Reader(database.path, _connect(database.path))


class Reader:
    """Answers about one store. A context manager."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self._path = path
        self._file = path.stat().st_ino
        self._connection = connection

    def events(self, wanted: EventFilter = ANY) -> tuple[StoredEvent, ...]:
        """The events that the filter lets through, the newest recorded first."""
        conditions = {
            events.SINCE: wanted.since,
            f"{events.OPENED} >= ?": wanted.since,
            f"{events.OPENED} < ?": wanted.until,
            "e.rule = ?": wanted.rule,
            "e.priority = ?": wanted.priority,
            "e.pipeline = ?": wanted.pipeline,
        }
        asked = {clause: value for clause, value in conditions.items() if value is not None}
        where = f"WHERE {' AND '.join(asked)}" if asked else ""
        limit = -1 if wanted.limit is None else wanted.limit
        with self._reading() as connection:
            return events.told(
                connection, f"{where} ORDER BY e.n DESC LIMIT ?", (*asked.values(), limit)
            )

    def events_before(self, pipeline: str, time: float, limit: int) -> tuple[StoredEvent, ...]:
        """At most `limit` events of a pipeline that opened up to that moment, the newest first."""
        with self._reading() as connection:
            return events.before(connection, pipeline, time, limit)

    def event(self, prefix: str) -> StoredEvent:
        """The one event whose id begins with `prefix`. Raises UsageError for none or several."""
        given = prefix.lower()
        if not given or set(given) - set("0123456789abcdef"):
            raise UsageError(f"{prefix!r} is no event id", "see: edge-agent events list")
        with self._reading() as connection:
            found = _ids(connection, given)
            if not found:
                raise _unknown(connection, prefix, given)
            if len(found) > 1:
                names = ", ".join(found[:_NAMED])
                more = ", …" if len(found) > _NAMED else ""
                raise UsageError(
                    f"several events begin with {prefix}: {names}{more}", "write more digits"
                )
            return events.told(connection, "WHERE e.id = ?", found)[0]

    def label(self, event: str) -> Label | None:
        """What a person said of the event with that (whole) id."""
        with self._reading() as connection:
            return labels.of(connection, event)

    def open_events(self) -> tuple[StoredEvent, ...]:
        with self._reading() as connection:
            return events.told(connection, "WHERE e.closed IS NULL ORDER BY e.n")

    def near(self, pipeline: str, time: float, limit: int = 10) -> tuple[Judged, ...]:
        """What was judged closest to `time` in that pipeline (events, misses, skips), by time."""
        with self._reading() as connection:
            opened = events.around(connection, pipeline, time, limit)
            found = [decisions.of_event(stored.event) for stored in opened]
            found += decisions.others_around(connection, pipeline, time, limit)
        closest = sorted(found, key=lambda judged: abs(judged.time - time))[:limit]
        return tuple(sorted(closest, key=lambda judged: judged.time))

    def ledger(self, since: float | None = None) -> dict[str, Ledger]:
        """Per pipeline the sums of the windows that ended after `since`; pending as at the last."""
        with self._reading() as connection:
            return ledger.since_time(connection, _ALWAYS if since is None else since)

    def windows(self, since: float | None = None) -> tuple[FramesRow, ...]:
        """The ledger's single windows that ended after `since`, in the order of writing."""
        with self._reading() as connection:
            return ledger.windows(connection, _ALWAYS if since is None else since)

    def window_at(self, pipeline: str, time: float) -> FramesRow | None:
        """The window of that pipeline's ledger that holds the moment."""
        with self._reading() as connection:
            return ledger.window_at(connection, pipeline, time)

    def history(self, name: str | None = None, limit: int = 20) -> tuple[Told, ...]:
        """The newest steps of a model's or policy's way, or of all of them, the newest first."""
        with self._reading() as connection:
            return audit.history(connection, name, limit)

    def under_way(self) -> tuple[Told, ...]:
        """The latest step of each model and policy."""
        with self._reading() as connection:
            return audit.latest(connection)

    def coverage(self, since: float) -> tuple[CoverageRow, ...]:
        """The stretches of every rule that ended after `since`, rule by rule in order of time."""
        with self._reading() as connection:
            return coverage.since(connection, since)

    def config(self, sha: str) -> str | None:
        """The redacted text behind a config_sha256, None where it is not known."""
        with self._reading() as connection:
            found = connection.execute("SELECT text FROM configs WHERE sha = ?", (sha,)).fetchone()
        return found[0] if found else None

    def pipelines(self) -> tuple[str, ...]:
        """The pipelines that wrote a window lately, by name (also for shell completion)."""
        with self._reading() as connection:
            return tuple(sorted(ledger.last_windows(connection)))

    def last_status(self) -> LastStatus:
        """The agent as its last write left it."""
        with self._reading() as connection:
            windows = ledger.last_windows(connection)
            known = identity(connection)
            return LastStatus(
                identity=known,
                written=max((row.ended for row in windows.values()), default=None),
                windows=windows,
                ledgers=ledger.of_boot(connection, known.boot),
                open=events.told(connection, "WHERE e.closed IS NULL ORDER BY e.n"),
                wear=kept_wear(connection),
                outbox=outbox.unsent(connection),
            )

    # --- the outbox, for a stick --------------------------------------------------------------

    def identity(self) -> Identity:
        with self._reading() as connection:
            return identity(connection)

    def device(self) -> str | None:
        """The device id that the last agent on this store had; None where none ever ran."""
        with self._reading() as connection:
            return device(connection)

    def depth(self) -> Depth:
        with self._reading() as connection:
            return outbox.unsent(connection)

    def waiting_by_topic(self) -> dict[str, int]:
        with self._reading() as connection:
            return outbox.waiting_by_topic(connection)

    def unsent(self, after: int, limit: int, *, urgent: bool) -> list[Message]:
        """At most `limit` that wait, by seq: those that leave first, or all others."""
        with self._reading() as connection:
            return outbox.rows_after(connection, after, limit, urgent=urgent)

    def unsent_between(self, first: int, last: int) -> Spans:
        with self._reading() as connection:
            return outbox.unsent_between(connection, first, last)

    def messages(self, first: int, last: int) -> list[Message]:
        """Every message with such a seq that is still here, sent or not."""
        with self._reading() as connection:
            return outbox.rows_between(connection, first, last)

    def close(self) -> None:
        self._connection.close()

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """One moment of the store: all statements inside see the same state."""
        with disk_errors(self._path):
            self._follow()
            self._connection.execute("BEGIN")
            try:
                yield self._connection
            finally:
                if self._connection.in_transaction:  # not where SQLite ended it on an error
                    self._connection.execute("ROLLBACK")

    def _follow(self) -> None:
        """The file of that name may be another one by now: see `renew.py`."""
        if (now := self._path.stat().st_ino) != self._file:
            self._connection.close()
            self._connection, self._file = _connect(self._path), now

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _ids(connection: sqlite3.Connection, prefix: str) -> list[str]:
    """Some of the ids that begin so, in their order."""
    rows = connection.execute(
        "SELECT id FROM events WHERE id >= ? AND id < ? ORDER BY id LIMIT ?",
        (prefix, prefix + "g", _NAMED + 1),  # every id that begins so lies between
    )
    return [id_ for (id_,) in rows]


def _unknown(connection: sqlite3.Connection, prefix: str, given: str) -> UsageError:
    """Names those that share the longest beginning with what was given."""
    near = next(
        (ids for end in range(len(given), -1, -1) if (ids := _ids(connection, given[:end]))), []
    )
    names = f" (nearest: {', '.join(near[:_NAMED])})" if near else " (there are no events)"
    return UsageError(
        f"no event has an id that begins with {prefix}{names}", "see: edge-agent events list"
    )


def _finish(state: Path) -> None:
    """A killed agent's last half hour may stand in its redo log: opening to write commits it. Where
    that is not possible (a read-only disk, an agent at work) it is read as it stands."""
    with suppress(EdgeError):
        open_database(state).close()


def _absent(state: Path) -> UsageError:
    return UsageError(
        f"there is no database in {state}: no agent has run there",
        "name another state directory with --state, or start the agent: edge-agent run -c FILE",
    )


def _connect(path: Path) -> sqlite3.Connection:
    """A read-only connection. On a read-only or full disk SQLite cannot make the log's index;
    without a log nothing is lost by reading the file alone
    (https://sqlite.org/wal.html#readonly)."""
    connection = connect(path, "ro")
    try:
        version(connection)
    except sqlite3.OperationalError:
        connection.close()
        read_only = not os.access(path.parent, os.W_OK)
        if not read_only and not is_full(path):
            raise
        log = path.with_name(path.name + "-wal")
        if log.exists() and log.stat().st_size:
            why = "directory is read-only" if read_only else "disk is full"
            raise (ReadOnly if read_only else NoRoom)(
                f"{path} cannot be read: its last changes are in a log beside it, and the {why}",
                f"copy {path.parent} to a writable disk and name that copy with --state",
            ) from None
        return connect(path, "ro", "&immutable=1")
    return connection
