"""`edge-agent policies activate|rollback|hold|release`: which version is in charge.

The running agent does it, by a reload; where none runs, the next start finds it done.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_agent.cli.models_charge import asked, holding
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


@click.command()
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
    kept = kept_policy(one_policy(name, version, folder, ("candidate", "active")), folder)
    request = Request(kept, CLI, downgrade=wish["downgrade"])
    _must_pass(request, path, folder)

    def alone(tell: Tell) -> None:
        take_charge(request, path, folder, tell)

    words = {"name": name, "slot": kept.slot, "downgrade": wish["downgrade"]}
    running = asked(folder, "policy-activate", alone, **words)
    found = entry_policy(name, kept.slot, folder)
    if wish["as_json"]:
        say_policies((found,))
        return
    click.echo(f"active: policy {found.name} {found.version}")
    if found.probation is not None:
        terms = found.probation.terms
        click.echo(
            f"on probation for {terms.minutes:g} minutes and {terms.frames} frames: "
            f"{to_type(f'policies rollback {name}')}"
        )
    _say_who(running)


@click.command()
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
        say_policies(_of(name, folder))
        return
    there = "none" if now is None else f"{now.name} {now.version}"
    click.echo(f"active: {there}" + ("" if now else f", policy {name} is not in charge any more"))
    _say_who(running)


@click.command()
@click.argument("name", shell_complete=complete_policy)
@click.argument("version", required=False)
@config_option
@state_option
@json_option
def hold(
    name: str, version: str | None, config: Path | None, state: Path | None, as_json: bool
) -> None:
    """Let only this version take charge (without VERSION the one that is), until `release`."""
    from edge_agent.bundles.slots import POLICIES

    folder = state_directory(state, config)
    with holding(POLICIES, folder) as hands:
        held = hands.hold(name, version)
    if as_json:
        say_policies(_of(name, folder))
        return
    click.echo(f"held: policy {name} {held}")
    click.echo(f"next: {to_type(f'policies release {name}')}")


@click.command()
@click.argument("name", shell_complete=complete_policy)
@config_option
@state_option
@json_option
def release(name: str, config: Path | None, state: Path | None, as_json: bool) -> None:
    """Let any version take charge again."""
    from edge_agent.bundles.slots import POLICIES

    folder = state_directory(state, config)
    with holding(POLICIES, folder) as hands:
        held = hands.release(name)
    if as_json:
        say_policies(_of(name, folder))
        return
    click.echo(f"released: policy {name}, it was held at {held}")


# --- also for `policies.py` ----------------------------------------------------------------------


def one_policy(
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


def kept_policy(entry: Entry, folder: Path) -> Kept:
    from edge_agent.bundles.policies import open_policy

    return open_policy(entry.name, entry.slot, folder)


def entry_policy(name: str, slot: str, folder: Path) -> Entry:
    from edge_agent.service.policy_inventory import inventory

    return next(each for each in inventory(folder) if (each.name, each.slot) == (name, slot))


def say_policies(entries: tuple[Entry, ...]) -> None:
    """`policies/1`."""
    from edge_agent.policy.documents import dump
    from edge_agent.service.policy_inventory import policies_document

    click.echo(dump(policies_document(entries)))


# --- below ---------------------------------------------------------------------------------------


def _of(name: str, folder: Path) -> tuple[Entry, ...]:
    from edge_agent.service.policy_inventory import inventory

    return tuple(each for each in inventory(folder) if each.name == name)


def _must_pass(request: Any, path: Path, folder: Path) -> None:
    """Held or broken, unfit, and the pinned cases, here: this process is not the agent. Raises
    Refused, and tells it."""
    from edge_agent.cli.pin import place_of
    from edge_agent.errors import Refused
    from edge_agent.service.cases import cases
    from edge_agent.service.policy_charge import must_fit, object_to, tell_refusal
    from edge_agent.service.regress import Candidate, gate
    from edge_agent.service.story import told_from_outside

    try:
        object_to(request, folder)
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
