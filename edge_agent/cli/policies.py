"""`edge-agent policies`: gates, zones and rules that came signed; which of them are in charge."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_agent.cli.names import complete_policy
from edge_agent.cli.options import (
    config_option,
    json_option,
    state_directory,
    state_option,
    to_type,
)
from edge_agent.cli.policies_charge import (
    activate,
    entry_policy,
    hold,
    one_policy,
    release,
    rollback,
    say_policies,
)

if TYPE_CHECKING:
    from edge_agent.service.policy_inventory import Entry

#: Of a policy, whichever there is.
STATES = ("active", "previous", "candidate", "broken")


@click.group()
def command() -> None:
    """List, show, import, activate, hold and remove policies: gates, zones and rules."""


for each in (activate, rollback, hold, release):
    command.add_command(each)


@command.command("list")
@config_option
@state_option
@json_option
def list_policies(config: Path | None, state: Path | None, as_json: bool) -> None:
    """Every policy: active, previous, candidate, broken, and who is on probation."""
    from edge_agent.cli.render import say, table, wrapped
    from edge_agent.service.policy_inventory import inventory

    entries = inventory(state_directory(state, config))
    if as_json:
        say_policies(entries)
        return
    if not entries:
        say("no policy is here: the configuration is all there is")
        return
    columns = ("policy", "version", "state", "pipelines", "hash")
    table(columns, [_row(each) for each in entries], fold="pipelines")
    held = {each.name: f"{each.name} is held at {each.held}" for each in entries if each.held}
    for line in (*(line for each in entries for line in _remarks(each)), *held.values()):
        for piece in wrapped("  ", line):
            say(piece)


@command.command()
@click.argument("name", shell_complete=complete_policy)
@click.argument("version", required=False)
@config_option
@state_option
@json_option
def show(
    name: str, version: str | None, config: Path | None, state: Path | None, as_json: bool
) -> None:
    """The text of a policy (of the one in charge, unless VERSION says which)."""
    from edge_agent.cli.render import say

    found = one_policy(name, version, state_directory(state, config))
    if as_json:
        say_policies((found,))
        return
    say(f"# {found.name} {found.version}, {found.state}: {found.file}")
    click.echo(Path(found.file).read_text("utf-8"), nl=False)


@command.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@config_option
@state_option
@json_option
def import_policy(file: Path, config: Path | None, state: Path | None, as_json: bool) -> None:
    """Keep a policy's file as a candidate; it takes charge with `activate`."""
    from edge_agent.bundles import policies
    from edge_agent.service.charge import CLI
    from edge_agent.service.policy_charge import keep
    from edge_agent.service.story import told_from_outside

    folder = state_directory(state, config)
    policies.read(file)  # a mistake is told before anything is written
    with told_from_outside(folder) as tell:
        kept = keep(file, CLI, folder, tell)
    if as_json:
        say_policies((entry_policy(kept.name, kept.slot, folder),))
        return
    click.echo(f"kept: policy {kept.name} {kept.version}")
    click.echo(f"next: {to_type(f'policies activate {kept.name} {kept.version}')}")


@command.command()
@click.argument("name", shell_complete=complete_policy)
@click.argument("version", required=False)
@config_option
@state_option
@json_option
def remove(
    name: str, version: str | None, config: Path | None, state: Path | None, as_json: bool
) -> None:
    """Remove a policy that is not in charge, or only a VERSION of it.

    What was known of it is forgotten: that somebody took it back, or holds it. An order of the
    repository that still stands may bring it anew.
    """
    from edge_agent.service.policy_charge import remove as remove_policy
    from edge_agent.service.policy_inventory import inventory
    from edge_agent.service.story import told_from_outside

    folder = state_directory(state, config)
    meant = one_policy(name, version, folder, STATES)
    with told_from_outside(folder) as tell:
        remove_policy(name, None if version is None else meant.slot, folder, tell)
    if as_json:
        say_policies(tuple(each for each in inventory(folder) if each.name == name))
        return
    click.echo(f"removed: policy {' '.join(filter(None, [name, version]))}")


# --- below ---------------------------------------------------------------------------------------


def _row(entry: Entry) -> tuple[str, ...]:
    state = entry.state if entry.probation is None else f"{entry.state}, on probation"
    return entry.name, entry.version, state, ", ".join(entry.pipelines), entry.sha256[:12]


def _remarks(entry: Entry) -> list[str]:
    about = f"{entry.name} {entry.version}"
    found = [f"{about} is broken: {entry.broken}"] if entry.broken else []
    if entry.rollout and entry.state == "active":
        found.append(f"{about} came by rollout {entry.rollout}")
    return found
