"""A hundred damaged models of three families: a sentence each, never a traceback, and we live."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from mutants import KINDS, judged, mutant

from edge_agent.service import trial

pytestmark = pytest.mark.acceptance
MODELS = ("vww_96_int8", "yolov8n_192", "traffic_model", "fomo_face_detection")


@pytest.mark.parametrize("number", range(100))
def test_a_damaged_model_is_refused_or_runs_and_we_live(
    realdata: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(trial, "SECONDS", 20.0)
    data = realdata(f"models/{MODELS[number // len(KINDS) % len(MODELS)]}.tflite").read_bytes()
    path = tmp_path / "mutant.tflite"
    path.write_bytes(mutant(data, number))
    verdicts = judged(path, tmp_path / "state")
    assert all(said == "ran" or said.startswith(("mutant", "model mutant")) for said in verdicts)
    if KINDS[number % len(KINDS)] in ("random bytes", "truncated"):
        assert "ran" not in verdicts
