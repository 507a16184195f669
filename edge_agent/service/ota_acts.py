"""What an order may do with a model or a policy on this device, and what both have in common.

`obey.py` calls one act at a time, as `policy/update.py` decides. Rules: what this device refuses is
remembered by its hash and version, and not tried again; every step is told. Read `ota_models.py`
and `ota_policies.py` next: the acts themselves.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from edge_agent.errors import EdgeError, NoRoom, Refused
from edge_agent.frozen import frozen
from edge_agent.policy.ota import Step, Verdict, Version
from edge_agent.policy.rollout import Rollout
from edge_agent.policy.slots import Order, Slots, Terms, older
from edge_agent.policy.update import Standing
from edge_agent.service.charge import OTA
from edge_agent.service.shadows import Ended
from edge_agent.service.story import Tell
from edge_agent.service.swap import Wish
from edge_agent.service.verdicts import Verdicts, key

#: Pinned cases are seconds of video each; a board that needs longer has too many.
REGRESS_S = 1800.0
#: Frames go first.
LOWEST = 19


@frozen
class Reach:
    """What the acts need of the device."""

    state: Path
    config_path: Path
    verdicts: Verdicts
    tell: Tell
    held: Callable[[], bool]  # `ota.hold`
    stopped: Callable[[], bool]


@frozen
class There:
    """What is on this device under the name of an order."""

    slots: Slots
    active: Version | None
    candidate: Version | None


class Acts(ABC):
    """The acts of a model (`Models`) or a policy (`Policies`). One thread calls them."""

    def __init__(self, reach: Reach) -> None:
        self._reach = reach
        self._state = reach.state

    # --- each kind has its own -------------------------------------------------------------------

    @abstractmethod
    def there(self, name: str) -> There: ...

    @abstractmethod
    def stage(self, rollout: Rollout, file: Path) -> None:
        """Keep what was downloaded as the candidate. Raises Refused, NoRoom, EdgeError."""

    @abstractmethod
    def shadow(self, rollout: Rollout) -> None:
        """Try the candidate without putting it in charge. Raises Refused, NoRoom, EdgeError."""

    @abstractmethod
    def charge(self, rollout: Rollout) -> None:
        """This site's own cases, then in charge, on probation. Raises Refused, EdgeError."""

    @abstractmethod
    def revert(self, rollout: Rollout, reason: str) -> None:
        """What was before takes charge again. Raises UsageError where nobody is."""

    @abstractmethod
    def drop(self, rollout: Rollout) -> None:
        """Forget the candidate."""

    # --- what both have in common ----------------------------------------------------------------

    def standing(self, rollout: Rollout) -> Standing:
        """How what an order is about stands here."""
        there, verdicts = self.there(rollout.name), self._reach.verdicts
        found = there.slots
        candidate, barred = there.candidate, set[Version]()
        if _key(rollout) in verdicts.refused:
            barred.add(rollout.what)
        known = found.known.get(found.candidate or "")
        if candidate and known and (known.sent_back or not found.may_begin_again):
            barred.add(candidate)
        runs = found.known.get(found.active or "")
        held = found.hold is not None and found.hold.version != rollout.version
        return Standing(
            active=there.active,
            came_by=None if runs is None else runs.rollout,
            on_probation=found.probation is not None,
            candidate=candidate,
            shadowing=candidate is not None and self.is_in_shadow(candidate),
            shadowed=frozenset({rollout.what} if _key(rollout) in verdicts.shadows else ()),
            barred=frozenset(barred),
            broken=frozenset(broken.sha256 for broken in found.broken.values()),
            held=self._reach.held() or held,
        )

    def is_downgrade(self, rollout: Rollout) -> bool:
        active = self.there(rollout.name).active
        return active is not None and older(rollout.version, active.version)

    def is_in_shadow(self, what: Version) -> bool:
        """Whether that runs beside the active one now."""
        return False

    def leave_shadow(self) -> None:
        """As asked: whatever ends the agent later is not the candidate's doing."""
        self._reach.verdicts.shadow_is_over()

    def shadow_ended(self, rollout: Rollout, ended: Ended) -> None:
        """Keep the verdict and tell it: whether it matters is for the desk to decide."""
        verdict = Verdict.OK if ended.verdict.passed else Verdict.FAILED
        self._reach.verdicts.shadowed(_key(rollout), ended.document)
        self._tell(rollout, "shadow", verdict, ended.verdict.reason, ended.verdict.numbers)

    def offered(self, rollout: Rollout) -> None:
        self._tell(rollout, "offered")

    def reason(self, rollout: Rollout) -> str | None:
        """Why this device does not take it; None: it has refused nothing of it."""
        return self._reach.verdicts.refused.get(_key(rollout))

    def refuse(self, rollout: Rollout, refusal: EdgeError) -> None:
        """Remember and tell that this device does not take it."""
        self._remember(rollout, refusal)
        self._tell(rollout, "refused", Verdict.FAILED, refusal.message)

    def _remember(self, rollout: Rollout, refusal: EdgeError) -> None:
        self._reach.verdicts.refuse(_key(rollout), refusal.message)

    def _not_compared(self, rollout: Rollout, reason: str) -> None:
        """A shadow that is over without a comparison."""
        document = {"schema": "shadow/1", "reason": reason}
        self._reach.verdicts.shadowed(_key(rollout), document)

    def _not_staged(self, rollout: Rollout) -> EdgeError:
        return EdgeError(
            f"{rollout.kind} {rollout.name} {rollout.version} is not staged", "edge-agent ota check"
        )

    def _regress(self, rollout: Rollout, words: Sequence[str]) -> int:
        """How many pinned cases it has passed. Raises Refused with those that it has not."""
        count = run_cases(self._reach, words)
        if count:
            self._tell(rollout, "regress", numbers={"cases": float(count)})
        return count

    def _tell(
        self,
        rollout: Rollout,
        step: str,
        verdict: Verdict = Verdict.OK,
        reason: str = "",
        numbers: Mapping[str, float] | None = None,
    ) -> None:
        active = self.there(rollout.name).active
        before = None if active == rollout.what else active
        self._reach.tell(
            Step(
                rollout.kind.value, rollout.name, Version(rollout.version, rollout.sha256), step,
                verdict, OTA, reason, numbers or {}, before, order_of(rollout),
            )
        )  # fmt: skip


def wish_of(rollout: Rollout) -> Wish:
    """What an order asks of who puts something in charge."""
    terms = Terms(minutes=rollout.probation_minutes, guardrails=rollout.guardrails)
    return Wish(OTA, rollout.allow_downgrade, terms, order_of(rollout))


def order_of(rollout: Rollout) -> Order:
    return Order(rollout.id, rollout.serial, rollout.stages[rollout.stage].name)


def must_be_ordered(holds: tuple[str, str, str], rollout: Rollout) -> None:
    """Name, version and hash of what came. Raises Refused where the order names another one."""
    name, version, _ = holds
    if holds != (rollout.name, rollout.version, rollout.sha256):
        raise Refused(
            f"what came holds {rollout.kind} {name} {version}, the order names {rollout.name} "
            f"{rollout.version} with another hash",
            "publish it again, and make a new rollout",
        )


def run_cases(reach: Reach, words: Sequence[str]) -> int:
    """The pinned cases in a process of their own, at the lowest priority: how many passed. Raises
    Refused with the cases that speak against what is tried."""
    from edge_agent.service.cases import cases

    if not cases(reach.state):
        return 0
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


def _key(rollout: Rollout) -> str:
    """What a verdict is about: another version with the same file is tried anew."""
    return key(rollout.sha256, rollout.version)
