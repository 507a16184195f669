"""Frigate's motion detector on the same video as our motion gate, in turns, frame by frame.

Its own code (frigate/motion/improved_motion.py) is run in place, from a checkout, with
the defaults of its configuration; only the modules that it imports from the rest of Frigate are
stood in for. Both get what they get in service:
Frigate the grey plane of a YUV frame, ours the BGR picture. Needs scipy and imutils beside
numpy and OpenCV. Its tracker, processes, queues and shared memory are not run: this is one step.

    python benchmarks/frigate.py CHECKOUT VIDEO
"""

from __future__ import annotations

import importlib.util
import sys
import time
import types
from pathlib import Path
from typing import Any

import cv2
import imutils
import numpy as np

from edge_agent.pipeline.motion import Motion, MotionSpec, thumbnail

#: The defaults of frigate/config/camera/motion.py.
DEFAULTS = {
    "enabled": True,
    "frame_height": 100,
    "threshold": 30,
    "contour_area": 10,
    "improve_contrast": True,
    "lightning_threshold": 0.8,
    "skip_motion_threshold": None,
    "frame_alpha": 0.01,
}


def stand_in(name: str, **contents: Any) -> None:
    module = types.ModuleType(name)
    module.__dict__.update(contents)
    sys.modules[name] = module


def theirs(checkout: Path, shape: tuple[int, int]) -> Any:
    """Frigate's `ImprovedMotionDetector`, from the checkout."""
    for package in ("frigate", "frigate.config", "frigate.util"):
        stand_in(package)
    stand_in("frigate.camera", PTZMetrics=object)
    stand_in("frigate.config.config", RuntimeMotionConfig=object)
    stand_in("frigate.motion", MotionDetector=object)
    stand_in("frigate.util.image", grab_cv2_contours=imutils.grab_contours)
    path = checkout / "frigate" / "motion" / "improved_motion.py"
    spec = importlib.util.spec_from_file_location("improved_motion", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    nothing_masked = np.full(shape, 255, np.uint8)
    config = types.SimpleNamespace(**DEFAULTS, rasterized_mask=nothing_masked)
    return module.ImprovedMotionDetector(shape, config, 5)


def main(checkout: Path, video: Path) -> None:
    cv2.setNumThreads(1)
    capture = cv2.VideoCapture(str(video))
    fps = capture.get(cv2.CAP_PROP_FPS) or 10.0
    good, picture = capture.read()
    if not good:
        raise SystemExit(f"{video} cannot be read")
    detector, motion = theirs(checkout, picture.shape[:2]), Motion(MotionSpec())
    took: dict[str, list[float]] = {"frigate": [], "ours": []}
    moved, index = {"frigate": 0, "ours": 0}, 0
    while good:
        yuv = cv2.cvtColor(picture, cv2.COLOR_BGR2YUV_I420)
        for name in ("frigate", "ours") if index % 2 else ("ours", "frigate"):
            began = time.process_time_ns()
            if name == "frigate":
                found = bool(detector.detect(yuv))
            else:
                found = motion.observe(thumbnail(picture), index / fps).moved
            took[name].append((time.process_time_ns() - began) / 1e6)
            moved[name] += found
        good, picture = capture.read()
        index += 1
    for name, laps in took.items():
        middle, high = np.percentile(laps, (50, 95))
        share = moved[name] / index
        print(f"{name:8} {middle:.3f} ms p50, {high:.3f} p95, motion in {share:.0%} of frames")
    ratio = np.median(took["ours"]) / np.median(took["frigate"])
    print(f"ours / Frigate's, CPU, p50: {ratio:.2f}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
