"""Damaged models cost a sentence, never the agent; the long form is in tests/acceptance."""

from __future__ import annotations

from pathlib import Path

import pytest
from mutants import KINDS, judged, mutant

from edge_agent.bundles.shipped import shipped_folders


@pytest.mark.parametrize("first", range(0, 24, len(KINDS)))
def test_four_damaged_models_are_refused_or_run_and_we_live(tmp_path: Path, first: int) -> None:
    data = (shipped_folders()["scene-detector"] / "model.tflite").read_bytes()
    path, state = tmp_path / "mutant.tflite", tmp_path / "state"
    for number in range(first, first + len(KINDS)):
        path.write_bytes(mutant(data, number))
        verdicts = list(judged(path, state))
        assert all(verdict.sound for verdict in verdicts), verdicts
        if KINDS[number % len(KINDS)] in ("random bytes", "truncated"):
            assert {verdict.code for verdict in verdicts} == {4}
