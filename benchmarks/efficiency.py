"""Frames a second of the whole pipeline beside bare `invoke()`, every frame inferred.

It is `edge-agent bench`: the two take turns within the run, half a second each, and the medians are
compared. Claims: yolov8n_192 from the file >= 0.80; from frames of 320x240 in memory over 10 s
yolov8n_192 >= 0.85, mobilenet_v1_0.25_128 >= 0.65, vww_96 >= 0.45. Any model may be named: one
without a claim is only printed.

    python benchmarks/efficiency.py MODEL... [--video VIDEO] [--seconds 30]
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from figures import tell

from edge_agent.service.bench import bench

#: By the beginning of the file's name.
IN_MEMORY = {"yolov8n_192": 0.85, "mobilenet_v1_0.25": 0.65, "vww_96": 0.45}
FROM_FILE = {"yolov8n_192": 0.80}
STAGES = ("capture", "gate", "preprocess", "invoke", "decode", "track", "rules", "store")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    options.add_argument("models", nargs="+", type=Path)
    options.add_argument("--video", type=Path)
    options.add_argument("--seconds", type=float, default=30.0, help="of all three ways together")
    given = options.parse_args()
    for model in given.models:
        one(model, None, given.seconds)
        if given.video is not None and limit_of(model, FROM_FILE):
            one(model, given.video, given.seconds)


def one(model: Path, video: Path | None, seconds: float) -> None:
    with tempfile.TemporaryDirectory() as state:
        found = bench(str(model.resolve()), str(video) if video else None, seconds, Path(state))
    print(f"{model.stem}, {video.name if video else '320x240 in memory'}")
    for name, pace in (("invoke", found.invoke), ("pipeline", found.pipeline)):
        print(f"  {name:9} {1000 / pace.fps:7.3f} ms, CPU {pace.cpu_ms:7.3f} ms a frame")
    laps = {stage: found.report["latency_ms"][stage] for stage in STAGES}
    print("  p50 ms", *(f"{stage} {lap['p50']}" for stage, lap in laps.items() if lap))
    limit = limit_of(model, FROM_FILE if video else IN_MEMORY)
    where = "from the file" if video else "in memory"
    if limit:
        tell(f"efficiency {model.stem} {where}", found.efficiency, limit, least=True)
    else:
        print(f"efficiency {model.stem} {where}: {found.efficiency:.2f}")


def limit_of(model: Path, claims: dict[str, float]) -> float | None:
    return next((limit for name, limit in claims.items() if model.name.startswith(name)), None)


if __name__ == "__main__":
    main()
