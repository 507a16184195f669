"""`bench`: the whole pipeline beside reading and bare invoke, on what ships with the package."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from edge_agent.cli import root


@pytest.mark.parametrize("model", ["scene-detector", "machine-anomaly"])
def test_every_frame_is_inferred_and_the_account_balances(model: str, tmp_path: Path) -> None:
    arguments = ["bench", "--model", model, "--seconds", "1", "--json", "--state", str(tmp_path)]
    told = CliRunner().invoke(root, arguments, catch_exceptions=False)
    report = json.loads(told.stdout.splitlines()[-1])
    frames = report["frames"]
    assert frames["captured"] == frames["inferred"] > 0
    assert frames["skipped"] == {}
    assert frames["failed"] == frames["pending"] == 0
    assert report["efficiency"] == pytest.approx(
        report["fps"] / report["invoke_fps"], rel=0.05, abs=0.001
    )
