"""A camera: a V4L2 device, or an RTSP, HTTP or TCP stream that FFmpeg reads.

Rules: every open and every read is bounded, whatever the network, the driver or the decoder does,
because a process of its own reads the camera (`camera_child.py`) and is killed when it is late. One
process a connection: nothing is left of a lost one, no descriptor, thread, or memory. A picture
bears the moment at which it was grabbed. Whoever calls `close`, from any thread, wakes whoever
waits. A password is read when the camera is opened, told to the process alone, and shown nowhere.

What it costs beside cv2.VideoCapture is in docs/cameras.md. Read `service/capture.py` next.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Literal

from edge_agent.config.camera_uri import is_device, with_credentials
from edge_agent.config.secret import Secret
from edge_agent.errors import SourceLost
from edge_agent.frozen import frozen
from edge_agent.pipeline.pace import no_picture
from edge_agent.sources.camera_link import STOPPED_S, Gone, Link, Message, Ring
from edge_agent.sources.camera_reason import NO_ANSWER
from edge_agent.types import Broken, Frame, SourceInfo

if TYPE_CHECKING:
    from edge_agent.types import Image

log = logging.getLogger("edge_agent.camera")

#: What opens a capture in the child, "module:function"; tests have others.
OPENCV = "edge_agent.sources.camera_child:open_capture"
_STOPPED = "look at memory and load: free -m, uptime"
#: A process that was killed is gone within this time, unless a driver holds it.
DYING_S = 2.0


@frozen
class CameraSpec:
    """Which camera. `fps`: what a device is asked for; of a stream, at most so many are taken.

    `size` (width, height) is asked of a device alone. Without a picture for `stall_s` it is lost.
    `rates`: those at which anybody looks at it; of the other frames no picture is made.
    """

    uri: str
    username: str | None = None
    password: Secret | None = None
    transport: Literal["tcp", "udp"] = "tcp"
    fps: float | None = None
    size: tuple[int, int] | None = None
    stall_s: float = 8.0
    open_timeout_s: float = 20.0
    rates: tuple[float, ...] = ()


class Camera:
    """One camera as a live source. One thread opens and reads; any may close."""

    live = True

    def __init__(self, name: str, spec: CameraSpec, factory: str = OPENCV) -> None:
        self.name = name
        self._spec = spec
        self._factory = factory
        self._child: Child | None = None
        self._undead: Child | None = None  # killed, and held by a driver
        self._using = threading.RLock()  # who opens, reads, or clears up
        self._index = 0
        self._ring: Ring | None = None
        self._heard: float | None = None  # when its process last said anything
        self._good = 0.0  # when the last good picture came
        self._damage = ""  # what was wrong with those that came since then

    def open(self) -> SourceInfo:
        """Raises SourceLost with the reason in words, UsageError for a secret that is not there."""
        self.close()
        with self._using:
            self._refuse_undead()
            order = self._order()  # first: a secret that cannot be read needs no process
            child, self._heard = self._started(), None
            self._child = child
            try:
                child.link.say(order)
                return self._opened(child)
            except Gone:
                raise SourceLost(child.end_in_words(), NO_ANSWER) from None

    def read(self) -> Frame | Broken | None:
        """The next picture, or `Broken` for one that could not be used. Never None: it has no end.

        Raises SourceLost when no good one came within `stall_s`.
        """
        with self._using:
            child = self._child
            if child is None:
                raise SourceLost("it is closed", "")
            try:
                return self._next(child)
            except Gone:
                raise SourceLost(child.end_in_words(), NO_ANSWER) from None

    def close(self) -> None:
        child = self._child
        if child is None:
            return
        child.kill()  # whoever waits for it leaves, and lets go of the lock
        with self._using:
            if self._child is child:
                self._child, self._ring = None, None
                self._undead = None if child.bury() else child

    # --- below, in call order --------------------------------------------------------------------

    def _refuse_undead(self) -> None:
        if self._undead is not None and not self._undead.bury():
            raise SourceLost(
                "its process hangs in the driver and cannot be ended",
                "unplug the camera and plug it in again, or restart the board",
            )
        self._undead = None

    def _started(self) -> Child:
        try:
            return Child()
        except OSError as fault:
            sentence = f"its process cannot be started: {fault.strerror}"
            raise SourceLost(sentence, "look at memory and processes: free -m, ulimit -a") from None

    def _order(self) -> Message:
        spec = self._spec
        password = spec.password.reveal() if spec.password else None
        return {
            "factory": self._factory,
            "uri": spec.uri,
            "address": with_credentials(spec.uri, spec.username, password),
            "transport": spec.transport,
            "fps": spec.fps,
            "rates": spec.rates,
            "size": spec.size,
            "stall_s": spec.stall_s,
            "open_timeout_s": spec.open_timeout_s,
        }

    def _opened(self, child: Child) -> SourceInfo:
        heard = self._hear(child, monotonic() + self._spec.open_timeout_s)
        if heard is None:
            raise SourceLost(f"no answer within {self._spec.open_timeout_s:g} s", NO_ANSWER)
        about, _ = heard
        if about["kind"] == "lost":
            raise SourceLost(about["reason"], about["next"])
        self._good, self._damage = monotonic(), ""
        return SourceInfo(about["width"], about["height"], self._stated(about["fps"]), None)

    def _stated(self, said: float | None) -> float | None:
        """Frames a second that are to be expected: `fps` takes no more, and makes none."""
        wanted = self._spec.fps
        if said is None:
            return wanted if is_device(self._spec.uri) else None
        return said if wanted is None else min(said, wanted)

    def _next(self, child: Child) -> Frame | Broken:
        spec = self._spec
        patience_s = spec.stall_s + sum(1 / rate for rate in (spec.fps, *spec.rates[-1:]) if rate)
        while True:
            until = self._good + patience_s
            heard = self._hear(child, until)
            if heard is None or (heard[0]["kind"] == "damaged" and monotonic() >= until):
                raise SourceLost(self._silence(), NO_ANSWER)
            message, memory = heard
            match message["kind"]:
                case "ring" if memory is not None:
                    self._ring = Ring(memory, tuple(message["shape"]))
                    os.close(memory)
                case "picture":
                    return self._frame(child, message)
                case "unseen":
                    return self._unseen(message)
                case "damaged":
                    return self._broken(message)
                case "lost":
                    raise SourceLost(message["reason"], message["next"])

    def _hear(self, child: Child, until: float) -> tuple[Message, int | None] | None:
        """The next word but that it runs; None when none came. Raises SourceLost when it does not
        run: a process that was stopped, or starved, shows no picture however well the camera is.
        """
        while True:
            end = until if self._heard is None else min(until, self._heard + STOPPED_S)
            heard = child.link.hear(end - monotonic())
            if heard is None:
                if end < until:
                    raise SourceLost("the process that reads it does not run", _STOPPED)
                return None
            self._heard = monotonic()
            if heard[0]["kind"] != "alive":
                return heard

    def _frame(self, child: Child, message: Message) -> Frame:
        assert self._ring is not None
        picture = self._ring[message["slot"]].copy()
        child.link.say({"ring": message["ring"], "slot": message["slot"]})
        self._good, self._damage = monotonic(), ""
        paced = message["paced"]
        return self._item(message, picture, None if paced is None else tuple(paced))

    def _unseen(self, message: Message) -> Frame:
        """It came, and says nothing of those before it: damaged ones stay so."""
        if not self._damage:
            self._good = monotonic()
        return self._item(message, no_picture(), ())

    def _item(self, message: Message, picture: Image, paced: tuple[float, ...] | None) -> Frame:
        index = self._index
        self._index += 1
        return Frame(self.name, index, message["taken"], picture, paced=paced)

    def _broken(self, message: Message) -> Broken:
        index, self._damage = self._index, message["reason"]
        self._index += 1
        return Broken(self.name, index, message["taken"], self.name, self._damage)

    def _silence(self) -> str:
        """A camera that sends nothing but damaged pictures is lost like a silent one."""
        if self._damage:
            return f"only damaged pictures: {self._damage}"
        return f"no picture within {self._spec.stall_s:g} s"


class Child:
    """The process that reads one camera, and the line to it."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                (
                    *(sys.executable, "-P", "-m", "edge_agent.sources.camera_child"),
                    *(str(theirs.fileno()), str(os.getpid())),
                ),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
            )
        self.link = Link(ours)
        self._killed = False

    def kill(self) -> None:
        """End it at once, and wake who hears it. From any thread."""
        self._killed = True
        self.link.hang_up()
        self._process.kill()

    def bury(self) -> bool:
        """Clear up after `kill`; False when it does not die."""
        self.link.close()
        try:
            self._process.wait(DYING_S)
        except subprocess.TimeoutExpired:
            log.error("camera process does not die pid=%d", self._process.pid)
            return False
        return True

    def end_in_words(self) -> str:
        """Why there is nobody at the other end."""
        if self._killed:
            return "it was closed"
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(DYING_S)
        code = self._process.returncode or 0
        if code < 0:
            how = signal.strsignal(-code) or f"signal {-code}"
            return f"the process that read it crashed: {how.lower()}"
        return "the process that read it ended"
