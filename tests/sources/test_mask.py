"""Masks: what is stored is the class, in grey levels or behind a palette."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_agent.errors import UsageError
from edge_agent.sources.mask import mask_of

CLASSES = np.array([[0, 8, 15], [255, 20, 8]], np.uint8)
PICTURE = np.zeros((2, 3, 3), np.uint8)


def chunk(kind: bytes, data: bytes) -> bytes:
    body = kind + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))


def with_palette(classes: np.ndarray, transparent: bool = False) -> bytes:
    """A PNG as Pascal VOC's, in which class k has a colour that is far from k."""
    height, width = classes.shape
    rows = b"".join(b"\0" + row.tobytes() for row in classes)
    colours = b"".join(bytes([255 - k, 3 * k % 256, 100]) for k in range(256))
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
            chunk(b"PLTE", colours),
            chunk(b"tRNS", bytes(256)) if transparent else b"",
            chunk(b"IDAT", zlib.compress(rows)),
            chunk(b"IEND", b""),
        ]
    )


def test_grey_levels_are_classes(tmp_path: Path) -> None:
    path = tmp_path / "侵入.png"
    path.write_bytes(cv2.imencode(".png", CLASSES)[1].tobytes())
    assert np.array_equal(mask_of(str(path), PICTURE), CLASSES)


@pytest.mark.parametrize("transparent", [False, True])
def test_of_a_palette_the_stored_numbers_count(
    tmp_path: Path, transparent: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(with_palette(CLASSES, transparent))
    assert cv2.imread(str(path), cv2.IMREAD_UNCHANGED).ndim == 3  # who reads it plainly: colours
    assert np.array_equal(mask_of(str(path), PICTURE), CLASSES)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (cv2.imencode(".png", PICTURE)[1].tobytes(), "this one is neither"),
        (cv2.imencode(".png", CLASSES.astype(np.uint16))[1].tobytes(), "grey picture of 8 bits"),
        (
            cv2.imencode(".png", CLASSES.T.copy())[1].tobytes(),
            "is 2x3 and its picture 3x2",
        ),
        (b"no picture", "not a picture, or damaged"),
        (b"", "not a picture, or damaged"),
        (b"\x89PNG\r\n\x1a\n", "not a picture, or damaged"),
        (with_palette(CLASSES)[:40], "not a picture, or damaged"),
        (with_palette(CLASSES)[:35], "not a picture, or damaged"),
    ],
)
def test_what_is_no_mask_is_one_sentence(tmp_path: Path, data: bytes, says: str) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(data)
    with pytest.raises(UsageError, match=says) as fault:
        mask_of(str(path), PICTURE)
    assert str(path) in fault.value.message


def test_a_mask_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.png: No such file"):
        mask_of(str(tmp_path / "none.png"), PICTURE)
