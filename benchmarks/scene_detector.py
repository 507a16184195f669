"""The shipped detector's time per invoke against mobilenet_v1_0.25_128's, in one run.

    python benchmarks/scene_detector.py [MOBILENET.tflite]

One thread, LiteRT and (where it is installed) tflite-runtime; the two models take turns, so that
a busy machine slows both alike. The issue's bound, 3 ms where mobilenet takes 0.43, is a ratio of
7 on LiteRT. Without an argument mobilenet is looked for in the folder EDGE_AGENT_REALDATA, or in
shared/realdata beside the checkout. Also prints what making the model's input costs.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import cv2
import numpy as np
from figures import tell

from edge_agent.sources.scene import Scene, SceneSpec

HERE = Path(__file__).parents[1]
MODEL = HERE / "models/scene-detector/model.tflite"
REALDATA = Path(os.environ.get("EDGE_AGENT_REALDATA", HERE / "../shared/realdata"))
REFERENCE = REALDATA / "models/mobilenet_v1_0.25_128_quant.tflite"
BOUND = 3.0 / 0.43
ROUNDS = 400


def main() -> int:
    reference = Path(sys.argv[1]) if len(sys.argv) > 1 else REFERENCE
    if not reference.exists():
        print(f"the reference model is not there: {reference.name}", file=sys.stderr)
        return 2
    frames = [Scene("yard", SceneSpec()).picture(index) for index in range(0, 240, 12)]
    print(f"{'engine':16}{'mobilenet ms':>14}{'scene ms':>10}{'ratio':>8}{'bound':>8}")
    ratios = {}
    for package in ("ai_edge_litert", "tflite_runtime"):
        try:
            runtime = importlib.import_module(f"{package}.interpreter")
        except ImportError:
            continue
        other, ours = (loaded(runtime, path, frames) for path in (reference, MODEL))
        slow, fast = in_turns(other, ours)
        ratios[package] = fast / slow
        bound = f"{BOUND:8.1f}" if package == "ai_edge_litert" else f"{'':8}"
        print(f"{package:16}{slow:14.3f}{fast:10.3f}{fast / slow:8.2f}{bound}")
    tell("shipped detector / mobilenet_v1_0.25_128", ratios["ai_edge_litert"], BOUND)
    prepare(frames)
    return 0 if ratios["ai_edge_litert"] <= BOUND else 1


def loaded(runtime: Any, path: Path, frames: list[np.ndarray]) -> Callable[[], None]:
    """One invoke of the model at `path`, on one of the frames."""
    engine = runtime.Interpreter(str(path), num_threads=1)
    engine.allocate_tensors()
    given = engine.get_input_details()[0]
    height, width = given["shape"][1:3].tolist()
    small = cv2.resize(frames[5], (width, height), interpolation=cv2.INTER_AREA)[None]
    signed = given["dtype"] == np.int8
    engine.set_tensor(given["index"], (small ^ 128).view(np.int8) if signed else small)
    return lambda: engine.invoke()


def in_turns(*calls: Callable[[], None]) -> list[float]:
    """Median milliseconds of each call, taken in turns."""
    times: list[list[float]] = [[] for _ in calls]
    for _ in range(ROUNDS):
        for call, taken in zip(calls, times, strict=True):
            began = perf_counter()
            call()
            taken.append(1e3 * (perf_counter() - began))
    return [median(taken[ROUNDS // 10 :]) for taken in times]


def prepare(frames: list[np.ndarray]) -> None:
    """What the input costs: a resize by area, RGB, and an XOR for `normalize: none`."""
    import yaml

    size = tuple(yaml.safe_load((MODEL.parent / "manifest.yaml").read_text())["input"]["size"])

    def once() -> None:
        small = cv2.resize(frames[5], size, interpolation=cv2.INTER_AREA)
        np.bitwise_xor(cv2.cvtColor(small, cv2.COLOR_BGR2RGB), 128)

    (taken,) = in_turns(once)
    print(f"preparing the input of 640x360: {taken:.3f} ms")


if __name__ == "__main__":
    raise SystemExit(main())
