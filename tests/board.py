"""A board of files: what `thermal.sysfs` may point to, for tests that need no hardware."""

from __future__ import annotations

from pathlib import Path


class SysBoard:
    """A folder like /sys. Every method writes as the kernel would."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "class/thermal").mkdir(parents=True)

    def write(self, name: str, text: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_name(f".{path.name}")
        new.write_text(f"{text}\n")
        new.rename(path)  # a reader never sees half of it, as of the kernel's own
        return path

    def zone(self, number: int, kind: str, celsius: float) -> Path:
        self.write(f"class/thermal/thermal_zone{number}/type", kind)
        return self.heat(celsius, number)

    def heat(self, celsius: float, number: int = 0) -> Path:
        return self.write(f"class/thermal/thermal_zone{number}/temp", str(round(celsius * 1000)))

    def chip(self, number: int, name: str, **files: str) -> None:
        self.write(f"class/hwmon/hwmon{number}/name", name)
        for file, text in files.items():
            self.write(f"class/hwmon/hwmon{number}/{file}", text)

    def firmware(self, bits: str) -> Path:
        return self.write("devices/platform/soc/soc:firmware/get_throttled", bits)

    def cooling(self, number: int, kind: str, state: int) -> None:
        self.write(f"class/thermal/cooling_device{number}/type", kind)
        self.write(f"class/thermal/cooling_device{number}/cur_state", str(state))
