"""Every claim about speed, memory and wear in one run: line, figure, limit, verdict.

    make bench VIDEO=yard.avi MODEL=models/yolov8n_192.tflite      (or without: what needs neither)

Each benchmark is a process of its own, one after the other; its own output goes into the folder
`bench-out`. Models beside MODEL that a claim is about (mobilenet_v1_0.25*, vww_96*) are found by
their names. `--long` adds the million frames and the million events. Exit 1 when a line is short.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from figures import COLLECT, Figure, collected

HERE = Path(__file__).parent
#: Beside the model that is named, for the claims about others.
OTHERS = ("mobilenet_v1_0.25*.tflite", "vww_96*.tflite")


def commands(given: argparse.Namespace) -> Iterator[list[str]]:
    """What can be run with what was named."""
    yield ["store_writes.py"]
    yield ["uplink.py"]
    yield ["thermal.py"]
    events = "1000000" if given.long else "100000"
    yield ["store_million.py", "--events", events]
    yield ["long_run.py", "--frames", "1000000" if given.long else "20000"]
    if given.video is None or given.model is None:
        return
    video, model = str(given.video), str(given.model)
    others = [str(each) for name in OTHERS for each in sorted(given.model.parent.glob(name))]
    yield ["efficiency.py", model, *others, "--video", video]
    for mobilenet in others[:1]:
        yield ["scene_detector.py", mobilenet]
    for name in ("replay.py", "stages.py", "motion.py", "grab.py"):
        yield [name, video, model]
    for classifier in others[-1:]:
        yield ["startup.py", video, classifier]
        yield ["several.py", video, classifier]


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    options.add_argument("--video", type=Path)
    options.add_argument("--model", type=Path)
    options.add_argument("--long", action="store_true")
    options.add_argument("--out", type=Path, default=Path("bench-out"))
    given = options.parse_args()
    given.out.mkdir(exist_ok=True)
    target = given.out / "figures.jsonl"
    target.write_text("")
    failed = [command[0] for command in commands(given) if not done(command, given.out, target)]
    figures = collected(target)
    print(table(figures))
    if given.video is None or given.model is None:
        print("say VIDEO=... MODEL=... for the lines that need a recording")
    for name in failed:
        print(f"{name} failed: see {given.out / name}.log")
    return 1 if failed or not all(figure.holds for figure in figures) else 0


def done(command: list[str], out: Path, target: Path) -> bool:
    """Run one benchmark; whether it came to its end."""
    began = time.perf_counter()
    print(f"{command[0]} ...", end=" ", file=sys.stderr, flush=True)
    with (out / f"{command[0]}.log").open("wb") as log:
        ended = subprocess.run(
            [sys.executable, str(HERE / command[0]), *command[1:]],
            env={**os.environ, COLLECT: str(target.resolve())},
            stdout=log,
            stderr=log,
        )
    print(f"{time.perf_counter() - began:.0f} s", file=sys.stderr)
    return ended.returncode == 0


def table(figures: list[Figure]) -> str:
    rows = [("line", "figure", "limit", "verdict"), *(figure.row() for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


if __name__ == "__main__":
    sys.exit(main())
