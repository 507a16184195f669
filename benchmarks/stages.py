"""What each stage of a frame's way costs, and what a skipped frame costs.

Claims: gate + preprocess + decode + track + rules + store <= 1.0 ms p50 an inferred frame; a
skipped frame <= 0.5 ms beside reading it; the motion gate <= 0.35 ms. The figures are those of the
run report of `edge-agent replay`; `invoke` and `capture` stand beside them as the measure of how
fast this machine is today.

    python benchmarks/stages.py VIDEO MODEL
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import cv2
from figures import tell

RULES = """\
    zones: {yard: [[0.1, 0.3], [0.9, 0.3], [0.9, 0.95], [0.1, 0.95]]}
    rules:
      - {name: person-in-yard, zone: yard, confirm: [3, 5], priority: alert}
      - {name: crowd, zone: yard, count: 4, dwell_s: 3}
"""
OURS = ("gate", "preprocess", "decode", "track", "rules", "store")


def report(video: Path, model: Path, gate: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        config, written = Path(folder, "config.yaml"), Path(folder, "report.json")
        config.write_text(
            f"sources: {{cam: {{kind: video, uri: {video}}}}}\n"
            f"pipelines:\n  people:\n    source: cam\n    model: {model}\n    engine: litert\n"
            f"    threads: 1\n    gate: {gate}\n{RULES}"
        )
        command = [sys.executable, "-m", "edge_agent", "replay", str(video), "-c", str(config)]
        command += ["--report", str(written), "--state", folder]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        loaded: dict[str, Any] = json.loads(written.read_text())
        return loaded


def p50(latency: dict[str, Any], stage: str) -> float:
    return float(latency[stage]["p50"]) if latency[stage] else 0.0


def main(video: Path, model: Path) -> None:
    every = report(video, model, "{max_fps: 0, motion: false}")["latency_ms"]
    for stage in ("capture", "gate", "preprocess", "invoke", *OURS[2:]):
        print(f"{stage:12} {p50(every, stage):8.3f} ms")
    ours = sum(p50(every, stage) for stage in OURS)
    tell("gate to store beside invoke, an inferred frame, p50", ours, 1.0, "ms")
    with tempfile.TemporaryDirectory() as folder:
        still = still_video(video, Path(folder, "still.avi"))
        for name, gate, seen in (
            ("rate", "{max_fps: 0.5, motion: false}", video),
            ("motion", "{max_fps: 0, motion: {keepalive_s: 1000}}", still),
        ):
            told = report(seen, model, gate)
            latency, skipped = told["latency_ms"], told["frames"]["skipped"].get(name, 0)
            of = told["frames"]["captured"]
            cost = p50(latency, "gate") + p50(latency, "rules")
            print(f"skip {name:7} {skipped} of {of} frames")
            tell(f"a frame skipped by {name}, p50", cost, 0.5, "ms")


def still_video(video: Path, target: Path) -> Path:
    """Its first picture 400 times: nearly every frame is skipped, so the p50 is a skipped one's."""
    capture = cv2.VideoCapture(str(video))
    good, picture = capture.read()
    if not good:
        raise SystemExit(f"{video} cannot be read")
    height, width = picture.shape[:2]
    writer = cv2.VideoWriter(str(target), cv2.VideoWriter_fourcc(*"MJPG"), 10, (width, height))
    for _ in range(400):
        writer.write(picture)
    writer.release()
    return target


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve())
