"""A camera in its own process: bounded whatever it does, and nothing is left of it.

The captures are fakes (tests/fake_captures.py), the process is the real one.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from broker import eventually
from cameras import children, descriptors, is_alive

from edge_agent.config.secret import Secret
from edge_agent.errors import SourceLost, UsageError
from edge_agent.sources.camera import Camera, CameraSpec
from edge_agent.sources.camera_link import SLOTS
from edge_agent.types import Broken, Frame

MakeCamera = Callable[..., Camera]
#: Long enough for a child to start on a busy machine.
START_S = 60.0


def read(camera: Camera, count: int) -> list[Frame | Broken]:
    items = [camera.read() for _ in range(count)]
    return [item for item in items if item is not None]


def frame(camera: Camera) -> Frame:
    item = camera.read()
    assert isinstance(item, Frame)
    return item


def level(item: Frame | Broken) -> int:
    assert isinstance(item, Frame)
    assert (item.data == item.data.flat[0]).all()
    return int(item.data.flat[0])


def test_pictures_come_in_order_and_bear_the_moment_of_their_grab(fake_camera: MakeCamera) -> None:
    camera = fake_camera("Counting")
    info = camera.open()
    assert (info.width, info.height, info.fps) == (64, 48, 50.0)
    before = time.monotonic()
    items = read(camera, 6)
    assert [level(item) for item in items] == [*range(level(items[0]), level(items[0]) + 6)]
    assert [item.index for item in items] == [0, 1, 2, 3, 4, 5]
    times = [item.time for item in items]
    assert times == sorted(times)
    assert before - 10 < times[0] <= time.monotonic()
    assert all(later - earlier >= 0.015 for earlier, later in pairwise(times))


def test_a_picture_stays_as_it_was_when_newer_ones_come(fake_camera: MakeCamera) -> None:
    camera = fake_camera("Counting")
    camera.open()
    items = read(camera, 3 * SLOTS)
    assert len({level(item) for item in items}) == 3 * SLOTS


def test_an_agent_that_is_busy_finds_new_pictures_and_no_queue(fake_camera: MakeCamera) -> None:
    camera = fake_camera("Counting")
    camera.open()
    last = level(frame(camera))
    time.sleep(1.5)  # some 75 pictures
    waiting = [level(item) for item in read(camera, SLOTS)]
    assert waiting == [last + 1, last + 2, last + 3][:SLOTS]
    assert level(frame(camera)) > last + SLOTS + 10


def test_a_stream_is_thinned_to_the_rate_that_is_wanted(fake_camera: MakeCamera) -> None:
    camera = fake_camera("Counting", fps=5.0)
    assert camera.open().fps == 5.0
    levels = [level(item) for item in read(camera, 4)]
    assert all(later - earlier >= 5 for earlier, later in pairwise(levels))


@pytest.mark.parametrize(
    ("capture", "sentence"),
    [
        ("HangingOpen", "no answer within 2 s"),
        ("RaisingOpen", "its library failed: error"),
        ("NoSuchClass", "the process that read it ended"),
    ],
)
def test_a_camera_that_does_not_open_says_why_and_leaves_nothing(
    fake_camera: MakeCamera, capture: str, sentence: str
) -> None:
    camera = fake_camera(capture, open_timeout_s=2.0 if "Hanging" in capture else START_S)
    with pytest.raises(SourceLost, match=sentence):
        camera.open()
    camera.close()
    assert children() == set()


@pytest.mark.parametrize(
    ("capture", "pictures", "sentence"),
    [
        ("HangingRead", 3, "no picture within 1 s"),
        ("RaisingRead", 0, "its library failed: MemoryError"),
        ("Crashing", 1, "the process that read it crashed: segmentation fault"),
        ("Ending", 3, "its stream ended"),
        ("Empty", 0, "no picture can be read in what it sends"),
    ],
)
def test_a_camera_that_ends_says_why_and_leaves_nothing(
    fake_camera: MakeCamera, capture: str, pictures: int, sentence: str
) -> None:
    camera = fake_camera(capture, stall_s=1.0, fps=50.0, open_timeout_s=START_S)
    camera.open()
    items = read(camera, pictures)
    assert [level(item) for item in items] == [*range(pictures)]
    with pytest.raises(SourceLost, match=sentence):
        camera.read()
    camera.close()
    assert children() == set()


def test_what_is_no_picture_is_broken_and_named(fake_camera: MakeCamera) -> None:
    camera = fake_camera("Garbage")
    camera.open()
    items = read(camera, 14)
    broken = {item.reason for item in items if isinstance(item, Broken)}
    assert broken == {
        "a NoneType instead of a picture",
        "a str instead of a picture",
        "an array of uint8, 48x64, instead of a picture",
        "an array of uint8, 48x64x4, instead of a picture",
        "an array of float32, 48x64x3, instead of a picture",
        "an array of uint8, 0x0x3, instead of a picture",
        "an array of uint8, no shape, instead of a picture",
    }
    assert [item.index for item in items] == [*range(14)]
    assert [level(item) % 2 for item in items if isinstance(item, Frame)] == [0] * 7


def test_a_camera_that_sends_only_garbage_is_lost(fake_camera: MakeCamera) -> None:
    camera = fake_camera("OnlyGarbage", stall_s=0.5, fps=50.0, open_timeout_s=START_S)
    camera.open()
    with pytest.raises(SourceLost, match="only damaged pictures: it could not be decoded"):
        read(camera, 10_000)


def test_pictures_may_change_their_size_at_any_time(fake_camera: MakeCamera) -> None:
    camera = fake_camera("Changing")
    camera.open()
    items = read(camera, 32)
    assert {item.data.shape for item in items if isinstance(item, Frame)} == {
        (48, 64, 3),
        (24, 32, 3),
        (480, 640, 3),
    }
    levels = [level(item) for item in items]
    assert levels == sorted(levels)


def test_closing_from_another_thread_wakes_who_waits(fake_camera: MakeCamera) -> None:
    camera = fake_camera("HangingRead", stall_s=3600.0, open_timeout_s=START_S)
    camera.open()
    read(camera, 3)
    said: list[str] = []

    def wait() -> None:
        with pytest.raises(SourceLost) as lost:
            camera.read()
        said.append(lost.value.message)

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    time.sleep(0.2)
    camera.close()
    camera.close()
    thread.join(START_S)
    assert said == ["it was closed"]
    assert children() == set()
    with pytest.raises(SourceLost, match="it is closed"):
        camera.read()


def test_opening_again_and_again_leaves_nothing_behind(fake_camera: MakeCamera) -> None:
    camera = fake_camera("Counting")

    def round_trip() -> None:
        camera.open()
        read(camera, 2)
        camera.close()

    round_trip()
    before = descriptors(), threading.active_count()
    for _ in range(3):  # fifty in tests/acceptance/test_camera_soak.py
        round_trip()
    assert (descriptors(), threading.active_count()) == before
    assert children() == set()


AGENT = """
import sys, time
from edge_agent.sources.camera import Camera, CameraSpec
camera = Camera("cam", CameraSpec("/dev/null"), "fake_captures:" + sys.argv[1])
import threading
threading.Thread(target=camera.open, daemon=True).start()
time.sleep(3600)
"""


@pytest.mark.parametrize("capture", ["Counting", "HangingOpen"])
def test_a_killed_agent_leaves_no_process(capture: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tests = Path(__file__).parents[1]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, (tests, tests.parent))))
    agent = subprocess.Popen([sys.executable, "-c", AGENT, capture])
    try:
        (child,) = eventually(lambda: children(agent.pid), "a child of the agent", START_S)
        # Only what has asked the kernel for it dies with its parent: wait until it is that far.
        eventually(lambda: "cv2" in Path(f"/proc/{child}/maps").read_text(), "cv2", START_S)
    finally:
        agent.kill()
        agent.wait()
    eventually(lambda: not is_alive(child), "the end of the child", START_S)


def test_a_password_is_read_at_the_last_moment_and_shown_nowhere(
    tmp_path: Path, fake_camera: MakeCamera
) -> None:
    secret = Secret.parse("${file:cam.pass}", tmp_path)
    spec = {"username": "joe", "password": secret, "open_timeout_s": START_S}
    camera = fake_camera("RaisingOpen", "http://127.0.0.1/video", **spec)
    with pytest.raises(UsageError, match="No such file"):
        camera.open()
    (tmp_path / "cam.pass").write_text("hunter2\n")
    with pytest.raises(SourceLost) as lost:
        camera.open()
    assert "hunter2" not in f"{lost.value.message} {lost.value.next} {camera._spec!r}"
    camera.close()
    running = fake_camera("Counting", "http://127.0.0.1/video", **spec)
    running.open()
    (child,) = children()
    shown = Path(f"/proc/{child}")
    for place in ("cmdline", "environ"):
        assert b"hunter2" not in (shown / place).read_bytes()


def test_the_number_of_a_device_is_its_path() -> None:
    with pytest.raises(SourceLost, match="there is no device /dev/video987"):
        Camera("cam", CameraSpec("987", open_timeout_s=START_S)).open()


def test_of_frames_that_nobody_looks_at_the_moment_comes_and_no_picture(
    fake_camera: MakeCamera,
) -> None:
    camera = fake_camera("Counting", rates=(2.0, 10.0))
    camera.open()
    items = [item for item in read(camera, 40) if isinstance(item, Frame)]
    assert [item.index for item in items] == list(range(40))
    seen = [item for item in items if item.seen]
    assert 6 <= len(seen) <= 30  # ten of fifty a second; a busy machine grabs fewer
    assert {item.paced for item in items} <= {(), (2.0,), (10.0,), (2.0, 10.0)}
    assert all(item.data.size == 0 for item in items if not item.seen)
    assert [level(item) for item in seen] == sorted(level(item) for item in seen)


def test_a_camera_whose_pictures_are_all_damaged_is_lost_although_frames_come(
    fake_camera: MakeCamera,
) -> None:
    camera = fake_camera("OnlyGarbage", rates=(10.0,), stall_s=1.0)
    camera.open()
    with pytest.raises(SourceLost, match="only damaged pictures"):
        read(camera, 1000)
