"""An RTSP camera that is killed and comes back otherwise, fifty times, and hangs for a minute.

Each time pictures come again, and nothing grows: descriptors, threads, processes, memory. While it
is away it costs next to nothing.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from broker import eventually, free_port
from cameras import children, descriptors, stop_and_go

from edge_agent.service import capture as capture_module
from edge_agent.service.capture import Capture
from edge_agent.service.ledger import Account
from edge_agent.service.slot import NewestFrame
from edge_agent.sources.camera import Camera, CameraSpec

pytestmark = [pytest.mark.acceptance(minutes=8), pytest.mark.slow]

RESTARTS = 50
HANGS_S = (10.0, 60.0)
PATIENCE_S = 120.0
WAYS = [("320x240", 15), ("640x480", 10), ("160x120", 25), ("800x600", 5)]
#: MB that allocators may keep; a picture of 800x600 has 1.4.
SLACK_MB = 12.0
AWAY_S = 60.0


def memory_mb() -> float:
    line = next(
        line for line in Path("/proc/self/status").read_text().splitlines() if "VmRSS" in line
    )
    return int(line.split()[1]) / 1024


def test_a_camera_that_is_away_costs_next_to_nothing() -> None:
    """The figure is printed; what it may be depends on the machine."""
    slot = NewestFrame(Account())
    absent = Camera("cam", CameraSpec(f"rtsp://127.0.0.1:{free_port()}/s"))
    capture = Capture(absent, (slot,), time.monotonic, count())
    stop = threading.Event()
    thread = threading.Thread(target=capture.run, args=(stop,), daemon=True)
    before = sum(os.times()[:4])  # of this process, and of its children that ended
    thread.start()
    time.sleep(AWAY_S)
    stop.set()
    thread.join()
    used = sum(os.times()[:4]) - before
    print(f"\naway for {AWAY_S:.0f} s: {used:.2f} s of CPU, {used / AWAY_S:.2%}")
    assert capture.facts.reason == "connection refused"
    assert capture.facts.losses == 1
    assert used < AWAY_S / 10


def test_fifty_restarts_and_two_hangs_leave_nothing(
    rtsp_camera: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    # A camera that fails again and again is left alone for longer and longer; not here.
    monkeypatch.setattr(capture_module, "LONGEST_BACKOFF_S", 2.0)
    camera = rtsp_camera(*WAYS[0])
    account = Account()
    slot = NewestFrame(account)
    capture = Capture(Camera("cam", CameraSpec(camera.uri, stall_s=5.0)), (slot,), time.monotonic,
                      count())  # fmt: skip
    stop = threading.Event()
    thread = threading.Thread(target=capture.run, args=(stop,), daemon=True)
    thread.start()

    def comes(size: str) -> None:
        width, height = map(int, size.split("x"))

        def newest() -> bool:
            found = slot.take(0.5)
            return found is not None and found.data.shape == (height, width, 3)

        eventually(newest, f"pictures of {size}: {capture.facts}", PATIENCE_S)

    comes(WAYS[0][0])
    settled: tuple[Any, ...] = ()
    memory = 0.0
    for turn in range(1, RESTARTS + 1):
        size, fps = WAYS[turn % len(WAYS)]
        camera.kill()
        camera.start(size, fps)
        comes(size)
        if turn == 10:
            settled, memory = (
                (descriptors(), threading.active_count(), len(children())),
                memory_mb(),
            )
    assert capture.facts.losses >= RESTARTS
    size, _ = WAYS[RESTARTS % len(WAYS)]
    for seconds in HANGS_S:
        losses = capture.facts.losses
        stop_and_go(camera, seconds)
        comes(size)
        assert capture.facts.losses > losses
    grown = memory_mb() - memory
    print(
        f"\n{RESTARTS} restarts: {capture.facts.losses} losses, {capture.facts.frames} frames,"
        f" descriptors, threads, children {settled} -> "
        f"{(descriptors(), threading.active_count(), len(children()))},"
        f" memory {memory:.1f} MB + {grown:.1f}"
    )
    assert (descriptors(), threading.active_count(), len(children())) == settled
    assert grown < SLACK_MB
    assert account.ledger().balanced
    stop.set()
    while thread.is_alive():
        capture.wake()
        thread.join(0.2)
    assert children() == set()
