"""What is asked of the running agent: by the control socket, and by commands over MQTT.

Each answer is a dictionary that leaves as JSON; a refusal is an EdgeError, whose sentence leaves.
Read `control.py` and `commands.py` for how they come.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_agent.errors import EdgeError, UsageError
from edge_agent.frozen import frozen
from edge_agent.policy.rollout import Kind
from edge_agent.service.charge import CLI
from edge_agent.service.housekeeping import Housekeeping
from edge_agent.service.outlook import IDLE, Views, ota_document, policy_views, views
from edge_agent.service.overlay import policies_document
from edge_agent.service.policies import Policing
from edge_agent.service.present import Present
from edge_agent.service.start import Start
from edge_agent.service.status import live_status
from edge_agent.service.swap import Swap, Wish, reason_of
from edge_agent.service.watch import House
from edge_agent.uplink.publisher import Publisher

if TYPE_CHECKING:
    from edge_agent.service.updater import Updater

log = logging.getLogger("edge_agent.requests")


@frozen
class Parts:
    """Of the running agent, what answers. `updater` starts last: until then it is None."""

    house: House
    starting: Start
    present: Present
    publisher: Publisher | None
    housekeeping: Housekeeping
    swap: Swap
    policing: Policing
    updater: Callable[[], Updater | None]


class Requests:
    """Any thread may ask."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def handlers(self) -> dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]]:
        """By their names on the control socket."""
        return {
            "status": lambda args: self.status(),
            "pause": lambda args: self.pause(args.get("pipeline")),
            "resume": lambda args: self.resume(args.get("pipeline")),
            "reload": lambda args: self._parts.present.reload(),
            "commit": lambda args: self.commit(),
            "activate": self.activate,
            "rollback": lambda args: self.roll_back(args, CLI),
            "ota-check": lambda args: self.updater().check_now(),
            "ota-install": lambda args: self.updater().install(Path(str(args["path"]))),
            "policy-activate": self.activate_policy,
            "policy-rollback": lambda args: self.roll_policy_back(args, CLI),
        }

    # --- what it does ----------------------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        """`status/1` of the running agent."""
        parts, house = self._parts, self._parts.house
        present = parts.present
        status = live_status(present.watch, house.store, house.surroundings, parts.publisher)
        written = parts.housekeeping.written_mb_per_day
        ota = ota_document(self.views(), house.state, present.config.ota)
        return {**status, "written_mb_per_day": written, "ota": ota, **parts.starting.told()}

    def views(self) -> Views:
        """Of each model that came by its name: one by its folder is nobody's to change; and of the
        policies."""
        parts, state = self._parts, self._parts.house.state
        running = {
            each.assembled.bundle.name: each.assembled.about.version
            for each in parts.present.runners.values()
            if each.assembled.spec.model == each.assembled.bundle.name
        }
        overlay = policies_document(parts.starting.overlay)
        laid = {each["name"]: each["version"] for each in overlay}
        updater = parts.updater()
        models, policies = (
            IDLE if updater is None else updater.at_work(kind) for kind in (Kind.MODEL, Kind.POLICY)
        )
        return Views(views(state, running, models), policy_views(state, laid, policies))

    def commit(self) -> dict[str, Any]:
        """Somebody is about to look at the database, or to write to it."""
        self._parts.house.store.database.commit()
        return {}

    def pause(self, pipeline: str | None) -> dict[str, Any]:
        """Every frame of it is skipped as `paused` until `resume`."""
        names = self._named(pipeline)
        self._parts.house.surroundings.pause(names)
        log.info("paused pipelines=%s", ",".join(sorted(names)))
        return self._paused()

    def resume(self, pipeline: str | None) -> dict[str, Any]:
        names = self._named(pipeline)
        self._parts.house.surroundings.resume(names)
        log.info("resumed pipelines=%s", ",".join(sorted(names)))
        return self._paused()

    def _paused(self) -> dict[str, Any]:
        return {"paused": sorted(self._parts.house.surroundings.paused)}

    def _named(self, pipeline: str | None) -> frozenset[str]:
        known = self._parts.present.runners
        if pipeline is None:
            return frozenset(known)
        if pipeline not in known:
            raise UsageError(
                f"there is no pipeline {pipeline!r}", f"it runs: {', '.join(sorted(known))}"
            )
        return frozenset({pipeline})

    # --- which models and policies it goes by ----------------------------------------------------

    def updater(self) -> Updater:
        """Raises EdgeError while the agent is starting."""
        updater = self._parts.updater()
        if updater is None:
            raise EdgeError("the agent is still starting", "try again in a moment")
        return updater

    def activate(self, args: Mapping[str, Any]) -> dict[str, Any]:
        bundle = self._parts.swap.take(str(args["name"]), str(args["slot"]), _wish(args))
        return {"name": bundle.name, "version": bundle.manifest.version}

    def roll_back(self, args: Mapping[str, Any], who: str) -> dict[str, Any]:
        bundle = self._parts.swap.back(str(args["name"]), reason_of(args, who))
        return {"name": bundle.name, "version": bundle.manifest.version}

    def activate_policy(self, args: Mapping[str, Any]) -> dict[str, Any]:
        kept = self._parts.policing.take(str(args["name"]), str(args["slot"]), _wish(args))
        return {"name": kept.name, "version": kept.version}

    def roll_policy_back(self, args: Mapping[str, Any], who: str) -> dict[str, Any]:
        kept = self._parts.policing.back(str(args["name"]), reason_of(args, who))
        return {"name": str(args["name"]), "version": None if kept is None else kept.version}


def _wish(args: Mapping[str, Any]) -> Wish:
    return Wish(CLI, downgrade=bool(args.get("downgrade")))
