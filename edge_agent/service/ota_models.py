"""What an order does with a model on this device: stage, test, shadow, charge, back.

The bundle must be the one that the order names, by name, version and hash. Read `ota_acts.py` first
and `charge.py` for what takes charge.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from edge_agent.bundles import folders, slots
from edge_agent.bundles.bundle import Bundle, open_bundle
from edge_agent.bundles.guess import Wish as Guess
from edge_agent.engines import Plan
from edge_agent.errors import EdgeError, Refused
from edge_agent.policy.ota import Verdict, Version
from edge_agent.policy.rollout import Rollout
from edge_agent.service.charge import OTA, PASSING, Reason, in_charge
from edge_agent.service.exam import examine
from edge_agent.service.install import import_model
from edge_agent.service.ota_acts import Acts, Reach, There, must_be_ordered, order_of, wish_of
from edge_agent.service.shadows import Ended, Shadows
from edge_agent.service.swap import Wish
from edge_agent.store.disk import disk_errors

#: In whose shadow the agent ended so often is not put there again. Once may be a power cut.
MOST_CUTS = 2


class Charge(Protocol):
    """Puts a model in charge, and the one before it: `Swap` of the running agent, or the slots
    alone while none runs."""

    def take(self, name: str, slot: str, wish: Wish) -> Bundle: ...

    def back(self, name: str, reason: Reason) -> Bundle: ...

    def plans(self, name: str, folder: Path) -> tuple[Plan, ...]: ...


class Models(Acts):
    """The acts of a model's way. `shadows` None: no agent runs."""

    def __init__(self, reach: Reach, charge: Charge, shadows: Shadows | None) -> None:
        super().__init__(reach)
        self._charge = charge
        self._shadows = shadows

    def there(self, name: str) -> There:
        active, candidate = in_charge(name, self._state), self._candidate(name)
        return There(
            slots.read_slots(self._state, name),
            active.what if active else None,
            candidate.what if candidate else None,
        )

    def stage(self, rollout: Rollout, file: Path) -> None:
        self._tell(rollout, "downloaded")
        try:
            done = import_model(file, Guess(), self._state, who=OTA)
            manifest = done.bundle.manifest
            must_be_ordered((manifest.name, manifest.version, manifest.sha256), rollout)
        except Refused as refusal:
            self.refuse(rollout, refusal)
            raise
        with disk_errors(self._state):
            slots.change(self._state, rollout.name, lambda found: found.with_candidate(done.slot))
            folders.prune(self._state, rollout.name)
        self._tell(rollout, "verified")

    def shadow(self, rollout: Rollout) -> None:
        bundle = self._must_have(rollout)
        try:
            self._examine(rollout, bundle)
            count = self._go_beside(rollout, bundle)
        except Refused as refusal:
            self.refuse(rollout, refusal)
            raise
        if not count:
            reason = "no pipeline here uses it"
            self.leave_shadow()
            self._not_compared(rollout, reason)
            self._tell(rollout, "shadow", Verdict.WAITING, reason)

    def shadow_ended(self, rollout: Rollout, ended: Ended) -> None:
        self._reach.verdicts.shadow_is_over()
        super().shadow_ended(rollout, ended)

    def charge(self, rollout: Rollout) -> None:
        bundle = self._must_have(rollout)
        self._end_shadow(rollout.what)
        try:
            self._regress(rollout, ("--model", str(bundle.folder)))
        except Refused as refusal:
            self.refuse(rollout, refusal)
            raise
        try:
            self._charge.take(rollout.name, bundle.folder.name, wish_of(rollout))
        except Refused as refusal:  # who refuses it there has told so
            if refusal.code not in PASSING:
                self._remember(rollout, refusal)
            raise

    def revert(self, rollout: Rollout, reason: str) -> None:
        back = Reason(reason, OTA, Verdict.OK, order=order_of(rollout))
        self._charge.back(rollout.name, back)

    def drop(self, rollout: Rollout) -> None:
        self._end_shadow(rollout.what)
        bundle = self._candidate(rollout.name)
        if bundle is not None:
            with disk_errors(self._state):
                folders.remove(self._state, rollout.name, bundle.folder.name)

    def refuse(self, rollout: Rollout, refusal: EdgeError) -> None:
        self._reach.verdicts.shadow_is_over()
        super().refuse(rollout, refusal)

    def is_in_shadow(self, what: Version) -> bool:
        return self._shadows is not None and self._shadows.candidate == what

    def leave_shadow(self) -> None:
        if self._shadows is not None:
            self._shadows.end()
        super().leave_shadow()

    # --- below -----------------------------------------------------------------------------------

    def _examine(self, rollout: Rollout, bundle: Bundle) -> None:
        if self._reach.verdicts.cut_short(rollout.sha256) >= MOST_CUTS:
            raise Refused(
                f"the agent ended {MOST_CUTS} times while it was in the shadow",
                "look in the log at what ended it; publish a version that does not",
            )
        examined = examine(bundle, self._charge.plans(rollout.name, bundle.folder))
        self._tell(rollout, "tested", numbers=examined.numbers)
        self._tell(rollout, "golden")

    def _go_beside(self, rollout: Rollout, bundle: Bundle) -> int:
        """Beside how many pipelines it is in the shadow now."""
        if self._shadows is None:
            raise EdgeError("a shadow needs the running agent", "systemctl start edge-agent")
        self._reach.verdicts.shadow_begins(rollout.sha256)
        try:
            return self._shadows.begin(bundle, rollout.shadow, rollout.guardrails)
        except EdgeError:  # it never began: what ends the agent now is not its doing
            self._reach.verdicts.shadow_is_over()
            raise

    def _end_shadow(self, what: Version) -> None:
        if self.is_in_shadow(what):
            self.leave_shadow()

    def _candidate(self, name: str) -> Bundle | None:
        slot = slots.read_slots(self._state, name).candidate
        if slot is None:
            return None
        try:
            return open_bundle(slots.models_folder(self._state) / name / slot)
        except EdgeError:
            return None

    def _must_have(self, rollout: Rollout) -> Bundle:
        bundle, ordered = self._candidate(rollout.name), (rollout.version, rollout.sha256)
        if bundle is None or (bundle.manifest.version, bundle.manifest.sha256) != ordered:
            raise self._not_staged(rollout)
        return bundle
