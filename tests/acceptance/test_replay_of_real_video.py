"""The main job on real input: 795 frames of people in a yard, the same bytes every time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

CONFIG = """\
sources: {{cam: {{kind: video, uri: {video}}}}}
pipelines:
  people:
    source: cam
    model: {model}
    engine: {engine}
    threads: {threads}
    gate: {{max_fps: 0, motion: false}}
    zones: {{yard: [[0.1, 0.3], [0.9, 0.3], [0.9, 0.95], [0.1, 0.95]]}}
    lines: {{path: {{from: [0.2, 0.9], to: [0.8, 0.3]}}}}
    rules:
      - {{name: in-yard, zone: yard, confirm: [3, 5], priority: alert}}
      - {{name: crowd, zone: yard, count: 4, dwell_s: 3}}
      - {{name: crossed, line: path}}
      - {{name: nobody, absent_s: 5}}
"""


def write_config(folder: Path, find: Callable[[str], Path], engine: str, threads: int) -> Path:
    path = folder / f"{engine}-{threads}.yaml"
    video, model = find("video/vtest.avi"), find("models/yolov8n_192.tflite")
    text = CONFIG.format(video=video, model=model, engine=engine, threads=threads)
    path.write_text(text, "utf-8")
    return path


def replay(config: Path, video: Path, folder: Path, cores: set[int] | None = None) -> str:
    command = [sys.executable, "-m", "edge_agent", "replay", str(video), "-c", str(config)]
    command += ["--state", str(folder / "state"), "--report", str(folder / "report.json")]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=900,
        check=True,
        preexec_fn=None if cores is None else lambda: os.sched_setaffinity(0, cores),
    )
    return done.stdout


def test_a_yard_full_of_people(realdata: Callable[[str], Path], tmp_path: Path) -> None:
    config = write_config(tmp_path, realdata, "litert", 1)
    events = [
        json.loads(line)
        for line in replay(config, realdata("video/vtest.avi"), tmp_path).splitlines()
    ]
    report: dict[str, Any] = json.loads((tmp_path / "report.json").read_text())
    assert report["frames"]["captured"] == report["frames"]["inferred"] == 795
    by_rule = dict.fromkeys(("in-yard", "crowd", "crossed", "nobody"), 0)
    for event in events:
        by_rule[event["rule"]] += 1
    # Eight people in 80 s, some of whom leave and come back: a handful, not hundreds.
    assert 5 <= by_rule["in-yard"] <= 80
    assert by_rule["crossed"] >= 1
    assert by_rule["nobody"] == 0


@pytest.mark.acceptance
@pytest.mark.parametrize("engine", ["litert", "tflite-runtime"])
@pytest.mark.parametrize("threads", [1, 2])
def test_the_same_bytes_on_both_engines_on_one_core_and_two(
    realdata: Callable[[str], Path], tmp_path: Path, engine: str, threads: int
) -> None:
    if engine == "tflite-runtime" and sys.version_info >= (3, 12):
        pytest.skip("tflite-runtime has no wheels for this Python")
    config = write_config(tmp_path, realdata, engine, threads)
    video = realdata("video/vtest.avi")
    first = replay(config, video, tmp_path)
    assert first
    assert replay(config, video, tmp_path) == first
    assert replay(config, video, tmp_path, cores={min(os.sched_getaffinity(0))}) == first
