"""Archives of older versions get what they lack: named steps, each in one transaction."""

from __future__ import annotations

import sqlite3

#: From the version that it stands under to the next one; one statement each.
STEPS: dict[int, tuple[str, ...]] = {
    1: (
        "CREATE INDEX messages_of_ota ON messages (n) WHERE topic = 'ota'",
        "CREATE TABLE enrolled (device TEXT PRIMARY KEY, tags TEXT NOT NULL, since REAL NOT NULL)"
        " WITHOUT ROWID",
        # Some of that version have it already.
        "CREATE TABLE IF NOT EXISTS erased (device TEXT NOT NULL, event TEXT NOT NULL,"
        " by TEXT NOT NULL, PRIMARY KEY (device, event)) WITHOUT ROWID",
    ),
}
NEWEST = 2


def migrate(connection: sqlite3.Connection) -> None:
    """Up to the newest version. One of a newer program stays as it is: it only ever adds."""
    while _version(connection) in STEPS:
        connection.execute("BEGIN IMMEDIATE")
        try:
            version = _version(connection)  # somebody else may have been faster
            for statement in STEPS.get(version, ()):
                connection.execute(statement)
            if version in STEPS:
                connection.execute(f"PRAGMA user_version = {version + 1}")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def _version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)
