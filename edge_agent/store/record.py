"""The one writer: a batch becomes one transaction, and what returned from `record` is kept.

Rules: an event and its messages are one transaction. A batch that fails leaves nothing behind and
may be offered again. Any thread may call; one lock and one connection stand behind all of them.
Read `outbox.py` for what leaves, `query.py` for what people read.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from edge_agent.frozen import frozen
from edge_agent.policy.correction import Correction
from edge_agent.policy.coverage import Cause, Since, within
from edge_agent.policy.documents import dump
from edge_agent.policy.ota import Step
from edge_agent.store import audit, clocks, coverage, decisions, events, labels, ledger, outbox
from edge_agent.store.db import (
    SERVICE_PATIENCE_S,
    TUNING,
    WEAR,
    Database,
    Tuning,
    hold,
    identity,
    kept_wear,
    open_database,
)
from edge_agent.store.disk import disk_errors
from edge_agent.store.labels import Label
from edge_agent.store.rows import Batch, CoverageRow, Draft, FramesRow, Identity, StoredEvent
from edge_agent.types import Event

#: The key of `meta` that names the last boot that ended with its account written.
_SETTLED = "settled"
#: The key of `meta` that says since when each pipeline of the latest boot watches, as JSON.
_WATCHING = "watching"
#: The key of `meta` that holds each pipeline's baseline of drift, as JSON.
_DRIFT = "drift"
#: The key of `meta` that holds what left by MQTT in the last day, as JSON.
_BUDGET = "budget"


def open_store(state: Path, tuning: Tuning = TUNING) -> Store:
    """The store in the folder `state`, which is made (0700) where it is absent.

    Raises Refused (a newer version's, left untouched), UsageError, NoRoom or EdgeError.
    """
    return Store(open_database(state, tuning))


@frozen
class Trouble:
    """Something about this store that a person should know, as `status` and `health` say it."""

    code: str
    message: str
    next: str


class Store:
    """What the service writes with. A context manager; `outbox` is the publisher's part."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._held: int | None = None
        self.troubles: tuple[Trouble, ...] = ()
        self.passing = False  # it lies in memory, and its folder goes with it
        with database.reading() as connection:
            self._identity = identity(connection)
        self.outbox = outbox.Outbox(database)

    @property
    def identity(self) -> Identity:
        return self._identity

    def start(self) -> Identity:
        """Count a start of the service and be its only one until `close`. Once, at the start.

        Raises EdgeError when another process is the service on this folder.
        """
        with disk_errors(self.database.path):
            self._held = hold(self.database.path.parent)
        with self.database.transaction() as connection:
            connection.execute("UPDATE meta SET value = value + 1 WHERE key = 'boot'")
            self._identity = identity(connection)
        self.database.wait_at_most(SERVICE_PATIENCE_S)
        return self._identity

    def named(self, device: str) -> None:
        """Keep under which id this store's messages leave: a stick is written without the agent."""
        with self.database.transaction() as connection:
            connection.execute(
                "INSERT INTO meta VALUES ('device', :id)"
                " ON CONFLICT (key) DO UPDATE SET value = :id WHERE value IS NOT :id",
                {"id": device},
            )

    def start_clock(self, reading: clocks.Reading) -> None:
        """How this boot's own time relates to the others' time. Once, right after `start`."""
        with self.database.transaction() as connection:
            clocks.begin(connection, self._identity.boot, reading)

    def correct(self, correction: Correction) -> None:
        """A time server was heard: from now on every time of this boot is told so, unsent messages
        too, and of the boots before it since the machine was switched on."""
        with self.database.transaction() as connection:
            clocks.hear(connection, self._identity.boot, correction)

    def record(self, batch: Batch) -> tuple[int, ...]:
        """Write the batch; the seqs of its messages. All of it is on the disk on return.

        Acknowledgements that wait ride along. Raises NoRoom, EdgeError (also for an event that
        is there already), LookupError for closing one that is not open, ValueError for an alert
        whose id does not name an event of the batch, sqlite3.IntegrityError for another
        message's id that is there already; nothing is written then.
        """
        _check_alerts(batch)
        boot = self._identity.boot
        with self.database.lock:
            with self.database.transaction() as connection:
                for opened in batch.opened:
                    events.insert(connection, opened, boot)
                for event in batch.closed:
                    events.close(connection, event)
                events.see(connection, batch.seen)
                seqs = tuple(outbox.insert(connection, draft, boot) for draft in batch.messages)
                ledger.insert(connection, batch.frames, boot)
                ledger.insert_summaries(connection, batch.summaries, boot)
                decisions.insert_others(connection, batch.judged, boot)
                coverage.insert(connection, batch.coverage, boot)
                acknowledged = self.outbox.write_waiting(connection)
            self.outbox.forget(acknowledged)
        return seqs

    def watching(self, pipelines: Iterable[str], now: float) -> None:
        """These are at work from now on, in this boot: what one of them may lose began then."""
        with self.database.transaction() as connection:
            boot, since = _watched(connection)
            known = since if boot == self._identity.boot else {}
            since = {**dict.fromkeys(pipelines, now), **known}
            body = dump({"boot": self._identity.boot, "since": since})
            connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (_WATCHING, body))

    def declare_unaccounted(self, now: float, longest_s: float) -> dict[str, float]:
        """After a boot that did not end with `settled`: how much of the ledger it took with it.

        One row per pipeline that watched then, since its last window, or its start, and for at most
        `longest_s`, with no frames in it: what became of them is not known. Seconds by pipeline;
        none after a clean stop, or a boot that watched nothing. Call it once, after `start`.
        """
        previous = self._identity.boot - 1
        with self.database.transaction() as connection:
            boot, since = _watched(connection)
            if previous < 1 or boot != previous or _settled_boot(connection) == previous:
                return {}
            starts = {**since, **ledger.ends_of_boot(connection, previous)}
            shift = clocks.shift(connection, previous, self._identity.boot)
            until = math.inf if shift is None else now - shift
            rows = tuple(
                _unaccounted(name, start, until, longest_s)
                for name, start in sorted(starts.items())
            )
            ledger.insert(connection, rows, previous)
        return {row.pipeline: row.unaccounted_s for row in rows}

    def resume_coverage(self, kept: Sequence[CoverageRow]) -> dict[tuple[str, str], Since]:
        """Until when each rule was accounted for in the latest boot that wrote, and what came then.

        `kept`: the rows that a kill kept the boot before this one from writing. Call it once, after
        `start`.
        """
        boot = self._identity.boot
        with self.database.transaction() as connection:
            previous = boot - 1 if kept else coverage.latest_boot(connection, boot)
            ends = coverage.ends_of_boot(connection, previous)
            late = [
                replace(row, stretch=rest)
                for row in kept
                for rest in within([row.stretch], ends.get(row.key, -math.inf), math.inf)
            ]
            coverage.insert(connection, late, previous)
            ends = coverage.ends_of_boot(connection, previous)
            stopped = _settled_boot(connection) == previous
            ends = {key: clocks.end(connection, (previous, end), boot) for key, end in ends.items()}
        cause = Cause.STOPPED if stopped else Cause.POWER_OFF
        return {key: Since(end, cause) for key, end in ends.items()}

    def settled(self) -> None:
        """The service stops, and its whole account is written."""
        with self.database.transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO meta VALUES (?, ?)", (_SETTLED, self._identity.boot)
            )

    def interrupt_open(
        self, closing: Callable[[StoredEvent], Draft | None]
    ) -> tuple[StoredEvent, ...]:
        """Close what earlier boots left open, at its last seen time, as `interrupted`.

        `closing` makes the message of such a (now closed) event, None where none is due. One
        transaction; the events as they were closed. Call it once, after `start`.
        """
        with self.database.lock:
            with self.database.reading() as connection:
                left = events.select(
                    connection,
                    "WHERE e.closed IS NULL AND e.boot < ? ORDER BY e.n",
                    (self._identity.boot,),
                )
                words = {stored.boot: clocks.word_of(connection, stored.boot) for stored in left}
            interrupted = tuple(
                replace(stored, event=_interrupted(stored.event)) for stored in left
            )
            drafts = [
                replace(draft, boot=stored.boot, clock=words[stored.boot])
                for stored in interrupted
                if (draft := closing(stored)) is not None
            ]
            if interrupted:
                self.record(
                    Batch(
                        closed=tuple(stored.event for stored in interrupted),
                        messages=tuple(drafts),
                    )
                )
        return interrupted

    def attach(self, event: str, entry: Mapping[str, Any]) -> None:
        """One more piece of evidence, which is on the disk, to an event that is in this store."""
        with self.database.transaction() as connection:
            events.attach(connection, event, entry)

    def label(self, label: Label) -> None:
        """What a person said of an event that is in this store."""
        with self.database.transaction() as connection:
            labels.put(connection, label)

    def audit(self, step: Step, time: float) -> int | None:
        """Keep a step of a model's or policy's way, and queue its report: one transaction; the seq
        of the report, None where it is none. `time` is the agent's own."""
        with self.database.transaction() as connection:
            return audit.insert(connection, step, time, self._identity.boot)

    def audit_from_outside(self, step: Step, wall: float) -> int | None:
        """As `audit`, by a command while the agent is down: `wall` is the wall clock's time."""
        with self.database.transaction() as connection:
            boot = self._identity.boot
            return audit.insert(connection, step, audit.own_time(connection, wall, boot), boot)

    def keep_config(self, sha: str, text: str) -> None:
        """Keep the redacted text behind a config_sha256. Writes only what is new."""
        with self.database.transaction() as connection:
            connection.execute(
                "UPDATE configs SET text = :text WHERE n = :n AND text IS NOT :text",
                {"n": events.config_number(connection, sha), "text": text},
            )

    def wear(self) -> str:
        """The account of what was written to the disk, as `keep_wear` left it."""
        with self.database.reading() as connection:
            return kept_wear(connection)

    def baselines(self) -> str:
        """What drift is measured against, as `keep_baselines` left it."""
        with self.database.reading() as connection:
            row = connection.execute("SELECT value FROM meta WHERE key = ?", (_DRIFT,)).fetchone()
        return "{}" if row is None else str(row[0])

    def keep_baselines(self, text: str) -> None:
        with self.database.transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (_DRIFT, text))

    def life(self, now: float) -> float:
        """Seconds that this store has lived, as far as it knows; `now` on this boot's own clock."""
        with self.database.reading() as connection:
            return clocks.life(connection, self._identity.boot, now)

    def kept_budget(self) -> str:
        """The account of what left by MQTT, as `keep_budget` left it."""
        with self.database.reading() as connection:
            row = connection.execute("SELECT value FROM meta WHERE key = ?", (_BUDGET,)).fetchone()
        return "{}" if row is None else str(row[0])

    def keep_budget(self, text: str) -> None:
        with self.database.transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (_BUDGET, text))

    def keep_wear(self, text: str) -> None:
        with self.database.transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (WEAR, text))

    def close(self) -> None:
        """Write the waiting acknowledgements and give everything back. More than once is fine."""
        try:
            self.outbox.settle()
        finally:
            self.outbox.close()
            self.database.close()
            if self._held is not None:
                os.close(self._held)
                self._held = None
            if self.passing:
                shutil.rmtree(self.database.path.parent, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _check_alerts(batch: Batch) -> None:
    """An alert's id is unique because its event opens and closes once (see schema.sql)."""
    due = {f"{opened.event.id}/open" for opened in batch.opened}
    due |= {f"{event.id}/close" for event in batch.closed}
    for draft in batch.messages:
        if draft.topic == "alert":
            if draft.id not in due:
                raise ValueError(f"alert {draft.id} belongs to no event of its batch")
            due.remove(draft.id)


def _settled_boot(connection: sqlite3.Connection) -> int | None:
    found = connection.execute("SELECT value FROM meta WHERE key = ?", (_SETTLED,)).fetchone()
    return found[0] if found else None


def _watched(connection: sqlite3.Connection) -> tuple[int, dict[str, float]]:
    """The latest boot that watched anything, and since when each of its pipelines did."""
    found = connection.execute("SELECT value FROM meta WHERE key = ?", (_WATCHING,)).fetchone()
    if found is None:
        return 0, {}
    said = json.loads(found[0])
    return said["boot"], said["since"]


def _unaccounted(pipeline: str, start: float, until: float, longest_s: float) -> FramesRow:
    """`start`: up to then everything was written. A clock that went back since tells nothing."""
    lost_s = min(longest_s, until - start) if until >= start else longest_s
    return FramesRow(pipeline, start, start + lost_s, 0, {}, unaccounted_s=lost_s)


def _interrupted(event: Event) -> Event:
    return replace(event, closed=event.seen, close_reason="interrupted")
