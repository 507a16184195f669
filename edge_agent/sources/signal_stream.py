"""Samples that come as bytes on a descriptor: a TCP connection, a serial line, a pipe.

Rules: every wait is bounded and can be ended from another thread; nothing waits here but the bytes
that the kernel holds, so a sender that is too fast is slowed down or loses on its own side. Read
`records.py` for the framing, then `signal_tcp.py`, `signal_serial.py`, `signal_pipe.py`: where the
descriptors come from.
"""

from __future__ import annotations

import os
import select
from collections import Counter, deque
from collections.abc import Mapping
from contextlib import suppress
from time import monotonic
from typing import Literal, Protocol

from edge_agent.config.signal_uri import SignalUri
from edge_agent.errors import SourceLost
from edge_agent.frozen import frozen
from edge_agent.sources.csv_lines import Lines, Wanted
from edge_agent.sources.records import BinaryRecords, BinarySpec, LineRecords, Records
from edge_agent.sources.signal import Block, Damage, SamplesInfo
from edge_agent.sources.wake import Wake, Wakeable

#: Bytes that are taken at a time.
BYTES = 1 << 16
#: How often a file that grows is looked at.
LOOK_S = 0.1


class Tap(Protocol):
    """Where bytes come from."""

    subject: str  # begins the sentence about a loss
    introduction: bytes  # the first line of what is read from its end only; known once connected

    @property
    def at_end(self) -> Literal["lost", "wait", "over"]:
        """What it means when there are no more: the other side left, more may come, the end."""

    def connect(self, wake: Wake) -> int:
        """A descriptor that does not block, the caller's to close. Raises SourceLost; UsageError
        where trying again is of no use."""

    def check(self, descriptor: int) -> None:
        """Raises SourceLost where no more will come of a descriptor that has nothing now."""


@frozen
class Form:
    """What the bytes mean. `entered`: one begins to read in the middle of a line."""

    wanted: Wanted = Wanted()
    binary: BinarySpec | None = None
    entered: bool = False

    def records(self, tap: Tap) -> Records:
        if self.binary is not None:
            return BinaryRecords(self.binary)
        lines = Lines(self.wanted, tap.subject, greeted=not tap.introduction)
        lines.learn(tap.introduction.decode("utf-8-sig", "replace"))
        return LineRecords(lines, entered=self.entered)


class Stream(Wakeable):
    """The samples of one tap."""

    live = True

    def __init__(self, tap: Tap, form: Form, stall_s: float) -> None:
        super().__init__()
        self._tap = tap
        self._form = form
        self._stall_s = stall_s
        self._descriptor: int | None = None
        self._records = form.records(tap)
        self._ready: deque[Block | Damage] = deque()
        self._counts: Counter[str] = Counter()  # of the times that it was open before

    @property
    def notes(self) -> Mapping[str, int]:
        return self._counts + Counter(self._records.notes)

    def open(self) -> SamplesInfo:
        self.close()
        with self._busy:
            self._wake = Wake()
            self._ready.clear()
            self._descriptor = self._tap.connect(self._wake)
            # Not before: a connection that fails must not count the last one again.
            self._counts, self._records = (
                self._counts + Counter(self._records.notes),
                self._form.records(self._tap),
            )
        return SamplesInfo(None, self._records.channels)

    def read(self) -> Block | Damage | None:
        with self._busy:
            deadline = monotonic() + self._stall_s
            while not self._ready:
                data = self._bytes(deadline)
                if data is None:
                    self._ready.extend(self._records.end())
                    return self._ready.popleft() if self._ready else None
                self._ready.extend(self._records.add(data))
                if (
                    not self._ready and monotonic() > deadline
                ):  # bytes without end that mean nothing
                    raise self._silence()
            return self._ready.popleft()

    def _bytes(self, deadline: float) -> bytes | None:
        """Some bytes; None at the end of a tap that has one."""
        tap, wake, descriptor = self._tap, self._wake, self._descriptor
        while wake is not None and descriptor is not None and not wake.over:
            if not wake.wait_for(descriptor, select.POLLIN, deadline - monotonic()):
                break
            try:
                data = os.read(descriptor, BYTES)
            except BlockingIOError:
                continue
            except OSError as fault:
                raise SourceLost(f"{tap.subject} is gone: {fault.strerror}") from None
            if data:
                return data
            if tap.at_end == "over":
                return None
            if tap.at_end == "lost":
                raise SourceLost(f"{tap.subject} ended the connection")
            tap.check(descriptor)
            if monotonic() >= deadline:
                break
            wake.sleep(LOOK_S)
        if wake is None or wake.over:
            raise SourceLost(f"{tap.subject} was closed")
        raise self._silence()

    def _silence(self) -> SourceLost:
        return SourceLost(f"{self._tap.subject} gave no sample for {self._stall_s:g} s")

    def _give_back(self) -> None:
        if self._descriptor is not None:
            with suppress(OSError):  # a device that was pulled out cannot even be closed
                os.close(self._descriptor)
        self._descriptor = None


def form_of(uri: SignalUri, *, entered: bool = False) -> Form:
    """The framing that the options say. Raises UsageError."""
    kind = uri.word("format", ("csv", "i16le", "f32le"))
    if kind == "csv":
        uri.refuse(("sync", "scale", "channels"), "format=csv")
        return Form(Wanted(uri.names("columns"), uri.options.get("time", "")), None, entered)
    uri.refuse(("columns", "time"), f"format={kind}")
    channels = uri.whole("channels", 1, 1, 1024)
    scale = uri.number("scale", 1.0, -1e12, 1e12)
    return Form(binary=BinarySpec(kind, channels, uri.hex("sync"), scale))  # type: ignore[arg-type]
