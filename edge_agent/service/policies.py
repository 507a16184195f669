"""Policies that change while the agent runs: put in charge by a reload, watched, kept or put back.

Rules: one change at a time, and none while a model is on probation, so that what is measured is the
doing of one of them. A reload that does not succeed leaves everything as it was. The guardrails are
those of models, held against what the same pipelines showed before. Read `policy_charge.py` first.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edge_agent.bundles import policies, slots
from edge_agent.bundles.policies import Kept
from edge_agent.bundles.slots import POLICIES
from edge_agent.errors import EdgeError, Refused
from edge_agent.frozen import frozen
from edge_agent.policy.probation import Outlook
from edge_agent.policy.slots import Probation
from edge_agent.policy.vigil import Beat
from edge_agent.service.charge import PROBATION, Reason
from edge_agent.service.policy_charge import (
    Request,
    commit,
    go_back,
    in_charge,
    must_fit,
    object_to,
    switch,
    tell_refusal,
    tell_step,
)
from edge_agent.service.runner import Runner
from edge_agent.service.story import Story
from edge_agent.service.swap import CHANGE_S, WAIT_S, Wish, judged
from edge_agent.service.watch import Watch

log = logging.getLogger("edge_agent.policies")

LOOK_S = 1.0
#: A reload that does not come about is tried again after so long.
AGAIN_S = 30.0


@frozen
class Reach:
    """The agent as far as a change of policies needs it. `reload` reads the configuration again;
    `laid` are the policies' files that are at work; `unsettled` says why this is no moment for a
    change, if it is none."""

    state: Path
    config_path: Path
    story: Story
    watch: Callable[[], Watch]
    reload: Callable[[], object]
    laid: Callable[[], tuple[Path, ...]]
    unsettled: Callable[[], str]


class Policing:
    """One for the running agent. Any thread may ask; `run` looks by itself."""

    def __init__(self, reach: Reach) -> None:
        self._reach = reach
        self._state = reach.state
        self._changing = threading.Lock()
        self.going: dict[str, str] = {}  # of each on probation, what it still wants
        self.beat = Beat("policies")
        self._again = 0.0  # when to reload once more

    def take(self, name: str, slot: str, wish: Wish) -> Kept:
        """Put a kept version in charge. Raises Refused with the reason, EdgeError where this is no
        moment for it: then nothing is changed."""
        tell = self._reach.story.tell
        with self._alone():
            kept = policies.open_policy(name, slot, self._state)
            before = in_charge(name, self._state)
            request = Request(
                kept, wish.who, True, wish.downgrade, wish.terms, wish.order, self._baseline(kept)
            )
            self._must_be_settled()
            try:
                object_to(request, self._state)
                must_fit(kept, self._reach.config_path, self._state)
            except Refused as refusal:  # what is only waited for is asked again and again
                tell_refusal(request, refusal, self._state, tell)
                raise
            if wish.order is None:  # else whoever carries it out has told that
                tell_step(request, "tested", self._state, tell)
            if before is not None and before.slot == slot:
                return kept
            switch(request, self._state)
            self._reload_or_back(name, wish.who)
            tell_step(request, "swapped", self._state, tell, before=before)
            return kept

    def back(self, name: str, reason: Reason) -> Kept | None:
        """The one before takes charge again, or none does; which. Raises UsageError where none is
        in charge, EdgeError where the configuration that is left does not load."""
        with self._alone():
            return self._back(name, reason)

    def run(self, stop: threading.Event) -> None:
        """Look once a second. A change under way is not disturbed."""
        while not stop.wait(LOOK_S):
            self.beat.begin("looking at the policies", CHANGE_S)
            self.look()
            self.beat.begin("waiting", WAIT_S)

    def look(self) -> None:
        """Leave off what the slots do not put in charge any more; judge who is on probation."""
        if not self._changing.acquire(blocking=False):
            return
        try:
            self._follow()
            for name in slots.stated_names(self._state, POLICIES):
                found = slots.read_slots(self._state, name, POLICIES)
                if found.probation is not None and found.active is not None:
                    self._judge(name, found.probation)
        except EdgeError as refusal:
            log.error("policies: %s", refusal.message)
        finally:
            self._changing.release()

    def _follow(self) -> None:
        """One that went back is at work still where the reload after it was refused: somebody else
        was reloading, or the file had a mistake."""
        if not any(map(self._has_gone, self._reach.laid())) or time.monotonic() < self._again:
            return
        self._again = time.monotonic() + AGAIN_S
        self._reach.reload()

    def _has_gone(self, file: Path) -> bool:
        """Whether the slots put another in its place, or none. What cannot be read says nothing."""
        slot = file.parent.name
        stated = slots.stated_slots(self._state, file.parent.parent.name, POLICIES)
        return slot in stated.known and slot != stated.active

    def _judge(self, name: str, probation: Probation) -> None:
        kept = in_charge(name, self._state)
        if kept is None or kept.file not in self._reach.laid():
            return  # it is not at work: a start left it out, and says so
        found = judged(probation, self._concerned(kept))
        self.going[name] = found.reason if found.outlook is Outlook.ON else ""
        if found.outlook is Outlook.BACK:
            self._back(name, Reason(found.reason, PROBATION, numbers=found.numbers))
        elif found.outlook is Outlook.KEEP:
            commit(name, found.numbers, self._state, self._reach.story.tell)

    # --- below -----------------------------------------------------------------------------------

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if not self._changing.acquire(timeout=2 * LOOK_S):
            raise EdgeError("another policy is being changed", "try again when that has ended")
        try:
            yield
        finally:
            self._changing.release()

    def _must_be_settled(self) -> None:
        reason = self._reach.unsettled()
        on_probation = [
            name
            for shelf in (slots.MODELS, POLICIES)
            for name in slots.stated_names(self._state, shelf)
            if slots.read_slots(self._state, name, shelf).probation is not None
        ]
        if on_probation:
            reason = f"{', '.join(on_probation)} is on probation"
        if reason:
            raise EdgeError(
                f"no policy takes charge now: {reason}", "try again when that has ended"
            )

    def _baseline(self, kept: Kept) -> Mapping[str, Any]:
        """What is usual: compared with it is the same model under the new policy."""
        return {each.name: each.showing().document() for each in self._concerned(kept)}

    def _concerned(self, kept: Kept) -> list[Runner]:
        """The pipelines that it states something of, but for what is set aside."""
        runners = self._reach.watch().runners
        return [runners[name] for name in kept.policy.pipelines if name in runners]

    def _reload_or_back(self, name: str, who: str) -> None:
        """A reload that fails has left the old watching: the slots follow it."""
        try:
            self._reach.reload()
        except EdgeError as refusal:
            go_back(name, Reason(refusal.message, who), self._state, self._reach.story.tell)
            raise

    def _back(self, name: str, reason: Reason) -> Kept | None:
        kept = go_back(name, reason, self._state, self._reach.story.tell)
        self._reach.reload()
        return kept
