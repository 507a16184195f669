"""What passes between the agent and the process that reads one camera.

Two things: messages (JSON, whole or not at all, over a SOCK_SEQPACKET pair) and pictures (a ring of
shared memory that has no name, so that nothing is left of it when both are gone).

    agent -> child   the order: what to open, and how           once
                     {"ring", "slot"}: that picture was copied  after each picture
    child -> agent   {"kind": "alive"}                          every `ALIVE_S`, whatever hangs
                     {"kind": "open", "width", "height", "fps"} the camera is open
                     {"kind": "ring", "ring", "shape"} + memory pictures have this size from now on
                     {"kind": "picture", "ring", "slot", "taken", "paced"}
                     {"kind": "unseen", "taken"}                one that nobody will look at
                     {"kind": "damaged", "taken", "reason"}     one that could not be used
                     {"kind": "lost", "reason", "next"}         the last word

`taken` is `time.monotonic()`, which is one clock for all processes of a machine; `paced` that of
`types.Frame`. Read `camera_child.py` next.
"""

from __future__ import annotations

import json
import mmap
import os
import socket
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from edge_agent.types import Image

Message: TypeAlias = Mapping[str, Any]

#: A process that runs says so this often; one that has said nothing for `STOPPED_S` does not run.
ALIVE_S = 1.0
STOPPED_S = 5.0
#: Pictures under way at most: one being written, one waiting, one being copied.
SLOTS = 3
#: The longest message has a sentence in it.
LONGEST = 8192


class Gone(Exception):
    """The other side has hung up."""


class Link:
    """One end of the line. One thread hears; `hang_up` may come from any."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line

    def say(self, message: Message, memory: int | None = None) -> bool:
        """Send without waiting; False when the other side does not listen. Raises Gone."""
        data = json.dumps(message).encode()
        try:
            self._line.settimeout(0.0)
            socket.send_fds(self._line, [data], [] if memory is None else [memory])
        except BlockingIOError:
            return False
        except OSError as fault:
            raise Gone from fault
        return True

    def hear(self, within_s: float) -> tuple[Message, int | None] | None:
        """The next message with the descriptor it brought; None when none came. Raises Gone."""
        try:
            self._line.settimeout(max(within_s, 0.0))
            data, descriptors, _, _ = socket.recv_fds(self._line, LONGEST, 1)
        except (TimeoutError, BlockingIOError):
            return None
        except OSError as fault:
            raise Gone from fault
        if not data:
            raise Gone
        return json.loads(data), descriptors[0] if descriptors else None

    def hang_up(self) -> None:
        """Whoever hears, on either side, learns of it at once."""
        try:
            self._line.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # the other side was first

    def close(self) -> None:
        self._line.close()


class Ring:
    """`SLOTS` pictures of one size in memory that both processes see."""

    def __init__(self, memory: int, shape: tuple[int, int, int]) -> None:
        """Map the descriptor `memory`, which may be closed afterwards."""
        import numpy as np  # not before there is a picture: a camera that is away costs little

        self.shape = shape
        size = SLOTS * shape[0] * shape[1] * shape[2]
        pictures = np.frombuffer(mmap.mmap(memory, size), np.uint8)
        self._pictures = pictures.reshape(SLOTS, *shape)

    def __getitem__(self, slot: int) -> Image:
        """(height, width, 3) uint8, BGR; the very memory that is shared."""
        picture: Image = self._pictures[slot]
        return picture


def new_memory(shape: tuple[int, int, int]) -> int:
    """A descriptor of memory for a ring; the caller closes it."""
    memory = os.memfd_create("edge-agent-camera", os.MFD_CLOEXEC)
    os.ftruncate(memory, SLOTS * shape[0] * shape[1] * shape[2])
    return memory
