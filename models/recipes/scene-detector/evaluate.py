"""Judges a scene detector on scenes that its training never saw, before and after int8.

    PYTHONPATH=../../.. python evaluate.py build/float.tflite ../../scene-detector/model.tflite

Prints precision, recall and F1 at IoU 0.5 for each class and light, by score threshold, and how
well scores mean what they say.

The rule: detections above the threshold, best score first, each take the best free truth of
their own class with IoU >= 0.5. Truths less than 0.4 visible are nobody's: they are not missed,
and a detection that fits one (same class, IoU >= 0.5) is not counted.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from ai_edge_litert.interpreter import Interpreter

from edge_agent.sources.scene import LABELS, Scene, SceneSpec, Truth

CLEAR, ENOUGH, NMS = 0.4, 0.5, 0.45
FLOOR = 0.05  # scores below are not even looked at
LIGHTS = ("day", "dusk", "night")


@dataclass
class Tally:
    """Hits, false alarms and misses so far."""

    hits: int = 0
    false: int = 0
    missed: int = 0
    scores: list[tuple[float, bool]] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        self.hits, self.false = self.hits + other.hits, self.false + other.false
        self.missed += other.missed

    def line(self) -> str:
        precision = self.hits / max(1, self.hits + self.false)
        recall = self.hits / max(1, self.hits + self.missed)
        f1 = 2 * self.hits / max(1, 2 * self.hits + self.false + self.missed)
        seen = self.hits + self.missed
        return f"P {precision:.4f}  R {recall:.4f}  F1 {f1:.4f}  ({seen} objects)"


class Detector:
    """A .tflite of this recipe, int8 or float, on LiteRT."""

    def __init__(self, path: Path) -> None:
        self._engine = Interpreter(str(path), num_threads=1)
        self._engine.allocate_tensors()
        self._input = self._engine.get_input_details()[0]
        self._output = self._engine.get_output_details()[0]

    def __call__(self, frame: np.ndarray) -> np.ndarray:
        """(n, 6): x0, y0, x1, y1, score, class of a BGR frame, after NMS, best first."""
        _, height, width, _ = self._input["shape"]
        small = cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA)
        pixels = cv2.cvtColor(small, cv2.COLOR_BGR2RGB)[None]
        if self._input["dtype"] == np.int8:
            tensor = (pixels.astype(np.int16) - 128).astype(np.int8)
        else:
            tensor = pixels.astype(np.float32) / 255
        self._engine.set_tensor(self._input["index"], tensor)
        self._engine.invoke()
        raw = self._engine.get_tensor(self._output["index"])[0].astype(np.float32)
        scale, zero = self._output["quantization"]
        return decode((raw - zero) * scale if scale else raw)


def decode(raw: np.ndarray) -> np.ndarray:
    """(4 + classes, cells) to (n, 6): x0, y0, x1, y1, score, class; NMS within each class."""
    middle, size, scores = raw[:2].T, raw[2:4].T, raw[4:].T
    cells, kinds = np.nonzero(scores >= FLOOR)
    boxes = np.concatenate([middle - size / 2, middle + size / 2], axis=1)[cells].clip(0, 1)
    rows = np.column_stack([boxes, scores[cells, kinds], kinds])
    rows = rows[np.argsort(-rows[:, 4], kind="stable")]
    kept: list[np.ndarray] = []
    for row in rows:
        if all(row[5] != other[5] or iou(row, other) <= NMS for other in kept):
            kept.append(row)
    return np.array(kept).reshape(-1, 6)


def iou(a: np.ndarray | tuple[float, ...], b: np.ndarray | tuple[float, ...]) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(0.0, width) * max(0.0, height)
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared + 1e-9)


def judge(rows: np.ndarray, truths: tuple[Truth, ...], label: str) -> Tally:
    """One frame and class against its truth, by the rule above; `rows` best first."""
    mine = [truth for truth in truths if truth.label == label]
    clear = [truth for truth in mine if truth.visible >= CLEAR]
    hidden = [truth for truth in mine if truth.visible < CLEAR]
    tally, free = Tally(), list(clear)
    for row in rows:
        best = max(free, key=lambda truth: iou(row, truth.box), default=None)
        if best is not None and iou(row, best.box) >= ENOUGH:
            free.remove(best)
            tally.hits += 1
            tally.scores.append((float(row[4]), True))
        elif not any(iou(row, truth.box) >= ENOUGH for truth in hidden):
            tally.false += 1
            tally.scores.append((float(row[4]), False))
    tally.missed = len(free)
    return tally


def scenes(seeds: list[int], frames: int) -> Iterator[tuple[str, np.ndarray, tuple[Truth, ...]]]:
    """Light, picture and truth: `frames` of each seed, spread evenly over ten minutes."""
    for seed in seeds:
        scene = Scene("unseen", SceneSpec(seed=seed))
        for index in np.linspace(0, 6000, frames, endpoint=False).astype(int).tolist():
            light = scene.light(index)
            name = "day" if light > 0.9 else "night" if light < 0.1 else "dusk"
            yield name, scene.picture(index), scene.truth(index)


def report(path: Path, cases: list[tuple[str, np.ndarray, tuple[Truth, ...]]], at: float) -> None:
    detector = Detector(path)
    found = [(light, detector(frame), truths) for light, frame, truths in cases]
    print(f"\n{path}  ({len(cases)} frames)")
    for threshold in (0.2, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6):
        total = Tally()
        for _, rows, truths in found:
            for kind, label in enumerate(LABELS):
                part = rows[(rows[:, 5] == kind) & (rows[:, 4] >= threshold)]
                total.add(judge(part, truths, label))
        print(f"  score >= {threshold:.2f}   {total.line()}")
    by: dict[str, Tally] = {name: Tally() for name in (*LABELS, *LIGHTS)}
    scores: list[tuple[float, bool]] = []
    for light, rows, truths in found:
        for kind, label in enumerate(LABELS):
            part = rows[rows[:, 5] == kind]
            scores += judge(part, truths, label).scores
            tally = judge(part[part[:, 4] >= at], truths, label)
            by[label].add(tally)
            by[light].add(tally)
    print(f"  at {at}:")
    for name, tally in by.items():
        print(f"  {name:10} {tally.line()}")
    _calibration(scores)


def _calibration(scores: list[tuple[float, bool]]) -> None:
    """Of detections with a score in a range, how many were right."""
    values = np.array(scores)
    for low in (0.05, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9):
        high = {0.9: 1.01, 0.8: 0.9}.get(low, low + 0.15)
        inside = values[(values[:, 0] >= low) & (values[:, 0] < high)]
        if len(inside):
            right = inside[:, 1].mean()
            print(f"  scores {low:.2f}..{min(high, 1):.2f}: {right:.3f} right of {len(inside)}")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("models", type=Path, nargs="+")
    options.add_argument("--seeds", type=int, nargs="+", default=[7, 101, 202, 303, 404, 505])
    options.add_argument("--frames", type=int, default=300, help="of each seed")
    options.add_argument("--min-score", type=float, default=0.5)
    chosen = options.parse_args()
    cases = list(scenes(chosen.seeds, chosen.frames))
    for path in chosen.models:
        report(path, cases, chosen.min_score)


if __name__ == "__main__":
    main()
