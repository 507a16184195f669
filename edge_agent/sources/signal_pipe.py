"""Lines of CSV as they are written: the standard input, a named pipe, or a file that grows.

A growing file is read from its end: what stands there already is the past. When it is replaced or
cut short, it is opened anew. Read `signal_stream.py` next.
"""

from __future__ import annotations

import os
import stat
from typing import Literal

from edge_agent.errors import SourceLost, UsageError
from edge_agent.sources.csv_lines import LONGEST_LINE
from edge_agent.sources.first_bytes import TELLING, not_text
from edge_agent.sources.wake import Wake

STANDARD_INPUT = "-"


class PipeTap:
    """`path` is the file or the pipe, `-` the standard input."""

    def __init__(self, name: str, path: str) -> None:
        self.subject = f"source {name}: {path}"
        self.at_end: Literal["wait", "over"] = "over" if path == STANDARD_INPUT else "wait"
        self.introduction = b""
        self._path = path

    def connect(self, wake: Wake) -> int:
        try:
            if self._path == STANDARD_INPUT:
                return os.dup(0)
            descriptor = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK)
            if stat.S_ISREG(os.fstat(descriptor).st_mode):
                self._go_to_the_end(descriptor)
            return descriptor
        except OSError as fault:
            raise SourceLost(f"{self.subject} cannot be opened: {fault.strerror}") from None

    def _go_to_the_end(self, descriptor: int) -> None:
        """Behind the last whole line; the first one may be a header."""
        fault = not_text(os.pread(descriptor, TELLING, 0))
        if fault:
            os.close(descriptor)
            raise UsageError(f"{self.subject} has no lines of numbers: {fault}")
        first, newline, _ = os.pread(descriptor, LONGEST_LINE, 0).partition(b"\n")
        self.introduction = first if newline else b""
        length = os.fstat(descriptor).st_size
        begin = max(0, length - LONGEST_LINE)
        end = os.pread(descriptor, length - begin, begin)
        os.lseek(descriptor, begin + end.rfind(b"\n") + 1, os.SEEK_SET)

    def check(self, descriptor: int) -> None:
        """Raises SourceLost where the file was replaced or cut short."""
        held = os.fstat(descriptor)
        if not stat.S_ISREG(held.st_mode):
            return
        try:
            there = os.stat(self._path)
        except OSError:
            raise SourceLost(f"{self.subject} was removed") from None
        if (there.st_dev, there.st_ino) != (held.st_dev, held.st_ino):
            raise SourceLost(f"{self.subject} was replaced")
        if held.st_size < os.lseek(descriptor, 0, os.SEEK_CUR):
            raise SourceLost(f"{self.subject} was cut short")
