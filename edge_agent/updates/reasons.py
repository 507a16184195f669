"""What python-tuf raises, as the sentence that a person reads: trust is Refused, else it is not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tuf.api import exceptions as tuf
from tuf.api.serialization import DeserializationError

from edge_agent.errors import EdgeError, Refused
from edge_agent.updates.disk import disk_errors
from edge_agent.updates.failures import LATER, NotServed, Unreachable
from edge_agent.updates.line import TooLong

_OPERATOR = "nothing changed here; ask who runs the repository"


@contextmanager
def explained(state: Path) -> Iterator[None]:
    """Raise EdgeErrors only. `state` is what an OSError is about unless it says so itself."""
    try:
        with disk_errors(state):
            yield
    except TooLong as fault:
        raise Refused(f"endless data: {fault}", _OPERATOR) from fault
    except tuf.DownloadHTTPError as fault:
        if isinstance(fault.__cause__, NotServed):
            raise fault.__cause__ from None
        raise NotServed(str(fault), _OPERATOR, fault.status_code) from fault
    except tuf.DownloadError as fault:
        raise Unreachable(f"the repository cannot be read: {_line(fault)}", LATER) from fault
    except tuf.RepositoryError as fault:
        raise _refused(fault) from fault


def _refused(fault: tuf.RepositoryError) -> EdgeError:
    text = _line(fault)
    if isinstance(fault, tuf.ExpiredMetadataError):
        return Refused(
            f"expired metadata: {text}",
            "check the clock of this device; whoever runs the repository signs it anew",
        )
    if isinstance(fault, tuf.UnsignedMetadataError):
        return Refused(f"not signed by enough of the trusted keys: {text}", _OPERATOR)
    if isinstance(fault, tuf.BadVersionNumberError):
        return Refused(f"rolled back, or mixed from different times: {text}", _OPERATOR)
    if isinstance(fault, tuf.LengthOrHashMismatchError):
        return Refused(f"not the bytes that were signed for: {text}", _OPERATOR)
    if isinstance(fault, DeserializationError):
        return Refused(f"what was sent is no metadata: {text}", _OPERATOR)
    return Refused(f"the repository contradicts itself: {text}", _OPERATOR)


def _line(fault: BaseException) -> str:
    return " ".join(str(fault).split()) or type(fault).__name__
