"""What an order does with a policy on this device: stage, try on the pinned cases, charge, back.

The same acts as those of a model (`ota_models.py`), called by `obey.py`. A policy has nothing to
run beside the one in charge: its shadow is that it fits this device and passes the pinned cases of
this site. Read `policy_charge.py` and `policies.py` for what takes charge.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from edge_agent.bundles import folders, policies, slots
from edge_agent.bundles.policies import Kept
from edge_agent.bundles.slots import POLICIES
from edge_agent.errors import EdgeError, Refused, UsageError
from edge_agent.frozen import frozen
from edge_agent.policy.ota import Step, Verdict, Version
from edge_agent.policy.rollout import Rollout
from edge_agent.policy.slots import Terms, older
from edge_agent.policy.update import Standing
from edge_agent.service.charge import OTA, Reason
from edge_agent.service.ota_models import Reach, order_of, run_cases
from edge_agent.service.policy_charge import (
    PASSING,
    Request,
    go_back,
    in_charge,
    must_fit,
    take_charge,
    version_of,
)
from edge_agent.service.shadows import Ended
from edge_agent.service.story import Tell
from edge_agent.service.swap import Wish
from edge_agent.service.verdicts import key
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


class Policies:
    """The acts of a policy's way. One thread calls them."""

    def __init__(self, reach: Reach, charge: Charge) -> None:
        self._reach = reach
        self._charge = charge
        self._state = reach.state

    def standing(self, rollout: Rollout) -> Standing:
        """How the policy that an order is about stands here."""
        found = slots.read_slots(self._state, rollout.name, POLICIES)
        active, candidate = in_charge(rollout.name, self._state), self._candidate(rollout.name)
        barred = {broken.sha256 for broken in found.broken.values()}
        if _key(rollout) in self._reach.verdicts.refused:
            barred.add(rollout.sha256)
        known = found.known.get(found.candidate or "")
        if candidate and known and (known.sent_back or not found.may_begin_again):
            barred.add(candidate.sha256)
        runs = found.known.get(found.active or "")
        hold = found.hold
        return Standing(
            active=None if active is None else active.sha256,
            came_by=None if runs is None else runs.rollout,
            on_probation=found.probation is not None,
            candidate=None if candidate is None else candidate.sha256,
            shadowed=frozenset(
                {rollout.sha256} if _key(rollout) in self._reach.verdicts.shadows else ()
            ),
            barred=frozenset(barred),
            held=self._reach.held() or (hold is not None and hold.version != rollout.version),
        )

    def is_downgrade(self, rollout: Rollout) -> bool:
        active = in_charge(rollout.name, self._state)
        return active is not None and older(rollout.version, active.version)

    def offered(self, rollout: Rollout) -> None:
        self._tell(rollout, "offered")

    def stage(self, rollout: Rollout, file: Path) -> None:
        """Keep what was downloaded as the candidate. Raises Refused, NoRoom, EdgeError."""
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
        """Whether it fits, and what this site's cases say. Raises Refused, EdgeError."""
        cases = self._tried(rollout)
        reason = "" if cases else "no case is pinned here"
        document = {"schema": "shadow/1", "reason": reason or f"passed {cases} pinned cases"}
        self._reach.verdicts.shadowed(_key(rollout), document)
        self._tell(rollout, "shadow", reason=reason, numbers={"cases": float(cases)})

    def shadow_ended(self, rollout: Rollout, ended: Ended) -> None:
        """Never: a policy's shadow is over when `shadow` is."""
        raise AssertionError(f"policy {rollout.name} has no shadow beside it")

    def leave_shadow(self) -> None:
        """Nothing of a policy runs beside the one in charge."""

    def charge(self, rollout: Rollout) -> None:
        """Whether it fits, this site's cases, then the reload. Raises Refused, EdgeError."""
        kept = self._must_have(rollout)
        self._tried(rollout)
        wish = Wish(
            OTA,
            rollout.allow_downgrade,
            Terms(minutes=rollout.probation_minutes, guardrails=rollout.guardrails),
            order_of(rollout),
        )
        try:
            self._charge.take(rollout.name, kept.slot, wish)
        except Refused as refusal:
            if refusal.code not in PASSING:
                self._reach.verdicts.refuse(_key(rollout), refusal.message)
            raise

    def revert(self, rollout: Rollout, reason: str) -> None:
        """What was before takes charge again, or nothing does."""
        back = Reason(reason, OTA, Verdict.OK, order=order_of(rollout))
        self._charge.back(rollout.name, back)

    def drop(self, rollout: Rollout) -> None:
        """Forget the candidate."""
        candidate, name = self._candidate(rollout.name), rollout.name
        if candidate is None:
            return
        slot = candidate.slot
        with disk_errors(self._state):
            slots.change(self._state, name, lambda found: found.with_forgotten(slot), POLICIES)
            folders.prune(self._state, name, POLICIES)

    def reason(self, rollout: Rollout) -> str | None:
        """Why this device does not take it; None: it has refused nothing of it."""
        return self._reach.verdicts.refused.get(_key(rollout))

    def refuse(self, rollout: Rollout, refusal: EdgeError) -> None:
        """Remember and tell that this device does not take it."""
        self._reach.verdicts.refuse(_key(rollout), refusal.message)
        self._tell(rollout, "refused", Verdict.FAILED, refusal.message)

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
            raise EdgeError(
                f"policy {rollout.name} {rollout.version} is not staged", "edge-agent ota check"
            )
        return kept

    def _must_be_ordered(self, rollout: Rollout, file: Path) -> None:
        try:
            kept = policies.read(file)
        except UsageError as fault:
            raise Refused(
                f"policy {rollout.name} {rollout.version} has a mistake: {fault.message}",
                "correct it at the desk, and publish another version",
            ) from None
        if (kept.name, kept.version, kept.sha256) != (
            rollout.name, rollout.version, rollout.sha256,
        ):  # fmt: skip
            raise Refused(
                f"the file holds policy {kept.name} {kept.version}, the order names "
                f"{rollout.name} {rollout.version} with another hash",
                "publish it again, and make a new rollout",
            )

    def _tried(self, rollout: Rollout) -> int:
        """How many pinned cases it has passed. What this device refuses, it remembers."""
        kept = self._must_have(rollout)
        try:
            must_fit(kept, self._reach.config_path, self._state)
            self._tell(rollout, "tested")
            cases = run_cases(self._reach, ("--policy", str(kept.file))) or 0
        except Refused as refusal:
            self.refuse(rollout, refusal)
            raise
        if cases:
            self._tell(rollout, "regress", numbers={"cases": float(cases)})
        return cases

    def _tell(
        self, rollout: Rollout, step: str, verdict: Verdict = Verdict.OK, reason: str = "",
        **more: Any,
    ) -> None:  # fmt: skip
        active = in_charge(rollout.name, self._state)
        before = None
        if active is not None and active.sha256 != rollout.sha256:
            before = version_of(active)
        self._reach.tell(
            Step(
                rollout.kind.value, rollout.name, Version(rollout.version, rollout.sha256), step,
                verdict, OTA, reason, more.get("numbers", {}), before, order_of(rollout),
            )
        )  # fmt: skip


def _key(rollout: Rollout) -> str:
    return key(rollout.sha256, rollout.version)
