"""A model or a policy becomes a target that devices can take, once it was tried here.

Rules: what the device would refuse the desk refuses first, with the device's own code: unpacking,
manifest, hash, operators, a first load in a child process, the answers of the golden set. A bundle
is published as one .tar whose bytes depend on its files alone. A version is published once: the
same bytes again change nothing, other bytes are refused. Read `change.py` for the writing.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_agent.bundles.bundle import FILES, GOLDEN, Bundle
from edge_agent.bundles.find import Kind, locate_file
from edge_agent.config.load import refusal
from edge_agent.config.policy import read_policy
from edge_agent.errors import Refused, UsageError
from edge_agent.service.install import check_golden
from edge_agent.service.models import Demand, open_first
from edge_fleet.change import Change, changing
from edge_fleet.keys import Keyring
from edge_fleet.repository import Repository, open_repository


@dataclass(frozen=True, slots=True)
class Offer:
    """What is to be published. `custom` is what a device knows of it before it takes it."""

    role: str
    path: str
    content: bytes
    custom: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Published:
    offer: Offer
    fresh: bool  # it was not there before


def offer_bundle(file: Path) -> Offer:
    """A bundle's folder or .tar, tried. Raises UsageError, Refused, NoRoom."""
    place = locate_file(file)
    if place is None:
        raise UsageError(f"there is no file {file}", "give a bundle's folder or .tar")
    if place.kind is Kind.BARE:
        raise UsageError(
            f"{file} is a bare .tflite, devices take bundles alone",
            "make one of it: edge-agent models import FILE",
        )
    bundle = place.open()
    _try(bundle)
    manifest = bundle.manifest
    return Offer(
        "models",
        f"models/{manifest.name}/{manifest.version}.tar",
        packed(bundle),
        {
            "name": manifest.name,
            "version": manifest.version,
            "sha256": manifest.sha256,
            "family": manifest.family,
        },
    )


def offer_policy(file: Path) -> Offer:
    """A policy's file. Raises UsageError with its first mistake."""
    found = read_policy(file)
    if found.value is None:
        raise refusal(file, found.mistakes, "a policy holds pipelines and rules: docs/rollouts.md")
    content, policy = found.text.encode(), found.value
    return Offer(
        "policies",
        f"policies/{policy.name}/{policy.version}.yaml",
        content,
        {
            "name": policy.name,
            "version": policy.version,
            "sha256": hashlib.sha256(content).hexdigest(),
        },
    )


def publish(offer: Offer, repository: Path, keyring: Keyring, now: float) -> Published:
    """Raises Refused where the version is there with other bytes, UsageError where keys are not."""
    if _is_there(open_repository(repository), offer):
        return Published(offer, fresh=False)
    with changing(repository, keyring, now) as change:
        return _added(change, offer)


def packed(bundle: Bundle) -> bytes:
    """The bundle's .tar: its files in their fixed order, without owners and times."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name in FILES:
            if (bundle.folder / name).is_file():
                content = (bundle.folder / name).read_bytes()
                member = tarfile.TarInfo(name)
                member.size, member.mode = len(content), 0o644
                tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


# --- below: the trial -----------------------------------------------------------------------------


def _try(bundle: Bundle) -> None:
    """What a device would do with it, on the engines that are here."""
    if not (bundle.folder / GOLDEN).is_file():
        raise Refused(
            f"{bundle.name} has no golden set ({GOLDEN}), no device could tell whether it is right",
            "edge-agent models import makes one",
        )
    with tempfile.TemporaryDirectory(prefix="edge-fleet-") as state:
        plans = Demand().plans(Path(state), bundle.manifest.sha256)
        opened = open_first(bundle, plans, Path(state))
        faults = check_golden(opened)
    if faults:
        raise Refused(
            f"{bundle.name} {bundle.manifest.version} answers otherwise than its golden set:"
            f" {faults[0]}",
            "find out which of the two is right before any device takes it",
        )


def _is_there(repository: Repository, offer: Offer) -> bool:
    """Raises Refused for other bytes under this name."""
    there = repository.target(offer.role, offer.path)
    if there is None:
        return False
    if there.sha256 != hashlib.sha256(offer.content).hexdigest():
        name, version = offer.custom["name"], offer.custom["version"]
        raise Refused(
            f"{name} {version} is published already, with other content",
            "give it a new version: devices may have the old one",
        )
    return True


def _added(change: Change, offer: Offer) -> Published:
    fresh = not _is_there(change.repository, offer)
    if fresh:
        change.add(offer.role, offer.path, offer.content, offer.custom)
    return Published(offer, fresh)
