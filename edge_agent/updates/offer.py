"""What a repository offers: the nouns that travel from the check to whoever decides.

Frozen, without tuf, and JSON both ways, since the check runs in a process of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any

from edge_agent.frozen import frozen
from edge_agent.policy.rollout import Kind, Rollout, parse, write

#: Role -> the folder of its targets. Each has keys of its own; docs/decisions/0009.
FOLDERS = {Kind.MODEL: "models", Kind.POLICY: "policies"}
ROLLOUTS = "rollouts"


@frozen
class Target:
    """A file as its role signed for it. `custom` is what the desk said of it."""

    path: str
    length: int
    sha256: str
    custom: Mapping[str, Any] = field(default_factory=dict)

    @property
    def role(self) -> str:
        return self.path.partition("/")[0]


@frozen
class Order:
    """One rollout. `fault`: why nobody can obey it, in a sentence; then the others still hold.

    `target` is what it names, as far as the role whose key may sign it has it.
    """

    path: str
    rollout: Rollout | None
    target: Target | None
    fault: str = ""


@frozen
class Offer:
    """All of it, at one moment of the repository."""

    orders: tuple[Order, ...]
    versions: Mapping[str, int]  # by role
    expires: Mapping[str, float]  # by role, seconds since the epoch
    damaged: tuple[str, ...] = ()  # local files that were set aside and fetched anew


def offer_document(offer: Offer) -> dict[str, Any]:
    return {
        "orders": [
            {
                "path": order.path,
                "rollout": None if order.rollout is None else write(order.rollout),
                "target": None if order.target is None else target_document(order.target),
                "fault": order.fault,
            }
            for order in offer.orders
        ],
        "versions": dict(offer.versions),
        "expires": dict(offer.expires),
        "damaged": list(offer.damaged),
    }


def read_offer(document: Mapping[str, Any]) -> Offer:
    """What `offer_document` wrote. Raises ValueError, KeyError, TypeError for anything else."""
    return Offer(
        orders=tuple(
            Order(
                each["path"],
                None if each["rollout"] is None else parse(each["rollout"]),
                None if each["target"] is None else read_target(each["target"]),
                each["fault"],
            )
            for each in document["orders"]
        ),
        versions=dict(document["versions"]),
        expires=dict(document["expires"]),
        damaged=tuple(document["damaged"]),
    )


def target_document(target: Target) -> dict[str, Any]:
    return {
        "path": target.path,
        "length": target.length,
        "sha256": target.sha256,
        "custom": dict(target.custom),
    }


def read_target(document: Mapping[str, Any]) -> Target:
    return Target(
        document["path"], document["length"], document["sha256"], dict(document["custom"])
    )
