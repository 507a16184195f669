"""Evidence: a picture or a window and what is known of it, on the disk before the event that refers
to it.

Rules: the picture comes with its privacy masks already blackened. Both files are complete and
synced when `save_snapshot` or `save_window` returns; a crash in between leaves files without an
event, never an event without its files. The colour of a JPEG is not subsampled (4:4:4), and a
window is kept as it is, so that a model sees in the file what it saw in the frame.
"""

from __future__ import annotations

import errno
import hashlib
import io
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_agent.durable import durable, make_folder
from edge_agent.frozen import frozen
from edge_agent.policy.documents import dump, rfc3339
from edge_agent.store.disk import disk_errors, store_file
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
    return _keep(state, event, (".jpg", jpeg(image)), {"width": width, "height": height}, about)


def save_window(
    state: Path, event: Event, window: Array, about: Mapping[str, Any]
) -> dict[str, Any]:
    """The same for a window (samples, channels) of numbers, as `.npy`, which `infer` reads; the
    answer has samples and channels instead of width and height."""
    samples, channels = window.shape
    size = {"samples": samples, "channels": channels}
    return _keep(state, event, (".npy", _npy(window)), size, about)


@frozen
class Scene:
    """One frame of a clip: a JPEG and its (width, height), or a window (samples, channels)."""

    time: float
    data: bytes | Array
    size_px: tuple[int, int] | None

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self.data) if isinstance(self.data, bytes) else int(self.data.nbytes)


def save_clip(state: Path, event: Event, scenes: Sequence[Scene]) -> dict[str, Any]:
    """Write `<event id>.mkv` (Matroska with the JPEGs as they are), of windows `<event id>.npz`.

    Times are milliseconds after `from`, that of the first scene. Pictures of another size than the
    first one's are left out: one film has one size. Raises NoRoom or EdgeError.
    """
    import numpy as np

    size = scenes[0].size_px
    kept = [scene for scene in scenes if scene.size_px == size]
    path = _place(event, ".npz" if size is None else ".mkv")
    if size is None:
        store_file(state / path, _npz(kept))
        samples, channels = np.shape(kept[0].data)
        about = {"samples": samples, "channels": channels}
    else:
        with disk_errors(state / path):
            make_folder((state / path).parent)
            with durable(state / path) as draft:
                _film(draft, kept, size)
        about = {"width": size[0], "height": size[1]}
    content = (state / path).read_bytes()
    return {
        "kind": "clip",
        "path": path.as_posix(),
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
        **about,
        "frames": len(kept),
        "from": rfc3339(kept[0].time),
    }


def save_still(state: Path, time: float, image: Image) -> dict[str, Any]:
    """Write a picture that somebody asked for, to `evidence/stills`; the newest `STILLS` stay.

    The answer is as that of `save_snapshot`.
    """
    height, width = image.shape[:2]
    data = jpeg(image)
    sha256 = hashlib.sha256(data).hexdigest()
    path = Path(STILLS_FOLDER, f"{round(time * 1000):015}-{sha256[:8]}.jpg")
    store_file(state / path, data)
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
    path = _place(event, suffix)
    entry = {
        "path": path.as_posix(),
        "sha256": hashlib.sha256(data).hexdigest(),
        "bytes": len(data),
        **size,
    }
    notes = {"schema": "evidence/1", "event": event.id, **entry, **about}
    store_file((state / path).with_suffix(".json"), f"{dump(notes)}\n".encode())
    store_file(state / path, data)
    return entry


def _place(event: Event, suffix: str) -> Path:
    """Relative to the state directory; year and month are those of the opening."""
    opened = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=event.opened)
    return Path(FOLDER, f"{opened:%Y}", f"{opened:%m}", f"{event.id}{suffix}")


def _film(path: Path, scenes: Sequence[Scene], size: tuple[int, int]) -> None:
    """The JPEGs one after the other, each at its millisecond, in a Matroska file."""
    import cv2
    import numpy as np

    code = cv2.VideoWriter.fourcc(*"MJPG")
    raw = [cv2.VIDEOWRITER_PROP_RAW_VIDEO, 1]
    film = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, code, 1000.0, size, raw)
    if not film.isOpened():
        raise OSError(errno.ENOSPC, "no space for a clip", str(path))
    try:
        for scene in scenes:
            film.set(cv2.VIDEOWRITER_PROP_PTS, round((scene.time - scenes[0].time) * 1000))
            film.write(np.frombuffer(scene.data, np.uint8).reshape(1, -1))
    finally:
        film.release()
    if path.stat().st_size < sum(scene.size for scene in scenes):  # FFmpeg does not say so
        raise OSError(errno.ENOSPC, "no space for a clip", str(path))


def _npz(scenes: Sequence[Scene]) -> bytes:
    import numpy as np

    file = io.BytesIO()
    times = np.array([scene.time for scene in scenes])
    np.savez(file, times=times, windows=np.stack([np.asarray(scene.data) for scene in scenes]))
    return file.getvalue()


def _npy(window: Array) -> bytes:
    import numpy as np

    file = io.BytesIO()
    np.save(file, window, allow_pickle=False)
    return file.getvalue()


def jpeg(image: Image) -> bytes:
    """As pictures are kept: quality 95, 4:4:4."""
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
