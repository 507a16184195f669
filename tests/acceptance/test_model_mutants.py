"""300 damaged models of six families: a sentence and exit 4 each, or an answer, and we live."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from mutants import KINDS, judged, mutant

pytestmark = pytest.mark.acceptance
#: Name, and how many samples it takes where it sees no picture.
MODELS = (
    ("vww_96_int8", None),
    ("yolov8n_192", None),
    ("traffic_model", None),
    ("fomo_face_detection", None),
    ("ad01_int8", 640),
    ("movenet_single_pose_lightning_ptq", None),
)
#: The longest that a person waits for the answer, whatever the file is.
LONGEST_S = 30.0


@pytest.mark.parametrize("number", range(300))
def test_a_damaged_model_is_refused_or_runs_and_we_live(
    realdata: Callable[[str], Path],
    tmp_path: Path,
    record_property: Callable[[str, object], None],
    number: int,
) -> None:
    name, window = MODELS[number // len(KINDS) % len(MODELS)]
    data = realdata(f"models/{name}.tflite").read_bytes()
    path = tmp_path / "mutant.tflite"
    path.write_bytes(mutant(data, number))
    verdicts = list(judged(path, tmp_path / "state", window))
    record_property("verdicts", json.dumps([(each.code, each.seconds) for each in verdicts]))
    assert all(each.sound for each in verdicts), verdicts
    assert max(each.seconds for each in verdicts) < LONGEST_S
    if KINDS[number % len(KINDS)] in ("random bytes", "truncated"):
        assert {each.code for each in verdicts} == {4}
