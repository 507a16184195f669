"""The time zone of this host, with its changes of daylight saving for years to come."""

from __future__ import annotations

import os
from datetime import UTC, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

LOCALTIME = Path("/etc/localtime")


def host_zone(localtime: Path = LOCALTIME) -> tzinfo:
    """$TZ, else what /etc/localtime is (a link into the zoneinfo tree, or a copy), else UTC."""
    for name in (os.environ.get("TZ", "").lstrip(":"), _linked(localtime)):
        if name:
            try:
                return ZoneInfo(name)
            except (KeyError, ValueError, OSError):
                continue  # not an IANA name (TZ=EST5EDT4 forms): the file knows better
    try:
        with localtime.open("rb") as file:
            return ZoneInfo.from_file(file)
    except (OSError, ValueError):
        return UTC


def _linked(localtime: Path) -> str:
    """`Asia/Tokyo` for a link to /usr/share/zoneinfo/Asia/Tokyo."""
    _, found, name = os.path.realpath(localtime).partition("/zoneinfo/")
    return name if found else ""
