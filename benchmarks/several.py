"""Several pipelines in one `run`: 1, 2, 4 and 8 sources, and what a dead one does to the others.

Claims: CPU grows linearly, 8 sources cost <= 1.05 x 8 times one; all pipelines of a rank infer as
many frames as one another; a source that is not there slows no other. Each source is the video at
its own pace, each with its pipeline; CPU is that of the process between two looks, per frame.

    python benchmarks/several.py VIDEO CLASSIFIER [SECONDS]
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from figures import tell
from running import cpu_s, inferred, running, wait_for

SETTLED_S = 3.0


def config(video: str, model: str, count: int, *, dead: bool = False) -> str:
    names = [f"cam{number}" for number in range(count)]
    sources = [f"  {name}: {{kind: video, uri: {video}, loop: true}}" for name in names]
    if dead:
        sources.append("  gone: {kind: camera, uri: 'rtsp://127.0.0.1:9/none', open_timeout_s: 5}")
        names.append("gone")
    pipelines = [
        f"  of-{name}: {{source: {name}, model: {model}, engine: litert, threads: 1,"
        " gate: {max_fps: 0, motion: false}, rules: [{name: seen, score_above: 0.9}]}"
        for name in names
    ]
    return "\n".join(["sources:", *sources, "pipelines:", *pipelines, ""])


def look(text: str, seconds: float) -> tuple[float, dict[str, int]]:
    """CPU seconds of the process, and inferred frames by pipeline, of that long."""
    with tempfile.TemporaryDirectory() as folder, running(text, Path(folder)) as child:
        state = Path(folder)
        wait_for(lambda: any(inferred(state).values()), "the first frame")
        time.sleep(SETTLED_S)
        before, used = inferred(state), cpu_s(child.pid)
        time.sleep(seconds)
        after, spent = inferred(state), cpu_s(child.pid) - used
    return spent, {name: after[name] - before[name] for name in after}


def main(video: str, model: str, seconds: float = 15.0) -> None:
    video, model = str(Path(video).resolve()), str(Path(model).resolve())
    costs: dict[int, float] = {}
    for count in (1, 2, 4, 8, 1):  # one comes twice: before and after the others
        spent, frames = look(config(video, model, count), seconds)
        total = sum(frames.values())
        costs[count] = min(costs.get(count, 1e9), spent / total * 1000)
        per = f"{spent / total * 1000:.2f} CPU-ms a frame"
        print(
            f"{count} sources: {total / seconds:6.1f} frames/s, {per}, {spent / seconds:.2f} cores"
        )
        if count == 8:
            least, most = min(frames.values()), max(frames.values())
            tell("8 sources of one rank, fewest frames / most", least / most, 0.95, least=True)
    tell("CPU a frame with 8 sources / with 1", costs[8] / costs[1], 1.05)
    _, alone = look(config(video, model, 2), seconds)
    _, beside = look(config(video, model, 2, dead=True), seconds)
    living = sum(count for name, count in beside.items() if name != "of-gone")
    tell("frames beside a dead source / without it", living / sum(alone.values()), 0.97, least=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *(float(each) for each in sys.argv[3:4]))
