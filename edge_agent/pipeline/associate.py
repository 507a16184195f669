"""Boxes against boxes: how much each overlaps each. Part of `track.py`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from edge_agent.types import Box

Floats: TypeAlias = NDArray[np.float64]


def overlaps(some: Sequence[Box], others: Sequence[Box], grow: float = 0.0) -> Floats:
    """(N, M) intersection over union; 0 where both boxes are empty.

    With `grow`, every box is first taken to have `1 + grow` times its width and height around
    the same centre.
    """
    a0, a1, a2, a3 = _edges(some, grow)
    b0, b1, b2, b3 = _edges(others, grow)
    width = np.minimum(a2[:, None], b2) - np.maximum(a0[:, None], b0)
    height = np.minimum(a3[:, None], b3) - np.maximum(a1[:, None], b1)
    both = np.maximum(width, 0.0) * np.maximum(height, 0.0)
    union = ((a2 - a0) * (a3 - a1))[:, None] + (b2 - b0) * (b3 - b1) - both
    iou: Floats = both / np.maximum(union, 1e-12)
    return iou


def _edges(boxes: Sequence[Box], grow: float) -> Floats:
    """(4, N): x0, y0, x1, y1."""
    edges = np.array(boxes, np.float64).reshape(-1, 4).T
    if grow:
        more = (edges[2:] - edges[:2]) * (grow / 2)
        edges = np.concatenate((edges[:2] - more, edges[2:] + more))
    return edges
