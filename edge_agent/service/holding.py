"""A name that is held: only one version of it takes charge, until it is released.

Of models and of policies, by a person at the device. Rules: what is held is a version, whether it
is here or not; to go back needs no release; every step is told. `policy/slots.py` says what it
means.
"""

from __future__ import annotations

import time
from pathlib import Path

from edge_agent.bundles import slots
from edge_agent.bundles.slots import POLICIES, Shelf
from edge_agent.errors import UsageError
from edge_agent.frozen import frozen
from edge_agent.policy.ota import Step, Verdict, Version
from edge_agent.policy.slots import Hold
from edge_agent.service import charge, policy_charge
from edge_agent.service.story import Tell
from edge_agent.store.disk import disk_errors


@frozen
class Holding:
    """Who holds what has versions in `shelf`."""

    shelf: Shelf
    who: str
    state: Path
    tell: Tell

    def hold(self, name: str, version: str | None = None) -> str:
        """Only this version (without one: that in charge) may take charge from now on; which it is.

        Raises UsageError where nothing of that name is here.
        """
        running, kind = self._in_charge(name), self.shelf.word
        if running is None and not slots.installed(self.state, name, self.shelf):
            raise UsageError(f"there is no {kind} {name!r}", self._list)
        version = version or running
        if version is None:
            raise UsageError(
                f"there is no {kind} {name!r} in charge",
                f"name a version: edge-agent {self.shelf.folder} hold {name} VERSION",
            )
        held = Hold(version, time.time(), self.who)
        with disk_errors(self.state):
            self.shelf.of(self.state, name).mkdir(parents=True, exist_ok=True)
            slots.change(self.state, name, lambda found: found.with_hold(held), self.shelf)
        self._tell(name, version, "held")
        return version

    def release(self, name: str) -> str:
        """Any version may take charge again; which was held. Raises UsageError where none was."""
        held = slots.stated_slots(self.state, name, self.shelf).hold
        if held is None:
            raise UsageError(f"{self.shelf.word} {name} is not held", self._list)
        with disk_errors(self.state):
            slots.change(self.state, name, lambda found: found.with_hold(None), self.shelf)
        self._tell(name, held.version, "released")
        return held.version

    @property
    def _list(self) -> str:
        return f"edge-agent {self.shelf.folder} list"

    def _in_charge(self, name: str) -> str | None:
        if self.shelf is POLICIES:
            kept = policy_charge.in_charge(name, self.state)
            return None if kept is None else kept.version
        bundle = charge.in_charge(name, self.state)
        return None if bundle is None else bundle.manifest.version

    def _tell(self, name: str, version: str, step: str) -> None:
        self.tell(Step(self.shelf.word, name, Version(version, ""), step, Verdict.OK, self.who))
