"""The errors that a person meets: one sentence, what to do next, and the exit code.

Anything else that escapes is a fault of ours and gets a traceback in the log.
"""

from __future__ import annotations

import errno


class EdgeError(Exception):
    """A clear failure. `message` is one sentence; `next` says what to do, "" where nothing can be.

    `exit_code` follows the contract: 1 the thing asked for failed, 2 usage or configuration,
    3 the agent is not running, 4 refused for safety, 5 no space or no memory, or a disk that can
    only be read.
    """

    exit_code = 1
    code = "failed"

    def __init__(self, message: str, next: str = "") -> None:  # noqa: A002 - the contract's word
        super().__init__(message)
        self.message = message
        self.next = next

    @property
    def in_one_line(self) -> str:
        """For a place that has but one, such as a mistake of the configuration."""
        return f"{self.message}, {self.next}" if self.next else self.message


class UsageError(EdgeError):
    """Wrong usage or configuration, or a named file is not there."""

    exit_code = 2
    code = "usage"


class NotRunning(EdgeError):
    """The command needs the running agent."""

    exit_code = 3
    code = "not_running"


class Refused(EdgeError):
    """Refused for safety: signature, hash, incompatible, damaged or crashing model."""

    exit_code = 4
    code = "refused"


class NoRoom(EdgeError):
    """No space or no memory for it, or a disk that can only be read."""

    exit_code = 5
    code = "no_room"


class ReadOnly(NoRoom):
    """The disk can only be read: nothing has room on it."""

    code = "read_only"


def kind_of(fault: OSError) -> type[EdgeError]:
    """Which error it is for a person that something could not be written."""
    if fault.errno in (errno.ENOSPC, errno.EDQUOT):
        return NoRoom
    return ReadOnly if fault.errno == errno.EROFS else EdgeError


class Damaged(EdgeError):
    """The database is damaged; the service sets it aside and salvages what it can."""

    code = "damaged"


class SourceLost(EdgeError):
    """A source stalled, vanished or would not open; the capture loop reopens it with back-off."""

    code = "source_lost"
