"""The process that reads one camera: open, grab, hand over, until the camera or the agent ends.

Why a process: a name that nobody resolves, a driver, or a decoder can hang where no time-out
reaches, and a damaged stream can crash it; only a process can be ended all the same, alone. It also
keeps what FFmpeg has one of for a whole process (its transport, its log) apart for each camera.

Rules: it reads as fast as the camera sends, whatever the agent does, so no old picture waits
anywhere; what the agent has no room for is let go. It writes nothing to the agent's output, and
ends with the agent, even when that is killed. Read `camera.py` next: the agent's side.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import resource
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias

from edge_agent.config.camera_uri import device_path, is_device, is_rtsp
from edge_agent.sources.camera_link import ALIVE_S, SLOTS, Gone, Link, Message, Ring, new_memory
from edge_agent.sources.camera_reason import Reason, reason_of, unreachable
from edge_agent.sources.motion_jpeg import USUAL_FPS, Grabber, undecoded

#: A stream begins with what FFmpeg collected while it looked at it, and that is old: pictures are
#: let go until one had to be waited for, for so long at most.
BACKLOG_S = 3.0
#: A picture was waited for when reading it took this part of a period beyond its computing.
WAITED = 0.5
#: Larger pictures are refused: a ring of them would not fit into a small board.
MOST_PIXELS = 5000 * 5000
_MJPEG = int.from_bytes(b"MJPG", "little")
#: The agent sends its order, and hangs up at the end, at once.
ORDER_S = 60.0
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG


Factory: TypeAlias = Callable[[Message], Grabber]


def open_capture(order: Message) -> Grabber:
    """What OpenCV makes of the order: V4L2 for a device, else FFmpeg."""
    import cv2

    uri: str = order["uri"]
    if not is_device(uri):
        if is_rtsp(uri):
            os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = f"rtsp_transport;{order['transport']}"
        limits = [
            *(cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, _milliseconds(order["open_timeout_s"])),
            *(cv2.CAP_PROP_READ_TIMEOUT_MSEC, _milliseconds(order["stall_s"])),
        ]
        return undecoded(
            lambda: cv2.VideoCapture(order["address"], cv2.CAP_FFMPEG, limits),
            order["rates"],
            order["fps"],
        )
    capture = cv2.VideoCapture(device_path(uri), cv2.CAP_V4L2)
    width, height = order["size"] or (0, 0)
    for prop, wanted in (
        (cv2.CAP_PROP_FRAME_WIDTH, width),
        (cv2.CAP_PROP_FRAME_HEIGHT, height),
        (cv2.CAP_PROP_FPS, order["fps"] or 0),
    ):
        if wanted:
            capture.set(prop, wanted)  # the nearest that the device can; `open` tells which
    return capture


def _milliseconds(seconds: float) -> int:
    """As OpenCV takes them: an int of C."""
    return round(1000 * min(seconds, 1e6))


class Reader:
    """One camera that is open, until it is lost."""

    def __init__(self, link: Link, capture: Grabber, order: Message) -> None:
        from edge_agent.pipeline.pace import Pace, Paces

        self._link = link
        self._capture = capture
        self._order = order
        self._pace = Pace()  # of what is taken at all
        self._paces = Paces(order["rates"])  # of what anybody will look at
        self._fps: float | None = None  # what it says itself
        self._ring: Ring | None = None
        self._came = False  # any picture at all
        self._ring_number = -1
        self._free: set[int] = set()

    def introduce(self) -> None:
        """Tell what the camera says of itself; a rate that cannot be, or that FFmpeg made up, is
        none."""
        import cv2

        fps = self._capture.get(cv2.CAP_PROP_FPS)
        made_up = fps == USUAL_FPS and self._says_no_rate(self._capture.get(cv2.CAP_PROP_FOURCC))
        self._fps = fps if 0.1 <= fps <= 240 and not made_up else None
        width = int(self._capture.get(cv2.CAP_PROP_FRAME_WIDTH)) or None
        height = int(self._capture.get(cv2.CAP_PROP_FRAME_HEIGHT)) or None
        self._link.say({"kind": "open", "width": width, "height": height, "fps": self._fps})

    def _says_no_rate(self, codec: float) -> bool:
        """Pictures one behind another, as HTTP cameras send them, bear neither rate nor times."""
        uri = self._order["uri"]
        return int(codec) == _MJPEG and not is_device(uri) and not is_rtsp(uri)

    def read(self) -> Reason:
        """Hand over pictures for as long as they come; why they ended."""
        if not is_device(self._order["uri"]):
            self._pass_over_backlog()
        stall_s, fps = self._order["stall_s"], self._order["fps"]
        while True:
            began = time.monotonic()
            grabbed, taken = self._grab(), time.monotonic()
            # After a silence the decoder gives out what it still held, which is old.
            if not grabbed or taken - began > stall_s:
                return _end(taken - began, stall_s, self._came)
            if fps is None or self._pace.admits(taken, fps):
                self._hand_on(taken)

    def _pass_over_backlog(self) -> None:
        period = 1.0 / (self._fps or USUAL_FPS)
        until = time.monotonic() + BACKLOG_S
        while (began := time.monotonic()) < until:
            computed = time.process_time()  # of the decoder's threads too
            if not self._grab():
                return  # the next one fails again, and says why
            waited = time.monotonic() - began - (time.process_time() - computed)
            if waited >= WAITED * period:
                return

    def _grab(self) -> bool:
        grabbed = bool(self._capture.grab())
        self._came |= grabbed
        return grabbed

    def _hand_on(self, taken: float) -> None:
        self._collect_free()
        if self._ring is not None and not self._free:
            return  # the agent is behind: this picture is let go, a newer one comes
        paced = self._paces.keeps(taken)
        if paced == ():
            self._link.say({"kind": "unseen", "taken": taken})
        else:
            self._hand_over(taken, paced)

    def _hand_over(self, taken: float, paced: tuple[float, ...] | None) -> None:
        room = None if self._ring is None else self._ring[min(self._free)]
        good, image = self._capture.retrieve() if room is None else self._capture.retrieve(room)
        fault = _fault(image) if good else "it could not be decoded"
        if fault:
            self._link.say({"kind": "damaged", "taken": taken, "reason": fault})
            return
        if self._ring is None or image.shape != self._ring.shape:
            self._ring = self._new_ring(image.shape)
        slot = min(self._free)
        if image is not room:
            self._ring[slot][:] = image
        where = {"ring": self._ring_number, "slot": slot}
        message = {"kind": "picture", **where, "taken": taken, "paced": paced}
        if self._link.say(message):
            self._free.discard(slot)

    def _new_ring(self, shape: tuple[int, int, int]) -> Ring:
        """Pictures have another size from now on."""
        memory = new_memory(shape)
        try:
            ring, self._free = Ring(memory, shape), set(range(SLOTS))
            self._ring_number += 1
            about = {"kind": "ring", "ring": self._ring_number, "shape": list(shape)}
            if not self._link.say(about, memory):
                raise Gone  # it does not listen any more: better a fresh start than a wrong size
            return ring
        finally:
            os.close(memory)

    def _collect_free(self) -> None:
        while (heard := self._link.hear(0.0)) is not None:
            message, _ = heard
            if message["ring"] == self._ring_number:
                self._free.add(message["slot"])


def _fault(image: Any) -> str:
    """What is wrong with what a capture called a picture; "" when nothing is."""
    import numpy as np

    if not isinstance(image, np.ndarray):
        return f"a {type(image).__name__} instead of a picture"
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        shape = "x".join(map(str, image.shape)) or "no shape"
        return f"an array of {image.dtype}, {shape}, instead of a picture"
    if image.shape[0] * image.shape[1] > MOST_PIXELS:
        return f"a picture of {image.shape[1]}x{image.shape[0]}: too large"
    return ""


def _end(took_s: float, stall_s: float, came: bool) -> Reason:
    if took_s > 0.9 * stall_s:
        return Reason(f"no picture within {stall_s:g} s", "look at its power and its cable")
    if not came:
        return Reason("no picture can be read in what it sends", "look at its uri: is it of video?")
    return Reason("its stream ended", "look at the camera: it closed the connection")


# --- the process ---------------------------------------------------------------------------------


def main(descriptor: int, parent: int) -> None:
    """Read the camera that the order on `descriptor` names."""
    _belong_to(parent)
    chatter = _listen_to_libraries()
    link = Link(socket.socket(fileno=descriptor))
    try:
        heard = link.hear(ORDER_S)
        if heard is not None:
            threading.Thread(target=_beat, args=(link,), daemon=True).start()
            reason = _watch(link, heard[0], chatter)
            link.say({"kind": "lost", "reason": reason.sentence, "next": reason.next})
            # Ending with an answer of the agent unread would take the last word from it.
            while link.hear(ORDER_S) is not None:
                pass
    except Gone:
        return


def _watch(link: Link, order: Message, chatter: int) -> Reason:
    """Open the camera and read it for as long as it delivers; why it does not."""
    reason = unreachable(order["uri"])
    if reason is not None:
        return reason
    module, function = order["factory"].split(":")
    factory: Factory = getattr(importlib.import_module(module), function)
    try:
        capture = factory(order)
        if not capture.isOpened():
            return reason_of(_said(chatter), order["uri"])
        _hush()
        reader = Reader(link, capture, order)
        reader.introduce()
        return reader.read()
    except Gone:
        raise
    except Exception as fault:  # of the library: the agent tells it, and tries again
        return Reason(f"its library failed: {type(fault).__name__}", "see the camera's own log")


def _beat(link: Link) -> None:
    """Tell the agent that this process runs, also while a driver holds its reader."""
    with suppress(Gone):
        while True:
            link.say({"kind": "alive"})
            time.sleep(ALIVE_S)


def _belong_to(parent: int) -> None:
    """End with the agent, and leave signals to it: ctrl-C and systemd reach the whole group.

    Where memory runs out it shall be us and not the agent; a core dump would hold the password.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before we asked
        os._exit(1)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(OSError):  # a sandbox may keep /proc read-only
        Path("/proc/self/oom_score_adj").write_text("1000")


def _listen_to_libraries() -> int:
    """Lead what libraries print into memory: there may be a password in it."""
    os.environ["OPENCV_FFMPEG_LOGLEVEL"] = "24"  # AV_LOG_WARNING: HTTP's status is one
    os.environ["OPENCV_LOG_LEVEL"] = "WARNING"  # V4L2's faults are; the agent itself wants silence
    chatter = os.memfd_create("chatter", os.MFD_CLOEXEC)
    os.dup2(chatter, 1)
    os.dup2(chatter, 2)
    return chatter


def _said(chatter: int) -> str:
    ctypes.CDLL(None).fflush(None)  # OpenCV prints through C's own buffers
    return os.pread(chatter, 1 << 16, 0).decode("utf-8", "replace")


def _hush() -> None:
    """A stream that runs for weeks must not fill the memory with warnings."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    os.close(nowhere)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
    os._exit(0)  # a library that hangs in its clean-up must not keep us
