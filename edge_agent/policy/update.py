"""What a device does about the orders it has been given: the next act, and why.

Pure. Of several orders for one model or policy the highest serial counts of those that the device
is a member of (docs/decisions/0009-how-a-model-comes.md). One act at a time: who carries it out
asks again with what has become of it. Rules:

* Going back is never held, never waits for a window, and needs nothing from the repository.
* What was refused or went back with blame is not begun again, whatever the order says.
* Paused: nobody new begins, who has begun goes on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum

from edge_agent.frozen import frozen
from edge_agent.policy.ota import Version
from edge_agent.policy.rollout import Mode, Rollout, State

#: Reasons for which an order comes to nothing on this device.
REFUSED, DOWNGRADE = "refused here before", "a downgrade that the order does not allow"
#: A device's id and its tags.
Who = tuple[str, Mapping[str, str]]


class Do(StrEnum):
    NOTHING = "nothing"
    FETCH = "fetch"  # download, verify, stage
    SHADOW = (
        "shadow"  # test, golden, then beside the one in charge (a policy: over the pinned cases)
    )
    CHARGE = "charge"  # test, golden, regress, then swap with probation
    DROP = "drop"  # forget the candidate: it is not wanted any more
    REVERT = "revert"  # what was before takes charge again


@frozen
class Standing:
    """How one model or policy stands on this device. A version may come with the same file and
    only other labels or scores: that one is not in charge before it was charged."""

    active: Version | None = None
    came_by: str | None = None  # the rollout that the active one came by; None: by hand
    on_probation: bool = False
    candidate: Version | None = None  # staged, not in charge
    shadowing: bool = False  # the candidate runs beside the active one
    shadowed: frozenset[Version] = frozenset()  # whose shadow has ended with a verdict
    barred: frozenset[Version] = frozenset()  # refused here, or went back with blame
    broken: frozenset[str] = frozenset()  # files (sha256) that are never taken again
    held: bool = False


@frozen
class Moment:
    """What is so just now. `downgrade`: the order's version is below that of the active one."""

    in_window: bool = True
    downgrade: bool = False


@frozen
class Act:
    do: Do
    reason: str  # one clause for a person: "held", "the apply window is closed"


def order(rollouts: Iterable[Rollout], who: Who, standing: Standing) -> Rollout | None:
    """The order that counts among those for one (kind, name); None when none is for this device."""
    counting = (each for each in rollouts if _counts(each, who, standing))
    return max(counting, key=lambda rollout: rollout.serial, default=None)


def next_act(rollout: Rollout, who: Who, standing: Standing, moment: Moment) -> Act:
    """What to do next about an order that counts."""
    wanted = rollout.what
    if rollout.state is State.ABORTED:
        return _undo(rollout, standing)
    if standing.active == wanted:
        return Act(Do.NOTHING, "on probation" if standing.on_probation else "in charge")
    if wanted in standing.barred or rollout.sha256 in standing.broken:
        return Act(Do.NOTHING, REFUSED)
    if moment.downgrade and not rollout.allow_downgrade:
        return Act(Do.NOTHING, DOWNGRADE)
    if standing.held:
        return Act(Do.NOTHING, "held")
    if standing.on_probation:
        return Act(Do.NOTHING, "another one is on probation")
    if standing.candidate != wanted:
        if rollout.state is State.PAUSED:
            return Act(Do.NOTHING, "the rollout is paused")
        return Act(Do.FETCH, f"rollout {rollout.id}")
    if rollout.mode_for(*who) is Mode.CHARGE:
        return _take_charge(rollout, moment)
    return _go_beside(rollout, standing)


def _counts(rollout: Rollout, who: Who, standing: Standing) -> bool:
    if rollout.state is State.ABORTED:
        runs_it = standing.active == rollout.what and standing.came_by == rollout.id
        return runs_it or standing.candidate == rollout.what
    return rollout.mode_for(*who) is not None


def _undo(rollout: Rollout, standing: Standing) -> Act:
    if standing.active == rollout.what and standing.came_by == rollout.id:
        return Act(Do.REVERT, f"rollout {rollout.id} was aborted")
    if standing.candidate == rollout.what:
        return Act(Do.DROP, f"rollout {rollout.id} was aborted")
    return Act(Do.NOTHING, f"rollout {rollout.id} was aborted")


def _take_charge(rollout: Rollout, moment: Moment) -> Act:
    if rollout.state is State.PAUSED:
        return Act(Do.NOTHING, "the rollout is paused")
    if not moment.in_window:
        return Act(Do.NOTHING, "the apply window is closed")
    return Act(Do.CHARGE, f"rollout {rollout.id}")


def _go_beside(rollout: Rollout, standing: Standing) -> Act:
    if standing.candidate in standing.shadowed:
        return Act(Do.NOTHING, "waits for the next stage")
    if standing.shadowing:
        return Act(Do.NOTHING, "in the shadow")
    if rollout.state is State.PAUSED:
        return Act(Do.NOTHING, "the rollout is paused")
    return Act(Do.SHADOW, f"rollout {rollout.id}")
