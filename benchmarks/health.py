"""What camera health costs beside the motion gate, whose thumbnail it looks at.

Claims: a look takes less than 0.3 ms p50 on a 768 x 576 frame; and on average, with the comparison
that is made once a second, no more than the motion gate takes for the same frame. Both see the same
frames in turn, on one thread, and its CPU time is taken: a busy machine does not count.

    python benchmarks/health.py VIDEO
"""

from __future__ import annotations

import sys
from time import thread_time

import cv2
import numpy as np

from edge_agent.pipeline.health import Health
from edge_agent.pipeline.motion import Motion, MotionSpec, thumbnail

#: Frames a second that the gate lets through.
RATES = (5.0, 10.0, 30.0)


def main(video: str) -> None:
    cv2.setNumThreads(1)
    for rate in RATES:
        capture = cv2.VideoCapture(video)
        health, motion = Health(), Motion(MotionSpec())
        took: dict[str, list[float]] = {"thumbnail": [], "motion": [], "health": []}
        index = 0
        while (read := capture.read())[0]:
            time = index / rate
            marks = [thread_time()]
            small = thumbnail(read[1])
            marks.append(thread_time())
            motion.observe(small, time)
            marks.append(thread_time())
            health.look(small, time)
            marks.append(thread_time())
            for name, one in zip(took, np.diff(marks), strict=True):
                took[name].append(one)
            index += 1
        told = "  ".join(
            f"{name} {1e3 * np.median(each):.3f} ms p50, {1e3 * np.mean(each):.3f} ms mean"
            for name, each in took.items()
        )
        gate = np.mean(took["thumbnail"]) + np.mean(took["motion"])
        ratio = float(np.mean(took["health"]) / gate)
        print(f"{rate:g} frames/s, {index} frames: {told}; health / gate {ratio:.2f}")


if __name__ == "__main__":
    main(sys.argv[1])
