"""Evidence can be reproduced: `infer` on the kept picture gives the detection again."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2

Run = Callable[..., "subprocess.CompletedProcess[str]"]
SCENE = "built-in:?seed=11&frames=120"
#: Some quantization steps of 1/256: JPEG is not lossless.
STEPS = 6 / 256


def notes_of(state: Path) -> list[tuple[Path, dict[str, Any]]]:
    return [
        (path.with_suffix(".jpg"), json.loads(path.read_text("utf-8")))
        for path in sorted(state.glob("evidence/*/*/*.json"))
    ]


def near(first: dict[str, Any], second: dict[str, Any]) -> bool:
    numbers = [(first["score"], second["score"]), *zip(first["box"], second["box"], strict=True)]
    return first["label"] == second["label"] and all(abs(a - b) <= STEPS for a, b in numbers)


def test_infer_on_the_evidence_reproduces_the_detections(
    edge: Run, config: Path, tmp_path: Path
) -> None:
    edge("replay", SCENE, "-c", config, "--store", tmp_path / "kept")
    kept = notes_of(tmp_path / "kept")
    assert kept
    pictures = [str(picture) for picture, _ in kept]
    done = edge("infer", "scene-detector", *pictures, "--json")
    found = [json.loads(line)["detections"] for line in done.stdout.splitlines()]
    for (_, notes), again in zip(kept, found, strict=True):
        assert notes["model"]["name"] == "scene-detector"
        assert notes["engine"] == "litert"
        assert len(notes["config_sha256"]) == 64
        for detection in notes["detections"]:
            assert any(near(detection, other) for other in again), detection


def test_a_privacy_mask_is_black_in_the_evidence_too(
    edge: Run, config: Path, tmp_path: Path
) -> None:
    text = config.read_text("utf-8").replace(
        "    zones:", "    masks: {privacy: [[[0.5, 0], [1, 0], [1, 1], [0.5, 1]]]}\n    zones:"
    )
    config.write_text(text, "utf-8")
    edge("replay", SCENE, "-c", config, "--store", tmp_path / "kept")
    kept = notes_of(tmp_path / "kept")
    assert kept
    for picture, notes in kept:
        image = cv2.imread(str(picture))
        assert image is not None
        assert image[:, 325:].max() < 8  # black but for what JPEG makes of the edge
        assert image[:, :300].max() > 100
        assert notes["redacted"] == [[[0.5, 0.0], [1.0, 0.0], [1.0, 1.0], [0.5, 1.0]]]
