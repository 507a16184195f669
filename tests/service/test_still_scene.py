"""A thousand frames in which nothing happens cost a handful of invokes: the gate's whole point."""

from __future__ import annotations

from datetime import UTC
from pathlib import Path

import numpy as np
import pytest

from edge_agent.config.known import part_of
from edge_agent.config.schema import Config
from edge_agent.pipeline.schedule import Calendar
from edge_agent.pipeline.step import Circumstances
from edge_agent.service.assemble import Site
from edge_agent.service.replay import Wishes, runner_of
from edge_agent.sources.scene import Scene, SceneSpec
from edge_agent.store.record import open_store
from edge_agent.types import Frame

SITE = {
    "sources": {"cam": {"kind": "scene"}},
    "pipelines": {
        "people": {"source": "cam", "model": "scene-detector", "rules": [{"name": "seen"}]}
    },
}


@pytest.mark.parametrize("fps", [10.0, 30.0])
def test_a_still_scene_of_a_thousand_frames_invokes_at_most_five_times(
    fps: float, tmp_path: Path
) -> None:
    scene = Scene("cam", SceneSpec(seed=7, width=320, height=240))
    still = next(scene.picture(index) for index in range(1000) if not scene.truth(index))
    chance = np.random.default_rng(7)
    # A camera's noise: no picture equals the one before it.
    noise = [chance.normal(0.0, 2.0, still.shape) for _ in range(16)]
    pictures = [np.clip(still + each, 0, 255).astype(np.uint8) for each in noise]
    with open_store(tmp_path / "store") as store:
        wishes = Wishes(("people",), Site(tmp_path, tmp_path))
        runner = runner_of(part_of(Config, SITE), "people", wishes, store)
        around = Circumstances(Calendar(UTC))
        for index in range(1000):
            runner.account.offer()
            picture = pictures[int(chance.integers(len(pictures)))]
            runner.work(Frame("cam", index, index / fps, picture), around)
    ledger = runner.account.ledger()
    assert ledger.captured == 1000
    assert 1 <= ledger.inferred <= 5, ledger
    assert ledger.skipped["motion"] > 100
