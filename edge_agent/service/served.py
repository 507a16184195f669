"""How long what is on probation was at work, kept over an end that somebody asked for.

A device that is switched off every evening, or whose configuration is edited, would else never see
the end of a long probation. Rules: of each pipeline its own; counted once, because who notes it
takes it; a disk that does not take it costs the repetition of that stretch, never a stop.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from pathlib import Path

from edge_agent.bundles import slots
from edge_agent.bundles.slots import MODELS, POLICIES, Shelf
from edge_agent.errors import EdgeError
from edge_agent.policy.slots import Served
from edge_agent.service.policy_charge import in_charge
from edge_agent.service.watch import Watch
from edge_agent.store.disk import disk_errors

log = logging.getLogger("edge_agent.served")


def keep_served(watch: Watch, policies: Collection[Path], state: Path) -> None:
    """Call it once the pipelines have stopped. `policies`: the files that were at work in them."""
    runners = watch.runners
    served = {name: runner.take_served() for name, runner in runners.items()}
    for model in slots.stated_names(state):
        active = slots.read_slots(state, model).active
        if active is not None:
            folder = MODELS.of(state, model) / active
            here = {
                name: served[name]
                for name, runner in runners.items()
                if runner.assembled.bundle.folder == folder
            }
            _add(model, here, state, MODELS)
    for policy in slots.stated_names(state, POLICIES):
        kept = in_charge(policy, state)
        if kept is not None and kept.file in policies:
            here = {name: served[name] for name in kept.policy.pipelines if name in served}
            _add(policy, here, state, POLICIES)


def _add(name: str, here: Mapping[str, Served], state: Path, shelf: Shelf) -> None:
    if not here or slots.read_slots(state, name, shelf).probation is None:
        return
    try:
        with disk_errors(state):
            slots.change(state, name, lambda found: found.with_served(here), shelf)
    except EdgeError as refusal:
        log.error("probation of %s goes on from an older account reason=%r", name, refusal.message)
