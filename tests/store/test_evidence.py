"""Pictures of events: where they lie, what stands beside them, what a full disk does."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from edge_agent.errors import NoRoom, UsageError
from edge_agent.store.evidence import save_snapshot

if TYPE_CHECKING:
    from edge_agent.types import Image


@pytest.fixture
def picture() -> Image:
    """Soft shapes in saturated colours: what subsampled colour would smear."""
    picture = np.full((120, 160, 3), 96, np.uint8)
    cv2.rectangle(picture, (30, 30), (70, 90), (0, 0, 255), -1)
    cv2.circle(picture, (110, 60), 25, (255, 0, 0), -1)
    return cv2.GaussianBlur(picture, (5, 5), 0)


ABOUT = {"boxes": [[0.1, 0.2, 0.3, 0.4]], "label": "人", "model": {"sha256": "ab" * 32}}


def test_picture_and_its_notes_lie_by_the_month_of_the_event(
    state: Path, device: SimpleNamespace, picture: Image
) -> None:
    event = device.event(1)
    entry = save_snapshot(state, event, picture, ABOUT)
    assert entry["path"] == f"evidence/2023/11/{event.id}.jpg"
    data = (state / entry["path"]).read_bytes()
    assert entry["sha256"] == hashlib.sha256(data).hexdigest()
    assert (entry["bytes"], entry["width"], entry["height"]) == (len(data), 160, 120)
    notes = json.loads((state / entry["path"]).with_suffix(".json").read_text("utf-8"))
    assert notes == {"schema": "evidence/1", "event": event.id, **entry, **ABOUT}
    folder = (state / entry["path"]).parent
    assert sorted(path.suffix for path in folder.iterdir()) == [".jpg", ".json"]


def test_model_sees_in_the_file_what_it_saw_in_the_frame(
    state: Path, device: SimpleNamespace, picture: Image
) -> None:
    entry = save_snapshot(state, device.event(1), picture, {})
    back = cv2.imread(str(state / entry["path"]))
    assert np.abs(back.astype(int) - picture).max() <= 12
    assert np.abs(back.astype(int) - picture).mean() <= 1.5


def test_same_event_again_replaces_its_picture(
    state: Path, device: SimpleNamespace, picture: Image
) -> None:
    first = save_snapshot(state, device.event(1), picture, {})
    again = save_snapshot(state, device.event(1), 255 - picture, {})
    assert first["path"] == again["path"]
    data = (state / again["path"]).read_bytes()
    assert hashlib.sha256(data).hexdigest() == again["sha256"] != first["sha256"]


def test_full_disk_is_said_and_leaves_no_half_picture(
    state: Path, device: SimpleNamespace, mounted: Callable[..., None]
) -> None:
    state.mkdir()
    mounted("-t", "tmpfs", "-o", "size=64k", "tmpfs", state)
    noise = np.random.default_rng(1).integers(0, 256, (300, 300, 3), np.uint8)
    with pytest.raises(NoRoom, match="no space is left") as full:
        save_snapshot(state, device.event(1), noise, {})
    assert full.value.exit_code == 5
    left = [path.name for path in state.rglob("*") if path.is_file()]
    assert left == [f"{device.event(1).id}.json"]


def test_file_in_the_place_of_a_folder_is_one_sentence(
    state: Path, device: SimpleNamespace, picture: Image
) -> None:
    state.mkdir()
    (state / "evidence").touch()
    with pytest.raises(UsageError, match="evidence: Not a directory"):
        save_snapshot(state, device.event(1), picture, {})
