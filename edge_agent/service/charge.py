"""The way of a model to charge, and back: one story, whoever asks for it.

    objections - exam (child process, this board's engine) - switch - probation - commit | back

Rules: nothing is switched that did not pass; what runs stands in `slots.json` alone, changed by one
rename; every step is told, and telling never decides. A person, a rollout and a start of the agent
all go through here. Read `exam.py` and `policy/slots.py` first, `swap.py` next: how the running
agent follows.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Any

from edge_agent.bundles import slots
from edge_agent.bundles.bundle import Bundle, open_bundle
from edge_agent.bundles.folders import prune, version_of
from edge_agent.bundles.shipped import shipped_folders
from edge_agent.engines import Plan
from edge_agent.errors import EdgeError, Refused, UsageError
from edge_agent.frozen import frozen
from edge_agent.policy.ota import Step, Verdict, Version
from edge_agent.policy.slots import (
    Broken,
    Objection,
    Offer,
    Order,
    Probation,
    Slot,
    Slots,
    Terms,
)
from edge_agent.service.exam import Examined, examine
from edge_agent.service.story import Tell
from edge_agent.service.trial import remember
from edge_agent.store.disk import disk_errors

#: Codes of refusals that do not speak against what is refused: it may be asked for again.
PASSING = ("held", "ota_held", "downgrade")
#: What a person does at the device, a rollout, a command by MQTT, the agent's start, a probation.
CLI, OTA, COMMAND, START, PROBATION = "cli", "ota", "command", "start", "probation"


@frozen
class Request:
    """Somebody wants an installed version in charge.

    `plans`: the engines that it may run on; with `every` it has to run on each of them, because the
    pipelines of a running agent do (`begun`).
    """

    folder: Path
    who: str
    plans: Sequence[Plan]
    every: bool = False
    begun: bool = False
    downgrade: bool = False
    held: bool = False  # `ota.hold`: nothing takes charge by itself
    terms: Terms = Terms()
    order: Order | None = None
    #: What the predecessor showed lately, by pipeline (policy/probation.py).
    baseline: Mapping[str, Any] = field(default_factory=dict)


def take_charge(request: Request, state: Path, tell: Tell) -> Bundle:
    """Put a version in charge: on probation where there is somebody to go back to.

    Raises Refused with the reason; nothing is changed then. EdgeError, NoRoom of the disk.
    """
    name = request.folder.parent.name
    before = in_charge(name, state)
    try:
        bundle = open_bundle(request.folder)
        _object(request, bundle, before, slots.read_slots(state, name))
        if request.every:
            examined = [examine(bundle, (plan,)) for plan in request.plans]
        else:
            examined = [examine(bundle, request.plans)]
    except EdgeError as refusal:
        tell(_refused(request, name, before, refusal))
        raise
    _tell_exam(request, bundle, examined[0], tell)
    for each in examined:
        remember(bundle.manifest.sha256, each.passed.plan, state)
    if slots.read_slots(state, name).active == request.folder.name:
        return bundle  # it is in charge already, and has shown that it should be
    switch(request, bundle, state)
    tell(_step(request, bundle, "swapped", before=before))
    return bundle


def switch(request: Request, bundle: Bundle, state: Path) -> Slots:
    """The one rename. What is not needed any more is removed."""
    name, slot, now = bundle.name, request.folder.name, time.time()

    def by(found: Slots) -> Slots:
        # Once more, under the lock: somebody may have held the name meanwhile.
        _object(request, bundle, in_charge(name, state), found)
        probation = None
        if found.committed is not None or has_factory(name):
            probation = Probation(
                found.committed,
                now,
                request.terms,
                request.begun,
                request.order,
                request.baseline,
            )
        return found.with_active(slot, now, probation)

    with disk_errors(state):
        changed = slots.change(state, name, by)
        prune(state, name)
    return changed


@frozen
class Reason:
    """Why a model goes. `broken`: it is never taken again; `interrupted`: it was not its fault."""

    text: str
    who: str
    verdict: Verdict = Verdict.FAILED
    broken: bool = False
    interrupted: bool = False
    numbers: Mapping[str, float] = field(default_factory=dict)
    order: Order | None = None  # that asks for it


def go_back(name: str, reason: Reason, state: Path, tell: Tell) -> Bundle:
    """The one before takes charge again, else the factory model; who does.

    Raises UsageError where there is nobody to go back to.
    """
    found, now = slots.read_slots(state, name), time.time()
    leaving, order = in_charge(name, state), reason.order
    if order is None and found.probation is not None:
        order = found.probation.order
    leaving_slot = found.active

    def by(found: Slots) -> Slots:
        if found.active != leaving_slot:
            raise EdgeError(f"model {name} was changed by somebody else", "look: models list")
        if reason.broken and found.active is not None:
            sha256 = leaving.manifest.sha256 if leaving is not None else ""
            found = found.with_broken(found.active, Broken(reason.text, now, sha256))
        if reason.interrupted:
            found = found.with_interrupted()
        elif reason.who != OTA:  # an aborted order puts nothing in charge by itself
            found = found.with_sent_back()
        back = found.back_to(lambda slot: _usable(name, slot, state))
        if back is None:
            raise UsageError(
                f"there is nothing to go back to from model {name} {version_of(found.active)}",
                "edge-agent models list",
            )
        return found.with_back(back.slot, now)

    with disk_errors(state):
        slots.change(state, name, by)
    bundle = in_charge(name, state)
    assert bundle is not None  # it was usable
    gone = leaving.what if leaving else Version(version_of(leaving_slot), "")
    tell(
        Step(
            "model", name, gone, "rolled_back", reason.verdict, reason.who, reason.text,
            reason.numbers, bundle.what, order,
        )
    )  # fmt: skip
    return bundle


def commit(name: str, numbers: Mapping[str, float], state: Path, tell: Tell) -> None:
    """The active version has proved itself."""
    probation = slots.read_slots(state, name).probation
    with disk_errors(state):
        slots.change(state, name, lambda found: found.with_committed())
    bundle = in_charge(name, state)
    if bundle is not None and probation is not None:
        tell(
            Step(
                "model", name, bundle.what, "committed", Verdict.OK, PROBATION,
                numbers=numbers, order=probation.order,
            )
        )  # fmt: skip


def in_charge(name: str, state: Path) -> Bundle | None:
    """The bundle that a name stands for; None where there is none, or it is damaged."""
    found = slots.read_slots(state, name)
    folder = folder_in_charge(name, found, state)
    try:
        return None if folder is None else open_bundle(folder, shipped=found.active is None)
    except EdgeError:
        return None


def folder_in_charge(name: str, found: Slots, state: Path) -> Path | None:
    """Where that bundle lies; nothing of it is read."""
    if found.active is not None:
        return slots.models_folder(state) / name / found.active
    return shipped_folders().get(name)


def has_factory(name: str) -> bool:
    return name in shipped_folders()


# --- below ---------------------------------------------------------------------------------------


def _usable(name: str, slot: Slot, state: Path) -> bool:
    """It is there, and its hash is right."""
    folder = shipped_folders().get(name)
    if slot is not None:
        folder = slots.models_folder(state) / name / slot
    if folder is None:
        return False
    try:
        open_bundle(folder)
    except EdgeError:
        return False
    return True


def _object(request: Request, bundle: Bundle, before: Bundle | None, found: Slots) -> None:
    manifest = bundle.manifest
    offer = Offer(request.folder.name, manifest.version, manifest.sha256)
    running = None if before is None else before.manifest.version
    objection = found.objection(offer, running, downgrade=request.downgrade)
    if objection is None and request.held and request.who == OTA:
        objection = Objection("ota_held", "nothing takes charge by itself (ota.hold)")
    if objection is None:
        return
    name = bundle.name
    steps = {
        "broken": f"another version; or forget this one: edge-agent models remove {name} "
        f"{manifest.version}",
        "held": f"edge-agent models release {name}",
        "ota_held": "set ota.hold to false, or activate it by hand",
        "downgrade": f"edge-agent models rollback {name}, or activate it with --downgrade",
    }
    refusal = Refused(
        f"model {name} {manifest.version} is not put in charge: {objection.sentence}",
        steps[objection.code],
    )
    refusal.code = objection.code
    raise refusal


def _step(request: Request, bundle: Bundle, step: str, *, before: Bundle | None = None) -> Step:
    return Step(
        "model", bundle.name, bundle.what, step, Verdict.OK, request.who,
        before=before.what if before else None, order=request.order,
    )  # fmt: skip


def _tell_exam(request: Request, bundle: Bundle, examined: Examined, tell: Tell) -> None:
    for name, numbers in (("tested", examined.numbers), ("golden", {})):
        tell(
            Step(
                "model", bundle.name, bundle.what, name, Verdict.OK, request.who,
                examined.passed.plan.engine, numbers, order=request.order,
            )
        )  # fmt: skip


def _refused(request: Request, name: str, before: Bundle | None, refusal: EdgeError) -> Step:
    """A held name, and too little room, do not speak against the model."""
    ours = isinstance(refusal, Refused) and refusal.code not in PASSING
    try:
        target = open_bundle(request.folder).what
    except EdgeError:
        target = Version(version_of(request.folder.name), "")
    return Step(
        "model", name, target, "refused", Verdict.FAILED if ours else Verdict.WAITING,
        request.who, refusal.message, before=before.what if before else None, order=request.order,
    )  # fmt: skip
