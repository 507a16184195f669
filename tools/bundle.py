"""Everything that a device without a network needs, in one tar: make bundle ARCH=aarch64 PY=3.11.

The wheel of this checkout, and every wheel that it needs on that machine and that Python, in the
versions of `constraints/`, with their hashes in `requirements.txt`; the unit, `install.sh`, a first
configuration. Dependencies are followed here and not by pip, which judges the markers of another
Python by its own. On the device: `tar xf edge-agent-….tar && ./edge-agent-…/install.sh`.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from email.parser import HeaderParser
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
ARCHES = ("aarch64", "x86_64")
PYTHONS = ("3.11", "3.12", "3.13")
#: glibc of the oldest system that is meant: Debian 12 and JetPack 6 have newer ones.
OLDEST, NEWEST = 17, 35
#: What a virtual environment needs to install the others without Debian's python3-venv.
INSTALLER = "pip"


class Target:
    """The device: its machine and its Python."""

    def __init__(self, arch: str, python: str) -> None:
        self.arch, self.python = arch, python
        self.environment = {
            "python_version": python,
            "python_full_version": f"{python}.0",
            "implementation_name": "cpython",
            "platform_python_implementation": "CPython",
            "platform_machine": arch,
            "platform_system": "Linux",
            "sys_platform": "linux",
            "os_name": "posix",
            "extra": "",
        }
        self.pins = dict(_pins(ROOT / "constraints" / f"py{python.replace('.', '')}.txt"))

    def options(self) -> list[str]:
        """pip's, to choose wheels for the device."""
        platforms = [f"manylinux_2_{minor}_{self.arch}" for minor in range(NEWEST, OLDEST - 1, -1)]
        platforms += [f"manylinux2014_{self.arch}", f"linux_{self.arch}"]
        return [
            *("--only-binary=:all:", "--no-deps", "--implementation", "cp"),
            *("--python-version", self.python),
            *(option for platform in platforms for option in ("--platform", platform)),
        ]


def main(arch: str, python: str, out: Path) -> Path:
    """Make the tar in `out`; its path."""
    if arch not in ARCHES or python not in PYTHONS:
        sys.exit(f"say ARCH={' or '.join(ARCHES)} and PY={', '.join(PYTHONS)}")
    target = Target(arch, python)
    with tempfile.TemporaryDirectory() as scratch:
        wheels = Path(scratch) / "wheels"
        _pip("wheel", "--no-deps", "--wheel-dir", str(wheels), str(ROOT))
        (ours,) = wheels.iterdir()
        _collect(ours, target, wheels)
        name = f"edge-agent-{_metadata(ours)['Version']}-{arch}-py{python.replace('.', '')}"
        folder = Path(scratch) / name
        folder.mkdir()
        wheels.rename(folder / "wheels")
        _furnish(folder, target)
        out.mkdir(exist_ok=True)
        return _packed(folder, out / f"{name}.tar")


def _collect(ours: Path, target: Target, wheels: Path) -> None:
    """Download what is needed, and what that needs."""
    have = {canonicalize_name(_metadata(ours)["Name"])}
    wanted = [*_needs(ours, target), Requirement(INSTALLER)]
    while wanted:
        need = wanted.pop()
        name = canonicalize_name(need.name)
        if name in have:
            continue
        have.add(name)
        pin = target.pins.get(name)
        if pin is None and name != INSTALLER:
            sys.exit(f"{need} has no version in constraints/py{target.python.replace('.', '')}.txt")
        what = f"{name}=={pin}" if pin else name
        before = set(wheels.iterdir())
        _pip("download", *target.options(), "--dest", str(wheels), what)
        (wheel,) = set(wheels.iterdir()) - before
        wanted += _needs(wheel, target)


def _needs(wheel: Path, target: Target) -> Iterator[Requirement]:
    for line in _metadata(wheel).get_all("Requires-Dist", []):
        need = Requirement(line)
        if need.marker is None or need.marker.evaluate(target.environment):
            yield need


def _metadata(wheel: Path):  # type: ignore[no-untyped-def]
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [
            each for each in archive.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", each)
        ]
        return HeaderParser().parsestr(archive.read(name).decode())


def _furnish(folder: Path, target: Target) -> None:
    """All that is not a wheel."""
    lines = []
    for wheel in sorted((folder / "wheels").iterdir()):
        about = _metadata(wheel)
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        lines.append(f"{about['Name']}=={about['Version']} --hash=sha256:{digest}\n")
    (folder / "requirements.txt").write_text("".join(lines))
    (folder / "target").write_text(f"{target.arch} {target.python}\n")
    for each in sorted((ROOT / "systemd").iterdir()):
        shutil.copy(each, folder / each.name)
    shutil.copy(ROOT / "configs" / "minimal.yaml", folder / "config.yaml")


def _packed(folder: Path, path: Path) -> Path:
    """The same input gives the same tar: no owner, no time of today."""

    def plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.uid = entry.gid = entry.mtime = 0
        entry.uname = entry.gname = ""
        entry.mode = 0o755 if entry.isdir() or entry.name.endswith(".sh") else 0o644
        return entry

    draft = path.with_suffix(".part")
    with tarfile.open(draft, "w") as archive:
        archive.add(folder, folder.name, filter=plain)
    return draft.replace(path)


def _pins(constraints: Path) -> Iterator[tuple[str, str]]:
    for line in constraints.read_text().splitlines():
        if line and not line.startswith("#"):
            name, _, version = line.partition("==")
            yield canonicalize_name(name), version


def _pip(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "pip", "--quiet", *arguments], check=True)


if __name__ == "__main__":
    print(main(sys.argv[1], sys.argv[2], ROOT / "dist"))
