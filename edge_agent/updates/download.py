"""One target into a folder: room first, then bytes that go on after a cut, then hash, sync, rename.

    into/.<hash>.part    what came so far; its name says of which bytes, so only those go on
    into/<name>          complete, verified, on the disk; or not there

Rules: no more bytes than signed for are ever written. What is found damaged and came in several
goes is fetched once more whole before anybody is accused: a power cut may have eaten a part.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tuf.api.exceptions import LengthOrHashMismatchError
from tuf.api.metadata import TargetFile

from edge_agent.durable import make_folder, sync, sync_folder
from edge_agent.errors import Refused
from edge_agent.policy.backoff import Backoff
from edge_agent.updates.failures import LATER, NotServed, Unreachable
from edge_agent.updates.line import Line
from edge_agent.updates.room import require_memory, require_space

#: So many bytes in one attempt are progress, whatever cut it off.
MUCH = 64 * 1024
_RANGE_REFUSED = 416


def download(line: Line, url: str, info: TargetFile, into: Path) -> Path:
    """The verified file. Raises Refused, NoRoom, BudgetSpent, Unreachable, NotServed, OSError."""
    final = into / _name(info.path)
    if _verified(final, info):
        return final
    part = into / f".{next(iter(info.hashes.values()))[:64]}.part"
    make_folder(into)
    for other in into.glob(".*.part"):
        if other != part:
            other.unlink()  # of a target that is not wanted any more: one comes at a time
    resumed = _size(part) > 0
    require_space(into, info.length - _size(part), line.limits.free_mb)
    require_memory(info.length)
    _complete(line, url, info, part)
    if resumed and not _verified(part, info):
        part.unlink()
        _complete(line, url, info, part)
    if not _verified(part, info):
        part.unlink()
        raise Refused(
            f"{info.path} is not what was signed for: its hash or its length is another",
            "nothing changed here; ask who runs the repository",
        )
    sync(part)
    part.replace(final)
    sync_folder(into)
    return final


def _complete(line: Line, url: str, info: TargetFile, part: Path) -> None:
    """Until the part has its length; patience counts the attempts in a row that brought little."""
    patience = line.patience
    backoff = Backoff(patience.base_s, patience.cap_s)
    while _size(part) < info.length or not part.exists():
        before = _size(part)
        try:
            _more(line, url, info, part)
        except Unreachable:
            much = _size(part) - before >= MUCH
            backoff = replace(backoff, failures=0) if much else backoff.failed()
            if backoff.failures >= patience.attempts:
                raise
            patience.pause(backoff.delay(patience.random()))


def _more(line: Line, url: str, info: TargetFile, part: Path) -> None:
    """One attempt, from where the last one ended."""
    have = _size(part)
    try:
        with line.target(url, have) as opened, part.open("r+b" if have else "wb") as file:
            file.truncate(opened.start)
            file.seek(opened.start)
            for piece in opened.pieces:
                if file.tell() + len(piece) > info.length:
                    part.unlink()
                    raise Refused(
                        f"endless data: {url} has more than the {info.length} bytes signed for",
                        "nothing changed here; ask who runs the repository",
                    )
                file.write(piece)
    except NotServed as fault:
        if fault.status != _RANGE_REFUSED or not have:
            raise
        part.unlink()  # longer than what the server has: it cannot be the beginning of it
        raise Unreachable(fault.message, fault.next) from fault
    if _size(part) < info.length:
        raise Unreachable(f"{url} ended after {_size(part)} of {info.length} bytes", LATER)


def _name(path: str) -> str:
    name = path.rpartition("/")[2]
    if name in ("", ".", "..") or "\0" in name or name.startswith("."):
        raise Refused(f"{path!r} is no name for a file", "ask who runs the repository")
    return name


def _verified(path: Path, info: TargetFile) -> bool:
    try:
        with path.open("rb") as file:
            info.verify_length_and_hashes(file)
    except (FileNotFoundError, LengthOrHashMismatchError):
        return False
    return True


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
