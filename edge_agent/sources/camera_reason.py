"""Why a camera could not be opened: in words, from what the libraries printed about it.

OpenCV says only that it failed. FFmpeg, OpenCV's log and the kernel say more, mixed with addresses,
passwords and pointers: so nothing of their text is passed on, only what is recognised in it. Where
nothing is, the kernel is asked.
"""

from __future__ import annotations

import os
import re
import socket

from edge_agent.config.camera_uri import device_path, is_device, is_rtsp, place_of
from edge_agent.frozen import frozen

#: A machine that does not answer within this time is not there.
CONNECT_S = 5.0


@frozen
class Reason:
    """One sentence, and what to do about it."""

    sentence: str
    next: str


NO_ANSWER = "look at its power and its cable; does another player show it?"
_ACCESS = "check username and password, and that the camera allows this user to watch"
#: What to do about what RTSP and HTTP answer.
_ANSWERS = {401: _ACCESS, 403: _ACCESS, 404: "check the path in its uri"}
_REFUSED = Reason("connection refused", "check the port in its uri, and that the camera is on")
_NO_NAME = Reason(
    "its name cannot be resolved", "check the host in its uri, or write its IP address"
)
_NO_VIDEO = Reason("what it sends is no video that FFmpeg reads", "check the path in its uri")
_NO_CAMERA = Reason(
    "the device is no camera that OpenCV reads",
    "edge-agent sources scan: a camera has several devices, and one of them has its pictures",
)
#: In the order in which they are looked for: the first one that is found.
_KNOWN: tuple[tuple[str, Reason], ...] = (
    (r"Connection refused", _REFUSED),
    (r"Failed to resolve hostname", _NO_NAME),
    (
        r"resource busy|errno=16",
        Reason("another program has it open", "end that program; a device has one reader"),
    ),
    (r"Stream timeout triggered", Reason("no answer in time", NO_ANSWER)),
)
#: FFmpeg's "method DESCRIBE failed: 401 Unauthorized" and "HTTP error 401 Unauthorized".
_STATUS = re.compile(r"(?:failed:|HTTP error) ([345]\d\d)\b")


def unreachable(uri: str) -> Reason | None:
    """Why it is of no use to try, where that can be told without loading any library.

    A camera that is away is asked again and again: this is what makes it cheap. Not by HTTP or
    TCP: a simple server there takes one connection, and this would be it.
    """
    if is_device(uri):
        return _device_reason(device_path(uri))
    return _network_reason(uri) if is_rtsp(uri) else None


def reason_of(chatter: str, uri: str) -> Reason:
    """The reason as far as it can be told. May take `CONNECT_S`."""
    status = _STATUS.search(chatter)
    if status is not None:
        return _answer(int(status[1]))
    for pattern, reason in _KNOWN:
        if re.search(pattern, chatter):
            return reason
    if is_device(uri):
        return _device_reason(device_path(uri)) or _NO_CAMERA
    return _network_reason(uri) or _NO_VIDEO


def _answer(status: int) -> Reason:
    from http import HTTPStatus  # of which RTSP has most

    try:
        phrase = f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        phrase = f"status {status}"
    return Reason(f"refused: {phrase}", _ANSWERS.get(status, "look at the camera's own log"))


def _device_reason(path: str) -> Reason | None:
    try:
        os.close(os.open(path, os.O_RDWR | os.O_NONBLOCK))
    except FileNotFoundError:
        return Reason(f"there is no device {path}", "edge-agent sources scan")
    except PermissionError:
        return Reason(f"{path}: permission denied", "add the agent's user to the group video")
    except OSError as fault:
        return Reason(f"{path}: {(fault.strerror or 'cannot be opened').lower()}", NO_ANSWER)
    return None


def _network_reason(uri: str) -> Reason | None:
    place = place_of(uri)
    if place is None or uri.lower().startswith("udp:"):
        return None
    try:
        socket.create_connection(place, CONNECT_S).close()
    except socket.gaierror:
        return _NO_NAME
    except TimeoutError:
        return Reason("no answer in time", NO_ANSWER)
    except ConnectionRefusedError:
        return _REFUSED
    except OSError as fault:
        return Reason((fault.strerror or "cannot be reached").lower(), NO_ANSWER)
    return None
