"""Cameras that are real and can be hurt: RTSP, MJPEG by HTTP, MPEG-TS by TCP, and fakes in a child.

A pytest plugin (`tests/conftest.py` loads it): `rtsp_camera` (Debian's GStreamer by the system's
Python), `ffmpeg_camera` (Debian's ffmpeg), `mjpeg_camera` (Python alone), `fake_camera`. What is
not installed skips with a reason. Every process is ended by its number at the end of its test.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from broker import free_port

from edge_agent.sources.camera import Camera, CameraSpec

HERE = Path(__file__).parent
SYSTEM_PYTHON = "/usr/bin/python3"
START_S = 30.0
RTSP_NEEDS = (
    "import gi; gi.require_version('Gst', '1.0'); gi.require_version('GstRtspServer', '1.0');"
    "from gi.repository import Gst, GstRtspServer; Gst.init(None);"
    "assert Gst.ElementFactory.find('x264enc') and Gst.ElementFactory.find('rtph264pay')"
)


class Process:
    """A camera that is a process: it can be killed, stopped and started again on its port."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._process: subprocess.Popen[bytes] | None = None

    def launch(self, *command: str | Path) -> None:
        self.kill()
        self._process = subprocess.Popen(
            [*map(str, command)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def tell(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


class RtspCamera(Process):
    """H.264 by RTSP; `credentials` (user, password, basic or digest) are then asked for."""

    def __init__(self) -> None:
        super().__init__(free_port())

    @property
    def uri(self) -> str:
        return f"rtsp://127.0.0.1:{self.port}/s"

    def start(self, size: str = "320x240", fps: int = 15, *credentials: str) -> RtspCamera:
        program = HERE / "rtsp_server.py"
        self.launch(SYSTEM_PYTHON, program, str(self.port), size, str(fps), *credentials)
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return self
            except OSError:
                time.sleep(0.05)
        pytest.fail("the RTSP server does not start")


@pytest.fixture
def rtsp_camera() -> Iterator[Callable[..., RtspCamera]]:
    """`rtsp_camera("640x480", 15)`: a running RTSP server."""
    asked = subprocess.run([SYSTEM_PYTHON, "-c", RTSP_NEEDS], capture_output=True)
    if asked.returncode:
        pytest.skip("no RTSP server here: apt-get install gir1.2-gst-rtsp-server-1.0 and friends")
    running: list[RtspCamera] = []

    def start(*how: Any) -> RtspCamera:
        running.append(RtspCamera())
        return running[-1].start(*how)

    yield start
    for each in running:
        each.kill()


@pytest.fixture
def ffmpeg_camera() -> Iterator[Callable[..., Process]]:
    """`ffmpeg_camera("mpjpeg", "http://127.0.0.1:{port}/m")`: it serves one reader, then ends."""
    if subprocess.run(["sh", "-c", "command -v ffmpeg"], capture_output=True).returncode:
        pytest.skip("no ffmpeg here: apt-get install ffmpeg")
    running: list[Process] = []

    def start(form: str, address: str, *more: str) -> Process:
        camera = Process(free_port())
        running.append(camera)
        camera.launch(
            *("ffmpeg", "-loglevel", "error", "-re", "-f", "lavfi"),
            *("-i", "testsrc=size=320x240:rate=15", *more, "-f", form),
            *(("-listen", "1") if form == "mpjpeg" else ()),
            address.format(port=camera.port),
        )
        return camera

    yield start
    for each in running:
        each.kill()


# --- MJPEG in Python: the pictures are ours ------------------------------------------------------


class MjpegCamera:
    """Motion JPEG by HTTP for any number of readers. `picture` is what it shows now."""

    def __init__(self) -> None:
        self.picture = np.full((120, 160, 3), 90, np.uint8)
        self.rate = 20.0
        self.silent = False  # connected, and sends nothing
        self.status = "200 OK"
        self.requests: list[str] = []
        self._over = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}/video"

    def stop(self) -> None:
        self._over.set()
        self._listener.close()

    def _accept(self) -> None:
        while not self._over.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client:
            try:
                self.requests.append(client.recv(4096).decode())
                head = f'HTTP/1.1 {self.status}\r\nWWW-Authenticate: Basic realm="x"\r\n'
                if not self.status.startswith("200"):
                    client.sendall(f"{head}Content-Length: 0\r\n\r\n".encode())
                    return
                kind = "multipart/x-mixed-replace; boundary=b"
                client.sendall(f"{head}Content-Type: {kind}\r\n\r\n".encode())
                while not self._over.wait(1 / self.rate):
                    if not self.silent:
                        client.sendall(self._part())
            except OSError:
                return  # the reader has gone

    def _part(self) -> bytes:
        _, data = cv2.imencode(".jpg", self.picture)
        head = f"--b\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
        return head.encode() + data.tobytes() + b"\r\n"


@pytest.fixture
def mjpeg_camera() -> Iterator[MjpegCamera]:
    camera = MjpegCamera()
    yield camera
    camera.stop()


# --- fakes, in the real child --------------------------------------------------------------------


@pytest.fixture
def fake_camera(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Camera]]:
    """`fake_camera("Hanging")`: a Camera whose child opens that class of tests/fake_captures.py."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, (HERE, HERE.parent))))
    made: list[Camera] = []

    def make(capture: str, uri: str = "/dev/null", **spec: Any) -> Camera:
        # /dev/null is a device that is there, so nothing stands between us and the fake.
        made.append(Camera("cam", CameraSpec(uri, **spec), f"fake_captures:{capture}"))
        return made[-1]

    yield make
    for each in made:
        each.close()


# --- what is left of them ------------------------------------------------------------------------


def children(of: int | str = "self") -> set[int]:
    """The cameras' processes that a process has, dead ones that nobody collected included."""
    found: set[int] = set()
    for listing in Path(f"/proc/{of}/task").glob("*/children"):
        found |= {int(child) for child in listing.read_text().split()}
    return {pid for pid in found if is_camera(pid)}


def is_camera(pid: int) -> bool:
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except FileNotFoundError:
        return False
    return not command or b"camera_child" in command  # a dead one has no command


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that ended and waits to be collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def stop_and_go(camera: Process, seconds: float) -> None:
    """As a network that is cut, or a camera that hangs: connections stay, nothing comes."""
    camera.tell(signal.SIGSTOP)
    try:
        time.sleep(seconds)
    finally:
        camera.tell(signal.SIGCONT)


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))
