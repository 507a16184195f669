"""Every model that this device has, shipped and installed, with the state of each: `models/1`."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from edge_agent.bundles.bundle import MANIFEST, open_bundle
from edge_agent.bundles.manifest import ImageInput
from edge_agent.bundles.manifest_file import read_manifest
from edge_agent.bundles.shipped import shipped_folders
from edge_agent.bundles.slots import installed, installed_names, read_slots
from edge_agent.engines.choice import choose
from edge_agent.engines.measure import kept
from edge_agent.errors import EdgeError
from edge_agent.frozen import frozen
from edge_agent.policy.documents import rfc3339
from edge_agent.policy.slots import Known, Probation


@frozen
class Entry:
    """One version of one model. Of a broken one only what can still be told."""

    name: str
    version: str
    family: str
    sha256: str  # zeros where the manifest cannot be read
    state: str  # active, previous, factory, candidate, broken
    slot: str | None  # its folder in the state directory; None: it came with the package
    size: tuple[int, int] | None = None  # width, height of the picture; a window has none
    window: int | None = None  # samples of a signal; a picture has none
    labels: int = 0
    engine: str | None = None  # with threads and invoke_ms: the kept measurement's best
    threads: int | None = None
    invoke_ms: float | None = None
    #: Times are the wall's, in seconds since the epoch; None of what came with the package.
    installed: float | None = None
    activated: float | None = None  # the last time
    activations: int = 0
    probation: Probation | None = None  # of the active one that has not proved itself yet
    held: str | None = None  # the one version that may take charge
    broken: str | None = None  # why it is not taken again, or cannot be used


def inventory(state: Path) -> tuple[Entry, ...]:
    """Shipped ones first, then the installed; works without a state directory, and makes none."""
    found = []
    installed_here = installed_names(state)
    for name, folder in shipped_folders().items():
        slots = read_slots(state, name)
        word = "active" if slots.active is None else "factory"
        entry = _entry(_known(name, folder, None), folder, word)
        found.append(replace(entry, held=slots.hold.version if slots.hold else None))
    for name in installed_here:
        found += _installed(state, name)
    return tuple(_measured(entry, state) for entry in found)


def entry_of(name: str, slot: str, state: Path) -> Entry:
    """One installed version."""
    return next(_measured(each, state) for each in _installed(state, name) if each.slot == slot)


def models_document(entries: tuple[Entry, ...]) -> dict[str, Any]:
    return {
        "schema": "models/1",
        "models": [
            {
                **asdict(entry),
                "size": None if entry.size is None else list(entry.size),
                "installed": told(entry.installed),
                "activated": told(entry.activated),
                "probation": probation_document(entry.probation),
            }
            for entry in entries
        ],
    }


def told(time: float | None) -> str | None:
    return None if time is None else rfc3339(time)


def probation_document(probation: Probation | None) -> dict[str, Any] | None:
    if probation is None:
        return None
    return {
        "before": probation.before,
        "opened": rfc3339(probation.opened),
        "begun": probation.begun,
        "minutes": probation.terms.minutes,
        "frames": probation.terms.frames,
        "rollout": None if probation.order is None else probation.order.rollout,
    }


def _installed(state: Path, name: str) -> list[Entry]:
    slots = read_slots(state, name)
    states = {slots.active: "active", slots.previous: "previous"}
    entries = []
    for folder in installed(state, name):
        slot = folder.name
        entry = _entry(_known(name, folder, slot), folder, states.get(slot, "candidate"))
        known = slots.known.get(slot, Known())
        broken = slots.broken.get(slot)
        entries.append(
            replace(
                entry,
                state=entry.state if broken is None else "broken",
                installed=known.installed,
                activated=known.activated,
                activations=known.activations,
                probation=slots.probation if slot == slots.active else None,
                held=slots.hold.version if slots.hold else None,
                broken=entry.broken if broken is None else broken.reason,
            )
        )
    return entries


def _known(name: str, folder: Path, slot: str | None) -> Entry:
    """What can be told without trusting the bundle."""
    try:
        manifest = read_manifest(folder / MANIFEST)
    except EdgeError:
        version = "" if slot is None else slot.rpartition("-")[0]
        return Entry(name, version, "", "0" * 64, "broken", slot)
    return Entry(name, manifest.version, manifest.family, manifest.sha256, "broken", slot)


def _entry(known: Entry, folder: Path, state: str) -> Entry:
    try:
        bundle = open_bundle(folder)
    except EdgeError as refusal:
        return replace(known, broken=refusal.message)
    shown = bundle.manifest.input
    known = replace(known, state=state, labels=len(bundle.labels))
    if isinstance(shown, ImageInput):
        return replace(known, size=shown.size)
    return replace(known, window=shown.window)


def _measured(entry: Entry, state: Path) -> Entry:
    """With what `auto` would take, and how long it takes there, where that was measured."""
    found = kept(state, entry.sha256)
    if found is None:
        return entry
    plan = choose("auto", "auto", found).plan
    times = [
        each.p50_ms
        for each in found.measurements
        if (each.engine, each.threads) == (plan.engine, plan.threads)
    ]
    return replace(
        entry, engine=plan.engine, threads=plan.threads, invoke_ms=times[0] if times else None
    )
