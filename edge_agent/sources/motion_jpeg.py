"""Motion JPEG by FFmpeg, whose frames are taken undecoded: a picture is made when it is asked for.

FFmpeg decodes in `grab`, so a frame that nobody looks at costs almost what any other does. Every
frame of motion JPEG is a JPEG of its own, though: FFmpeg hands over the compressed one, and
OpenCV's own decoder, which reads JPEG files and V4L2 cameras as well, makes the picture.

Rules: only where few pictures are asked for, because FFmpeg decodes all of them more cheaply; so
the choice goes by the rates alone, and one stream has one decoder from its first picture to its
last. What the other decoder would not show alike (two fields in a frame, a picture to be turned) is
left to FFmpeg, which is found out before the first frame. Why replay never does it is in
docs/decisions/0010. Read `video.py` and `camera_child.py` next, which read through it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

#: The part of all pictures up to which it costs less to decode them here.
FEW = 0.5
#: What a stream that says nothing, or nonsense, about its rate is taken to have, by FFmpeg as well.
USUAL_FPS = 25.0
_CODECS = frozenset(int.from_bytes(code, "little") for code in (b"MJPG", b"mjpg", b"mjpa", b"jpeg"))


class Grabber(Protocol):
    """The part of cv2.VideoCapture that is used."""

    def isOpened(self) -> bool: ...  # noqa: N802 - OpenCV's name
    def grab(self) -> bool: ...
    def retrieve(self, image: Any = None) -> tuple[bool, Any]: ...
    def get(self, prop: int) -> float: ...
    def set(self, prop: int, value: float) -> bool: ...
    def release(self) -> None: ...


def undecoded(opened: Callable[[], Any], rates: Sequence[float], fps: float | None) -> Grabber:
    """What `opened` opens with FFmpeg; motion JPEG so that only `retrieve` decodes, if the `rates`
    of whoever looks at it are few of its `fps` (None: as the stream says).

    `opened` is called again for a stream that has to be left to FFmpeg after all.
    """
    import cv2

    capture: Grabber = opened()
    if not rates or not capture.isOpened() or _code(capture) not in _CODECS:
        return capture
    if max(rates) > FEW * (fps or capture.get(cv2.CAP_PROP_FPS) or USUAL_FPS):
        return capture
    if capture.get(cv2.CAP_PROP_ORIENTATION_META):
        return capture
    if not capture.set(cv2.CAP_PROP_FORMAT, -1):
        capture.release()
        return opened()  # type: ignore[no-any-return]
    return MotionJpeg(capture, opened)


def _code(capture: Grabber) -> int:
    import cv2

    return int(capture.get(cv2.CAP_PROP_FOURCC))


class MotionJpeg:
    """A capture that hands over packets, in the place of one that hands over pictures."""

    def __init__(self, packets: Any, opened: Callable[[], Any]) -> None:
        import cv2

        self._packets = packets
        self._opened = opened
        self._pictures: Any = None  # FFmpeg's own, where it decodes after all
        self._known = False  # that the first packet shows what FFmpeg would
        self._size = tuple(
            int(packets.get(prop)) for prop in (cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FRAME_WIDTH)
        )

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
        return bool(self._capture.isOpened())

    def get(self, prop: int) -> float:
        return float(self._capture.get(prop))

    def set(self, prop: int, value: float) -> bool:
        return bool(self._capture.set(prop, value))

    def grab(self) -> bool:
        good = bool(self._capture.grab())
        if good and not self._known:
            self._known = True
            picture = self._picture()
            if picture is not None and picture.shape[:2] != self._size:
                self._packets.release()
                self._pictures = self._opened()
                return bool(self._pictures.grab())
        return good

    def retrieve(self, image: Any = None) -> tuple[bool, Any]:
        """The picture of the frame that was grabbed last, in `image` where that fits."""
        if self._pictures is not None:
            good, picture = self._pictures.retrieve(image)
            return bool(good), picture
        picture = self._picture()
        return picture is not None, picture

    def release(self) -> None:
        self._capture.release()

    @property
    def _capture(self) -> Any:
        return self._packets if self._pictures is None else self._pictures

    def _picture(self) -> Any:
        """None where the packet is no JPEG that can be decoded."""
        import cv2

        good, packet = self._packets.retrieve()
        if not good or packet is None or not packet.size:
            return None
        return cv2.imdecode(packet, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
