"""What an order does with a model on this device: stage, test, shadow, charge, back.

One act each, called by `obey.py` in the order that `policy/update.py` decides. Rules: the bundle
must be the one that the order names, by name, version and hash; what this device refuses is
remembered and not tried again; every step is told. Read `charge.py` for what takes charge.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from edge_agent.bundles import folders, slots
from edge_agent.bundles.bundle import Bundle, open_bundle
from edge_agent.bundles.guess import Wish as Guess
from edge_agent.engines import Plan
from edge_agent.errors import EdgeError, NoRoom, Refused
from edge_agent.frozen import frozen
from edge_agent.policy.ota import Step, Verdict, Version
from edge_agent.policy.rollout import Rollout
from edge_agent.policy.slots import Order, Terms, older
from edge_agent.policy.update import Standing
from edge_agent.service.charge import OTA, Reason, in_charge
from edge_agent.service.exam import examine
from edge_agent.service.install import import_model
from edge_agent.service.shadows import Ended, Shadows
from edge_agent.service.story import Tell
from edge_agent.service.swap import Wish
from edge_agent.service.verdicts import Verdicts, key
from edge_agent.store.disk import disk_errors

#: Pinned cases are seconds of video each; a board that needs longer has too many.
REGRESS_S = 1800.0
#: Frames go first.
LOWEST = 19
#: In whose shadow the agent ended so often is not put there again. Once may be a power cut.
MOST_CUTS = 2


class Charge(Protocol):
    """Puts a model in charge, and the one before it: `Swap` of the running agent, or the slots
    alone while none runs."""

    def take(self, name: str, slot: str, wish: Wish) -> Bundle: ...

    def back(self, name: str, reason: Reason) -> Bundle: ...

    def plans(self, name: str, folder: Path) -> tuple[Plan, ...]: ...


@frozen
class Reach:
    """What the acts need of the agent."""

    state: Path
    config_path: Path
    charge: Charge
    shadows: Shadows | None  # None: no agent runs
    verdicts: Verdicts
    tell: Tell
    held: Callable[[], bool]  # `ota.hold`
    stopped: Callable[[], bool]


class Models:
    """The acts of a model's way. One thread calls them."""

    def __init__(self, reach: Reach) -> None:
        self._reach = reach
        self._state = reach.state

    def standing(self, rollout: Rollout) -> Standing:
        """How the model that an order is about stands here."""
        found = slots.read_slots(self._state, rollout.name)
        active = in_charge(rollout.name, self._state)
        candidate = self._candidate(rollout.name)
        candidate_sha = None if candidate is None else _identity(candidate, rollout)
        barred = {broken.sha256 for broken in found.broken.values()}
        if _key(rollout) in self._reach.verdicts.refused:
            barred.add(rollout.sha256)
        known = found.known.get(found.candidate or "")
        if candidate_sha and known and (known.sent_back or not found.may_begin_again):
            barred.add(candidate_sha)
        hold = found.hold
        runs = found.known.get(found.active or "")
        return Standing(
            active=None if active is None else _identity(active, rollout),
            came_by=None if runs is None else runs.rollout,
            on_probation=found.probation is not None,
            candidate=candidate_sha,
            shadowing=candidate_sha is not None and self._in_shadow(candidate_sha),
            shadowed=frozenset(
                {rollout.sha256} if _key(rollout) in self._reach.verdicts.shadows else ()
            ),
            barred=frozenset(barred),
            held=self._reach.held() or (hold is not None and hold.version != rollout.version),
        )

    def is_downgrade(self, rollout: Rollout) -> bool:
        active = in_charge(rollout.name, self._state)
        return active is not None and older(rollout.version, active.manifest.version)

    def stage(self, rollout: Rollout, archive: Path) -> None:
        """Install what was downloaded as the candidate. Raises Refused, NoRoom, EdgeError."""
        self._tell(rollout, "downloaded")
        try:
            done = import_model(archive, Guess(), self._state, who=OTA)
            manifest = done.bundle.manifest
            if (manifest.name, manifest.version, manifest.sha256) != (
                rollout.name, rollout.version, rollout.sha256,
            ):  # fmt: skip
                raise Refused(
                    f"the bundle holds {manifest.name} {manifest.version}, the order names "
                    f"{rollout.name} {rollout.version} with another hash",
                    "publish it again, and make a new rollout",
                )
        except Refused as refusal:
            self.refuse(rollout, refusal)
            raise
        with disk_errors(self._state):
            slots.change(self._state, rollout.name, lambda found: found.with_candidate(done.slot))
            folders.prune(self._state, rollout.name)
        self._tell(rollout, "verified")

    def shadow(self, rollout: Rollout) -> None:
        """Put the candidate beside the active model. Raises Refused, NoRoom."""
        bundle = self._must_have(rollout)
        verdicts = self._reach.verdicts
        try:
            if verdicts.cut_short(rollout.sha256) >= MOST_CUTS:
                raise Refused(
                    f"the agent ended {MOST_CUTS} times while it was in the shadow",
                    "look in the log at what ended it; publish a version that does not",
                )
            examined = examine(bundle, self._reach.charge.plans(rollout.name, bundle.folder))
            self._tell(rollout, "tested", numbers=examined.numbers)
            self._tell(rollout, "golden")
            if self._reach.shadows is None:
                raise EdgeError(
                    "a shadow needs the running agent", "start it: systemctl start edge-agent"
                )
            verdicts.shadow_begins(rollout.sha256)
            count = self._reach.shadows.begin(bundle, rollout.shadow, rollout.guardrails)
        except Refused as refusal:
            self.refuse(rollout, refusal)
            raise
        except EdgeError:
            verdicts.shadow_is_over()  # it never began: what ends the agent now is not its doing
            raise
        if not count:
            verdicts.shadow_is_over()
            reason = "no pipeline here uses it"
            self._reach.verdicts.shadowed(_key(rollout), {"schema": "shadow/1", "reason": reason})
            self._tell(rollout, "shadow", Verdict.WAITING, reason)

    def shadow_ended(self, rollout: Rollout, ended: Ended) -> None:
        """Keep the verdict and tell it: whether it matters is for the desk to decide."""
        self._reach.verdicts.shadow_is_over()
        self._reach.verdicts.shadowed(_key(rollout), ended.document)
        verdict = Verdict.OK if ended.verdict.passed else Verdict.FAILED
        self._tell(rollout, "shadow", verdict, ended.verdict.reason, ended.verdict.numbers)

    def charge(self, rollout: Rollout) -> None:
        """This site's own cases, then the exam, then the swap. Raises Refused, EdgeError."""
        bundle = self._must_have(rollout)
        self._end_shadow(rollout.sha256)
        try:
            self._regress(rollout, bundle)
        except Refused as refusal:
            self.refuse(rollout, refusal)
            raise
        wish = Wish(
            OTA,
            rollout.allow_downgrade,
            Terms(minutes=rollout.probation_minutes, guardrails=rollout.guardrails),
            order_of(rollout),
        )
        try:
            self._reach.charge.take(rollout.name, bundle.folder.name, wish)
        except Refused as refusal:
            if refusal.code not in ("held", "downgrade"):
                self._reach.verdicts.refuse(_key(rollout), refusal.message)
            raise

    def revert(self, rollout: Rollout, reason: str) -> None:
        """What was before takes charge again. Raises UsageError where nobody is."""
        self._reach.charge.back(
            rollout.name, Reason(reason, OTA, Verdict.OK, order=order_of(rollout))
        )

    def drop(self, rollout: Rollout) -> None:
        """Forget the candidate."""
        self._end_shadow(rollout.sha256)
        bundle = self._candidate(rollout.name)
        if bundle is not None:
            with disk_errors(self._state):
                folders.remove(self._state, rollout.name, bundle.folder.name)

    def refuse(self, rollout: Rollout, refusal: EdgeError) -> None:
        """Remember and tell that this device does not take it."""
        self._reach.verdicts.shadow_is_over()
        self._reach.verdicts.refuse(_key(rollout), refusal.message)
        self._tell(rollout, "refused", Verdict.FAILED, refusal.message)

    def reason(self, rollout: Rollout) -> str | None:
        """Why it was refused here."""
        return self._reach.verdicts.refused.get(_key(rollout))

    def offered(self, rollout: Rollout) -> None:
        self._tell(rollout, "offered")

    # --- below -----------------------------------------------------------------------------------

    def _in_shadow(self, sha256: str) -> bool:
        return self._reach.shadows is not None and self._reach.shadows.sha256 == sha256

    def _end_shadow(self, sha256: str) -> None:
        if self._reach.shadows is not None and self._reach.shadows.sha256 == sha256:
            self.leave_shadow()

    def leave_shadow(self) -> None:
        """As asked: whatever ends the agent later is not its doing."""
        if self._reach.shadows is not None:
            self._reach.shadows.end()
        self._reach.verdicts.shadow_is_over()

    def _candidate(self, name: str) -> Bundle | None:
        slot = slots.read_slots(self._state, name).candidate
        if slot is None:
            return None
        try:
            return open_bundle(slots.models_folder(self._state) / name / slot)
        except EdgeError:
            return None

    def _must_have(self, rollout: Rollout) -> Bundle:
        bundle = self._candidate(rollout.name)
        if bundle is None or _identity(bundle, rollout) != rollout.sha256:
            raise EdgeError(
                f"{rollout.name} {rollout.version} is not staged", "edge-agent ota check"
            )
        return bundle

    def _regress(self, rollout: Rollout, bundle: Bundle) -> None:
        words = ("--model", str(bundle.folder))
        tried = run_cases(self._reach, words)
        if tried is not None:
            self._tell(rollout, "regress", numbers={"cases": float(tried)})

    def _tell(
        self,
        rollout: Rollout,
        step: str,
        verdict: Verdict = Verdict.OK,
        reason: str = "",
        numbers: Mapping[str, float] | None = None,
    ) -> None:
        active = in_charge(rollout.name, self._state)
        before = None
        if active is not None and _identity(active, rollout) != rollout.sha256:
            before = Version(active.manifest.version, active.manifest.sha256)
        self._reach.tell(
            Step(
                rollout.kind.value, rollout.name, Version(rollout.version, rollout.sha256), step,
                verdict, OTA, reason, numbers or {}, before, order_of(rollout),
            )
        )  # fmt: skip


def _identity(bundle: Bundle, rollout: Rollout) -> str:
    """Its hash where it is what the order names. A version may come with the same model file and
    only another `min_score` or other labels: that one is not in charge before it was charged."""
    manifest = bundle.manifest
    same = manifest.version == rollout.version
    return manifest.sha256 if same else f"{manifest.sha256} of {manifest.version}"


def _key(rollout: Rollout) -> str:
    """What a verdict is about: another version with the same model file is tried anew."""
    return key(rollout.sha256, rollout.version)


def order_of(rollout: Rollout) -> Order:
    return Order(rollout.id, rollout.serial, rollout.stages[rollout.stage].name)


def run_cases(reach: Reach, words: Sequence[str]) -> int | None:
    """The pinned cases in a process of their own, at the lowest priority: how many passed, None
    where there are none. Raises Refused with the cases that speak against it."""
    from edge_agent.service.cases import cases

    if not cases(reach.state):
        return None
    command = (
        sys.executable, "-P", "-m", "edge_agent", "regress", "-c", str(reach.config_path),
        "--state", str(reach.state), "--json", *words,
    )  # fmt: skip
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as child:
        try:
            os.setpriority(os.PRIO_PROCESS, child.pid, LOWEST)
            said, complained = _wait(child, reach.stopped)
        finally:
            child.kill()
    if child.returncode == 0:
        return len(json.loads(said)["cases"])
    fault = json.loads(complained.strip().splitlines()[-1])["error"]
    kinds = {4: Refused, 5: NoRoom}
    raise kinds.get(child.returncode, EdgeError)(fault["message"], fault["next"])


def _wait(child: subprocess.Popen[str], stopped: Callable[[], bool]) -> tuple[str, str]:
    waited = 0.0
    while True:
        try:
            return child.communicate(timeout=0.5)
        except subprocess.TimeoutExpired:
            waited += 0.5
        if stopped():
            raise EdgeError("the agent stops", "it is tried again after the start")
        if waited > REGRESS_S:
            raise EdgeError(
                f"the pinned cases took longer than {REGRESS_S:.0f} s", "unpin some of them"
            )
