"""What is connected to this board: cameras (V4L2), sensors (IIO), serial ports, as sysfs tells.

Nothing is opened, so nothing is disturbed. Formats and rates of a camera are not in sysfs:
`edge-agent sources test /dev/videoN` asks the camera itself. Cameras on the network cannot be
listed without calling at every address, which is not done.
"""

from __future__ import annotations

import re
from pathlib import Path

from edge_agent.frozen import frozen
from edge_agent.host.board import text_of

ROOT = Path("/")
#: What a channel of an IIO device is called in its files: in_accel_x_raw, in_voltage0_raw.
_CHANNEL = re.compile(r"in_(.+)_(?:raw|input)")


@frozen
class Device:
    """One thing that could be a source. `uri` is what to write; "" where it cannot be one."""

    kind: str  # camera, iio, serial
    name: str
    uri: str
    about: str


def connected(root: Path = ROOT) -> tuple[Device, ...]:
    """Everything found under `root` (another root only in tests), in the order of its names."""
    return (*_cameras(root), *_sensors(root), *_ports(root))


def _cameras(root: Path) -> list[Device]:
    found = []
    for folder in _entries(root / "sys/class/video4linux", r"video\d+"):
        index = text_of(folder / "index") or "0"
        # A camera's further devices bear its metadata, or the same picture in another way.
        about = "pictures" if index == "0" else f"its device {index}: as a rule without pictures"
        uri = f"/dev/{folder.name}" if index == "0" else ""
        found.append(Device("camera", text_of(folder / "name") or folder.name, uri, about))
    return found


def _sensors(root: Path) -> list[Device]:
    found = []
    for folder in _entries(root / "sys/bus/iio/devices", r"iio:device\d+"):
        channels = sorted(
            match[1] for entry in folder.glob("in_*") if (match := _CHANNEL.fullmatch(entry.name))
        )
        rate = text_of(folder / "sampling_frequency")
        about = ", ".join(channels) or "no channels"
        about += f"; {rate} Hz" if rate else ""
        name = text_of(folder / "name") or folder.name
        found.append(Device("iio", name, f"iio:/sys/bus/iio/devices/{folder.name}", about))
    return found


def _ports(root: Path) -> list[Device]:
    """By id, which stays when the port's number changes; else by number."""
    folder = root / "dev/serial/by-id"
    return [
        Device("serial", entry.name, f"serial:/dev/serial/by-id/{entry.name}", _target(entry))
        for entry in _entries(folder, r".+")
    ]


def _entries(folder: Path, name: str) -> list[Path]:
    """Those of that form, in the order of their numbers; none where the folder is not there."""
    found = [entry for entry in folder.glob("*") if re.fullmatch(name, entry.name)]
    return sorted(found, key=lambda entry: (len(entry.name), entry.name))


def _target(link: Path) -> str:
    return f"/dev/{link.readlink().name}" if link.is_symlink() else ""
