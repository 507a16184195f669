"""A backlog of a store drains over a real broker; long: a million rows (`make acceptance`)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.parametrize(
    "rows", [10_000, pytest.param(1_000_000, marks=pytest.mark.acceptance(minutes=10))]
)
def test_alerts_first_a_live_one_at_once_and_memory_stays_flat(
    rows: int, mosquitto_program: str
) -> None:
    paced = "20" if rows > 100_000 else "3"
    program = str(ROOT / "benchmarks" / "drain.py")
    done = subprocess.run(
        [sys.executable, program, "--json", "--rows", str(rows), "--paced-s", paced],
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/sbin:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=3000,
    )
    assert done.stdout, done.stderr
    found = json.loads(done.stdout)
    print(f"{rows} of 1000000 rows: {found}")
    assert found["alerts_behind_a_summary"] == 0
    assert found["live_missing"] == found["left"] == 0
    assert found["rss_growth_mb"] <= 20.0
    assert found["paced_per_s"] <= 60.0
    if rows > 100_000:  # short: a busy machine decides nothing
        assert found["live_worst_s"] <= 1.0
        assert found["of_bare"] >= 0.25
