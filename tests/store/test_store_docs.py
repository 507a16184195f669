"""docs/store.md names every table and column that exists, and its commands work."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from edge_agent.store.decisions import KEPT
from edge_agent.store.record import Store

DOCS = (Path(__file__).parents[2] / "docs" / "store.md").read_text("utf-8")
COMMANDS = re.findall(r"```console\n(.*?)```", DOCS, re.DOTALL)


def test_every_table_and_column_is_documented(store: Store) -> None:
    with store.database.reading() as connection:
        tables = connection.execute(
            "SELECT name FROM sqlite_master WHERE type IN ('table', 'view')"
        ).fetchall()
        for (table,) in tables:
            section = re.search(rf"\*\*{table}\*\*.*?(?=\n\*\*|\n## )", DOCS, re.DOTALL)
            assert section, f"docs/store.md has no paragraph **{table}**"
            for column in connection.execute(f"PRAGMA table_info({table})").fetchall():
                assert f"`{column[1]}`" in section[0], f"docs/store.md: {table}.{column[1]}"


def test_number_of_kept_misses_is_the_documented_one() -> None:
    assert f"the newest {KEPT:,} per pipeline" in DOCS


@pytest.mark.parametrize("block", COMMANDS)
def test_commands_of_the_docs_work(
    state: Path, store: Store, device: SimpleNamespace, block: str
) -> None:
    event = replace(device.event(1), id="5e15b13b00000000")
    store.record(device.opening(event))
    store.record(device.flush(1))
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    script = re.sub(r"^\$ ", "", block, flags=re.MULTILINE)
    done = subprocess.run(
        ["bash", "-euc", script],
        cwd=state,
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"person|motion|294|gate|outbox", done.stdout)
