"""`edge-agent pause [PIPELINE]`: at run time, over the control socket. `resume` undoes it."""

from __future__ import annotations

from pathlib import Path

import click

from edge_agent.cli.names import complete_pipeline
from edge_agent.cli.options import config_option, json_option, state_directory, state_option


@click.command()
@click.argument("pipeline", required=False, shell_complete=complete_pipeline)
@config_option
@state_option
@json_option
def command(pipeline: str | None, config: Path | None, state: Path | None, as_json: bool) -> None:
    """Skip every frame until `resume`: all pipelines, or the one named."""
    ask_to("pause", pipeline, state_directory(state, config), as_json)


def ask_to(what: str, pipeline: str | None, state: Path, as_json: bool) -> None:
    """Ask the running agent to pause or resume, and tell what is paused then."""
    from edge_agent.policy.documents import dump
    from edge_agent.service.control import ask

    paused = ask(state, what, pipeline=pipeline)["paused"]
    if as_json:
        click.echo(dump({"schema": "pause/1", "paused": paused}))
    else:
        click.echo(f"paused: {', '.join(paused)}" if paused else "nothing is paused")
