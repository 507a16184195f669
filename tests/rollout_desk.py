"""An operator's desk with a repository and its keys, and what a device's audit has of a rollout."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

from depot import PASSPHRASE, make_depot

ROOT = Path(__file__).parents[1]


class Desk:
    """`desk("publish", bundle)`: edge-fleet's output; a command that fails fails the test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.depot = make_depot(folder / "depot", time.time())
        self.environment = {
            **os.environ,
            "PYTHONPATH": f"{ROOT}:{ROOT / 'ota'}",
            "EDGE_FLEET_REPO": str(self.depot.repo),
            "EDGE_FLEET_KEYS": str(self.depot.keys),
            "EDGE_FLEET_PASSPHRASE": PASSPHRASE,
            "EDGE_FLEET_STORE": f"sqlite:///{folder / 'desk.db'}",
        }

    def __call__(self, *words: object) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "edge_fleet", *map(str, words)],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


def steps_told(state: Path) -> list[tuple[str, str, str]]:
    """Step, verdict and reason of each step so far, the first one first."""
    try:
        with sqlite3.connect(f"file:{state / 'edge.db'}?mode=ro", uri=True) as found:
            return found.execute("SELECT step, verdict, reason FROM audit").fetchall()
    except sqlite3.Error:
        return []
