"""Annotated pictures: boxes, key points, areas and scores on a copy of a frame, for people's eyes.

`drawn` knows what a family's findings look like; the others are its parts, and the recorder's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from edge_agent.durable import whole
from edge_agent.errors import EdgeError, kind_of
from edge_agent.pipeline.decode import WHOLE_FRAME
from edge_agent.pipeline.decode.pose import BONES, COCO
from edge_agent.types import Detection, ModelSpec

if TYPE_CHECKING:
    from edge_agent.policy.inference import Inferred
    from edge_agent.types import Image

Color: TypeAlias = tuple[int, int, int]

#: BGR, told apart also by those who see no red and green apart (Okabe and Ito, 2008).
COLORS: tuple[Color, ...] = (
    (0, 159, 230),
    (233, 180, 86),
    (115, 158, 0),
    (66, 228, 240),
    (178, 114, 0),
    (0, 94, 213),
    (167, 121, 204),
)
_BLACK: Color = (0, 0, 0)
_WHITE: Color = (255, 255, 255)


def drawn(image: Image, model: ModelSpec, inferred: Inferred) -> Image:
    """A copy with every finding, as its family shows it."""
    found = [each for each in inferred.found if each.score >= model.min_score]
    if model.family == "pose":
        return posed(image, found)
    if model.family == "segmentation" and inferred.classes is not None:
        image = tinted(image, inferred.classes, found, model.labels)
        found = [replace(each, box=WHOLE_FRAME) for each in found]
    return annotated(image, found, model.labels)


def annotated(image: Image, detections: Sequence[Detection], labels: Sequence[str]) -> Image:
    """A copy with every finding; `labels` fixes which label has which colour.

    What is about the whole frame is a line of a list in the corner.
    """
    picture = image.copy()
    size = max(1, round(picture.shape[0] / 400))  # of lines and letters
    lines = 0
    for found in reversed(detections):  # the best come last, on top of the others
        if found.box != WHOLE_FRAME:
            _draw_box(picture, found, _color(found.label, labels), size)
    for found in detections:
        if found.box == WHOLE_FRAME:
            text = f"{found.score:.2f} {found.label}"
            lines += write(picture, text, (0, lines), _color(found.label, labels), size)
    return picture


def posed(image: Image, points: Sequence[Detection]) -> Image:
    """A copy with key points, and the bones between them where they are COCO's."""
    import cv2

    picture = image.copy()
    height, width = picture.shape[:2]
    size = max(1, round(height / 400))
    places = {
        each.extra["index"]: (round(each.box[0] * width), round(each.box[1] * height))
        for each in points
    }
    known = {each.extra["index"] for each in points if each.label == _of_coco(each)}
    for start, end in BONES:
        if {start, end} <= known:
            cv2.line(picture, places[start], places[end], COLORS[0], 2 * size, cv2.LINE_AA)
    for index, place in places.items():
        cv2.circle(picture, place, 3 * size, COLORS[1 + index % 2], cv2.FILLED, cv2.LINE_AA)
        cv2.circle(picture, place, 3 * size, _BLACK, size, cv2.LINE_AA)
    return picture


def tinted(
    image: Image, classes: Image, found: Sequence[Detection], labels: Sequence[str]
) -> Image:
    """A copy in which the pixels of each finding's class are half its colour."""
    import cv2

    colors = image.copy()
    for each in found:
        colors[classes == each.extra["index"]] = _color(each.label, labels)
    blended: Image = cv2.addWeighted(image, 0.5, colors, 0.5, 0)
    return blended


def write(picture: Image, text: str, at: tuple[int, int], ground: Color, size: int = 1) -> int:
    """Text with its upper left corner `at` x, y, on a ground that keeps it readable; moved so that
    it lies inside the picture, cut where it is wider. Its height in pixels."""
    import numpy as np

    from edge_agent.service.lettering import lettered

    letters = np.pad(lettered(text, size), size)[: picture.shape[0], : picture.shape[1]]
    height, width = letters.shape
    x = max(0, min(at[0], picture.shape[1] - width))
    y = max(0, min(at[1], picture.shape[0] - height))
    picture[y : y + height, x : x + width] = np.where(letters[..., None], _ink(ground), ground)
    return height


def write_picture(path: Path, image: Image) -> None:
    """Whole or not at all. Raises NoRoom or EdgeError when it cannot be written."""
    import cv2

    done, data = cv2.imencode(path.suffix, image)
    if not done:
        raise EdgeError(f"{path}: OpenCV writes no {path.suffix} pictures")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole(path) as draft:
            draft.write_bytes(data.tobytes())
    except OSError as fault:
        reason = f"{path} cannot be written: {fault.strerror}"
        raise kind_of(fault)(reason, "name another place: --out") from None


def _draw_box(picture: Image, found: Detection, color: Color, size: int) -> None:
    import cv2

    from edge_agent.service.lettering import HEIGHT

    height, width = picture.shape[:2]
    x0, y0, x1, y1 = found.box
    start, end = (round(x0 * width), round(y0 * height)), (round(x1 * width), round(y1 * height))
    cv2.rectangle(picture, start, end, color, 2 * size)
    above = start[1] - (HEIGHT + 2) * size
    text = f"{found.label} {found.score:.2f}"
    write(picture, text, (start[0], above if above >= 0 else start[1]), color, size)


def _of_coco(point: Detection) -> str | None:
    index = point.extra["index"]
    return COCO[index] if index < len(COCO) else None


def _color(label: str, labels: Sequence[str]) -> Color:
    place = labels.index(label) if label in labels else sum(label.encode())
    return COLORS[place % len(COLORS)]


def _ink(ground: Color) -> Color:
    """Black or white, whichever stands out more. Luma of a BGR colour after ITU-R BT.601."""
    blue, green, red = ground
    return _BLACK if 0.114 * blue + 0.587 * green + 0.299 * red > 110 else _WHITE
