"""A long life in a short time: a million frames of the built-in scene through the whole pipeline.

Claims: the memory's slope lies within its noise, descriptors and threads stay as they were. Memory
is the process's own (anonymous; PSS also changes with who else maps the same libraries), looked at
every so many frames from a fifth of the run on: caches have filled by then. The slope is that of a
straight line through those looks; its noise is how far they lie from the line. Each frame goes the
way that it goes in `run`: gate, model, tracker, rules and store, with the near misses written every
so often.

    python benchmarks/long_run.py [--frames 1000000] [--size 160x120]
"""

from __future__ import annotations

import argparse
import os
import tempfile
import threading
import time
from datetime import UTC
from pathlib import Path
from typing import TypeAlias

import numpy as np
from figures import tell

from edge_agent.config.known import part_of
from edge_agent.config.schema import Config
from edge_agent.pipeline.schedule import Calendar
from edge_agent.pipeline.step import Circumstances
from edge_agent.ports import Source
from edge_agent.service.assemble import Site
from edge_agent.service.input import open_input
from edge_agent.service.replay import Wishes, runner_of
from edge_agent.service.runner import Runner
from edge_agent.store.record import Store, open_store
from edge_agent.store.rows import Batch
from edge_agent.types import Frame

LOOKS = 200
#: Frames between two writes of what `run` writes once a minute.
FLUSH = 600
SITE = {
    "sources": {"cam": {"kind": "scene"}},
    "pipelines": {
        "people": {
            "source": "cam",
            "model": "scene-detector",
            "gate": {"max_fps": 0.0},
            "zones": {"middle": [[0.2, 0.2], [0.8, 0.2], [0.8, 0.8], [0.2, 0.8]]},
            "rules": [{"name": "seen", "zone": "middle"}, {"name": "crowd", "count": 4}],
        }
    },
}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    options.add_argument("--frames", type=int, default=1_000_000)
    options.add_argument("--size", default="160x120")
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder, open_store(Path(folder)) as store:
        wishes = Wishes(("people",), Site(Path(folder), Path()))
        runner = runner_of(part_of(Config, SITE), "people", wishes, store)
        source = open_input(f"built-in:?seed=7&frames={given.frames}&size={given.size}", 0.0)
        rows = run(runner, source, store, max(1, given.frames // LOOKS))
    verdict(np.array(rows[LOOKS // 5 :], float), given.frames)


Row: TypeAlias = tuple[int, float, int, int]


def run(runner: Runner, source: Source, store: Store, every: int) -> list[Row]:
    """Every frame; what the process takes, every `every` frames."""
    rows: list[Row] = []
    around, began = Circumstances(Calendar(UTC)), time.perf_counter()
    source.open()
    for count, frame in enumerate(iter(source.read, None), start=1):
        assert isinstance(frame, Frame)
        runner.account.offer()
        runner.work(frame, around)
        if count % FLUSH == 0:
            store.record(Batch(judged=runner.take_journal(), seen=runner.open_events()))
        if count % every == 0:
            files, threads = len(os.listdir("/proc/self/fd")), threading.active_count()
            rows.append((count, own_mb(), files, threads))
            if len(rows) % (LOOKS // 10) == 0:
                fps = count / (time.perf_counter() - began)
                seen = f"{rows[-1][1]:7.1f} MB {files:3} files {threads} threads"
                print(f"{count:9} frames {seen} {fps:.0f} fps", flush=True)
    source.close()
    return rows


def own_mb() -> float:
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Anonymous:")) / 1024


def verdict(rows: np.ndarray, frames: int) -> None:
    count, memory, files, threads = rows.T
    slope, start = np.polyfit(count, memory, 1)
    noise = float(np.std(memory - (slope * count + start)))
    grown = float(slope * (count[-1] - count[0]))
    print(f"memory {memory[0]:.1f} MB to {memory[-1]:.1f} MB, grown {grown:+.2f} MB by the line")
    tell(f"memory grown over {frames:,} frames / 3 times its noise", grown / (3 * noise), 1.0)
    tell("descriptors more at the end than after a fifth", files[-1] - files[0], 0)
    tell("threads more at the end than after a fifth", threads[-1] - threads[0], 0)


if __name__ == "__main__":
    main()
