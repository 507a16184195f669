"""The way of a policy to charge, and back, as far as the disk has it.

    objections - does it fit this device - pinned cases - the one rename - probation - commit | back

Rules: as of models (`charge.py`): what is in charge stands in `policies/<name>/slots.json` alone,
and telling never decides. What a policy goes back to is the one before it, else none: the device's
own configuration, which `check` keeps right without any. Read `policies.py` next: how the running
agent follows.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Any

from edge_agent.bundles import folders, policies, slots
from edge_agent.bundles.policies import Kept
from edge_agent.bundles.slots import POLICIES
from edge_agent.errors import EdgeError, Refused, UsageError
from edge_agent.frozen import frozen
from edge_agent.policy.ota import Step, Verdict, Version
from edge_agent.policy.slots import Broken, Offer, Order, Probation, Slot, Slots, Terms
from edge_agent.service.charge import CLI, OTA, PASSING, PROBATION, Reason
from edge_agent.service.check import check
from edge_agent.service.overlay import overlay
from edge_agent.service.story import Tell
from edge_agent.store.disk import disk_errors

KIND = "policy"


@frozen
class Request:
    """Somebody wants a kept version in charge. `baseline`: what each pipeline showed before it."""

    kept: Kept
    who: str
    begun: bool = False
    downgrade: bool = False
    terms: Terms = Terms()
    order: Order | None = None
    baseline: Mapping[str, Any] = field(default_factory=dict)


def object_to(request: Request, state: Path, found: Slots | None = None) -> None:
    """Raises Refused where it is broken, another is held, or a newer one is in charge."""
    kept = request.kept
    found = found or slots.read_slots(state, kept.name, POLICIES)
    before = in_charge(kept.name, state)
    objection = found.objection(
        Offer(kept.slot, kept.version, kept.sha256),
        None if before is None else before.version,
        downgrade=request.downgrade,
    )
    if objection is None:
        return
    steps = {
        "broken": f"another version; or forget this one: edge-agent policies remove {kept.name} "
        f"{kept.version}",
        "held": f"edge-agent policies release {kept.name}",
        "downgrade": f"edge-agent policies rollback {kept.name}, or activate it with --downgrade",
    }
    refusal = Refused(
        f"policy {kept.name} {kept.version} is not put in charge: {objection.sentence}",
        steps[objection.code],
    )
    refusal.code = objection.code
    raise refusal


def must_fit(kept: Kept, config: Path, state: Path) -> None:
    """Raises Refused with the first thing that it asks of this device in vain, as `file:line:
    column`; EdgeError where the device's own files are wrong, which is not its fault."""
    others = check(config, state, over=overlay(config, state, without=kept.name))
    if others.mistakes:
        raise EdgeError(
            f"this device's own files have mistakes: {others.mistakes[0]}",
            f"correct them: edge-agent check -c {config}",
        )
    mistakes = check(config, state, over=overlay(config, state, kept)).mistakes
    if mistakes:
        more = f" (and {len(mistakes) - 1} more)" if len(mistakes) > 1 else ""
        raise Refused(
            f"policy {kept.name} {kept.version} does not fit this device: {mistakes[0]}{more}",
            "publish one that does, or leave this device out of the rollout",
        )


def switch(request: Request, state: Path) -> Slots:
    """The one rename. What is not needed any more is removed."""
    kept, now = request.kept, time.time()

    def by(found: Slots) -> Slots:
        object_to(request, state, found)  # once more, under the lock
        probation = Probation(
            found.committed, now, request.terms, request.begun, request.order, request.baseline
        )
        return found.with_active(kept.slot, now, probation)

    with disk_errors(state):
        changed = slots.change(state, kept.name, by, POLICIES)
        folders.prune(state, kept.name, POLICIES)
    return changed


def go_back(name: str, reason: Reason, state: Path, tell: Tell) -> Kept | None:
    """The one before is in charge again, else none; which. Raises UsageError where none is."""
    stated, now = slots.stated_slots(state, name, POLICIES), time.time()
    leaving, order = in_charge(name, state), reason.order
    if order is None and stated.probation is not None:
        order = stated.probation.order
    gone = _stated_version(stated.active) if leaving is None else version_of(leaving)

    def by(found: Slots) -> Slots:
        if stated.active is None or found.active not in (stated.active, None):
            raise UsageError(f"policy {name} is not in charge", "edge-agent policies list")
        if reason.broken:
            found = found.with_broken(stated.active, Broken(reason.text, now, gone.sha256))
        if reason.interrupted:
            found = found.with_interrupted()
        elif reason.who != OTA:  # an aborted order puts nothing in charge by itself
            found = found.with_sent_back()
        back = found.back_to(lambda slot: _is_usable(name, slot, stated, state))
        return found.with_back(None if back is None else back.slot, now)

    with disk_errors(state):
        slots.change(state, name, by, POLICIES)
    now_there = in_charge(name, state)
    tell(
        Step(
            KIND, name, gone, "rolled_back", reason.verdict, reason.who, reason.text,
            reason.numbers, None if now_there is None else version_of(now_there), order,
        )
    )  # fmt: skip
    return now_there


def commit(name: str, numbers: Mapping[str, float], state: Path, tell: Tell) -> None:
    """The active one has proved itself."""
    probation = slots.read_slots(state, name, POLICIES).probation
    with disk_errors(state):
        slots.change(state, name, lambda found: found.with_committed(), POLICIES)
    kept = in_charge(name, state)
    if kept is not None and probation is not None:
        tell(
            Step(
                KIND, name, version_of(kept), "committed", Verdict.OK, PROBATION,
                numbers=numbers, order=probation.order,
            )
        )  # fmt: skip


def tell_step(request: Request, step: str, state: Path, tell: Tell, **more: Any) -> None:
    """A step forward of a policy."""
    before = in_charge(request.kept.name, state)
    shown = more.pop("before", before)
    tell(
        Step(
            KIND, request.kept.name, version_of(request.kept), step,
            more.pop("verdict", Verdict.OK), request.who, order=request.order,
            before=None if shown is None else version_of(shown), **more,
        )
    )  # fmt: skip


def tell_refusal(request: Request, refusal: EdgeError, state: Path, tell: Tell) -> None:
    """Told as `refused`; what is not the policy's fault is waited for."""
    ours = isinstance(refusal, Refused) and refusal.code not in PASSING
    verdict = Verdict.FAILED if ours else Verdict.WAITING
    tell_step(request, "refused", state, tell, verdict=verdict, reason=refusal.message)


def in_charge(name: str, state: Path) -> Kept | None:
    """The one that is laid over the configuration; None also where that is damaged."""
    try:
        return policies.in_charge(name, state)
    except EdgeError:
        return None


def version_of(kept: Kept) -> Version:
    return Version(kept.version, kept.sha256)


def keep(file: Path, who: str, state: Path, tell: Tell) -> Kept:
    """Copy a policy's file into its slot. Raises UsageError with its first mistake."""
    with disk_errors(state):
        kept = policies.keep(file, state)
    tell(Step(KIND, kept.name, version_of(kept), "installed", Verdict.OK, who))
    return kept


def remove(name: str, slot: str | None, state: Path, tell: Tell) -> None:
    """Remove every version of a policy, or one; what was known of it is forgotten. Raises
    UsageError where it is in charge: what comes after it is for a way back to say."""
    active = slots.stated_slots(state, name, POLICIES).active
    if active is not None and slot in (None, active):
        raise UsageError(
            f"policy {name} {folders.version_of(active)} is in charge",
            f"edge-agent policies rollback {name}",
        )
    with disk_errors(state):
        folders.remove(state, name, slot, POLICIES)
    target = Version("" if slot is None else folders.version_of(slot), "")
    tell(Step(KIND, name, target, "removed", Verdict.OK, CLI))


def take_charge(request: Request, config: Path, state: Path, tell: Tell) -> None:
    """Where no agent runs: the next start goes by it. Raises as its parts."""
    before = in_charge(request.kept.name, state)
    try:
        object_to(request, state)
        must_fit(request.kept, config, state)
    except EdgeError as refusal:
        tell_refusal(request, refusal, state, tell)
        raise
    if before is not None and before.slot == request.kept.slot:
        return
    switch(request, state)
    tell_step(request, "swapped", state, tell, before=before)


# --- below ---------------------------------------------------------------------------------------


def _is_usable(name: str, slot: Slot, stated: Slots, state: Path) -> bool:
    return slot != stated.active and policies.is_usable(name, slot, state)


def _stated_version(slot: Slot) -> Version:
    return Version("" if slot is None else slot.rpartition("-")[0], "")
