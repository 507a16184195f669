"""`edge-agent policies`: gates, zones and rules that came signed; which of them are in charge."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_agent.cli.models_charge import asked
from edge_agent.cli.names import complete_policy
from edge_agent.cli.options import (
    config_option,
    existing_config,
    json_option,
    state_directory,
    state_option,
    to_type,
)
from edge_agent.errors import UsageError

if TYPE_CHECKING:
    from edge_agent.bundles.policies import Kept
    from edge_agent.service.policy_inventory import Entry
    from edge_agent.service.story import Tell


@click.group()
def command() -> None:
    """List, show, import, activate and roll back policies: gates, zones and rules."""


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
        _say_json(entries)
        return
    if not entries:
        say("no policy is here: the configuration is all there is")
        return
    columns = ("policy", "version", "state", "pipelines", "hash")
    table(columns, [_row(each) for each in entries], fold="pipelines")
    for each in entries:
        for line in _remarks(each):
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

    found = _one(name, version, state_directory(state, config))
    if as_json:
        _say_json((found,))
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
        _say_json((_entry(kept.name, kept.slot, folder),))
        return
    click.echo(f"kept: policy {kept.name} {kept.version}")
    click.echo(f"next: {to_type(f'policies activate {kept.name} {kept.version}')}")


@command.command()
@click.argument("name", shell_complete=complete_policy)
@click.argument("version", required=False)
@click.option("--downgrade", is_flag=True, help="Also a lower version than the one in charge.")
@config_option
@state_option
@json_option
def activate(name: str, version: str | None, **wish: Any) -> None:
    """Put a policy in charge (the candidate, unless VERSION says which), on probation.

    It has to fit this device and to pass the pinned cases of this site; see `regress`.
    """
    from edge_agent.service.charge import CLI
    from edge_agent.service.policy_charge import Request, take_charge

    folder, path = state_directory(wish["state"], wish["config"]), existing_config(wish["config"])
    kept = _kept(_one(name, version, folder, ("candidate", "active")), folder)
    request = Request(kept, CLI, downgrade=wish["downgrade"])
    _must_pass(request, path, folder)

    def alone(tell: Tell) -> None:
        take_charge(request, path, folder, tell)

    words = {"name": name, "slot": kept.slot, "downgrade": wish["downgrade"]}
    running = asked(folder, "policy-activate", alone, **words)
    found = _entry(name, kept.slot, folder)
    if wish["as_json"]:
        _say_json((found,))
        return
    click.echo(f"active: policy {found.name} {found.version}")
    if found.probation is not None:
        terms = found.probation.terms
        click.echo(
            f"on probation for {terms.minutes:g} minutes and {terms.frames} frames: "
            f"{to_type(f'policies rollback {name}')}"
        )
    _say_who(running)


@command.command()
@click.argument("name", shell_complete=complete_policy)
@config_option
@state_option
@json_option
def rollback(name: str, config: Path | None, state: Path | None, as_json: bool) -> None:
    """Go back to the policy before, else to none: the device's own configuration."""
    from edge_agent.policy.ota import Verdict
    from edge_agent.service.charge import CLI, Reason
    from edge_agent.service.policy_charge import go_back, in_charge

    folder = state_directory(state, config)
    reason = Reason("asked for at the device", CLI, Verdict.OK)

    def alone(tell: Tell) -> None:
        go_back(name, reason, folder, tell)

    running = asked(folder, "policy-rollback", alone, name=name)
    now = in_charge(name, folder)
    if as_json:
        from edge_agent.service.policy_inventory import inventory

        _say_json(tuple(each for each in inventory(folder) if each.name == name))
        return
    there = "none" if now is None else f"{now.name} {now.version}"
    click.echo(f"active: {there}" + ("" if now else f", policy {name} is not in charge any more"))
    _say_who(running)


# --- below ---------------------------------------------------------------------------------------


def _must_pass(request: Any, path: Path, folder: Path) -> None:
    """The pinned cases, here: this process is not the agent. Raises Refused, and tells it."""
    from edge_agent.cli.pin import place_of
    from edge_agent.errors import Refused
    from edge_agent.service.cases import cases
    from edge_agent.service.policy_charge import must_fit, tell_refusal
    from edge_agent.service.regress import Candidate, gate
    from edge_agent.service.story import told_from_outside

    try:
        must_fit(request.kept, path, folder)
        found = cases(folder)
        if found:
            gate(found, Candidate(*place_of(path, folder, request.kept.file)))
    except Refused as refusal:
        with told_from_outside(folder) as tell:
            tell_refusal(request, refusal, folder, tell)
        raise


def _say_who(running: bool) -> None:
    if not running:
        click.echo("no agent is running: its next start goes by it")


def _one(
    name: str, version: str | None, folder: Path, states: tuple[str, ...] = ("active", "candidate")
) -> Entry:
    """The one that is meant; without a version the first of those `states`."""
    from edge_agent.service.policy_inventory import inventory

    found = [each for each in inventory(folder) if each.name == name]
    if version is not None:
        meant = [each for each in found if version in (each.version, each.slot)]
    else:
        meant = [each for state in states for each in found if each.state == state]
    if not meant:
        what = " ".join(filter(None, (name, version)))
        raise UsageError(f"there is no policy {what}", to_type("policies list"))
    if version is not None and len(meant) > 1:
        slots = " or ".join(each.slot for each in meant)
        raise UsageError(f"version {version} of policy {name} is here twice", f"say {slots}")
    return meant[0]


def _kept(entry: Entry, folder: Path) -> Kept:
    from edge_agent.bundles.policies import open_policy

    return open_policy(entry.name, entry.slot, folder)


def _entry(name: str, slot: str, folder: Path) -> Entry:
    from edge_agent.service.policy_inventory import inventory

    return next(each for each in inventory(folder) if (each.name, each.slot) == (name, slot))


def _say_json(entries: tuple[Entry, ...]) -> None:
    """`policies/1`."""
    from edge_agent.policy.documents import dump
    from edge_agent.service.policy_inventory import policies_document

    click.echo(dump(policies_document(entries)))


def _row(entry: Entry) -> tuple[str, ...]:
    state = entry.state if entry.probation is None else f"{entry.state}, on probation"
    return entry.name, entry.version, state, ", ".join(entry.pipelines), entry.sha256[:12]


def _remarks(entry: Entry) -> list[str]:
    about = f"{entry.name} {entry.version}"
    found = [f"{about} is broken: {entry.broken}"] if entry.broken else []
    if entry.rollout and entry.state == "active":
        found.append(f"{about} came by rollout {entry.rollout}")
    return found
