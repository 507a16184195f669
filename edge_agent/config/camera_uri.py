"""The address of a camera: what it may be, and how its credentials come into it.

Rules: the configuration holds an address without any secret. User name and password are joined to
it by the process that opens the camera, percent-encoded (RFC 3986), or stand in the place of
`{username}` and `{password}` where a maker wants them in the path or the query. A sentence about an
address never repeats what may be a secret. Read `schema.py` next.
"""

from __future__ import annotations

import re
from urllib.parse import SplitResult, quote, urlsplit

SCHEMES = ("rtsp", "rtsps", "http", "https", "tcp", "udp")
CAMERA = (
    f"a URL ({', '.join(SCHEMES)}), a device such as /dev/video0, or the number of one; "
    "without a password"
)

_DEVICE = re.compile(r"\d{1,3}|/dev/\S+")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_HELD = ("{username}", "{password}")
#: A value in the path or the query that many makers give to a password.
_SECRET = re.compile(r"(?i)(pass(word|wd)?|pwd|token)=(?!\{password\})[^&;/\s]")
_OUTSIDE = 'write username: NAME and password: "${file:NAME}" beside it'


def uri_fault(uri: str) -> str | None:
    """Why this is no camera's address, or None. Never repeats a secret."""
    if is_device(uri):
        return None
    match = _SCHEME.match(uri)
    if match is None or match[1].lower() not in SCHEMES:
        what = f"{match[1]}:// is no camera" if match else "this is no camera"
        return f"{what}, allowed: {CAMERA}"
    try:
        parts = urlsplit(uri)
        host, port = parts.hostname, parts.port
    except ValueError:
        return "this is no URL: its port or its brackets are wrong, as in rtsp://HOST:554/PATH"
    if "@" in parts.netloc:
        return f"a user name or a password stands in the URL, allowed: {_OUTSIDE}"
    if _SECRET.search(uri):
        return f"a password stands in the URL, allowed: {{password}} in its place, and {_OUTSIDE}"
    if not host:
        return "the URL names no host, allowed: as in rtsp://HOST:554/PATH"
    if port is None and not _usual_port(parts):
        scheme = parts.scheme.lower()
        return f"{scheme}: has no usual port, allowed: as in {scheme}://HOST:4000"
    if not uri.isprintable() or " " in uri:
        return "the URL has a space or an unprintable character, allowed: %20 for a space"
    return None


def is_device(uri: str) -> bool:
    """Whether it is a camera of this machine, by the path or the number of its device."""
    return bool(_DEVICE.fullmatch(uri))


def device_path(uri: str) -> str:
    """`/dev/video0` for `0`."""
    return f"/dev/video{int(uri)}" if uri.isdigit() else uri


def is_rtsp(uri: str) -> bool:
    return uri.lower().startswith(("rtsp://", "rtsps://"))


def place_of(uri: str) -> tuple[str, int] | None:
    """Host and port of a URL; None for a device."""
    parts = urlsplit("" if is_device(uri) else uri)
    if not parts.hostname:
        return None
    return parts.hostname, parts.port or _usual_port(parts)


def wants_credentials_inside(uri: str) -> bool:
    """Whether the address has a place of its own for user name or password."""
    return any(word in uri for word in _HELD)


def with_credentials(uri: str, username: str | None, password: str | None) -> str:
    """The address as FFmpeg wants it. What is returned is a secret: never log it."""
    if username is None or is_device(uri):
        return uri
    name, word = quote(username, safe=""), quote(password or "", safe="")
    if wants_credentials_inside(uri):
        return uri.replace(_HELD[0], name).replace(_HELD[1], word)
    scheme, rest = uri.split("://", 1)
    return f"{scheme}://{name}:{word}@{rest}"


def _usual_port(parts: SplitResult) -> int:
    return {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}.get(parts.scheme.lower(), 0)
