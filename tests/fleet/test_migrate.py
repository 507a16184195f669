"""Archives of older versions are opened, keep what they hold, and can do what newer ones can."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

import pytest
import reports

from edge_fleet.archive import open_archive
from edge_fleet.migrate import NEWEST, STEPS


@pytest.mark.parametrize("knows_erased", [True, False])
def test_an_archive_of_the_first_version(tmp_path: Path, knows_erased: bool) -> None:
    path = tmp_path / "desk.db"
    with open_archive(path) as archive:
        archive.keep(reports.messages(reports.status("d1", {"ring": "canary"})), "mqtt", 1.0)
    with sqlite3.connect(path) as db:
        db.execute("DROP TABLE enrolled")
        db.execute("DROP INDEX messages_of_ota")
        if not knows_erased:
            db.execute("DROP TABLE erased")
        db.execute("PRAGMA user_version = 1")
    with open_archive(path) as archive:
        assert archive.enroll("d2", {}, time.time())
        assert [each.name for each in archive.devices()] == ["d1", "d2"]
    with open_archive(path) as archive, sqlite3.connect(path) as db:
        assert not archive.enroll("d2", {"ring": "b"}, time.time())
        assert db.execute("PRAGMA user_version").fetchone() == (NEWEST,)
        assert db.execute("SELECT count(*) FROM erased").fetchone() == (0,)


def test_a_new_archive_needs_no_step(tmp_path: Path) -> None:
    """What the schema makes is what the steps lead to."""
    with open_archive(tmp_path / "new.db"), sqlite3.connect(tmp_path / "new.db") as db:
        assert db.execute("PRAGMA user_version").fetchone() == (NEWEST,)
        assert max(STEPS) + 1 == NEWEST
        for statement in STEPS[1]:
            name = statement.replace("IF NOT EXISTS ", "").split()[2]
            found = db.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (name,)).fetchone()
            assert found, name
