"""What was found right of a configuration and its manifests, kept in the state directory.

Rules: the running agent alone writes it, and holds the directory meanwhile; commands that only read
are helped by it, too, where they are its user's: what root does is not decided by a file of
somebody else's. Where it cannot be read or written nothing is lost but time. Read
`config/known.py` first.
"""

from __future__ import annotations

import logging
import os
import stat
from pathlib import Path

from edge_agent.config.known import KNOWN
from edge_agent.durable import write_durably

log = logging.getLogger("edge_agent.known")

FILE = "known.json"
#: Bytes; a large site has some hundred thousand.
_LARGEST = 8_000_000


def recall(state: Path) -> None:
    """Before a configuration is read."""
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(state / FILE, flags), encoding="utf-8") as file:
            about = os.fstat(file.fileno())
            if stat.S_ISREG(about.st_mode) and about.st_uid == os.geteuid():
                KNOWN.recall(file.read(_LARGEST))
    except (OSError, ValueError):
        return  # absent, or not ours to read: it is judged anew


def keep(state: Path) -> None:
    """After one was read and is in charge; nothing is written where nothing is new."""
    try:
        news = KNOWN.news()
        if news is None or len(news) > _LARGEST:
            return
        write_durably(state / FILE, news.encode(), 0o600)
    except OSError as fault:
        log.warning(
            "the next start takes a little longer, not kept file=%s reason=%r", FILE, str(fault)
        )
