"""The roles of a repository: who signs what, for how long, and where the key lies.

Pure. docs/decisions/0009-how-a-model-comes.md says why there are seven. Read `keys.py` next.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Role:
    """`days`: how long its signature is good. `online`: its key may lie on a running machine."""

    name: str
    online: bool
    days: int
    signs: str
    paths: tuple[str, ...] = ()  # what `targets` delegates to it


ROLES: Mapping[str, Role] = {
    role.name: role
    for role in (
        Role("root", False, 365, "who holds the other roles' keys"),
        Role("targets", False, 365, "who may publish models, policies and rollouts"),
        Role("models", False, 365, "models", ("models/*/*",)),
        Role("policies", False, 365, "policies", ("policies/*/*",)),
        Role("rollouts", True, 90, "which devices take what", ("rollouts/*",)),
        Role("snapshot", True, 30, "which versions belong together"),
        Role("timestamp", True, 7, "that this is the newest"),
    )
}
#: Those whose keys the root names; the others are delegated by `targets`.
TOP = ("root", "targets", "snapshot", "timestamp")
DELEGATED = tuple(name for name, role in ROLES.items() if role.paths)


@dataclass(frozen=True, slots=True)
class Quorum:
    """So many of a role's keys must sign."""

    threshold: int = 1
    keys: int = 1


#: One root key may be lost or stolen.
QUORUMS: Mapping[str, Quorum] = {name: Quorum() for name in ROLES} | {"root": Quorum(2, 3)}


def quorum(text: str) -> tuple[str, Quorum]:
    """`root=2/3`: two of three keys. Raises ValueError with a sentence."""
    role, _, numbers = text.partition("=")
    threshold, slash, keys = numbers.partition("/")
    if role not in ROLES:
        raise ValueError(f"there is no role {role!r}, allowed: {', '.join(ROLES)}")
    if not slash or not threshold.isdecimal() or not keys.isdecimal():
        raise ValueError(f"{text!r} is no quorum, write for example root=2/3")
    found = Quorum(int(threshold), int(keys))
    if not 1 <= found.threshold <= found.keys <= 16:
        raise ValueError(f"{text!r}: 1 to 16 keys, and at most as many that must sign")
    return role, found


def delegator(role: str) -> str:
    """Whose metadata names the keys of a role."""
    return "root" if role in TOP else "targets"
