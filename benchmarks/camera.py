"""What a camera in a process of its own costs, beside cv2.VideoCapture in the agent's.

Claims: CPU a frame <= 1.6 of the bare loop at 640x480, the agent's own share <= 0.8 ms; latency at
most 5 ms beyond the bare loop's. A server makes motion JPEG with the time in each picture; both
read it in turns, three times each, and the figures are medians. With a URI (of an RTSP camera) that
is read instead, without latency.

    python benchmarks/camera.py [URI] [--seconds 10]
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

RATE = int(os.environ.get("CAMERA_FPS", "15"))
BLOCK = 16  # side of a bit in the picture
BITS = 32
TICKS_S = os.sysconf("SC_CLK_TCK")


# --- the camera ----------------------------------------------------------------------------------


def serve(port: int) -> None:
    """Motion JPEG for one reader after the other; the time in ms stands in the first row."""
    backdrop = cv2.GaussianBlur(
        np.random.default_rng(1).integers(0, 256, (480, 640, 3)).astype(np.uint8), (0, 0), 3
    )
    with socket.create_server(("127.0.0.1", port)) as listener:
        while True:
            client, _ = listener.accept()
            with client:
                try:
                    client.recv(4096)
                    kind = "multipart/x-mixed-replace; boundary=b"
                    client.sendall(f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n\r\n".encode())
                    send(client, backdrop)
                except OSError:
                    continue


def send(client: socket.socket, picture: Any) -> None:
    due = time.monotonic()
    while True:
        time.sleep(max(0.0, due - time.monotonic()))
        due += 1 / RATE
        stamp = int(time.monotonic() * 1000) % 2**BITS
        for bit in range(BITS):
            value = 255 * (stamp >> bit & 1)
            picture[:BLOCK, bit * BLOCK : (bit + 1) * BLOCK] = value
        _, data = cv2.imencode(".jpg", picture)
        head = f"--b\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
        client.sendall(head.encode() + data.tobytes() + b"\r\n")


def stamp_of(picture: Any) -> int:
    row = picture[:BLOCK, : BITS * BLOCK].reshape(BLOCK, BITS, BLOCK, 3).mean((0, 2, 3))
    return sum(int(level > 128) << bit for bit, level in enumerate(row))


# --- the readers ---------------------------------------------------------------------------------


def bare(uri: str, seconds: float) -> dict[str, Any]:
    limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, 20000, cv2.CAP_PROP_READ_TIMEOUT_MSEC, 10000]
    capture = cv2.VideoCapture(uri, cv2.CAP_FFMPEG, limits)
    return measure(lambda: capture.read()[1], lambda: 0.0, seconds)


def ours(uri: str, seconds: float) -> dict[str, Any]:
    from edge_agent.sources.camera import Camera, CameraSpec

    camera = Camera("cam", CameraSpec(uri))
    camera.open()
    listing = next(Path("/proc/self/task").glob("*/children")).read_text().split()
    found = measure(lambda: camera.read().data, lambda: cpu_of(listing[0]), seconds)
    found["pss_mb"] = pss_mb(listing[0])
    camera.close()
    return found


def measure(
    read: Callable[[], Any], others_s: Callable[[], float], seconds: float
) -> dict[str, Any]:
    for _ in range(RATE * 3):
        read()  # what was buffered while it was opened
    late, frames, began = [], 0, time.monotonic()
    own_s, child_s = time.process_time(), others_s()
    while time.monotonic() - began < seconds:
        picture = read()
        late.append((int(time.monotonic() * 1000) - stamp_of(picture)) % 2**BITS)
        frames += 1
    own_s, child_s = time.process_time() - own_s, others_s() - child_s
    return {
        "own_ms": 1000 * own_s / frames,
        "child_ms": 1000 * child_s / frames,
        "late_ms": statistics.median(late),
    }


def cpu_of(pid: str) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_S


def pss_mb(pid: str) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


# --- the comparison ------------------------------------------------------------------------------


def run(reader: str, uri: str, seconds: float) -> dict[str, Any]:
    command = [sys.executable, __file__, uri, "--seconds", str(seconds), "--reader", reader]
    environment = {**os.environ, "OPENCV_FFMPEG_CAPTURE_OPTIONS": "rtsp_transport;tcp"}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def compare(uri: str, seconds: float, dated: bool) -> None:
    rounds = [{reader: run(reader, uri, seconds) for reader in ("bare", "ours")} for _ in range(3)]

    def middle(value: Callable[[dict[str, Any]], float]) -> float:
        return statistics.median(value(each) for each in rounds)

    print(f"bare loop    {middle(lambda each: each['bare']['own_ms']):6.2f} CPU-ms a frame")
    print(f"our child    {middle(lambda each: each['ours']['child_ms']):6.2f} CPU-ms a frame")
    print(
        f"our agent    {middle(lambda each: each['ours']['own_ms']):6.2f} CPU-ms a frame (<= 0.8)"
    )
    ratio = middle(
        lambda each: (each["ours"]["child_ms"] + each["ours"]["own_ms"]) / each["bare"]["own_ms"]
    )
    print(f"CPU ratio    {ratio:6.2f} (<= 1.6)")
    if dated:
        later = middle(lambda each: each["ours"]["late_ms"] - each["bare"]["late_ms"])
        print(f"bare latency {middle(lambda each: each['bare']['late_ms']):6.1f} ms")
        print(f"ours later by{later:6.1f} ms (<= 5)")
    print(f"child's PSS  {middle(lambda each: each['ours']['pss_mb']):6.1f} MB")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(port: int) -> None:
    """Until the server listens: on a busy machine it takes a while to start. It takes this
    connection for a reader that has gone."""
    until = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.1)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("uri", nargs="?")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--reader", choices=("bare", "ours", "serve"))
    said = parser.parse_args()
    if said.reader == "serve":
        serve(int(said.uri))
    elif said.reader:
        print(json.dumps({"bare": bare, "ours": ours}[said.reader](said.uri, said.seconds)))
    elif said.uri:
        compare(said.uri, said.seconds, dated=False)
    else:
        port = free_port()
        server = subprocess.Popen([sys.executable, __file__, str(port), "--reader", "serve"])
        try:
            wait_for(port)
            compare(f"http://127.0.0.1:{port}/video", said.seconds, dated=True)
        finally:
            server.kill()


if __name__ == "__main__":
    main()
