"""Cameras as they are on a network: RTSP, MJPEG by HTTP, MPEG-TS by TCP, and what happens to them.

The short form; tests/acceptance/test_camera_soak.py does it fifty times, and for a minute.
"""

from __future__ import annotations

import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from broker import eventually
from cameras import MjpegCamera, children, descriptors

from edge_agent.config.secret import Secret
from edge_agent.errors import SourceLost
from edge_agent.service import capture as capture_module
from edge_agent.service.capture import Capture
from edge_agent.service.ledger import Account
from edge_agent.service.slot import NewestFrame
from edge_agent.sources.camera import Camera, CameraSpec
from edge_agent.types import Frame

pytestmark = pytest.mark.slow

PATIENCE_S = 90.0
#: What a password must survive on its way into a URL.
PASSWORD = "p@ss:w/r%d#?&;|é 人"


class Watched:
    """A capture at work, as the agent has it; `newest` is what its slot held last."""

    def __init__(self, spec: CameraSpec) -> None:
        self.slot = NewestFrame(Account())
        self.capture = Capture(Camera("cam", spec), (self.slot,), time.monotonic, count())
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self.capture.run, args=(self._stop,), daemon=True)
        self._thread.start()

    @property
    def reason(self) -> str:
        return self.capture.facts.reason

    def frame(self, shape: tuple[int, ...] = ()) -> Frame:
        """A frame that comes from now on (of that shape)."""

        def newest() -> Frame | None:
            found = self.slot.take(0.5)
            return found if found and (not shape or found.data.shape == shape) else None

        self.slot.take(0.0)
        found: Frame = eventually(newest, f"a picture {shape}: {self.reason}", PATIENCE_S)
        return found

    def lost(self, times: int) -> None:
        eventually(lambda: self.capture.facts.losses >= times, "the loss", PATIENCE_S)

    def end(self) -> None:
        self._stop.set()
        while self._thread.is_alive():
            self.capture.wake()
            self._thread.join(0.2)


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Watched]]:
    # A camera that fails again and again is left alone for longer and longer; not here.
    monkeypatch.setattr(capture_module, "LONGEST_BACKOFF_S", 1.0)
    made: list[Watched] = []

    def start(uri: str, **spec: Any) -> Watched:
        made.append(Watched(CameraSpec(uri, **{"stall_s": 3.0, **spec})))
        return made[-1]

    yield start
    for each in made:
        each.end()
    assert children() == set()


def first(camera: Camera) -> Frame:
    try:
        camera.open()
        item = camera.read()
        assert isinstance(item, Frame)
        return item
    finally:
        camera.close()


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_rtsp_by_either_transport(
    rtsp_camera: Callable[..., Any], watch: Callable[..., Watched], transport: str
) -> None:
    watched = watch(rtsp_camera("320x240", 15).uri, transport=transport)
    earlier, later = watched.frame((240, 320, 3)), watched.frame()
    assert later.index > earlier.index
    assert later.time > earlier.time


def test_an_rtsp_camera_is_killed_and_comes_back_with_another_size_and_rate(
    rtsp_camera: Callable[..., Any], watch: Callable[..., Watched]
) -> None:
    camera = rtsp_camera("320x240", 15)
    watched = watch(camera.uri)
    numbers = [watched.frame((240, 320, 3)).index]
    before = descriptors(), threading.active_count()
    for times, (size, fps) in enumerate([("640x480", 10), ("320x240", 15)]):
        camera.kill()
        watched.lost(times + 1)
        camera.start(size, fps)
        width, height = map(int, size.split("x"))
        numbers.append(watched.frame((height, width, 3)).index)
    assert numbers == sorted(numbers)  # they go on over losses
    assert (descriptors(), threading.active_count()) == before
    assert len(children()) == 1


def test_a_camera_that_hangs_is_told_in_words(
    rtsp_camera: Callable[..., Any], watch: Callable[..., Watched]
) -> None:
    camera = rtsp_camera("320x240", 15)
    watched = watch(camera.uri, open_timeout_s=20.0)
    watched.frame()
    camera.tell(signal.SIGSTOP)
    try:
        watched.lost(1)
        assert watched.reason == "no picture within 3 s"
        assert watched.capture.facts.state == "lost"
    finally:
        camera.tell(signal.SIGCONT)
    watched.frame()
    assert watched.reason == ""
    assert watched.slot.away() > 3.0


@pytest.mark.parametrize("method", ["basic", "digest"])
def test_a_password_with_every_kind_of_letter_opens_the_camera_and_a_wrong_one_says_so(
    rtsp_camera: Callable[..., Any], tmp_path: Path, method: str
) -> None:
    camera = rtsp_camera("320x240", 15, "joe", PASSWORD, method)
    secret = Secret.parse("${file:cam.pass}", tmp_path)
    right = CameraSpec(camera.uri, "joe", secret)
    (tmp_path / "cam.pass").write_text(PASSWORD)
    assert first(Camera("cam", right)).data.shape == (240, 320, 3)
    (tmp_path / "cam.pass").write_text("wrong")
    for spec in (right, CameraSpec(camera.uri)):
        with pytest.raises(SourceLost, match="refused: 401 Unauthorized") as lost:
            first(Camera("cam", spec))
        assert "password" in lost.value.next
        assert "wrong" not in str(lost.value)


@pytest.mark.parametrize(
    ("form", "address", "scheme", "more"),
    [
        ("mpjpeg", "http://127.0.0.1:{port}/m", "http", ()),
        ("mpegts", "tcp://127.0.0.1:{port}?listen=1", "tcp", ("-g", "15")),
    ],
)
def test_mjpeg_by_http_and_mpeg_ts_by_tcp_come_back_when_they_are_started_again(
    ffmpeg_camera: Callable[..., Any],
    watch: Callable[..., Watched],
    form: str,
    address: str,
    scheme: str,
    more: tuple[str, ...],
) -> None:
    camera = ffmpeg_camera(form, address, *more)
    watched = watch(f"{scheme}://127.0.0.1:{camera.port}{'/m' if scheme == 'http' else ''}")
    watched.frame((240, 320, 3))
    camera.kill()
    watched.lost(1)
    ffmpeg_again = ffmpeg_camera(form, address.format(port=camera.port), *more)
    watched.frame((240, 320, 3))
    assert ffmpeg_again.port != camera.port  # the address is the old one


def test_the_first_picture_is_a_new_one_and_none_waits_in_the_network(
    mjpeg_camera: MjpegCamera, watch: Callable[..., Watched]
) -> None:
    """Each picture's brightness says when it was made; its time must say the same."""
    mjpeg_camera.rate = 20.0
    began = time.monotonic()
    ages: list[float] = []
    watched = watch(mjpeg_camera.uri)
    while len(ages) < 40:
        mjpeg_camera.picture[:] = int((time.monotonic() - began) * 4) % 250  # a step is 0.25 s
        found = watched.slot.take(0.05)
        if found is not None:
            shown = int(found.data.mean()) / 4
            ages.append((found.time - began) % 62.5 - shown)
    assert sorted(ages)[len(ages) // 2] < 1.0


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        ("401 Unauthorized", "refused: 401 Unauthorized"),
        ("403 Forbidden", "refused: 403 Forbidden"),
        ("404 Not Found", "refused: 404 Not Found"),
        ("503 Service Unavailable", "refused: 503 Service Unavailable"),
    ],
)
def test_what_http_says_is_said(mjpeg_camera: MjpegCamera, status: str, sentence: str) -> None:
    mjpeg_camera.status = status
    with pytest.raises(SourceLost, match=re.escape(sentence)):
        first(Camera("cam", CameraSpec(mjpeg_camera.uri)))


def test_credentials_reach_an_http_camera_where_it_wants_them(
    mjpeg_camera: MjpegCamera, tmp_path: Path
) -> None:
    (tmp_path / "cam.pass").write_text(PASSWORD)
    secret = Secret.parse("${file:cam.pass}", tmp_path)
    first(
        Camera("cam", CameraSpec(f"{mjpeg_camera.uri}?u={{username}}&p={{password}}", "j", secret))
    )
    assert "u=j&p=p%40ss%3Aw%2Fr%25d%23%3F%26%3B%7C%C3%A9%20" in mjpeg_camera.requests[0]


def test_a_host_that_takes_connections_and_says_nothing_is_given_up(
    mjpeg_camera: MjpegCamera,
) -> None:
    mjpeg_camera.silent = True
    camera = Camera("cam", CameraSpec(mjpeg_camera.uri, open_timeout_s=2.0))
    with pytest.raises(SourceLost, match="no answer"):
        camera.open()
    camera.close()
    assert children() == set()
