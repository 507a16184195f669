"""A mask: a picture of which each pixel is the number of a class, as people label them.

Rules: one grey level a class, or a PNG with a palette, as Pascal VOC has it, of which the stored
numbers count and not the colours; 255 is not judged. A mask has the size of its picture.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from edge_agent.errors import UsageError

if TYPE_CHECKING:
    from edge_agent.types import Image

_PNG = b"\x89PNG\r\n\x1a\n"
#: Where a PNG's first chunk, its header, says how pixels are stored.
_DEPTH, _KIND = 24, 25
_GREY, _PALETTE = 0, 3


def mask_of(path: str, picture: Image) -> Image:
    """The class of every pixel of the picture. Raises UsageError."""
    import cv2
    import numpy as np

    try:
        data = Path(path).read_bytes()
    except OSError as fault:
        raise UsageError(f"{path}: {fault.strerror or 'cannot be read'}") from None
    try:
        found = cv2.imdecode(np.frombuffer(_as_grey(data), np.uint8), cv2.IMREAD_UNCHANGED)
    except (cv2.error, struct.error, IndexError):
        found = None
    if found is None:
        raise UsageError(f"{path}: not a picture, or damaged")
    if found.ndim != 2 or found.dtype != np.uint8:
        raise UsageError(
            f"{path}: a mask is a grey picture of 8 bits whose levels are classes, or a PNG with a "
            "palette of 8 bits; this one is neither"
        )
    if found.shape != picture.shape[:2]:
        ours, theirs = (f"{each.shape[1]}x{each.shape[0]}" for each in (found, picture))
        raise UsageError(f"{path}: the mask is {ours} and its picture {theirs}")
    return np.asarray(found)


def _as_grey(data: bytes) -> bytes:
    """A PNG with a palette of 8 bits as one without: then what is decoded is what is stored."""
    if not data.startswith(_PNG) or (data[_DEPTH], data[_KIND]) != (8, _PALETTE):
        return data
    header = data[12:_KIND] + bytes([_GREY]) + data[_KIND + 1 : 29]
    parts = [_PNG, struct.pack(">I", 13), header, struct.pack(">I", zlib.crc32(header))]
    place = 33
    while place < len(data):
        (length,) = struct.unpack_from(">I", data, place)
        chunk = data[place : place + 12 + length]
        if chunk[4:8] not in (b"PLTE", b"tRNS", b"bKGD", b"hIST"):
            parts.append(chunk)
        place += 12 + length
    return b"".join(parts)
