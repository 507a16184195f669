"""`ota install FOLDER` while no agent runs: the same acts, on the slots alone.

What takes charge is on probation from the agent's next start on. Read `obey.py` first.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edge_agent.bundles import slots
from edge_agent.bundles.bundle import Bundle
from edge_agent.config.schema import Config
from edge_agent.engines import Plan
from edge_agent.frozen import frozen
from edge_agent.host.clock import TimeServer
from edge_agent.policy.rollout import Kind
from edge_agent.service.charge import Reason, Request, go_back, take_charge
from edge_agent.service.install import sha256_in
from edge_agent.service.models import Demand
from edge_agent.service.moments import zone_of
from edge_agent.service.obey import Here, Obey
from edge_agent.service.ota_acts import Acts, Reach
from edge_agent.service.ota_models import Models
from edge_agent.service.ota_policies import Policies
from edge_agent.service.ota_policies import Still as StillPolicies
from edge_agent.service.story import Tell, told_from_outside
from edge_agent.service.swap import Wish
from edge_agent.service.updater import acts
from edge_agent.service.verdicts import Verdicts
from edge_agent.updates.built import built
from edge_agent.updates.opening import check, fetch
from edge_agent.updates.source import Source, source_of


@frozen
class Still:
    """The slots of a device whose agent does not run."""

    state: Path
    tell: Tell

    def take(self, name: str, slot: str, wish: Wish) -> Bundle:
        folder = slots.models_folder(self.state) / name / slot
        request = Request(
            folder,
            wish.who,
            self.plans(name, folder),
            downgrade=wish.downgrade,
            terms=wish.terms,
            order=wish.order,
        )
        return take_charge(request, self.state, self.tell)

    def back(self, name: str, reason: Reason) -> Bundle:
        return go_back(name, reason, self.state, self.tell)

    def plans(self, name: str, folder: Path) -> tuple[Plan, ...]:
        return Demand().plans(self.state, sha256_in(folder))


def install(
    config: Config, config_path: Path, device: str, state: Path, folder: Path
) -> dict[str, Any]:
    """What came of each order for this device. Raises EdgeErrors."""
    ota, address = config.ota, str(folder)
    source = (
        source_of(ota, state, built(), address)
        if ota is not None
        else Source(address, str(state), built=built())
    )
    synced = TimeServer()()
    here = Here(
        state,
        (device, config.device.tags),
        lambda: None,
        lambda: zone_of(config.device.timezone).tz,
        lambda: synced,
    )
    with told_from_outside(state) as tell:
        reach = Reach(
            state=state,
            config_path=config_path,
            verdicts=Verdicts(state),
            tell=tell,
            held=lambda: ota is not None and ota.hold,
            stopped=lambda: False,
        )
        acts_of: dict[Kind, Acts] = {
            Kind.MODEL: Models(reach, Still(state, tell), None),
            Kind.POLICY: Policies(reach, StillPolicies(config_path, state, tell)),
        }
        obey = Obey(here, acts_of, fetch)
        obey.take(source, check(source, here.now()).orders)
        done = [each for about in obey.names() for each in acts(obey, about)]
    return {"done": [each.words for each in done]}
