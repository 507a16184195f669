"""A camera that comes back with another size: gate, motion, masks and model take it as it comes."""

from __future__ import annotations

from datetime import UTC
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_agent.config.load import load
from edge_agent.pipeline.schedule import Calendar
from edge_agent.pipeline.step import Circumstances
from edge_agent.service.assemble import Site, assemble
from edge_agent.service.runner import stopwatch
from edge_agent.sources.scene import Scene, SceneSpec
from edge_agent.types import Frame

SIZES = ((640, 360), (320, 240), (1280, 720), (33, 17), (5, 5), (640, 360))
CONFIG = """\
sources: {yard: {kind: scene}}
pipelines:
  yard:
    source: yard
    model: scene-detector
    gate: {max_fps: 0}
    masks:
      privacy: [[[0, 0], [0.2, 0], [0.2, 0.15], [0, 0.15]]]
      motion: [[[0.8, 0.8], [1, 0.8], [1, 1], [0.8, 1]]]
      object: [[[0.4, 0], [0.6, 0], [0.6, 0.2], [0.4, 0.2]]]
    rules: [{name: seen, confirm: [2, 3]}]
"""


@pytest.mark.parametrize("sizes", [SIZES, SIZES[::-1]])
def test_frames_of_every_size_in_a_row_are_judged(
    tmp_path: Path, sizes: tuple[tuple[int, int], ...]
) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG)
    site = Site(tmp_path / "state", tmp_path)
    pipeline = assemble(load(path), "yard", site, stopwatch).pipeline
    scene, number, inferred = Scene("yard", SceneSpec(seed=11)), 0, []
    for size in sizes:
        for _ in range(4):
            picture = cv2.resize(scene.picture(number), size)
            frame = Frame("yard", number, number / 10, picture)
            outcome = pipeline.step(frame, Circumstances(Calendar(UTC)))
            inferred.append(outcome.skip is None)
            number += 1
        corner = picture[: max(1, size[1] // 10), : max(1, size[0] // 10)]
        assert np.any(corner)  # what the camera showed is untouched; only the copy is blackened
    assert all(inferred[4 * turn] for turn in range(len(sizes)))  # a new size is looked at
