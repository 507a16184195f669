"""`edge-agent events pin` and `unpin`: cases that every new model and policy must pass here."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_agent.cli.names import complete_event, complete_pipeline
from edge_agent.cli.options import (
    config_option,
    default_state,
    existing_config,
    json_option,
    state_directory,
    state_option,
)
from edge_agent.errors import UsageError

if TYPE_CHECKING:
    from edge_agent.config.schema import Config
    from edge_agent.service.assemble import Site
    from edge_agent.service.cases import Case
    from edge_agent.service.regress import Candidate


@click.command("pin")
@click.argument("event", metavar="[ID]", required=False, shell_complete=complete_event)
@click.option("--nothing", is_flag=True, help="It was a false alarm: nothing must be raised.")
@click.option("--file", type=click.Path(path_type=Path), help="A recording instead of an event.")
@click.option("--pipeline", shell_complete=complete_pipeline, help="--file: the one to show it to.")
@click.option("--start", metavar="TIME", help="--file: when it begins, RFC 3339. [1970-01-01]")
@click.option("--name", help="What to call the case. [the event's short id, the file's name]")
@click.option("--note", default="", help="Why it is kept.")
@config_option
@state_option
@json_option
def pin_event(
    event: str | None, config: Path | None, state: Path | None, as_json: bool, **said: Any
) -> None:
    """Keep an event's clip, or a recording, as a case: before a model or a policy takes charge, it
    is replayed, and an alarm lost or a new one refuses it.

    The event's rule must keep a clip (evidence: [clip]) or the window of a signal.
    """
    from edge_agent.policy.documents import dump
    from edge_agent.service import regress
    from edge_agent.service.cases import case_document

    if (event is None) == (said["file"] is None):
        raise UsageError("say what to pin", "an event's ID, or --file RECORDING --pipeline P")
    loaded, site = place_of(config, state)
    candidate = regress.Candidate(loaded, site)
    if event is not None:
        kept = _pin_event(event, candidate, said)
    else:
        case = regress.new_case(said["name"] or said["file"].stem, said["note"])
        kept = regress.pin_recording(_of_file(case, said), candidate, nothing=said["nothing"])
    if as_json:
        click.echo(dump(case_document(kept)))
        return
    alarms = ", ".join(alarm.text for alarm in kept.expected.alarms) or "nothing"
    click.echo(f"pinned {kept.name}: pipeline {kept.pipeline} must raise {alarms}")
    for flaw in kept.expected.flaws:
        click.echo(f"  now it raises {flaw.text}")
    click.echo("next: edge-agent regress")


@click.command("unpin")
@click.argument("name")
@config_option
@state_option
def unpin(name: str, config: Path | None, state: Path | None) -> None:
    """Remove a pinned case; `edge-agent regress --list` names them."""
    from edge_agent.service.cases import forget

    forget(state_directory(state, config), name)
    click.echo(f"case {name} is no longer asked for")


def place_of(
    config: Path | None, state: Path | None, policy: Path | None = None
) -> tuple[Config, Site]:
    """The configuration that counts here, which these commands need, and where its pipelines work.

    `policy`: a file that is tried in the place of the one of its name.
    """
    from edge_agent.bundles.policies import read
    from edge_agent.config.effective import load_effective
    from edge_agent.config.load import load
    from edge_agent.service.assemble import Site
    from edge_agent.service.overlay import overlay

    path = existing_config(config)
    stated = load(path).store.path
    folder = state or (Path(stated) if stated else default_state())
    tried = None if policy is None else read(policy)
    loaded = load_effective(path, overlay(path, folder, tried))
    return loaded, Site(state=folder, beside=path.absolute().parent)


def _pin_event(event: str, candidate: Candidate, said: dict[str, Any]) -> Case:
    from edge_agent.service import regress
    from edge_agent.store.query import open_reader

    with open_reader(candidate.site.state) as reader:
        stored = reader.event(event)
    case = regress.new_case(said["name"] or stored.event.id[:8], said["note"])
    return regress.pin_event(stored, candidate, nothing=said["nothing"], case=case)


def _of_file(case: Case, recording: dict[str, Any]) -> Case:
    from dataclasses import replace

    from edge_agent.policy.documents import parse_rfc3339

    file, pipeline, start = (recording[key] for key in ("file", "pipeline", "start"))
    if pipeline is None:
        raise UsageError("--file needs the pipeline that is to see it", "--pipeline NAME")
    path = Path(str(file))
    if not path.is_file():
        raise UsageError(f"there is no file {path}", "check its name")
    try:
        begins = 0.0 if start is None else parse_rfc3339(str(start))
    except (ValueError, OverflowError):
        raise UsageError(
            f"--start {start}: no date and time with a zone", "write 2026-01-31T08:00:00Z"
        ) from None
    return replace(case, pipeline=str(pipeline), recording=path, start=begins)
