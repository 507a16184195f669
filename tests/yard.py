"""Versions of one model, `yard`, installed without a trial: for what comes after that."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any

import yaml

from edge_agent.bundles import folders, slots
from edge_agent.bundles.shipped import shipped_folders
from edge_agent.policy.slots import Probation, Slots, Terms

NAME = "yard"
TERMS = Terms()


def offered(folder: Path, mark: str, **said: Any) -> Path:
    """A bundle's folder: the shipped detector with `mark` behind its bytes, which is its version,
    too, unless that is said."""
    shutil.copytree(shipped_folders()["scene-detector"], folder)
    model = folder / "model.tflite"
    model.write_bytes(model.read_bytes() + mark.encode().ljust(16, b"\0"))
    manifest = yaml.safe_load((folder / "manifest.yaml").read_text("utf-8"))
    sha256 = hashlib.sha256(model.read_bytes()).hexdigest()
    manifest |= {"name": NAME, "version": mark, "sha256": sha256} | said
    (folder / "manifest.yaml").write_text(yaml.safe_dump(manifest), "utf-8")
    return folder


def installed(state: Path, *versions: str) -> None:
    """The first one in charge, the others wait."""
    for place, version in enumerate(versions):
        slot = f"{version}-x"
        with folders.staging(state, NAME) as staged:
            staged.rmdir()
            offered(staged, version)
            folders.install(state, NAME, staged, slot)
        if place == 0:
            slots.change(state, NAME, lambda found, slot=slot: found.with_active(slot, 1.0, None))


def on_probation(
    state: Path, version: str, *, begun: bool = True, terms: Terms = TERMS, **baseline: Any
) -> None:
    """It takes charge. `baseline`: what its predecessor showed, by pipeline."""
    slot = f"{version}-x"

    def by(found: Slots) -> Slots:
        probation = Probation(found.committed, 2.0, terms, baseline=baseline)
        found = found.with_active(slot, 2.0, probation)
        return found.with_begun() if begun else found

    slots.change(state, NAME, by)


def sha256_of(state: Path, version: str) -> str:
    model = slots.models_folder(state) / NAME / f"{version}-x" / "model.tflite"
    return hashlib.sha256(model.read_bytes()).hexdigest()


def in_charge(state: Path) -> str | None:
    """The version."""
    active = slots.read_slots(state, NAME).active
    return None if active is None else active.rpartition("-")[0]
