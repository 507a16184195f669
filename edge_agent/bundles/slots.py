"""Installed models: `models/<name>/<version>-<hash>/` of the state directory, and which is active.

`models/<name>/slots.json` says which folder is active and which was before. Rules: a folder is
complete or not there (written beside, synced, renamed); the switch is one rename; so a power cut
leaves the old state or the new one. Reading makes nothing. Whoever writes gets OSError as the disk
says it.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from edge_agent.bundles.bundle import MANIFEST
from edge_agent.errors import UsageError
from edge_agent.frozen import frozen

_SLOTS = "slots.json"
_STAGED = ".staged-"
#: What a killed import left behind is older than any import that still runs.
_ABANDONED_S = 3600


@frozen
class Slots:
    """Names of the folders of one model."""

    active: str | None = None
    previous: str | None = None


def models_folder(state: Path) -> Path:
    return state / "models"


def read_slots(state: Path, name: str) -> Slots:
    """What is in charge of a name. A damaged or absent file: nothing is."""
    try:
        data = json.loads((models_folder(state) / name / _SLOTS).read_text("utf-8"))
    except (OSError, ValueError):
        return Slots()
    if not isinstance(data, dict):
        return Slots()
    known = {folder.name for folder in installed(state, name)}
    active, previous = data.get("active"), data.get("previous")
    return Slots(
        active if isinstance(active, str) and active in known else None,
        previous if isinstance(previous, str) and previous in known else None,
    )


def installed_names(state: Path) -> tuple[str, ...]:
    folder = models_folder(state)
    if not folder.is_dir():
        return ()
    return tuple(sorted(entry.name for entry in folder.iterdir() if installed(state, entry.name)))


def installed(state: Path, name: str) -> tuple[Path, ...]:
    """Every complete version of a model, in order of their names."""
    folder = models_folder(state) / name
    return tuple(sorted(manifest.parent for manifest in folder.glob(f"[!.]*/{MANIFEST}")))


def active_folders(state: Path) -> dict[str, Path]:
    """Name -> folder in charge of every installed model."""
    return {
        name: models_folder(state) / name / active
        for name in installed_names(state)
        if (active := read_slots(state, name).active) is not None
    }


@contextmanager
def staging(state: Path, name: str) -> Iterator[Path]:
    """An empty folder beside the slots, hidden, so never listed. Unless it was installed it is
    gone afterwards, and so is the model's folder when nothing else is in it. Raises OSError."""
    parent = models_folder(state) / name
    parent.mkdir(parents=True, exist_ok=True)
    _clear_abandoned(parent)
    folder = Path(tempfile.mkdtemp(prefix=_STAGED, dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if not any(parent.iterdir()):
            parent.rmdir()


def install(state: Path, name: str, staged: Path, slot: str, *, replace: bool = False) -> Path:
    """Move a finished folder into place, with `replace` in that of a broken one.

    Raises UsageError when that slot exists, OSError.
    """
    target = models_folder(state) / name / slot
    if target.exists() and not replace:
        raise UsageError(f"model {name} {slot} is installed already", "edge-agent models list")
    staged.chmod(0o755)
    for file in staged.iterdir():
        _sync(file)
    _sync(staged)
    if target.exists():
        shutil.rmtree(target)
    staged.rename(target)
    _sync(target.parent)
    return target


def activate(state: Path, name: str, slot: str) -> Slots:
    """Put a slot in charge; the one before becomes `previous`. Raises OSError."""
    before = read_slots(state, name)
    if before.active == slot:
        return before
    return _write(state, name, Slots(active=slot, previous=before.active))


def remove(state: Path, name: str, slot: str | None = None) -> None:
    """Remove every version of an installed model, or one that is not in charge.

    Raises UsageError when it is not there or in charge, OSError.
    """
    folders = {folder.name: folder for folder in installed(state, name)}
    if name not in installed_names(state) or (slot is not None and slot not in folders):
        raise UsageError(
            f"there is no installed model {' '.join(filter(None, [name, slot]))!r}",
            "edge-agent models list",
        )
    if slot is None:
        folder = models_folder(state) / name
        (folder / _SLOTS).unlink(missing_ok=True)  # first: half removed, it is in charge of nothing
        shutil.rmtree(folder)
    elif slot == read_slots(state, name).active:
        raise _in_charge(name, slot, [other for other in folders if other != slot])
    else:
        (folders[slot] / MANIFEST).unlink()  # first: half removed, it is not listed
        shutil.rmtree(folders[slot])


def _in_charge(name: str, slot: str, others: Sequence[str]) -> UsageError:
    message = f"version {slot.rpartition('-')[0]} of model {name} is active"
    if others:
        other = others[-1].rpartition("-")[0]
        return UsageError(
            f"{message}: it can be removed when another one is",
            f"edge-agent models activate {name} {other}",
        )
    return UsageError(
        f"{message}, and the only one: it goes with the whole model",
        f"edge-agent models remove {name}",
    )


def _clear_abandoned(parent: Path) -> None:
    for folder in parent.glob(f"{_STAGED}*"):
        if time.time() - folder.stat().st_mtime > _ABANDONED_S:
            shutil.rmtree(folder, ignore_errors=True)


def _write(state: Path, name: str, slots: Slots) -> Slots:
    folder = models_folder(state) / name
    temporary = folder / f".{_SLOTS}"
    temporary.write_text(json.dumps(asdict(slots), ensure_ascii=False), "utf-8")
    _sync(temporary)
    temporary.replace(folder / _SLOTS)
    _sync(folder)
    return slots


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
