"""Policies that this device has: `policies/<name>/<version>-<hash>/policy.yaml`, with slots as
models have them.

Rules: a folder is complete or not there, and its name bears the hash of its file, which is looked
at whenever it is used. None is no policy: the device's own configuration. Read `slots.py` first.
"""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

from edge_agent.bundles import slots
from edge_agent.bundles.folders import place, staging
from edge_agent.bundles.slots import POLICIES
from edge_agent.config.load import refusal
from edge_agent.config.policy import Policy, read_policy
from edge_agent.errors import EdgeError, Refused
from edge_agent.frozen import frozen
from edge_agent.policy.slots import Slot

_HASH = 8


@frozen
class Kept:
    """One version of a policy on this device."""

    policy: Policy
    sha256: str
    file: Path

    @property
    def name(self) -> str:
        return self.policy.name

    @property
    def version(self) -> str:
        return self.policy.version

    @property
    def slot(self) -> str:
        return self.file.parent.name


def read(file: Path) -> Kept:
    """A policy's file, wherever it lies. Raises UsageError with its first mistake."""
    found = read_policy(file)
    if found.value is None:
        raise refusal(file, found.mistakes, "a policy holds pipelines and rules: docs/ota.md")
    return Kept(found.value, hashlib.sha256(found.text.encode()).hexdigest(), file)


def keep(file: Path, state: Path) -> Kept:
    """Copy a policy into its slot. Raises as `read`; OSError."""
    offered = read(file)
    content = file.read_bytes()
    slot = f"{offered.version}-{hashlib.sha256(content).hexdigest()[:_HASH]}"
    target = POLICIES.of(state, offered.name) / slot
    if not _is_whole(target):
        with staging(state, offered.name, POLICIES) as staged:
            (staged / POLICIES.mark).write_bytes(content)
            place(state, staged, target)
    now = time.time()
    slots.change(state, offered.name, lambda found: found.with_installed(slot, now), POLICIES)
    return read(target / POLICIES.mark)


def open_policy(name: str, slot: str, state: Path) -> Kept:
    """One that is kept. Raises Refused where it is damaged or gone."""
    folder = POLICIES.of(state, name) / slot
    if not _is_whole(folder):
        raise Refused(
            f"policy {name} {slot} is damaged or gone", f"edge-agent policies rollback {name}"
        )
    return read(folder / POLICIES.mark)


def in_charge(name: str, state: Path) -> Kept | None:
    """The one that is laid over the configuration; None: none is. Raises as `open_policy`."""
    active = slots.read_slots(state, name, POLICIES).active
    return None if active is None else open_policy(name, active, state)


def is_usable(name: str, slot: Slot, state: Path) -> bool:
    """Whether it could be in charge; without any, the configuration is."""
    try:
        return slot is None or bool(open_policy(name, slot, state))
    except EdgeError:
        return False


def stated(state: Path) -> tuple[tuple[str, Path], ...]:
    """Name and file of each that `slots.json` puts in charge, whole or not."""
    found = []
    for name in slots.stated_names(state, POLICIES):
        active = slots.stated_slots(state, name, POLICIES).active
        if active is not None:
            found.append((name, POLICIES.of(state, name) / active / POLICIES.mark))
    return tuple(found)


def is_damaged(file: Path) -> bool:
    """Whether a file of `stated` is not what its folder's name says."""
    return not _is_whole(file.parent)


def _is_whole(folder: Path) -> bool:
    try:
        content = (folder / POLICIES.mark).read_bytes()
    except OSError:
        return False
    return hashlib.sha256(content).hexdigest()[:_HASH] == folder.name.rpartition("-")[2]
