"""Objects in a coarse grid of cells, as FOMO shows them: small boxes that jump by a whole cell.

`CELLS` is measured against the tracker as it is for other families, on made objects whose truth is
known: a heat map of one or two cells an object, thresholds, drops and outlines as FOMO has them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import cv2
import numpy as np
import pytest

from edge_agent.pipeline.track import CELLS, DEFAULT, Tracker, TrackSpec
from edge_agent.types import Box, Detection

GRID = 12
SPEC = replace(CELLS, high=0.5, low=0.5)


def cell(x: int, y: int, width: int = 1, height: int = 1) -> Box:
    return x / GRID, y / GRID, (x + width) / GRID, (y + height) / GRID


def follow(boxes: list[list[Box]], fps: float = 5.0) -> list[tuple[int | None, ...]]:
    tracker = Tracker(SPEC)
    frames = [tuple(Detection("face", 0.9, box) for box in frame) for frame in boxes]
    return [tracker.update(found, i / fps).ids for i, found in enumerate(frames)]


@pytest.mark.parametrize("step", [(1, 0), (0, 1), (1, 1), (-1, 1), (2, 0), (0, -2), (2, 1)])
def test_an_object_that_jumps_by_whole_cells_keeps_its_id(step: tuple[int, int]) -> None:
    path = [(5 + step[0] * i, 5 + step[1] * i) for i in range(-2, 3)]
    for standing in (1, 3):  # frames in each cell
        boxes = [[cell(x, y)] for x, y in path for _ in range(standing)]
        assert set(follow(boxes)) == {(1,)}


def test_a_box_that_grows_and_shrinks_by_a_cell_is_the_same_object() -> None:
    shapes = [cell(5, 5), cell(5, 5, 2), cell(6, 5), cell(6, 4, 1, 2), cell(6, 4), cell(6, 4, 2, 2)]
    assert set(follow([[shape] for shape in shapes])) == {(1,)}


def test_two_that_keep_three_cells_apart_are_not_confused() -> None:
    boxes = [[cell(2 + i % 2, i), cell(7 + (i + 1) % 2, i)] for i in range(10)]
    assert set(follow(boxes)) == {(1, 2)}


def test_one_far_away_is_another_object() -> None:
    assert follow([[cell(2, 2)], [cell(2, 2)], [cell(8, 8)]])[-1] == (2,)


def test_an_object_that_sways_between_two_cells_stands_still() -> None:
    tracker = Tracker(SPEC)
    for i in range(40):
        tracks = tracker.update((Detection("face", 0.9, cell(5 + i % 2, 5)),), i / 5).tracks
    assert tracks[0].stationary
    for i in range(40, 60):
        tracks = tracker.update((Detection("face", 0.9, cell(i // 2 - 15, 5)),), i / 5).tracks
    assert not tracks[0].stationary


# --- what it is worth --------------------------------------------------------------------------


def heat(at: np.ndarray, radius: float) -> np.ndarray:
    """(GRID, GRID): how strongly each cell shows an object of that radius in cells."""
    centres = (np.arange(GRID) + 0.5) / GRID
    away = ((centres[None, :] - at[0]) ** 2 + (centres[:, None] - at[1]) ** 2) * GRID**2
    return np.exp(-away / (2 * radius**2))


def film(seed: int, fps: float, speed: float, radius: float) -> Iterator[tuple[Detection, ...]]:
    """Twenty seconds of one object that bounces from edge to edge; one frame in 20 misses it, as
    those do that show it at the corner of four cells."""
    rng = np.random.default_rng(seed)
    at, angle = rng.uniform(0.2, 0.8, 2), rng.uniform(0, 2 * np.pi)
    way = np.array([np.cos(angle), np.sin(angle)]) * speed
    for _ in range(int(20 * fps)):
        at = at + way / fps
        way = np.where((at < 0.05) | (at > 0.95), -way, way)
        at = at.clip(0.05, 0.95)
        strength = rng.uniform(0.85, 1.1) * (rng.random() > 0.05)
        hot = (heat(at, radius) * strength >= 0.5).astype(np.uint8)
        _, _, places, _ = cv2.connectedComponentsWithStats(hot, connectivity=8)
        yield tuple(Detection("face", 0.9, cell(x, y, w, h)) for x, y, w, h, _ in places[1:])


def ids(spec: TrackSpec) -> int:
    """How many ids 24 objects get, each alone in its picture."""
    count = 0
    for seed in range(4):
        for fps, speed in ((10.0, 0.15), (5.0, 0.3), (10.0, 0.8)):
            for radius in (0.5, 0.75):
                tracker = Tracker(replace(spec, high=0.5, low=0.5))
                frames = enumerate(film(seed, fps, speed, radius))
                seen = [tracker.update(found, i / fps) for i, found in frames]
                count += len({id_ for tracked in seen for id_ in tracked.ids})
    return count


def test_boxes_of_cells_keep_their_ids_far_better_so() -> None:
    """24 objects; measured: 275 ids with the tracker as it is for other families, 51 so."""
    plain, cells = ids(DEFAULT), ids(CELLS)
    assert cells <= 60
    assert plain >= 4 * cells
