"""A bundle as one .tar file: only its own plain files, into a folder that ends with the process.

Rules: no folders, links, devices, holes or paths; only the names that a bundle has, each once, all
in one folder; bounded in number and size before a byte is written, and by what really comes while
it is written. What a header says is believed of nothing that it does not have to be believed of.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tarfile
import tempfile
from pathlib import Path, PurePosixPath

from edge_agent.bundles.bundle import CARD, FILES, GOLDEN, LABELS, MANIFEST, MODEL
from edge_agent.errors import EdgeError, Refused, UsageError, kind_of

MB = 1_000_000
LARGEST = 512 * MB  # of all files together
#: Of each: who opens the bundle reads some of them whole.
LARGEST_OF = {MODEL: LARGEST, GOLDEN: 128 * MB, LABELS: MB, MANIFEST: MB, CARD: MB}
#: Files and folders; a bundle has five, in one folder.
MOST = 16
#: What headers and padding add to the files themselves.
_AROUND = MB
_PIECE = 1 << 18


def unpacked(archive: Path, beside: Path | None = None) -> Path:
    """The folder with the bundle's files, in `beside` or where the system has temporary files.

    Raises Refused for anything that is no plain bundle, NoRoom where it does not fit, UsageError
    when it cannot be read.
    """
    folder = Path(tempfile.mkdtemp(prefix="edge-agent-bundle-", dir=beside))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    try:
        _unpack(archive, folder)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return folder


def _unpack(archive: Path, folder: Path) -> None:
    try:
        if archive.stat().st_size > LARGEST + _AROUND:
            raise Refused(f"{archive.name} is larger than {LARGEST // MB} MB")
        with tarfile.open(archive, "r:") as tar:
            for member in _members(tar, archive.name):
                _write(tar, member, folder, archive.name)
    except RecursionError:  # headers of headers of headers
        raise Refused(f"{archive.name} is no .tar, or damaged: its headers never end") from None
    except (tarfile.TarError, ValueError, OverflowError, EOFError) as fault:
        raise Refused(
            f"{archive.name} is no .tar, or damaged: {fault}", "a bundle's .tar is not compressed"
        ) from None
    except OSError as fault:
        if (kind := kind_of(fault)) is not EdgeError:
            why = f"{archive.name} cannot be unpacked in {folder.parent}: {fault.strerror}"
            raise kind(why, "see: df -h") from None
        raise UsageError(f"{archive} cannot be unpacked: {os.strerror(fault.errno or 0)}") from None


def _members(tar: tarfile.TarFile, archive: str) -> list[tarfile.TarInfo]:
    """The bundle's files; every other thing in the archive is a reason to refuse it."""
    files: dict[str, tarfile.TarInfo] = {}
    folders: set[PurePosixPath] = set()
    for count, member in enumerate(tar):
        path = PurePosixPath(member.name)
        if count >= MOST:
            raise Refused(f"{archive} holds more than {MOST} files")
        # `tar cf b.tar folder` and `tar cf b.tar -C folder .` are both what people write.
        if member.isdir() and len(path.parts) <= 1 and not path.is_absolute() and str(path) != "..":
            continue
        plain = member.type in (tarfile.REGTYPE, tarfile.AREGTYPE) and not member.issparse()
        if not plain or path.is_absolute() or ".." in path.parts or len(path.parts) > 2:
            raise Refused(f"{archive} holds {member.name!r}, which is no plain file of a bundle")
        if path.name not in FILES:
            raise Refused(f"{archive} holds {path.name!r}; a bundle has {', '.join(FILES)}")
        if path.name in files:
            raise Refused(f"{archive} holds {path.name} twice")
        if member.size > LARGEST_OF[path.name]:
            most = LARGEST_OF[path.name] // MB
            raise Refused(f"{archive} holds {path.name} of more than {most} MB")
        files[path.name] = member
        folders.add(path.parent)
    if len(folders) > 1:
        raise Refused(f"{archive} holds more than one folder; a bundle is one")
    if sum(member.size for member in files.values()) > LARGEST:
        raise Refused(f"{archive} unpacks to more than {LARGEST // MB} MB")
    return list(files.values())


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path, archive: str) -> None:
    """As many bytes as were said, no more and no less."""
    content = tar.extractfile(member)
    if content is None:
        raise Refused(f"{archive} holds {member.name!r}, which cannot be read")
    left = member.size
    with content, (folder / PurePosixPath(member.name).name).open("xb") as target:
        while piece := content.read(_PIECE):
            left -= len(piece)
            if left < 0:
                break
            target.write(piece)
    if left:
        raise Refused(f"{archive} is no .tar, or damaged: {member.name!r} has another size")
