"""What reading 30 frames a second costs when a pipeline looks at five of them: CPU of all read.

Claim: <= 0.50 of making every picture, for motion JPEG, whose frames are taken undecoded. With any
other codec FFmpeg decodes in `grab`, and only the conversion to BGR is saved: the figure is
reported, and no claim. The video is encoded anew for each codec with ffmpeg, at 30 frames a second;
then the ways take turns, and the least CPU time of each counts. Motion JPEG is read as a camera by
HTTP, too: the CPU time of the process that reads it and of the agent's own part.

    python benchmarks/grab.py VIDEO
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import camera as cameras
import cv2
from figures import tell

from edge_agent.sources.camera import Camera, CameraSpec
from edge_agent.sources.video import Video, VideoSpec
from edge_agent.types import Frame

CODECS = {
    "mpeg4": ("-c:v", "mpeg4", "-q:v", "5"),
    "h264": ("-c:v", "libx264", "-preset", "veryfast"),
    "h265": ("-c:v", "libx265", "-preset", "veryfast", "-x265-params", "log-level=none"),
    "mjpeg": ("-c:v", "mjpeg", "-q:v", "4"),
}
FPS, RATE = 30, 5.0
CLAIM = 0.5
ROUNDS = 3
SECONDS = 6.0


def plain_ms(video: Path) -> float:
    """CPU milliseconds a frame of the bare loop that decodes all."""
    capture = cv2.VideoCapture(str(video), cv2.CAP_FFMPEG)
    count, began = 0, time.process_time()
    while capture.read()[0]:
        count += 1
    return (time.process_time() - began) / max(count, 1) * 1000


def ours_ms(video: Path, rates: tuple[float, ...]) -> float:
    """The same of our source, told the rates of its pipelines; without any, every picture."""
    source = Video("video", VideoSpec(video, fps=FPS, rates=rates, packets=True))
    source.open()
    count, began = 0, time.process_time()
    while isinstance(source.read(), Frame):
        count += 1
    source.close()
    return (time.process_time() - began) / max(count, 1) * 1000


def by_codec(name: str, video: Path) -> None:
    rounds = [(plain_ms(video), ours_ms(video, ()), ours_ms(video, (RATE,))) for _ in range(ROUNDS)]
    plain, every, few = (min(each) for each in zip(*rounds, strict=True))
    report(f"{name}, a file", (plain, every, few))


def report(what: str, ms: tuple[float, float, float]) -> None:
    plain, every, few = ms
    print(f"{what}: bare loop {plain:.2f}, all {every:.2f}, {RATE:g} fps {few:.2f} CPU-ms a frame")
    line = f"{RATE:g} of {FPS} frames/s, {what}"
    if what.startswith("mjpeg"):
        tell(f"{line}: CPU of reading all", few / every, CLAIM)
    else:
        print(f"{line}: CPU of reading all {few / every:.2f}")


def camera_ms(uri: str, rates: tuple[float, ...]) -> float:
    """CPU milliseconds a frame of a camera's process and of the agent's own part."""
    camera = Camera("cam", CameraSpec(uri, rates=rates))
    camera.open()
    try:
        child = next(Path("/proc/self/task").glob("*/children")).read_text().split()[-1]
        for _ in range(2 * FPS):
            camera.read()  # what was buffered while it was opened
        count, own_s, theirs_s = 0, time.process_time(), cameras.cpu_of(child)
        until = time.monotonic() + SECONDS
        while time.monotonic() < until:
            count += isinstance(camera.read(), Frame)
        spent = time.process_time() - own_s + cameras.cpu_of(child) - theirs_s
        return 1000 * spent / count
    finally:
        camera.close()


def bare_camera_ms(uri: str) -> float:
    capture = cv2.VideoCapture(uri, cv2.CAP_FFMPEG)
    for _ in range(2 * FPS):
        capture.read()
    count, began, until = 0, time.process_time(), time.monotonic() + SECONDS
    while time.monotonic() < until:
        count += capture.read()[0]
    return 1000 * (time.process_time() - began) / count


def by_http() -> None:
    """A server makes motion JPEG of 640x480 at 30 frames a second."""
    port = cameras.free_port()
    command = [sys.executable, cameras.__file__, str(port), "--reader", "serve"]
    server = subprocess.Popen(command, env={**os.environ, "CAMERA_FPS": str(FPS)})
    uri = f"http://127.0.0.1:{port}/video"
    try:
        cameras.wait_for(port)
        rounds = [
            (bare_camera_ms(uri), camera_ms(uri, ()), camera_ms(uri, (RATE,)))
            for _ in range(ROUNDS)
        ]
    finally:
        server.kill()
        server.wait()
    plain, every, few = (min(each) for each in zip(*rounds, strict=True))
    report("mjpeg by HTTP", (plain, every, few))


def main(video: Path) -> None:
    by_codec("as it is", video)
    by_http()
    if shutil.which("ffmpeg") is None:
        print("ffmpeg is not installed: no other codec was tried")
        return
    with tempfile.TemporaryDirectory() as folder:
        for name, options in CODECS.items():
            target = Path(folder, f"{name}.mkv")
            command = ["ffmpeg", "-v", "error", "-i", str(video), "-r", str(FPS), *options]
            subprocess.run([*command, str(target)], check=True)
            by_codec(name, target)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
