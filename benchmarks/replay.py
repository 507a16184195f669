"""`replay --speed max` with every frame inferred, as a whole process, against the plain loop.

Claim: wall <= 1.05 and CPU <= 1.40 of the plain loop (benchmarks/plain_loop.py), start included.
Rounds are interleaved in one run, because machines are noisy; the medians are compared.

    python benchmarks/replay.py VIDEO MODEL [ROUNDS]
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from figures import tell

CONFIG = """\
sources: {{cam: {{kind: video, uri: {video}}}}}
pipelines:
  people:
    source: cam
    model: {model}
    engine: litert
    threads: 1
    gate: {{max_fps: 0, motion: false}}
    zones: {{yard: [[0.1, 0.3], [0.9, 0.3], [0.9, 0.95], [0.1, 0.95]]}}
    rules:
      - {{name: person-in-yard, zone: yard, confirm: [3, 5], priority: alert}}
      - {{name: crowd, zone: yard, count: 4, dwell_s: 3}}
"""


def cost(command: list[str]) -> tuple[float, float]:
    """Wall and CPU seconds of a whole process."""
    began = time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    wall = time.perf_counter() - began
    if status:
        raise SystemExit(f"{command} ended with status {status}")
    return wall, usage.ru_utime + usage.ru_stime


def main(video: str, model: str, rounds: int = 7) -> None:
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "config.yaml")
        config.write_text(CONFIG.format(video=Path(video).resolve(), model=Path(model).resolve()))
        plain = [sys.executable, str(Path(__file__).with_name("plain_loop.py")), video, model]
        ours = [sys.executable, "-m", "edge_agent", "replay", video, "-c", str(config)]
        ours += ["--state", folder]
        cost(plain), cost(ours)  # caches, and the model's first load in a child process
        costs = [(cost(plain), cost(ours)) for _ in range(rounds)]
    for place, name, claim in ((0, "wall", 1.05), (1, "CPU", 1.40)):
        base = statistics.median(pair[0][place] for pair in costs)
        mine = statistics.median(pair[1][place] for pair in costs)
        print(f"{name:5} plain {base:.2f} s   replay {mine:.2f} s")
        tell(f"replay / plain loop, {name}", mine / base, claim)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *(int(each) for each in sys.argv[3:4]))
