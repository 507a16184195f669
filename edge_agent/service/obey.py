"""Orders of a repository, carried one act further at a time.

Used by the updater of the running agent, and by `ota install` with a stick while none runs. Rules:
`policy/update.py` decides; what is refused here is remembered by the acts (`ota_acts.py`),
what only failed is tried again by whoever calls. Read `updater.py` for when.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import tzinfo
from pathlib import Path

from edge_agent.errors import EdgeError
from edge_agent.frozen import frozen
from edge_agent.policy.rollout import Kind, Rollout, State
from edge_agent.policy.update import Act, Do, Moment, Who, next_act, order
from edge_agent.service.ota_acts import Acts
from edge_agent.service.shadows import Ended
from edge_agent.updates.offer import Order, Target
from edge_agent.updates.source import Now, Source, ota_folder
from edge_agent.updates.window import is_open

log = logging.getLogger("edge_agent.updates")

#: What is ordered about: a model or a policy, and its name.
About = tuple[Kind, str]
#: Gets one file of a repository into a folder.
Fetch = Callable[[Source, Now, Target, Path], Path]


@frozen
class Here:
    """This device, as far as orders ask about it."""

    state: Path
    who: Who
    window: Callable[[], str | None]  # `ota.window`
    zone: Callable[[], tzinfo]
    synced: Callable[[], bool]

    def now(self) -> Now:
        return Now(time.time(), self.synced())


@frozen
class Done:
    """One act, or why there is none."""

    rollout: Rollout
    act: Act

    @property
    def words(self) -> str:
        kind = "" if self.rollout.kind is Kind.MODEL else f"{self.rollout.kind} "
        about = f"{kind}{self.rollout.name} {self.rollout.version} (rollout {self.rollout.id})"
        return f"{about}: {self.act.do.value}: {self.act.reason}"


class Obey:
    """What a repository ordered last, and the acts. One thread at a time."""

    def __init__(self, here: Here, acts: Mapping[Kind, Acts], fetch: Fetch) -> None:
        self._here = here
        self._acts = acts
        self._fetch = fetch
        self._source: Source | None = None
        self._orders: tuple[Order, ...] = ()
        self._offered: set[tuple[str, str]] = set()
        self.busy: About | None = None  # what an act is about, one that takes a while
        self.counting: dict[About, Rollout] = {}  # of each the order that counts

    def take(self, source: Source, orders: tuple[Order, ...]) -> None:
        """These stand from now on; the source they came from has what they name."""
        self._source, self._orders = source, orders
        for each in orders:
            if each.fault:
                log.error("an order that nobody can obey path=%s reason=%r", each.path, each.fault)

    def forget(self) -> None:
        """Nothing is ordered any more."""
        self._source, self._orders = None, ()
        self.counting.clear()

    def rollouts(self) -> Sequence[Rollout]:
        return [each.rollout for each in self._orders if each.rollout is not None]

    def names(self) -> tuple[About, ...]:
        """Models and policies that something is ordered about."""
        return tuple(sorted({(each.kind, each.name) for each in self.rollouts()}))

    def one(self, about: About, *, at_once: bool = False) -> Done | None:
        """One act about a model or policy; None where nothing that is ordered is for this device.

        `at_once`: a person is there, no window is waited for. Raises Refused, NoRoom, EdgeError.
        """
        mine = [each for each in self.rollouts() if (each.kind, each.name) == about]
        acts = self._acts[about[0]]
        standing = acts.standing(mine[0])
        counting = order(mine, self._here.who, standing)
        if counting is None:
            self.counting.pop(about, None)
            return None
        self.counting[about] = counting
        if counting is not mine[0]:
            standing = acts.standing(counting)
        act = next_act(
            counting,
            self._here.who,
            standing,
            Moment(at_once or self._in_window(), acts.is_downgrade(counting)),
        )
        self.busy = about if act.do in (Do.FETCH, Do.CHARGE) else None
        try:
            self._do(counting, act)
        finally:
            self.busy = None
        return Done(counting, act)

    def reason(self, rollout: Rollout) -> str | None:
        """Why this device does not take what it names; None: it has refused nothing of it."""
        return self._acts[rollout.kind].reason(rollout)

    def shadow_ended(self, ended: Ended) -> None:
        """Tell it for the order that asked for it."""
        for rollout in self.rollouts():
            if rollout.what == ended.what and rollout.state is not State.ABORTED:
                self._acts[rollout.kind].shadow_ended(rollout, ended)
                return
        for acts in self._acts.values():
            acts.leave_shadow()

    def _do(self, rollout: Rollout, act: Act) -> None:
        acts = self._acts[rollout.kind]
        match act.do:
            case Do.FETCH:
                self._stage(rollout)
            case Do.SHADOW:
                acts.shadow(rollout)
            case Do.CHARGE:
                acts.charge(rollout)
            case Do.REVERT:
                acts.revert(rollout, act.reason)
            case Do.DROP:
                acts.drop(rollout)

    def _stage(self, rollout: Rollout) -> None:
        target = next((each.target for each in self._orders if each.rollout == rollout), None)
        if target is None or self._source is None:
            raise EdgeError(
                f"rollout {rollout.id} names {rollout.target}, which nobody has signed",
                "publish it at the desk",
            )
        if (rollout.id, rollout.sha256) not in self._offered:
            self._offered.add((rollout.id, rollout.sha256))
            self._acts[rollout.kind].offered(rollout)
        into = ota_folder(self._here.state) / "incoming"
        archive = self._fetch(self._source, self._here.now(), target, into)
        try:
            self._acts[rollout.kind].stage(rollout, archive)
        finally:
            archive.unlink(missing_ok=True)

    def _in_window(self) -> bool:
        synced = self._here.synced()
        return is_open(self._here.window(), time.time(), self._here.zone(), synced=synced)
