"""A bundle as one .tar file: only its own plain files, into a folder that ends with the process.

Rules: no folders, links, devices or paths; only the names that a bundle has, each once; bounded in
size, so that what is unpacked fits where it is unpacked.
"""

from __future__ import annotations

import atexit
import errno
import os
import shutil
import tarfile
import tempfile
from pathlib import Path, PurePosixPath

from edge_agent.bundles.bundle import FILES
from edge_agent.errors import NoRoom, Refused, UsageError

LARGEST = 512_000_000  # of all files together
#: Files and folders; a bundle has five, in one folder.
MOST = 16


def unpacked(archive: Path) -> Path:
    """The folder with the bundle's files.

    Raises Refused for anything that is no plain bundle, NoRoom where it does not fit, UsageError
    when it cannot be read.
    """
    folder = Path(tempfile.mkdtemp(prefix="edge-agent-bundle-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    try:
        with tarfile.open(archive, "r:") as tar:
            for member in _members(tar, archive.name):
                _write(tar, member, folder, archive.name)
    except (tarfile.TarError, ValueError, OverflowError, EOFError) as fault:
        raise Refused(
            f"{archive.name} is no .tar, or damaged: {fault}", "a bundle's .tar is not compressed"
        ) from None
    except OSError as fault:
        if fault.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NoRoom(f"no space is left to unpack {archive.name} in {folder.parent}") from None
        raise UsageError(f"{archive} cannot be unpacked: {os.strerror(fault.errno or 0)}") from None
    return folder


def _members(tar: tarfile.TarFile, archive: str) -> list[tarfile.TarInfo]:
    """The bundle's files; every other thing in the archive is a reason to refuse it."""
    files: dict[str, tarfile.TarInfo] = {}
    for count, member in enumerate(tar):
        path = PurePosixPath(member.name)
        if count >= MOST:
            raise Refused(f"{archive} holds more than {MOST} files")
        # `tar cf b.tar folder` and `tar cf b.tar -C folder .` are both what people write.
        if member.isdir() and len(path.parts) <= 1:
            continue
        if not member.isreg() or path.is_absolute() or ".." in path.parts or len(path.parts) > 2:
            raise Refused(f"{archive} holds {member.name!r}, which is no plain file of a bundle")
        if path.name not in FILES:
            raise Refused(f"{archive} holds {path.name!r}; a bundle has {', '.join(FILES)}")
        if path.name in files:
            raise Refused(f"{archive} holds {path.name} twice")
        files[path.name] = member
    if sum(member.size for member in files.values()) > LARGEST:
        raise Refused(f"{archive} unpacks to more than {LARGEST // 1_000_000} MB")
    return list(files.values())


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path, archive: str) -> None:
    content = tar.extractfile(member)
    if content is None:
        raise Refused(f"{archive} holds {member.name!r}, which cannot be read")
    with content, (folder / PurePosixPath(member.name).name).open("xb") as target:
        shutil.copyfileobj(content, target)
