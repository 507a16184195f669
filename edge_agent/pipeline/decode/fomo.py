"""FOMO (Edge Impulse): a coarse map of cells [1, h, w, C] with a score for each class in each.

Class 0 is the background, which is no finding. A cell belongs to the class that scores best among
the others, if it reaches `min_score`. Cells of one class that touch, also at a corner, are one
object: Edge Impulse's own post-processing merges so (`ei_cube_check_overlap` in its C++ SDK), and
an object seldom keeps to the rows of a grid. The object's score is its highest cell's, its box the
outline of its cells: a box tells where and how large about, in steps of a cell.

What the output does not say itself is taken from `ModelSpec.output`:

- `activation` auto | none | softmax | sigmoid, what makes scores of the numbers: `activation.py`.

Labels name the classes from 1 on, or, as many as there are classes, the background first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import cv2
import numpy as np

from edge_agent.pipeline.decode import BACKGROUND, MOST, detections, is_score_map, only_output
from edge_agent.pipeline.decode.activation import activation
from edge_agent.pipeline.quantize import dequantize

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge_agent.pipeline.decode import Decoder
    from edge_agent.pipeline.preprocess import Prepared
    from edge_agent.types import Array, Detection, ModelSpec


def decoder(model: ModelSpec) -> Decoder:
    """Raises Refused when no output, or more than one, is a map of as many classes as labels."""
    place = only_output(
        model,
        lambda tensor: is_score_map(tensor, len(model.labels)),
        "a map [1,h,w,C] of the background and a class for each label",
    )
    tensor = model.output_tensors[place]
    classes = tensor.shape[-1]
    labels = (BACKGROUND, *model.labels) if len(model.labels) == classes - 1 else model.labels
    activate = activation(tensor, model.output.get("activation", "auto"))

    def decode(outputs: Sequence[Array], prepared: Prepared) -> tuple[Detection, ...]:
        scores = activate(dequantize(outputs[place], tensor)[0].astype(np.float64))[..., 1:]
        best = scores.max(axis=-1)
        hot = best >= model.min_score
        if not hot.any():
            return ()
        cells = np.where(hot, scores.argmax(axis=-1) + 1, 0)
        found = np.concatenate(list(_objects(cells, best)))
        # Best first; equal ones by class, then as one reads.
        found = found[np.lexsort((found[:, 0], found[:, 1], found[:, 5], -found[:, 4]))][:MOST]
        boxes = found[:, :4] / (cells.shape[::-1] * 2)
        return detections(boxes, found[:, 4], found[:, 5].astype(int), labels, prepared.geometry)

    return decode


def _objects(cells: NDArray[np.intp], scores: NDArray[np.float64]) -> Iterator[Array]:
    """x0, y0, x1, y1 in cells, score and class (N, 6) of each class's objects."""
    for number in np.unique(cells[cells > 0]):
        alone = (cells == number).astype(np.uint8)
        count, parts, places, _ = cv2.connectedComponentsWithStats(alone, connectivity=8)
        corners = places[1:, :2]  # row 0 is what belongs to no part
        peaks = np.zeros(count)
        np.maximum.at(peaks, parts, scores)
        rest = np.column_stack((peaks[1:], np.full(count - 1, number)))
        yield np.hstack((corners, corners + places[1:, 2:4], rest))
