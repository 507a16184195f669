"""Keep the runtimes' chatter off stderr while a model is loaded.

LiteRT and tflite-runtime are C++ libraries that write "INFO: Created TensorFlow Lite XNNPACK
delegate for CPU." to file descriptor 2, and neither has a setting against it. So descriptor 2 leads
into memory for the milliseconds of a load. It belongs to the whole process: what other threads
wrote there meanwhile is passed on afterwards, and only lines that look like a runtime's are
dropped. A log format must therefore not begin its lines with "INFO: ", "WARNING: " or "ERROR: ".
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager

#: TensorFlow's minimal logger and the prefix of glog and absl.
_CHATTER = re.compile(rb"(VERBOSE|INFO|WARNING|ERROR): |[IWEF]\d{4} \d\d:\d\d:\d\d")
_STDERR = 2
_one_at_a_time = threading.Lock()


@contextmanager
def quiet() -> Iterator[None]:
    """Nothing that a runtime writes to stderr inside of this comes out."""
    with _one_at_a_time, open(os.memfd_create("engine-chatter"), "w+b") as caught:
        stderr = os.dup(_STDERR)
        os.dup2(caught.fileno(), _STDERR)
        try:
            yield
        finally:
            os.dup2(stderr, _STDERR)
            os.close(stderr)
            caught.seek(0)
            _pass_on(caught.read())


def _pass_on(caught: bytes) -> None:
    others = [line for line in caught.splitlines(keepends=True) if not _CHATTER.match(line)]
    if others:
        os.write(_STDERR, b"".join(others))
