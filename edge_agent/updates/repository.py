"""A signed repository: `refresh` is what it offers, `fetch` one file of it.

The story: lock -> what is damaged here is set aside -> root, timestamp, snapshot, targets
(python-tuf) -> the three roles -> the rollouts, each a small target -> what became trusted is
remembered.

Rules: a target under `models/` is taken from the role `models` alone, and so on: the delegations'
paths say so, and it is looked up through them. One rollout that nobody understands keeps no other
from being obeyed. Raises EdgeError and its kin only: Refused for trust, NoRoom, Unreachable,
NotServed, BudgetSpent, Busy.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from tuf.api.exceptions import RepositoryError, StorageError
from tuf.api.metadata import TargetFile, Targets

from edge_agent.durable import locked, make_folder
from edge_agent.errors import Refused
from edge_agent.policy.rollout import Rollout, parse
from edge_agent.updates.client import Client
from edge_agent.updates.download import download
from edge_agent.updates.failures import Busy
from edge_agent.updates.line import Line
from edge_agent.updates.offer import FOLDERS, ROLLOUTS, Offer, Order, Target
from edge_agent.updates.place import Place
from edge_agent.updates.reasons import explained
from edge_agent.updates.source import Now
from edge_agent.updates.trust import Trust

ROLES = (*FOLDERS.values(), ROLLOUTS)
LARGEST_ROLLOUT = 64 * 1024
MOST_ROLLOUTS = 1000
LOCK_S = 10.0
_OPERATOR = "nothing changed here; ask who runs the repository"


class Repository:
    """One check of one repository; `line` is thrown away with it. `close` it."""

    def __init__(self, place: Place, trust: Trust, line: Line) -> None:
        self._place = place
        self._trust = trust
        self._line = line
        self._client: Client | None = None

    def refresh(self, now: Now) -> Offer:
        """Everything that the repository offers at this moment."""
        with self._at_work():
            damaged = self._update(now)
            listed = {role: self._listed(role) for role in ROLES}
            orders = tuple(self._order(path, listed) for path in sorted(listed[ROLLOUTS]))
            versions = self._trust.remember(now)
            self._forget_rollouts(listed[ROLLOUTS])
        return Offer(orders, versions, self._expiries(), damaged)

    def refresh_metadata(self, now: Now) -> None:
        """As `refresh`, of the four top roles only: what any TUF client does."""
        with self._at_work():
            self._update(now)
            self._trust.remember(now)

    def fetch(self, target: Target, into: Path) -> Path:
        """The verified file in `into`, on the disk; goes on with what came before.

        After `refresh`. Refused where the repository now says something else of it.
        """
        with self._at_work():
            info = self._info(target.path)
            if _target(info) != target:
                raise Refused(
                    f"{target.path} is not what was offered: another file has its name now",
                    "repeat the check",
                )
            return self._download(info, into)

    def fetch_path(self, path: str, into: Path) -> Path:
        """As `fetch`, by a target's path alone and from whichever role may sign for it."""
        with self._at_work():
            info = self._refreshed.get_targetinfo(path)
            if info is None:
                raise Refused(f"{path} is nowhere in the repository", "name another target")
            return self._download(info, into)

    def close(self) -> None:
        with explained(self._trust.metadata):
            self._line.close()

    # --- below: in call order ---------------------------------------------------------------------

    @contextmanager
    def _at_work(self) -> Iterator[None]:
        folder = self._trust.metadata
        with explained(folder):
            make_folder(folder.parent)
            taken = Busy("another check or download of this device is under way", "try again later")
            with locked(folder.parent, LOCK_S, taken):  # two would write over each other's metadata
                yield

    def _update(self, now: Now) -> tuple[str, ...]:
        self._place.require()
        damaged = self._trust.set_damage_aside()
        client = Client(self._place, self._trust, self._line, self._trust.reference(now))
        client.refresh()
        self._client = client
        return damaged

    @property
    def _refreshed(self) -> Client:
        if self._client is None:
            raise RuntimeError("refresh comes first")
        return self._client

    def _listed(self, role: str) -> dict[str, TargetFile]:
        """What a role signed for. Looking for any name of its folder makes python-tuf load it."""
        probe = f"{role}/-" if role == ROLLOUTS else f"{role}/-/-"
        self._refreshed.get_targetinfo(probe)
        top = cast("Targets", self._trust.load("targets").signed)
        delegated = top.delegations.roles if top.delegations is not None else None
        if not delegated or role not in delegated:
            return {}
        found = self._trust.load(role)
        top.verify_delegate(role, found.signed_bytes, found.signatures)
        meta = self._trust.load("snapshot").signed.meta[f"{role}.json"]
        if found.signed.version != meta.version:
            raise RepositoryError(f"{role} is version {found.signed.version}, not {meta.version}")
        return dict(found.signed.targets)

    def _order(self, path: str, listed: dict[str, dict[str, TargetFile]]) -> Order:
        try:
            info = self._info(path, listed)  # the rollouts' key may have signed for anything
        except Refused as fault:
            return Order(path, None, None, fault.message)
        try:
            rollout = self._rollout(info, len(listed[ROLLOUTS]))
        except ValueError as fault:
            return Order(path, None, None, str(fault))
        try:
            target = _target(self._info(rollout.target, listed))
            _agree(rollout, target)
        except Refused as fault:
            return Order(path, rollout, None, fault.message)
        return Order(path, rollout, target)

    def _rollout(self, info: TargetFile, count: int) -> Rollout:
        """Raises ValueError where it is no order that this agent understands."""
        if info.length > LARGEST_ROLLOUT or count > MOST_ROLLOUTS:
            raise ValueError(f"{count} rollouts of up to {info.length} bytes are more than is read")
        file = self._download(info, self._rollouts / _sha256(info))
        try:
            rollout = parse(json.loads(file.read_bytes()))
        except RecursionError as fault:
            raise ValueError("this is no rollout: it is nested too deeply") from fault
        if info.path != f"{ROLLOUTS}/{rollout.id}.json":
            raise ValueError(f"it says it is rollout {rollout.id!r}, its name says otherwise")
        return rollout

    def _info(
        self, path: str, listed: dict[str, dict[str, TargetFile]] | None = None
    ) -> TargetFile:
        """A target from the one role that may sign for it. Raises Refused."""
        role = path.partition("/")[0]
        if role not in ROLES:
            raise Refused(f"{path!r} lies in none of the folders {', '.join(ROLES)}", _OPERATOR)
        listed = listed or {each: self._listed(each) for each in ROLES}
        info = self._refreshed.get_targetinfo(path)
        if info is not None and info == listed[role].get(path):
            return info
        others = [other for other in ROLES if other != role and path in listed[other]]
        if others:
            raise Refused(
                f"{path} is signed for by the role {others[0]}, which may not: {role} may",
                _OPERATOR,
            )
        raise Refused(f"{path} is not signed for by the role {role}", _OPERATOR)

    def _download(self, info: TargetFile, into: Path) -> Path:
        return download(self._line, self._refreshed.address(info), info, into)

    @property
    def _rollouts(self) -> Path:
        """Documents that were read before, by their hash."""
        return self._trust.metadata.with_name("rollouts")

    def _forget_rollouts(self, listed: dict[str, TargetFile]) -> None:
        import shutil

        wanted = {_sha256(info) for info in listed.values()}
        for folder in self._rollouts.glob("*"):
            if folder.name not in wanted:
                shutil.rmtree(folder)

    def _expiries(self) -> dict[str, float]:
        found: dict[str, float] = {}
        for role in ("root", "timestamp", "snapshot", "targets", *ROLES):
            try:
                signed: Any = self._trust.load(role).signed
            except (RepositoryError, StorageError):
                continue  # a role that this repository does not have
            found[role] = signed.expires.timestamp()
        return found


def _target(info: TargetFile) -> Target:
    custom = info.custom if isinstance(info.custom, dict) else {}
    return Target(info.path, info.length, _sha256(info), custom)


def _sha256(info: TargetFile) -> str:
    sha256 = info.hashes.get("sha256")
    if sha256 is None:
        raise Refused(f"{info.path} is signed for without a sha256", _OPERATOR)
    return sha256


def _agree(rollout: Rollout, target: Target) -> None:
    """What the rollouts' key says of a target against what its own role says. Raises Refused."""
    folder = FOLDERS[rollout.kind]
    if target.role != folder:
        raise Refused(f"a {rollout.kind} is no target of {target.role}", _OPERATOR)
    said = {
        "name": (rollout.name, target.custom.get("name")),
        "version": (rollout.version, target.custom.get("version")),
        "sha256": (rollout.sha256, target.custom.get("sha256", target.sha256)),
    }
    for what, (ordered, signed) in said.items():
        if signed is not None and ordered != signed:
            raise Refused(
                f"the rollout's {what} is {ordered}, the role {target.role} signed for {signed}",
                _OPERATOR,
            )
