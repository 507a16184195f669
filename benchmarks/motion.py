"""What the motion gate costs beside the cheapest and the best-known that OpenCV can do.

Claim: thumbnail + observe <= 0.35 ms p50 on a 768 x 576 frame. All ways see the same frames in
turn, on one thread, so the ratios hold on a busy machine too.

    python benchmarks/motion.py VIDEO
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from time import perf_counter
from typing import Any, TypeAlias

import cv2
import numpy as np
from figures import tell

from edge_agent.pipeline.motion import Motion, MotionSpec, thumbnail

Way: TypeAlias = Callable[[Any, float], object]
BASE = "nearest, absdiff"
SIZE = (320, 240)


def frames(video: str) -> Iterator[tuple[Any, float]]:
    capture = cv2.VideoCapture(video)
    fps = capture.get(cv2.CAP_PROP_FPS) or 10.0
    index = 0
    while (read := capture.read())[0]:
        yield read[1], index / fps
        index += 1


def absdiff(interpolation: int) -> Way:
    last = np.zeros(SIZE[::-1], np.uint8)

    def way(image: Any, time: float) -> int:
        nonlocal last
        small = cv2.resize(image, SIZE, interpolation=interpolation)
        gray = cv2.cvtColor(small, cv2.COLOR_BGR2GRAY)
        changed = cv2.threshold(cv2.absdiff(gray, last), 20, 255, cv2.THRESH_BINARY)[1]
        last = gray
        return int(cv2.countNonZero(changed))

    return way


def mog2() -> Way:
    model = cv2.createBackgroundSubtractorMOG2(detectShadows=False)

    def way(image: Any, time: float) -> int:
        small = cv2.resize(image, SIZE, interpolation=cv2.INTER_NEAREST)
        return int(cv2.countNonZero(model.apply(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY))))

    return way


def ours() -> Way:
    motion = Motion(MotionSpec())
    return lambda image, time: motion.observe(thumbnail(image), time)


def main(video: str) -> None:
    cv2.setNumThreads(1)
    ways: dict[str, Way] = {
        BASE: absdiff(cv2.INTER_NEAREST),
        "area, absdiff": absdiff(cv2.INTER_AREA),
        "MOG2": mog2(),
        "thumbnail alone": lambda image, time: thumbnail(image),
        "thumbnail, observe": ours(),
    }
    took: dict[str, list[float]] = {name: [] for name in ways}
    names = list(ways)
    for index, (image, time) in enumerate(frames(video)):
        turn = index % len(names)  # the first one finds a cold cache: let each be first at times
        for name in names[turn:] + names[:turn]:
            start = perf_counter()
            ways[name](image, time)
            took[name].append(perf_counter() - start)
    base = float(np.median(took[BASE]))
    print(f"{'way':20} {'p50 ms':>8} {'p95 ms':>8} {'ratio':>6}")
    for name, laps in took.items():
        middle, high = np.percentile(laps, (50, 95)) * 1e3
        print(f"{name:20} {middle:8.3f} {high:8.3f} {middle / base / 1e3:6.2f}")
    mine = float(np.median(took["thumbnail, observe"])) * 1e3
    tell("motion gate on 768x576, p50", mine, 0.35, "ms")


if __name__ == "__main__":
    main(sys.argv[1])
