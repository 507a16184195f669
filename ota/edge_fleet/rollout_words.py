"""A rollout for people and for programs (`rollout-status/1`). Pure but for the table's terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from edge_agent.cli.render import plural, wrapped
from edge_agent.policy.documents import rfc3339
from edge_agent.policy.rollout import State
from edge_fleet.decide import Decision, Move
from edge_fleet.standing import Ongoing, step_document

#: Names of devices in one line of text.
NAMED = 8
#: The steps that are told to a person.
TOLD = 6


@dataclass(frozen=True, slots=True)
class Looked:
    """One rollout, and what the controller would do with it now."""

    ongoing: Ongoing
    decision: Decision


def rollout_document(looked: Looked) -> dict[str, Any]:
    ongoing, found, tally = looked.ongoing, looked.ongoing.standing.order, looked.decision.tally
    return {
        "id": ongoing.id,
        "serial": found.serial,
        "state": found.state.value,
        "kind": found.kind.value,
        "name": found.name,
        "version": found.version,
        "sha256": found.sha256,
        "stage": found.stage,
        "stages": [
            {"name": each.name, "mode": each.mode.value, "percent": each.percent,
             "tags": dict(each.tags)}
            for each in found.stages
        ],
        "began": rfc3339(ongoing.standing.began),
        "devices": {
            "succeeded": list(tally.succeeded),
            "failed": list(tally.failed),
            "under_way": list(tally.under_way),
            "silent": list(tally.silent),
        },
        "failures": [
            {"device": each.device, "why": each.why, "harm": each.harm} for each in tally.failures
        ],
        "next": {"move": looked.decision.move.value, "reasons": list(looked.decision.reasons)},
        "steps": [step_document(each) for each in ongoing.steps],
    }  # fmt: skip


def row(looked: Looked) -> tuple[str, str, str, str, str]:
    """One line of the table of all."""
    found, tally = looked.ongoing.standing.order, looked.decision.tally
    stage = f"{found.stage + 1}/{len(found.stages)} {found.stages[found.stage].name}"
    counted = f"{len(tally.succeeded)} of {tally.members} succeeded"
    if tally.failures:
        counted += f", {len({each.device for each in tally.failures})} failed"
    over = found.state in (State.DONE, State.ABORTED)
    return (
        looked.ongoing.id,
        f"{found.name} {found.version}",
        found.state.value,
        "" if found.state is State.DONE else stage,
        "" if over else counted,
    )


def words(looked: Looked) -> Iterator[str]:
    """One rollout in full."""
    ongoing, found, decision = looked.ongoing, looked.ongoing.standing.order, looked.decision
    yield f"rollout {ongoing.id}: {found.kind.value} {found.name} {found.version}"
    yield f"  {found.state.value}, serial {found.serial}"
    for index, stage in enumerate(found.stages):
        who = (
            f"{stage.percent:g} %"
            if stage.percent is not None
            else ", ".join(f"{key}={value}" for key, value in stage.tags.items())
        )
        mark = "->" if index == found.stage and found.state is not State.DONE else "  "
        yield f"  {mark} {stage.name} ({stage.mode.value}, {who})"
    tally = decision.tally
    for word, names in (
        ("succeeded", tally.succeeded),
        ("failed", tally.failed),
        ("under way", tally.under_way),
        ("silent", tally.silent),
    ):
        if names:
            yield from wrapped(f"  {word:<10} ", f"{len(names)}: {_few(names)}")
    for failure in tally.failures[:NAMED]:
        kind = "harm" if failure.harm else "doubt"
        yield from wrapped(f"  {kind:<10} ", f"{failure.device}: {failure.why}")
    if len(tally.failures) > NAMED:
        yield f"             and {plural(len(tally.failures) - NAMED, 'report')} more"
    head = "waits for" if decision.move is Move.STAY else f"will {decision.move.value}"
    if ongoing.is_open:
        for reason in decision.reasons:
            yield from wrapped(f"  {head:<10} ", reason)
            head = ""
    for taken in ongoing.steps[-TOLD:]:
        why = f": {'; '.join(taken.reasons)}" if taken.reasons else ""
        at = rfc3339(taken.at)[:16].replace("T", " ")
        yield from wrapped(f"  {at} UTC  ", f"{taken.move} ({taken.stage}, {taken.by}){why}")


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
