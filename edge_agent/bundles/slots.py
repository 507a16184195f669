"""Installed models: `models/<name>/<version>-<hash>/` of the state directory, and which is active.

`models/<name>/slots.json` is the one truth of what runs (`policy/slots.py` has its nouns and every
change). Policies have the same in `policies/`: a `Shelf` says which is meant. Rules: a folder is
complete or not there (written beside, hashed, synced, renamed, its folder synced); a change of the
file is one rename under a lock, so a power cut leaves the old state or the new one. Reading makes
nothing. Whoever writes gets OSError as the disk says it.
Read `folders.py` next.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from edge_agent.bundles.bundle import MANIFEST
from edge_agent.durable import locked, write_durably
from edge_agent.errors import EdgeError
from edge_agent.frozen import frozen
from edge_agent.policy.slots import Slots, document, parse


@frozen
class Shelf:
    """What has versions: its folder of the state directory, the file that makes one complete, and
    what people call it."""

    folder: str
    mark: str
    word: str

    def of(self, state: Path, name: str = "") -> Path:
        return state / self.folder / name


MODELS = Shelf("models", MANIFEST, "model")
POLICIES = Shelf("policies", "policy.yaml", "policy")

FILE = "slots.json"
#: A change takes as long as a sync does; who waits longer waits for a hanging disk.
PATIENCE_S = 10.0


def models_folder(state: Path) -> Path:
    return MODELS.of(state)


def read_slots(state: Path, name: str, shelf: Shelf = MODELS) -> Slots:
    """What is in charge of a name. A damaged or absent file: nothing is, nor what is not there."""
    stated = stated_slots(state, name, shelf)
    there = {folder.name for folder in installed(state, name, shelf)}
    return replace(
        stated,
        active=stated.active if stated.active in there else None,
        previous=stated.previous if stated.previous in there else None,
        candidate=stated.candidate if stated.candidate in there else None,
        probation=stated.probation if stated.active in there else None,
        known={slot: known for slot, known in stated.known.items() if slot in there},
    )


def stated_slots(state: Path, name: str, shelf: Shelf = MODELS) -> Slots:
    """What the file says, whether or not those folders are there."""
    try:
        return parse(json.loads((shelf.of(state, name) / FILE).read_text("utf-8")))
    except (OSError, ValueError):
        return Slots()


def installed_names(state: Path, shelf: Shelf = MODELS) -> tuple[str, ...]:
    folder = shelf.of(state)
    if not folder.is_dir():
        return ()
    names = (entry.name for entry in folder.iterdir())
    return tuple(sorted(name for name in names if installed(state, name, shelf)))


def stated_names(state: Path, shelf: Shelf = MODELS) -> tuple[str, ...]:
    """Every name with a file of slots, also where no version is left."""
    return tuple(sorted(file.parent.name for file in shelf.of(state).glob(f"[!.]*/{FILE}")))


def installed(state: Path, name: str, shelf: Shelf = MODELS) -> tuple[Path, ...]:
    """Every complete version of a name, in order of their names."""
    marked = shelf.of(state, name).glob(f"[!.]*/{shelf.mark}")
    return tuple(sorted(mark.parent for mark in marked))


def active_folders(state: Path) -> dict[str, Path]:
    """Name -> folder in charge of every installed model."""
    return {
        name: models_folder(state) / name / active
        for name in installed_names(state)
        if (active := read_slots(state, name).active) is not None
    }


def change(state: Path, name: str, by: Callable[[Slots], Slots], shelf: Shelf = MODELS) -> Slots:
    """Replace the slots by what `by` makes of them, while nobody else does. Raises OSError,
    EdgeError where somebody else never ends, and what `by` raises: then nothing is changed."""
    folder, file = shelf.of(state), shelf.of(state, name) / FILE
    hangs = EdgeError(
        f"another process has been changing {folder} for {PATIENCE_S:.0f} s",
        f"look what hangs: fuser -v {folder}",
    )
    with locked(folder, PATIENCE_S, hangs):
        before = read_slots(state, name, shelf)
        after = by(before)
        if after != before or not file.exists():
            write_durably(file, json.dumps(document(after), ensure_ascii=False).encode())
    return after
