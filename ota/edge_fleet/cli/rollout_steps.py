"""A person steps in: `edge-fleet rollout advance|pause|resume|abort`.

Each is one change of the held repository, decided on what stands there then, as the controller's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from edge_agent.errors import EdgeError, Refused
from edge_fleet.cli.options import (
    archive_path,
    keyring,
    keys_options,
    repo_option,
    repository_path,
    store_option,
)

if TYPE_CHECKING:
    from edge_agent.policy.rollout import State
    from edge_fleet.change import Change
    from edge_fleet.decide import Decision, Move
    from edge_fleet.standing import Ongoing

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Held:
    """A rollout while its repository is held, and what speaks for and against it."""

    ongoing: Ongoing
    decision: Decision
    change: Change
    now: float


def _step_options(function: Command) -> Command:
    for option in (keys_options, repo_option, store_option):
        function = option(function)
    return click.argument("id_", metavar="ID")(function)


@click.command()
@_step_options
def advance(id_: str, **places: Any) -> None:
    """Go on to the next stage now, without waiting for what the plan asks for.

    Exit code 4 where a device speaks against it: nobody goes past a failed guardrail.
    """
    from edge_agent.policy.rollout import State
    from edge_fleet.decide import Move
    from edge_fleet.standing import Word, require_open, step

    with _holding(id_, places) as held:
        ongoing, found = held.ongoing, held.decision
        require_open(ongoing)
        _require_unharmed(ongoing, found)
        if ongoing.state is State.PAUSED:
            raise EdgeError(f"rollout {id_} is paused", f"edge-fleet rollout resume {id_}")
        order = ongoing.standing.order
        last = order.stage == len(order.stages) - 1
        move = Move.FINISH if last else Move.ADVANCE
        over = () if found.move is move else found.reasons
        word = Word("person", tuple(f"not waited for: {each}" for each in over))
        _said(step(ongoing, move, word, held.change, held.now))


@click.command()
@_step_options
def pause(id_: str, **places: Any) -> None:
    """Nobody new begins; who has begun goes on."""
    from edge_agent.policy.rollout import State
    from edge_fleet.decide import Move

    _stop(id_, places, Move.PAUSE, State.PAUSED)


@click.command()
@_step_options
def abort(id_: str, **places: Any) -> None:
    """End it: every device that runs the target goes back to what it had. There is no way on."""
    from edge_agent.policy.rollout import State
    from edge_fleet.decide import Move

    _stop(id_, places, Move.ABORT, State.ABORTED)


@click.command()
@_step_options
def resume(id_: str, **places: Any) -> None:
    """Go on with a paused one: what spoke against it counts as seen, its stage begins anew."""
    from edge_agent.policy.rollout import State
    from edge_fleet.standing import Word, require_open
    from edge_fleet.standing import resume as go_on

    with _holding(id_, places) as held:
        ongoing, found = held.ongoing, held.decision
        require_open(ongoing)
        if ongoing.state is State.RUNNING:
            click.echo(f"rollout {id_} is running already")
            return
        _require_unharmed(ongoing, found)
        seen = [failure for failure in found.tally.failures if not failure.harm]
        word = Word("person", tuple(f"{each.device}: {each.why}, seen" for each in seen[:5]))
        _said(go_on(ongoing, (each.report for each in seen), word, held.change, held.now))


def _stop(id_: str, places: dict[str, Any], move: Move, state: State) -> None:
    from edge_fleet.standing import Word, require_open, step

    with _holding(id_, places) as held:
        ongoing = held.ongoing
        if ongoing.state is state:
            click.echo(f"rollout {id_} is {state.value} already")
            return
        require_open(ongoing)
        _said(step(ongoing, move, Word("person"), held.change, held.now))


@contextmanager
def _holding(id_: str, places: dict[str, Any]) -> Iterator[Held]:
    from edge_fleet.archive import open_archive
    from edge_fleet.change import changing
    from edge_fleet.controller import judge
    from edge_fleet.standing import rollout

    folder: Path = repository_path(places["repo"])
    signers = keyring(places["key_folders"], places["passphrase_files"])
    now = time.time()
    with (
        open_archive(archive_path(places["store"])) as archive,
        changing(folder, signers, now) as change,
    ):
        ongoing = rollout(change.repository, id_)
        yield Held(ongoing, judge(archive, ongoing, now), change, now)


def _said(ongoing: Ongoing) -> None:
    found = ongoing.standing.order
    stage = f", stage {found.stages[found.stage].name}" if ongoing.is_open else ""
    click.echo(f"rollout {ongoing.id}: {found.state.value}{stage}, serial {found.serial}")


def _require_unharmed(ongoing: Ongoing, found: Decision) -> None:
    """Raises Refused where more devices failed than the plan tolerates."""
    from edge_fleet.decide import Move

    if found.move is Move.ABORT:
        raise Refused("; ".join(found.reasons), f"edge-fleet rollout abort {ongoing.id}")
    if found.move is Move.PAUSE:
        raise Refused(
            "; ".join(found.reasons),
            f"edge-fleet rollout pause {ongoing.id}, look, then resume {ongoing.id}",
        )
