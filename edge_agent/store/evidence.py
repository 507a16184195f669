"""Evidence: a picture or a window and what is known of it, on the disk before the event that refers
to it.

Rules: the picture comes with its privacy masks already blackened. Both files are complete and
synced when `save_snapshot` or `save_window` returns; a crash in between leaves files without an
event, never an event without its files. The colour of a JPEG is not subsampled (4:4:4), and a
window is kept as it is, so that a model sees in the file what it saw in the frame.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_agent.policy.documents import dump
from edge_agent.store.disk import write_durably
from edge_agent.types import Event

if TYPE_CHECKING:
    from edge_agent.types import Array, Image

FOLDER = "evidence"
QUALITY = 95
STILLS = 20
STILLS_FOLDER = f"{FOLDER}/stills"


def save_snapshot(
    state: Path, event: Event, image: Image, about: Mapping[str, Any]
) -> dict[str, Any]:
    """Write `evidence/<yyyy>/<mm>/<event id>.jpg` and beside it `.json` with `about`.

    `image` is (height, width, 3) uint8 in BGR; year and month (UTC) are those of the opening. The
    answer is what `Event.evidence` holds: path relative to `state`, sha256, bytes, width, height.
    Raises NoRoom or EdgeError.
    """
    height, width = image.shape[:2]
    return _keep(state, event, (".jpg", _jpeg(image)), {"width": width, "height": height}, about)


def save_window(
    state: Path, event: Event, window: Array, about: Mapping[str, Any]
) -> dict[str, Any]:
    """The same for a window (samples, channels) of numbers, as `.npy`, which `infer` reads; the
    answer has samples and channels instead of width and height."""
    samples, channels = window.shape
    size = {"samples": samples, "channels": channels}
    return _keep(state, event, (".npy", _npy(window)), size, about)


def save_still(state: Path, time: float, image: Image) -> dict[str, Any]:
    """Write a picture that somebody asked for, to `evidence/stills`; the newest `STILLS` stay.

    The answer is as that of `save_snapshot`.
    """
    height, width = image.shape[:2]
    data = _jpeg(image)
    sha256 = hashlib.sha256(data).hexdigest()
    path = Path(STILLS_FOLDER, f"{round(time * 1000):015}-{sha256[:8]}.jpg")
    write_durably(state / path, data)
    kept = sorted((state / path).parent.glob("*.jpg"))
    for old in kept[:-STILLS]:
        old.unlink(missing_ok=True)
    size = {"bytes": len(data), "width": width, "height": height}
    return {"path": path.as_posix(), "sha256": sha256, **size}


def _keep(
    state: Path,
    event: Event,
    content: tuple[str, bytes],
    size: Mapping[str, int],
    about: Mapping[str, Any],
) -> dict[str, Any]:
    """The notes, then the file; `content` is its suffix and its bytes."""
    suffix, data = content
    opened = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=event.opened)
    path = Path(FOLDER, f"{opened:%Y}", f"{opened:%m}", f"{event.id}{suffix}")
    entry = {
        "path": path.as_posix(),
        "sha256": hashlib.sha256(data).hexdigest(),
        "bytes": len(data),
        **size,
    }
    notes = {"schema": "evidence/1", "event": event.id, **entry, **about}
    write_durably((state / path).with_suffix(".json"), f"{dump(notes)}\n".encode())
    write_durably(state / path, data)
    return entry


def _npy(window: Array) -> bytes:
    import numpy as np

    file = io.BytesIO()
    np.save(file, window, allow_pickle=False)
    return file.getvalue()


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
