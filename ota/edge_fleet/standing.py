"""Rollouts as they stand in a repository: the order devices read, and what the desk keeps of it.

A rollout is one target, `rollouts/<id>.json`; its `custom`, signed with it, holds the plan, when
the stage began, what a person accepted, and the steps so far. So whoever has the repository knows
everything: a controller that is killed has lost nothing. Rules: `serial` is the number of the
metadata that brings it, so it rises over the whole repository; one rollout at a time for each
model or policy; when one is done, older ones for the same name have nothing more to say and go.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edge_agent.errors import EdgeError, Refused, UsageError
from edge_agent.policy.documents import dump, rfc3339
from edge_agent.policy.rollout import State, parse, write
from edge_fleet.change import Change, changing
from edge_fleet.decide import Move, Standing, moved
from edge_fleet.keys import Keyring
from edge_fleet.plan import Plan, document, order, remembered
from edge_fleet.repository import Repository, Target

ROLE = "rollouts"
#: Steps that are kept, the newest; and letters of a reason.
MOST_STEPS, LONGEST_REASON = 50, 200


@dataclass(frozen=True, slots=True)
class Step:
    """What was done, by the controller or a person, and why."""

    serial: int
    at: float
    move: str
    stage: str
    by: str
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ongoing:
    """One rollout with everything that is known of it."""

    plan: Plan
    standing: Standing
    steps: tuple[Step, ...]

    @property
    def id(self) -> str:
        return self.plan.id

    @property
    def state(self) -> State:
        return self.standing.order.state

    @property
    def is_open(self) -> bool:
        return self.state in (State.RUNNING, State.PAUSED)


@dataclass(frozen=True, slots=True)
class Word:
    """Who takes a step, and why."""

    by: str  # controller | person
    reasons: tuple[str, ...] = ()


def rollouts(repository: Repository) -> tuple[Ongoing, ...]:
    """All of them, the newest order last. Raises Refused for one that nobody can read."""
    found = [read(target) for target in repository.targets(ROLE)]
    return tuple(sorted(found, key=lambda each: each.standing.order.serial))


def rollout(repository: Repository, id_: str) -> Ongoing:
    """Raises UsageError where there is none."""
    for each in rollouts(repository):
        if each.id == id_:
            return each
    known = ", ".join(each.id for each in rollouts(repository)) or "none"
    raise UsageError(f"there is no rollout {id_!r}", f"there are: {known}")


def read(target: Target) -> Ongoing:
    """Raises Refused."""
    try:
        held = json.loads(target.custom["desk"])
        content = target.file.read_bytes()
        if hashlib.sha256(content).hexdigest() != target.sha256:
            raise ValueError("its content is not what was signed")
        found = parse(json.loads(content))
        standing = Standing(found, float(held["began"]), frozenset(map(str, held["accepted"])))
        steps = tuple(
            Step(
                int(each["serial"]), float(each["at"]), str(each["move"]), str(each["stage"]),
                str(each["by"]), tuple(map(str, each["reasons"])),
            )
            for each in held["steps"]
        )  # fmt: skip
        return Ongoing(remembered(held["plan"]), standing, steps)
    except (OSError, ValueError, KeyError, TypeError) as fault:
        raise Refused(
            f"{target.path} cannot be read: {fault}", "restore the repository from a copy"
        ) from None


# --- steps ----------------------------------------------------------------------------------------


def create(plan: Plan, folder: Path, keyring: Keyring, now: float) -> Ongoing:
    """The first order of a plan. Raises UsageError where it cannot begin."""
    with changing(folder, keyring, now) as change:
        target = change.repository.target(plan.role, plan.target)
        if target is None:
            raise UsageError(
                f"{plan.what} {plan.version} is not published", "edge-fleet publish BUNDLE first"
            )
        for other in rollouts(change.repository):
            if other.id == plan.id:
                raise UsageError(
                    f"there is a rollout {plan.id} already ({other.state.value})",
                    "give the plan another id: it decides which devices are first",
                )
            if other.is_open and (other.plan.kind, other.plan.what) == (plan.kind, plan.what):
                raise UsageError(
                    f"rollout {other.id} of {plan.what} is {other.state.value}",
                    f"one at a time: edge-fleet rollout abort {other.id}, or wait",
                )
        serial = change.next_version(ROLE)
        standing = Standing(order(plan, target, serial), now)
        begun = Ongoing(plan, standing, ())
        return _put(change, begun, "create", Word("person"), now)


def step(ongoing: Ongoing, move: Move, word: Word, change: Change, now: float) -> Ongoing:
    """Take one step of a rollout within a change of its repository."""
    after = moved(ongoing.standing, move, change.next_version(ROLE), now)
    if move is Move.FINISH:
        _retire(change, ongoing)
    return _put(change, replace(ongoing, standing=after), move.value, word, now)


def resume(
    ongoing: Ongoing, accepted: Iterable[str], word: Word, change: Change, now: float
) -> Ongoing:
    """A paused one goes on: what spoke against it was seen, and its stage begins anew."""
    before = ongoing.standing
    running = replace(before.order, state=State.RUNNING, serial=change.next_version(ROLE))
    after = Standing(running, now, before.accepted | frozenset(accepted))
    return _put(change, replace(ongoing, standing=after), "resume", word, now)


def require_open(ongoing: Ongoing) -> None:
    """Raises EdgeError for a rollout that is over."""
    if not ongoing.is_open:
        raise EdgeError(
            f"rollout {ongoing.id} is {ongoing.state.value} and stays so",
            "make a plan with another id, and create it",
        )


def _put(change: Change, ongoing: Ongoing, move: str, word: Word, now: float) -> Ongoing:
    found = ongoing.standing.order
    reasons = tuple(each[:LONGEST_REASON] for each in word.reasons)
    taken = Step(found.serial, now, move, found.stages[found.stage].name, word.by, reasons)
    ongoing = replace(ongoing, steps=(*ongoing.steps, taken)[-MOST_STEPS:])
    content = dump(write(found)).encode()
    change.add(ROLE, f"rollouts/{ongoing.id}.json", content, _custom(ongoing))
    return ongoing


def _custom(ongoing: Ongoing) -> dict[str, Any]:
    """What the desk keeps; as text, since signed JSON knows no fractions."""
    kept = {
        "plan": document(ongoing.plan),
        "began": ongoing.standing.began,
        "accepted": sorted(ongoing.standing.accepted),
        "steps": [step_document(each) | {"at": each.at} for each in ongoing.steps],
    }
    return {"desk": dump(kept)}


def step_document(taken: Step) -> dict[str, Any]:
    return {
        "serial": taken.serial,
        "at": rfc3339(taken.at),
        "move": taken.move,
        "stage": taken.stage,
        "by": taken.by,
        "reasons": list(taken.reasons),
    }


def _retire(change: Change, done: Ongoing) -> None:
    """Older rollouts of the same name, which are over: the one that is done says all."""
    for other in rollouts(change.repository):
        same = (other.plan.kind, other.plan.what) == (done.plan.kind, done.plan.what)
        if same and other.id != done.id and not other.is_open:
            change.remove(ROLE, f"rollouts/{other.id}.json")
