"""Pictures: one file, a folder, or a glob, in natural order (img2 before img10).

Rules: a picture that cannot be decoded is one `Broken` item with its name; the rest is read. Times
are origin + index / fps. Read `scene.py` next.
"""

from __future__ import annotations

import glob
import re
from pathlib import Path

from edge_agent.errors import UsageError
from edge_agent.frozen import frozen
from edge_agent.types import Broken, Frame, SourceInfo

#: What OpenCV decodes by itself; a folder's other files are no pictures and are passed over.
SUFFIXES = frozenset(
    {".bmp", ".jpeg", ".jpg", ".jp2", ".png", ".pbm", ".pgm", ".ppm", ".tif", ".tiff", ".webp"}
)


@frozen
class ImagesSpec:
    uri: str
    fps: float = 1.0
    loop: bool = False
    origin: float = 0.0


class Images:
    """A list of pictures as a source of frames."""

    live = False

    def __init__(self, name: str, spec: ImagesSpec) -> None:
        self.name = name
        self._spec = spec
        self._paths: tuple[Path, ...] = ()
        self._index = 0

    def open(self) -> SourceInfo:
        """Raises UsageError when nothing is there."""
        self._paths = find(self._spec.uri)
        if not self._paths:
            raise UsageError(
                f"source {self.name}: no picture at {self._spec.uri}",
                "give a picture, a folder of pictures, or a pattern such as shots/*.jpg",
            )
        count = None if self._spec.loop else len(self._paths)
        return SourceInfo(None, None, self._spec.fps, count)

    def read(self) -> Frame | Broken | None:
        if self._index >= len(self._paths) and not self._spec.loop:
            return None
        path = self._paths[self._index % len(self._paths)]
        index, self._index = self._index, self._index + 1
        return read_picture(path, Broken(self.name, index, self._time(index), path.name, ""))

    def close(self) -> None:
        self._paths = ()

    def _time(self, index: int) -> float:
        return self._spec.origin + index / self._spec.fps


def find(uri: str, suffixes: frozenset[str] = SUFFIXES) -> tuple[Path, ...]:
    """The pictures that a path, a folder or a glob names, in natural order; of a folder those files
    that end so."""
    path = Path(uri)
    if path.is_dir():
        found = [entry for entry in path.iterdir() if entry.suffix.lower() in suffixes]
    elif path.exists():
        found = [path]
    else:
        found = [Path(name) for name in glob.glob(uri, recursive=True) if Path(name).is_file()]
    return tuple(sorted(found, key=lambda entry: natural(str(entry))))


def names_pictures(uri: str) -> bool:
    """Whether a name is that of pictures: a folder, a pattern, or a picture's by its ending."""
    path = Path(uri)
    return path.is_dir() or path.suffix.lower() in SUFFIXES or is_pattern(uri)


def is_pattern(uri: str) -> bool:
    return any(mark in uri for mark in "*?[")


def natural(text: str) -> list[tuple[int, str]]:
    """A sort key that reads runs of digits as numbers."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", text)]


def read_picture(path: Path, otherwise: Broken) -> Frame | Broken:
    """The picture as a frame with the place and time of `otherwise`, or `otherwise` with why not.

    EXIF orientation is applied. The bytes are read by Python, so that a name in any script works
    and a missing file is told from a damaged one.
    """
    import cv2
    import numpy as np

    def broken(reason: str) -> Broken:
        return Broken(otherwise.source, otherwise.index, otherwise.time, otherwise.name, reason)

    try:
        data = path.read_bytes()
    except OSError as fault:
        return broken(fault.strerror or "cannot be read")
    if not data:
        return broken("the file is empty")
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        image = None  # larger than OpenCV's own limit, or a header that lies
    if image is None:
        return broken("not a picture, or damaged")
    return Frame(otherwise.source, otherwise.index, otherwise.time, image, otherwise.name)
