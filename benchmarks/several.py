"""Several pipelines in one `run`: 1, 2, 4 and 8 sources, and what a dead one does to the others.

Claims: CPU grows linearly, 8 sources cost <= 1.05 x 8 times one; all pipelines of a rank infer as
many frames as one another; a source that is not there, and one whose pictures trickle in, slow no
other. Each source is the video at its own pace, each with its pipeline; CPU is that of the process
between two looks, per frame. The slow source is an HTTP camera that takes 1.5 s over each picture.

    python benchmarks/several.py VIDEO CLASSIFIER [SECONDS]
"""

from __future__ import annotations

import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import cv2
import numpy as np
from figures import tell
from running import cpu_s, inferred, running, wait_for

SETTLED_S = 3.0
GONE = "rtsp://127.0.0.1:9/none"
#: A picture that trickles comes in so many parts, so far apart.
PARTS, APART_S = 15, 0.1


def config(video: str, model: str, count: int, beside: str = "") -> str:
    """So many videos; `beside` them a camera at that address."""
    names = [f"cam{number}" for number in range(count)]
    sources = [f"  {name}: {{kind: video, uri: {video}, loop: true}}" for name in names]
    if beside:
        sources.append(f"  other: {{kind: camera, uri: '{beside}', open_timeout_s: 5}}")
        names.append("other")
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


@contextmanager
def trickling() -> Iterator[str]:
    """The address of a camera that sends motion JPEG a few bytes at a time."""
    over = threading.Event()
    grain = np.random.default_rng(1).integers(0, 256, (240, 320, 3)).astype(np.uint8)
    picture = cv2.imencode(".jpg", grain)[1].tobytes()
    head = f"--b\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n".encode()
    part = head + picture + b"\r\n"
    step = -(-len(part) // PARTS)

    def trickle(client: socket.socket) -> None:
        with client, suppress(OSError):
            client.recv(4096)
            kind = "multipart/x-mixed-replace; boundary=b"
            client.sendall(f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n\r\n".encode())
            while True:
                for at in range(0, len(part), step):
                    client.sendall(part[at : at + step])
                    if over.wait(APART_S):
                        return

    def serve(listener: socket.socket) -> None:
        while not over.is_set():
            with suppress(TimeoutError):
                client, _ = listener.accept()
                threading.Thread(target=trickle, args=(client,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.5)
        server = threading.Thread(target=serve, args=(listener,))
        server.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/video"
        finally:
            over.set()
            server.join()


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
    with trickling() as slow:
        for what, uri in (("dead", GONE), ("slow", slow)):
            _, alone = look(config(video, model, 2), seconds)
            _, beside = look(config(video, model, 2, uri), seconds)
            came = beside.pop("of-other")
            part = sum(beside.values()) / sum(alone.values())
            tell(f"frames beside a {what} source / without it", part, 0.97, least=True)
            print(f"  of the {what} source itself {came} were inferred in {seconds:.0f} s")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *(float(each) for each in sys.argv[3:4]))
