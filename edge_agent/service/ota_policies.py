"""What an order does with a policy on this device: stage, try on the pinned cases, charge, back.

A policy has nothing to run beside the one in charge: its shadow is that it fits this device and
passes the pinned cases of this site. Read `ota_acts.py` first, `policy_charge.py` and `policies.py`
for what takes charge.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from edge_agent.bundles import folders, policies, slots
from edge_agent.bundles.policies import Kept
from edge_agent.bundles.slots import POLICIES
from edge_agent.errors import EdgeError, Refused, UsageError
from edge_agent.frozen import frozen
from edge_agent.policy.ota import Verdict, Version
from edge_agent.policy.rollout import Rollout
from edge_agent.service.charge import OTA, PASSING, Reason
from edge_agent.service.ota_acts import Acts, Reach, There, must_be_ordered, order_of, wish_of
from edge_agent.service.policy_charge import (
    Request,
    go_back,
    in_charge,
    must_fit,
    take_charge,
    version_of,
)
from edge_agent.service.story import Tell
from edge_agent.service.swap import Wish
from edge_agent.store.disk import disk_errors


class Charge(Protocol):
    """Puts a policy in charge, and the one before it: `Policing` of the running agent, `Still`."""

    def take(self, name: str, slot: str, wish: Wish) -> Kept: ...

    def back(self, name: str, reason: Reason) -> Kept | None: ...


@frozen
class Still:
    """The slots of a device whose agent does not run: its next start goes by them."""

    config_path: Path
    state: Path
    tell: Tell

    def take(self, name: str, slot: str, wish: Wish) -> Kept:
        kept = policies.open_policy(name, slot, self.state)
        request = Request(
            kept, wish.who, downgrade=wish.downgrade, terms=wish.terms, order=wish.order
        )
        take_charge(request, self.config_path, self.state, self.tell)
        return kept

    def back(self, name: str, reason: Reason) -> Kept | None:
        return go_back(name, reason, self.state, self.tell)


class Policies(Acts):
    """The acts of a policy's way."""

    def __init__(self, reach: Reach, charge: Charge) -> None:
        super().__init__(reach)
        self._charge = charge

    def there(self, name: str) -> There:
        return There(
            slots.read_slots(self._state, name, POLICIES),
            _version(in_charge(name, self._state)),
            _version(self._candidate(name)),
        )

    def stage(self, rollout: Rollout, file: Path) -> None:
        self._tell(rollout, "downloaded")
        try:
            self._must_be_ordered(rollout, file)
        except Refused as refusal:
            self.refuse(rollout, refusal)
            raise
        name = rollout.name
        with disk_errors(self._state):
            slot = policies.keep(file, self._state).slot
            slots.change(self._state, name, lambda found: found.with_candidate(slot), POLICIES)
            folders.prune(self._state, name, POLICIES)
        self._tell(rollout, "verified")

    def shadow(self, rollout: Rollout) -> None:
        """Whether it fits, and what this site's cases say."""
        cases = self._tried(rollout)
        reason = "" if cases else "no case is pinned here"
        self._not_compared(rollout, reason or f"passed {cases} pinned cases")
        self._tell(rollout, "shadow", reason=reason, numbers={"cases": float(cases)})

    def charge(self, rollout: Rollout) -> None:
        """Whether it fits, this site's cases, then the reload."""
        kept = self._must_have(rollout)
        self._tried(rollout)
        try:
            self._charge.take(rollout.name, kept.slot, wish_of(rollout))
        except Refused as refusal:  # who refuses it there has told so
            if refusal.code not in PASSING:
                self._remember(rollout, refusal)
            raise

    def revert(self, rollout: Rollout, reason: str) -> None:
        back = Reason(reason, OTA, Verdict.OK, order=order_of(rollout))
        self._charge.back(rollout.name, back)

    def drop(self, rollout: Rollout) -> None:
        candidate, name = self._candidate(rollout.name), rollout.name
        if candidate is None:
            return
        slot = candidate.slot
        with disk_errors(self._state):
            slots.change(self._state, name, lambda found: found.with_forgotten(slot), POLICIES)
            folders.prune(self._state, name, POLICIES)

    # --- below -----------------------------------------------------------------------------------

    def _candidate(self, name: str) -> Kept | None:
        slot = slots.read_slots(self._state, name, POLICIES).candidate
        try:
            return None if slot is None else policies.open_policy(name, slot, self._state)
        except EdgeError:
            return None

    def _must_have(self, rollout: Rollout) -> Kept:
        kept = self._candidate(rollout.name)
        if kept is None or kept.sha256 != rollout.sha256:
            raise self._not_staged(rollout)
        return kept

    def _must_be_ordered(self, rollout: Rollout, file: Path) -> None:
        try:
            kept = policies.read(file)
        except UsageError as fault:
            raise Refused(
                f"policy {rollout.name} {rollout.version} has a mistake: {fault.message}",
                "correct it at the desk, and publish another version",
            ) from None
        must_be_ordered((kept.name, kept.version, kept.sha256), rollout)

    def _tried(self, rollout: Rollout) -> int:
        """How many pinned cases it has passed. What this device refuses, it remembers."""
        kept = self._must_have(rollout)
        try:
            must_fit(kept, self._reach.config_path, self._state)
            self._tell(rollout, "tested")
            return self._regress(rollout, ("--policy", str(kept.file)))
        except Refused as refusal:
            self.refuse(rollout, refusal)
            raise


def _version(kept: Kept | None) -> Version | None:
    return None if kept is None else version_of(kept)
