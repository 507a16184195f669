"""`edge-agent models activate|rollback|hold|release`: which version is in charge.

The running agent does it, between two frames; where none runs, the next start finds it done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_agent.cli.names import complete_model
from edge_agent.cli.options import (
    config_option,
    json_option,
    state_directory,
    state_option,
    to_type,
)
from edge_agent.errors import NotRunning

if TYPE_CHECKING:
    from edge_agent.bundles.bundle import Bundle
    from edge_agent.bundles.slots import Shelf
    from edge_agent.service.holding import Holding
    from edge_agent.service.inventory import Entry
    from edge_agent.service.story import Tell


@click.command()
@click.argument("name", shell_complete=complete_model)
@click.argument("version", required=False)
@click.option("--downgrade", is_flag=True, help="Also a lower version than the one in charge.")
@config_option
@state_option
@json_option
def activate(
    name: str,
    version: str | None,
    downgrade: bool,
    config: Path | None,
    state: Path | None,
    as_json: bool,
) -> None:
    """Put an installed version in charge (the newest, unless VERSION says which).

    First it has to run in a child process, give its recorded answers and keep to its latency
    budget on this board's engine. Where there is one to go back to it is on probation then.
    """
    from edge_agent.service.install import Activation, activate_model, slot_folder

    folder = state_directory(state, config)
    slot = slot_folder(name, version, folder).name

    def alone(tell: Tell) -> Bundle:
        return activate_model(name, slot, folder, Activation(downgrade), tell)

    running = asked(folder, "activate", alone, name=name, slot=slot, downgrade=downgrade)
    _say(name, folder, as_json, running=running)


@click.command()
@click.argument("name", shell_complete=complete_model)
@config_option
@state_option
@json_option
def rollback(name: str, config: Path | None, state: Path | None, as_json: bool) -> None:
    """Go back to the version before, or to the one that came with the package where that one is
    broken or gone. It ends a probation."""
    from edge_agent.policy.ota import Verdict
    from edge_agent.service.charge import CLI, Reason, go_back

    folder = state_directory(state, config)
    reason = Reason("asked for at the device", CLI, Verdict.OK)

    def alone(tell: Tell) -> Bundle:
        return go_back(name, reason, folder, tell)

    running = asked(folder, "rollback", alone, name=name)
    _say(name, folder, as_json, running=running)


@click.command()
@click.argument("name", shell_complete=complete_model)
@click.argument("version", required=False)
@config_option
@state_option
@json_option
def hold(
    name: str, version: str | None, config: Path | None, state: Path | None, as_json: bool
) -> None:
    """Let only this version take charge (without VERSION the one that is), until `release`."""
    from edge_agent.bundles.slots import MODELS

    folder = state_directory(state, config)
    with holding(MODELS, folder) as hands:
        held = hands.hold(name, version)
    if as_json:
        say_entries(_of(name, folder))
        return
    click.echo(f"held: {name} {held}")
    click.echo(f"next: {to_type(f'models release {name}')}")


@click.command()
@click.argument("name", shell_complete=complete_model)
@config_option
@state_option
@json_option
def release(name: str, config: Path | None, state: Path | None, as_json: bool) -> None:
    """Let any version take charge again."""
    from edge_agent.bundles.slots import MODELS

    folder = state_directory(state, config)
    with holding(MODELS, folder) as hands:
        held = hands.release(name)
    if as_json:
        say_entries(_of(name, folder))
        return
    click.echo(f"released: {name}, it was held at {held}")


def say_entries(entries: tuple[Entry, ...]) -> None:
    """`models/1`."""
    from edge_agent.policy.documents import dump
    from edge_agent.service.inventory import models_document

    click.echo(dump(models_document(entries)))


# --- also of policies ----------------------------------------------------------------------------


@contextmanager
def holding(shelf: Shelf, state: Path) -> Iterator[Holding]:
    """Somebody at the device holds a name, or releases it."""
    from edge_agent.service.charge import CLI
    from edge_agent.service.holding import Holding
    from edge_agent.service.story import told_from_outside

    with told_from_outside(state) as tell:
        yield Holding(shelf, CLI, state, tell)


def asked(state: Path, command: str, alone: Callable[[Tell], object], **words: Any) -> bool:
    """Ask the running agent, or do it here; whether it runs. Raises what either says."""
    from edge_agent.service.control import ask
    from edge_agent.service.story import told_from_outside

    try:
        ask(state, command, **words)
    except NotRunning as nobody:
        if nobody.code != NotRunning.code:  # it is there, and does not answer
            raise
        with told_from_outside(state) as tell:
            alone(tell)
        return False
    return True


# --- below ---------------------------------------------------------------------------------------


def _say(name: str, folder: Path, as_json: bool, *, running: bool) -> None:
    entry = next(each for each in _of(name, folder) if each.state == "active")
    if as_json:
        say_entries((entry,))
        return
    click.echo(f"active: {entry.name} {entry.version}")
    if entry.probation is not None:
        terms = entry.probation.terms
        click.echo(
            f"on probation for {terms.minutes:g} minutes and {terms.frames} frames: "
            f"{to_type(f'models rollback {name}')}"
        )
    if not running:
        click.echo("no agent is running: its next start takes it")


def _of(name: str, folder: Path) -> tuple[Entry, ...]:
    from edge_agent.service.inventory import inventory

    return tuple(entry for entry in inventory(folder) if entry.name == name)
