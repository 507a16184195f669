"""An unwell camera through the whole pipeline: ledger, events, rules, and twice the same bytes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge_agent.config.load import load
from edge_agent.service.assemble import Site
from edge_agent.service.replay import Replayed, Wishes, replay
from edge_agent.sources.scene import Scene, SceneSpec

CONFIG = """\
sources:
  dock: {{kind: images, uri: {folder}, fps: 5}}
pipelines:
  people:
    source: dock
    model: scene-detector
    gate: {{max_fps: 0}}
    camera_health: {health}
    rules:
      - {{name: nobody, label: dog, min_score: 1, absent_s: 9}}
"""


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """5 s of the yard, 8 s of a sheet over the lens, 5 s of the yard: 5 pictures a second."""
    folder = tmp_path_factory.mktemp("pictures")
    yard = Scene("yard", SceneSpec(seed=7, width=320, height=180, fps=5))
    random = np.random.default_rng(7)
    for index in range(90):
        picture: Any = yard.picture(index)
        if 25 <= index < 65:
            picture = np.clip(random.normal(80, 5, picture.shape), 0, 255).astype(np.uint8)
        cv2.imwrite(str(folder / f"{index:03}.png"), picture)
    return folder


@pytest.fixture
def replayed(pictures: Path, tmp_path: Path) -> Callable[[str], Replayed]:
    def play(health: str) -> Replayed:
        path = tmp_path / "config.yaml"
        path.write_text(CONFIG.format(folder=pictures, health=health))
        wishes = Wishes(("people",), Site(tmp_path / "state", tmp_path))
        return replay(str(pictures), "pictures", load(path), wishes)

    return play


def events(played: Replayed) -> dict[str, Any]:
    """By rule: each has one."""
    found = [json.loads(line) for line in played.events]
    assert len({event["rule"] for event in found}) == len(found)
    return {event["rule"]: event for event in found}


def test_a_covered_camera_is_an_event_and_its_pictures_are_skipped(
    replayed: Callable[[str], Replayed],
) -> None:
    played = replayed("{priority: alert}")
    event = events(played)["camera-health"]
    assert (event["rule"], event["label"]) == ("camera-health", "covered")
    assert (event["priority"], event["close_reason"]) == ("alert", "cleared")
    assert event["opened"] == "1970-01-01T00:00:08.000Z"
    assert event["closed"].startswith("1970-01-01T00:00:1")
    assert [each["stage"] for each in event["decisions"]] == ["camera", "cooldown"]
    frames = played.report["frames"]
    assert frames["skipped"]["quality"] == 40
    assert frames["captured"] == frames["inferred"] + sum(frames["skipped"].values())
    assert played.events == replayed("{priority: alert}").events


def test_nobody_is_said_to_be_absent_while_nothing_could_be_seen(
    replayed: Callable[[str], Replayed],
) -> None:
    """No dog is ever sure enough. The 8 s behind the sheet do not count: 9 s are over after 17."""
    assert events(replayed("true"))["nobody"]["opened"] >= "1970-01-01T00:00:17"
    blind = events(replayed("false"))
    assert list(blind) == ["nobody"]
    assert blind["nobody"]["opened"] == "1970-01-01T00:00:09.000Z"
