"""Evidence: a JPEG and what is known of it, on the disk before the event that refers to it.

Rules: the picture comes with its privacy masks already blackened. Both files are complete and
synced when `save_snapshot` returns; a crash in between leaves files without an event, never an
event without its files. The colour is not subsampled (4:4:4), so that a model sees in the file
what it saw in the frame.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_agent.policy.documents import dump
from edge_agent.store.disk import write_durably
from edge_agent.types import Event

if TYPE_CHECKING:
    from edge_agent.types import Image

FOLDER = "evidence"
QUALITY = 95


def save_snapshot(
    state: Path, event: Event, image: Image, about: Mapping[str, Any]
) -> dict[str, Any]:
    """Write `evidence/<yyyy>/<mm>/<event id>.jpg` and beside it `.json` with `about`.

    `image` is (height, width, 3) uint8 in BGR; year and month (UTC) are those of the opening. The
    answer is what `Event.evidence` holds: path relative to `state`, sha256, bytes, width, height.
    Raises NoRoom or EdgeError.
    """
    data = _jpeg(image)
    opened = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=event.opened)
    picture = Path(FOLDER, f"{opened:%Y}", f"{opened:%m}", f"{event.id}.jpg")
    height, width = image.shape[:2]
    entry = {
        "path": picture.as_posix(),
        "sha256": hashlib.sha256(data).hexdigest(),
        "bytes": len(data),
        "width": width,
        "height": height,
    }
    notes = {"schema": "evidence/1", "event": event.id, **entry, **about}
    write_durably((state / picture).with_suffix(".json"), f"{dump(notes)}\n".encode())
    write_durably(state / picture, data)
    return entry


def _jpeg(image: Image) -> bytes:
    import cv2  # heavy: only where a picture is really written

    settings = [
        cv2.IMWRITE_JPEG_QUALITY,
        QUALITY,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
    ]
    done, buffer = cv2.imencode(".jpg", image, settings)
    if not done:
        raise ValueError(f"no JPEG can be made of an array of shape {image.shape}")
    return buffer.tobytes()
