"""Every policy that this device has, with the state of each: `policies/1`."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edge_agent.bundles import policies, slots
from edge_agent.bundles.folders import version_of
from edge_agent.bundles.slots import POLICIES
from edge_agent.errors import EdgeError
from edge_agent.frozen import frozen
from edge_agent.policy.slots import Known, Probation
from edge_agent.service.inventory import probation_document, told


@frozen
class Entry:
    """One version of one policy. Times are the wall's; of a damaged one only the name is known."""

    name: str
    version: str
    sha256: str
    state: str  # active, previous, candidate, broken
    slot: str
    file: str
    pipelines: tuple[str, ...] = ()
    installed: float | None = None
    activated: float | None = None
    activations: int = 0
    probation: Probation | None = None  # of the active one that has not proved itself yet
    rollout: str | None = None  # that its probation is of
    held: str | None = None  # the one version that may take charge
    broken: str | None = None  # why it is not taken again, or cannot be used


def inventory(state: Path) -> tuple[Entry, ...]:
    """By name, those in charge first, of the others the newest. Makes nothing."""
    found: list[Entry] = []
    order = ("active", "previous", "candidate", "broken")
    for name in slots.installed_names(state, POLICIES):
        entries = [_entry(name, folder, state) for folder in _folders(name, state)]
        found += sorted(entries, key=lambda each: (order.index(each.state), -(each.installed or 0)))
    return tuple(found)


def policies_document(entries: tuple[Entry, ...]) -> dict[str, Any]:
    return {
        "schema": "policies/1",
        "policies": [
            {
                **asdict(each),
                "pipelines": list(each.pipelines),
                "installed": told(each.installed),
                "activated": told(each.activated),
                "probation": probation_document(each.probation),
            }
            for each in entries
        ],
    }


def _folders(name: str, state: Path) -> tuple[Path, ...]:
    return slots.installed(state, name, POLICIES)


def _entry(name: str, folder: Path, state: Path) -> Entry:
    found = slots.read_slots(state, name, POLICIES)
    slot, file = folder.name, folder / POLICIES.mark
    known = found.known.get(slot, Known())
    broken = found.broken[slot].reason if slot in found.broken else None
    pipelines: tuple[str, ...] = ()
    try:
        pipelines = tuple(policies.open_policy(name, slot, state).policy.pipelines)
    except EdgeError as refusal:
        broken = broken or refusal.message
    word = {found.active: "active", found.previous: "previous"}.get(slot, "candidate")
    probation = found.probation if slot == found.active else None
    return Entry(
        name=name,
        version=version_of(slot),
        sha256=hashlib.sha256(file.read_bytes()).hexdigest(),
        state=word if broken is None else "broken",
        slot=slot,
        file=str(file),
        pipelines=pipelines,
        installed=known.installed,
        activated=known.activated,
        activations=known.activations,
        probation=probation,
        rollout=probation.order.rollout if probation and probation.order else None,
        held=found.hold.version if found.hold else None,
        broken=broken,
    )
