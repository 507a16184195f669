"""A day of one camera by MQTT, computed by `benchmarks/mqtt_day.py`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def day(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "mqtt_day.py"), *arguments],
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_a_day_with_20_alerts_and_1200_other_events_costs_at_most_400_kb() -> None:
    done = day()
    print(done.stdout)
    assert done.returncode == 0, done.stderr


def test_a_day_with_too_many_alerts_is_said_to_cost_more() -> None:
    done = day("--alerts", "400")
    assert (done.returncode, done.stderr) == (1, "")
