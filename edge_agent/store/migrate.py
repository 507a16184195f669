"""Bring a database to the present schema: named steps, each in one transaction.

Rules: a step that has been released is never edited; a change of the tables is a new step at the
end. `user_version` is the number of steps done. A newer database is not touched (`db.py`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

from edge_agent.frozen import frozen


@frozen
class Step:
    name: str
    sql: str


#: The sum of each pipeline's rows in `frames` since the start `boot`: adding up years takes time.
_TOTALS = """
CREATE TABLE totals (
    pipeline TEXT PRIMARY KEY,
    boot INTEGER NOT NULL,
    captured INTEGER NOT NULL,
    inferred INTEGER NOT NULL,
    skipped TEXT NOT NULL,
    failed INTEGER NOT NULL,
    pending INTEGER NOT NULL
) WITHOUT ROWID;
"""

#: Every rule's life, a row for each stretch of one attention (policy/coverage.py).
_COVERAGE = """
CREATE TABLE coverage (
    n INTEGER PRIMARY KEY,
    boot INTEGER NOT NULL,
    pipeline TEXT NOT NULL,
    rule TEXT NOT NULL,              -- "" for a pipeline without rules
    began REAL NOT NULL,
    ended REAL NOT NULL,             -- updated while the stretch goes on
    seconds REAL NOT NULL,           -- updated; less than ended - began where many were folded
    state TEXT NOT NULL CHECK (state IN ('watching', 'degraded', 'blind')),
    cause TEXT NOT NULL
);
CREATE INDEX coverage_by_rule ON coverage (pipeline, rule);
"""

#: The queue is read from two ends: what is urgent, and the rest. One index answers both.
_LANES = """
DROP INDEX outbox_unsent;
CREATE INDEX outbox_unsent ON outbox (priority > 0) WHERE sent IS NULL;
"""

#: How each boot's own time relates to the others' time (clocks.py); the view tells corrected times.
_CLOCKS = """
CREATE TABLE clocks (
    boot INTEGER PRIMARY KEY,
    kernel TEXT NOT NULL,            -- names the start of the machine
    base REAL NOT NULL,              -- the boot's own time minus the kernel's monotonic seconds
    began REAL NOT NULL,             -- on its own clock
    correction REAL,                 -- to add to its times (updated when a time server is heard)
    lived REAL NOT NULL              -- seconds of the store's life when it began (updated then)
);
ALTER TABLE decisions ADD COLUMN boot INTEGER NOT NULL DEFAULT 0;
DROP VIEW event_log;
CREATE VIEW event_log AS
SELECT id, datetime(opened + coalesce(correction, 0), 'unixepoch') AS opened_utc,
       round(closed - opened, 1) AS lasted_s,
       priority, pipeline, rule, label, zone, round(score_max, 2) AS score, close_reason, text
FROM events LEFT JOIN clocks USING (boot) ORDER BY n DESC;
"""

#: What was done with models and policies (audit.py), and the latest step of each.
_AUDIT = """
CREATE TABLE audit (
    n INTEGER PRIMARY KEY,
    time REAL NOT NULL,              -- on the clock of its boot
    boot INTEGER NOT NULL,
    who TEXT NOT NULL,               -- cli, ota, command, start, probation
    kind TEXT NOT NULL CHECK (kind IN ('model', 'policy')),
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    step TEXT NOT NULL,
    verdict TEXT NOT NULL CHECK (verdict IN ('ok', 'failed', 'waiting')),
    reason TEXT NOT NULL,
    numbers TEXT NOT NULL,           -- JSON: {name: number}
    before_version TEXT,             -- what was in charge until then
    before_sha256 TEXT,
    rollout TEXT,
    serial INTEGER,
    stage TEXT
);
CREATE INDEX audit_by_name ON audit (name);
CREATE TABLE ota (
    n INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    step INTEGER NOT NULL,           -- of audit (updated)
    UNIQUE (kind, name)
);
"""

STEPS = (
    Step("the first tables", Path(__file__).with_name("schema.sql").read_text("utf-8")),
    Step(
        "what a power cut took",
        "ALTER TABLE frames ADD COLUMN unaccounted_s REAL NOT NULL DEFAULT 0;",
    ),
    Step("sums of the ledger", _TOTALS),
    Step(
        "declarations that wait are found at once",
        "CREATE INDEX outbox_lost ON outbox (sent) WHERE sent IS NULL AND topic = 'lost';",
    ),
    Step("proof of watching", _COVERAGE),
    Step("alerts leave before all else, however much waits", _LANES),
    Step(
        "what people said of events",
        "CREATE TABLE labels (event TEXT PRIMARY KEY, label INTEGER NOT NULL,"
        " time REAL NOT NULL, by TEXT NOT NULL) WITHOUT ROWID;",
    ),
    Step("clocks that are put right", _CLOCKS),
    Step("what was done with models and policies", _AUDIT),
)
LATEST = len(STEPS)


def migrate(connection: sqlite3.Connection, steps: tuple[Step, ...] = STEPS) -> tuple[str, ...]:
    """Apply the steps that are missing, in order; their names. Raises sqlite3.Error.

    When a step fails, the database stands as it did before that step.
    """
    return tuple(
        step.name
        for number, step in enumerate(steps, start=1)
        if version(connection) < number and _apply(connection, number, step)
    )


def version(connection: sqlite3.Connection) -> int:
    found: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return found


def _apply(connection: sqlite3.Connection, number: int, step: Step) -> bool:
    """False where another process did it while we waited for the lock."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        if missing := version(connection) < number:
            for statement in _statements(step.sql):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return missing


def _statements(sql: str) -> Iterator[str]:
    """One statement after the other: `executescript` would commit before it begins."""
    statement = ""
    for line in sql.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
