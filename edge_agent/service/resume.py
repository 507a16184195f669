"""What a start does about models and policies before it loads any: an uncommitted one goes back.

Rules: an open probation after an end that nobody asked for ends there. Was the model being loaded
or at work when the process died, it is broken and never taken again; else it was an interruption (a
power cut, somebody's kill), and it may be put in charge again; of a policy nobody can tell which,
so it is tried as often as an interruption may happen. What is in charge and cannot be used
(damaged, gone) gives way, too. A disk that takes no change of this is told, and the start goes on.
Read `marker.py` first: how the end before is known.
"""

from __future__ import annotations

import logging
from pathlib import Path

from edge_agent.bundles import policies, slots
from edge_agent.bundles.bundle import open_bundle
from edge_agent.errors import EdgeError
from edge_agent.policy.ota import Step, Verdict
from edge_agent.service import policy_charge
from edge_agent.service.charge import START, Reason, go_back
from edge_agent.service.marker import LastEnd
from edge_agent.store.disk import disk_errors

log = logging.getLogger("edge_agent.resume")


def resume(state: Path, end: LastEnd) -> tuple[Step, ...]:
    """Put every name in order; what was done, to be told once there is a store."""
    steps: list[Step] = []
    for name in slots.stated_names(state):
        reason = _reason(name, state, end)
        if reason is None:
            continue
        try:
            go_back(name, reason, state, steps.append)
        except EdgeError as refusal:
            log.error("model %s stays in charge reason=%r", name, refusal.message)
    return tuple(steps)


def begin(state: Path, names: frozenset[str]) -> None:
    """These are about to be put in charge: if that ends uncleanly, they go back."""
    for name in sorted(names & set(slots.stated_names(state))):
        found = slots.read_slots(state, name)
        if found.probation is None or found.probation.begun:
            continue
        try:
            with disk_errors(state):
                slots.change(state, name, lambda found: found.with_begun())
        except EdgeError as refusal:
            log.error("probation of %s is not marked reason=%r", name, refusal.message)


def resume_policies(state: Path, end: LastEnd) -> tuple[Step, ...]:
    """The same of policies."""
    steps: list[Step] = []
    for name in slots.stated_names(state, slots.POLICIES):
        reason = _reason_of_policy(name, state, end)
        if reason is None:
            continue
        try:
            policy_charge.go_back(name, reason, state, steps.append)
        except EdgeError as refusal:
            log.error("policy %s stays in charge reason=%r", name, refusal.message)
    return tuple(steps)


def begin_policies(state: Path) -> None:
    """Those in charge are about to be at work."""
    for name in slots.stated_names(state, slots.POLICIES):
        found = slots.read_slots(state, name, slots.POLICIES)
        if found.probation is None or found.probation.begun:
            continue
        try:
            with disk_errors(state):
                slots.change(state, name, lambda found: found.with_begun(), slots.POLICIES)
        except EdgeError as refusal:
            log.error("probation of policy %s is not marked reason=%r", name, refusal.message)


def _reason_of_policy(name: str, state: Path, end: LastEnd) -> Reason | None:
    stated = slots.stated_slots(state, name, slots.POLICIES)
    if stated.active is None:
        return None
    try:
        policies.open_policy(name, stated.active, state)
    except EdgeError as refusal:
        return Reason(f"it cannot be used: {refusal.message}", START)
    if stated.probation is None or not stated.probation.begun or end.asked:
        return None
    return Reason(
        "the agent ended before it had proved itself", START, Verdict.WAITING, interrupted=True
    )


def _reason(name: str, state: Path, end: LastEnd) -> Reason | None:
    """Why what is in charge of a name goes; None: it stays."""
    stated = slots.stated_slots(state, name)
    if stated.active is None:
        return None
    try:
        bundle = open_bundle(slots.models_folder(state) / name / stated.active)
    except EdgeError as refusal:
        return Reason(f"it cannot be used: {refusal.message}", START)
    if stated.probation is None or not stated.probation.begun or end.asked:
        return None
    if bundle.manifest.sha256 in end.models:
        return Reason("the agent died while it was at work", START, broken=True)
    return Reason(
        "the agent ended before it had proved itself", START, Verdict.WAITING, interrupted=True
    )
