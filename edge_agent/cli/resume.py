"""`edge-agent resume [PIPELINE]`: at run time, over the control socket."""

from __future__ import annotations

from pathlib import Path

import click

from edge_agent.cli.names import complete_pipeline
from edge_agent.cli.options import config_option, json_option, state_directory, state_option
from edge_agent.cli.pause import ask_to


@click.command()
@click.argument("pipeline", required=False, shell_complete=complete_pipeline)
@config_option
@state_option
@json_option
def command(pipeline: str | None, config: Path | None, state: Path | None, as_json: bool) -> None:
    """Go on inferring: all pipelines, or the one named."""
    ask_to("resume", pipeline, state_directory(state, config), as_json)
