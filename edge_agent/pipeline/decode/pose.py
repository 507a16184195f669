"""Pose: the key points of one body, as MoveNet and its kin give them, [1, 1, K, 3] or [1, K, 3].

A key point is y, x in 0..1 of the model's picture, and a score. Each that reaches `min_score` is a
finding without an extent: its box is (x, y, x, y), `extra["index"]` its place among the K. A point
beyond the frame is moved to its edge. Labels name the key points; without labels K = 17 has COCO's
names, other numbers are called by their index.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from edge_agent.pipeline.decode import SCORES, name, only_output
from edge_agent.pipeline.quantize import dequantize
from edge_agent.types import Detection

if TYPE_CHECKING:
    from edge_agent.pipeline.decode import Decoder
    from edge_agent.pipeline.preprocess import Prepared
    from edge_agent.types import Array, ModelSpec, TensorSpec

#: The key points of COCO's persons, in the order that all models trained on them use.
COCO = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder",
    "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip",
    "left_knee", "right_knee", "left_ankle", "right_ankle",
)  # fmt: skip
#: Which of them a drawing joins, by their places: COCO's own `skeleton`.
BONES = (
    (15, 13), (13, 11), (16, 14), (14, 12), (11, 12), (5, 11), (6, 12), (5, 6), (5, 7), (6, 8),
    (7, 9), (8, 10), (1, 2), (0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 6),
)  # fmt: skip


def decoder(model: ModelSpec) -> Decoder:
    """Raises Refused when no output, or more than one, is a list of as many points as labels."""
    place = only_output(
        model,
        lambda tensor: _is_pose(tensor, len(model.labels)),
        "a list [1,1,K,3] of y, x and score with a label for each of K key points",
    )
    tensor = model.output_tensors[place]
    labels = model.labels or (COCO if tensor.shape[-2] == len(COCO) else ())

    def decode(outputs: Sequence[Array], prepared: Prepared) -> tuple[Detection, ...]:
        points = dequantize(outputs[place], tensor).reshape(-1, 3).astype(np.float64)
        sound = np.isfinite(points).all(axis=1)
        scores = np.where(sound, points[:, 2], 0.0).clip(0.0, 1.0)
        at = points[:, [1, 0, 1, 0]]
        boxes = np.where(sound[:, None], prepared.geometry.to_frame(at).clip(0.0, 1.0), 0.0)
        best = np.argsort(-scores, kind="stable")
        rows = zip(best.tolist(), scores[best].tolist(), boxes[best].tolist(), strict=True)
        return tuple(
            Detection(name(labels, index), score, (x0, y0, x1, y1), {"index": index})
            for index, score, (x0, y0, x1, y1) in rows
            if score >= model.min_score
        )

    return decode


def _is_pose(tensor: TensorSpec, labels: int) -> bool:
    if len(tensor.shape) not in (3, 4) or tensor.dtype not in SCORES:
        return False
    *ones, points, numbers = tensor.shape
    return set(ones) == {1} and numbers == 3 and (not labels or labels == points)
