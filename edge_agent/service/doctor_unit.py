"""Does systemd start the agent, and with the settings that belong to this version?

Changes of one's own belong into a drop-in (`systemctl edit edge-agent`), which is not looked at: a
unit that was edited itself, or that an upgrade forgot, lacks what this version needs.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from edge_agent.service.doctor_finding import Case, Said, ok, shell, skipped, warn

UNIT = "edge-agent.service"
_PACKAGE = Path(__file__).parents[1]
#: In a wheel `systemd/` lies inside the package; an editable install finds it beside it.
_PLACES = (_PACKAGE / "_systemd", _PACKAGE.parent / "systemd")
#: Where systemd looks, the one that wins first.
_INSTALLED = ("etc/systemd/system", "usr/local/lib/systemd/system", "usr/lib/systemd/system")
_ENABLED = "etc/systemd/system/multi-user.target.wants"


def unit(case: Case) -> Iterator[Said]:
    """Installed, the same as the packaged one, and started at boot."""
    root = case.here.root
    if not (root / "run/systemd/system").is_dir():
        yield skipped("this host is not run by systemd")
        return
    ours = packaged()
    there = next((path for each in _INSTALLED if (path := root / each / UNIT).exists()), None)
    if there is None:
        place = root / _INSTALLED[0] / UNIT
        command = f"sudo install -m 644 {shell(ours)} {shell(place)} && {_start()}"
        yield warn(
            f"{UNIT} is not installed: nothing starts the agent after a power cut",
            f"install it: {command}",
        )
    elif there.read_bytes() != ours.read_bytes():
        command = (
            f"sudo install -m 644 {shell(ours)} {shell(there)} && sudo systemctl daemon-reload"
        )
        yield warn(
            f"{there} is not the one of this version; changes of yours belong into a drop-in "
            "(sudo systemctl edit edge-agent)",
            f"keep those, then take ours: {command}",
        )
    elif not (root / _ENABLED / UNIT).is_symlink():
        yield warn(f"{there} is not started at boot", f"let it be: {_start()}")
    else:
        yield ok(f"{there} is the one of this version, and started at boot")


def packaged() -> Path:
    """The unit that came with the package."""
    return next(path for place in _PLACES if (path := place / UNIT).is_file())


def _start() -> str:
    return "sudo systemctl daemon-reload && sudo systemctl enable --now edge-agent"
