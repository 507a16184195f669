"""The folders of installed models and policies: staged, moved into place, removed, and no more than
are needed.

Rules: what is being written is hidden, and gone unless it was installed; a folder is complete or
not there; one that is being removed is first of all no bundle any more. Read `slots.py` first.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from edge_agent.bundles.slots import (
    FILE,
    MODELS,
    Shelf,
    change,
    installed,
    installed_names,
    read_slots,
)
from edge_agent.durable import sync, sync_folder
from edge_agent.errors import UsageError

_STAGED = ".staged-"
#: What a killed import left behind is older than any import that still runs.
_ABANDONED_S = 3600


@contextmanager
def staging(state: Path, name: str, shelf: Shelf = MODELS) -> Iterator[Path]:
    """An empty folder beside the slots, hidden, so never listed. Unless it was installed it is
    gone afterwards, and so is the name's folder when nothing else is in it. Raises OSError."""
    parent = shelf.of(state, name)
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
    target = MODELS.of(state, name) / slot
    if target.exists() and not replace:
        raise UsageError(f"model {name} {slot} is installed already", "edge-agent models list")
    place(state, staged, target)
    now = time.time()
    change(state, name, lambda slots: slots.with_installed(slot, now))
    return target


def place(state: Path, staged: Path, target: Path) -> None:
    """A finished folder becomes `target`, in the place of what was there. Raises OSError."""
    staged.chmod(0o755)
    for file in staged.iterdir():
        sync(file)
    sync_folder(staged)
    aside = None
    if target.exists():
        aside = Path(tempfile.mkdtemp(prefix=_STAGED, dir=target.parent))
        target.rename(aside / target.name)
    staged.rename(target)
    # The names on the way to it, too: each may be new.
    for folder in (target.parent, target.parent.parent, state):
        sync_folder(folder)
    if aside is not None:
        shutil.rmtree(aside, ignore_errors=True)


def prune(state: Path, name: str, shelf: Shelf = MODELS) -> tuple[str, ...]:
    """Remove every version that the slots do not need; their names. Raises OSError."""
    kept = read_slots(state, name, shelf).kept
    gone = [folder for folder in installed(state, name, shelf) if folder.name not in kept]
    for folder in gone:
        _remove(folder, shelf)
    for half in shelf.of(state, name).glob("[!.]*/"):
        if not (half / shelf.mark).exists():  # a removal that was cut short
            shutil.rmtree(half)
    return tuple(folder.name for folder in gone)


def remove(state: Path, name: str, slot: str | None = None, shelf: Shelf = MODELS) -> None:
    """Remove every version of an installed name, or one that is not in charge.

    Raises UsageError when it is not there or in charge, OSError.
    """
    folders = {folder.name: folder for folder in installed(state, name, shelf)}
    if name not in installed_names(state, shelf) or (slot is not None and slot not in folders):
        raise UsageError(
            f"there is no installed {shelf.word} {' '.join(filter(None, [name, slot]))!r}",
            f"edge-agent {shelf.folder} list",
        )
    slots = read_slots(state, name, shelf)
    if slot is None:
        folder = shelf.of(state, name)
        (folder / FILE).unlink(missing_ok=True)  # first: half removed, it is in charge of nothing
        shutil.rmtree(folder)
    elif slot == slots.active:
        raise _in_charge(name, slot, [other for other in folders if other != slot])
    elif slots.probation is not None and slot == slots.probation.before:
        raise UsageError(
            f"version {version_of(slot)} of {shelf.word} {name} comes back if "
            f"{version_of(slots.active)} does not prove itself",
            f"remove it when that is over: edge-agent {shelf.folder} list",
        )
    else:
        change(state, name, lambda slots: slots.with_forgotten(slot), shelf)
        _remove(folders[slot], shelf)


def version_of(slot: str | None) -> str:
    """The version in a folder's name; of the factory model, which has none, in words."""
    return "the factory model" if slot is None else slot.rpartition("-")[0]


def _remove(folder: Path, shelf: Shelf = MODELS) -> None:
    (folder / shelf.mark).unlink()  # first: half removed, it is not listed
    shutil.rmtree(folder)


def _in_charge(name: str, slot: str, others: Sequence[str]) -> UsageError:
    message = f"version {version_of(slot)} of model {name} is active"
    if others:
        return UsageError(
            f"{message}: it can be removed when another one is",
            f"edge-agent models activate {name} {version_of(others[-1])}",
        )
    return UsageError(
        f"{message}, and the only one: it goes with the whole model",
        f"edge-agent models remove {name}",
    )


def _clear_abandoned(parent: Path) -> None:
    for folder in parent.glob(f"{_STAGED}*"):
        if time.time() - folder.stat().st_mtime > _ABANDONED_S:
            shutil.rmtree(folder, ignore_errors=True)
