"""Privacy masks: polygons that are blackened before the model, the store and the eyes.

Pure. Done once per frame, in front of everything else, so that nothing later can leak.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import cv2
import numpy as np

from edge_agent.types import Polygon

if TYPE_CHECKING:
    from edge_agent.types import Image


def redact(image: Image, polygons: Sequence[Polygon]) -> Image:
    """A copy of the (H, W, 3) picture with the polygons (0..1) black; itself without any."""
    if not polygons:
        return image
    height, width = image.shape[:2]
    # Rounded outwards by half a pixel's worth: a mask may cover more than asked, never less.
    corners = [
        np.rint(np.asarray(polygon) * (width - 1, height - 1)).astype(np.int32)
        for polygon in polygons
    ]
    covered = image.copy()
    cv2.fillPoly(covered, corners, (0, 0, 0))
    cv2.polylines(covered, corners, True, (0, 0, 0), 2)
    return covered
