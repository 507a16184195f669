"""`edge-agent reload`: the running agent reads its configuration again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edge_agent.cli.options import config_option, json_option, state_directory, state_option
from edge_agent.errors import EdgeError, NotRunning


@click.command()
@config_option
@state_option
@json_option
def command(config: Path | None, state: Path | None, as_json: bool) -> None:
    """Read the configuration again; with a wrong one the last good one stays in charge."""
    from edge_agent.policy.documents import dump

    answer = _ask(state_directory(state, config))
    if as_json:
        click.echo(dump({"schema": "reload/1", **answer}))
        return
    click.echo(f"reloaded: {', '.join(answer['pipelines'])}")
    if answer["needs_restart"]:
        click.echo(f"changed, and applied at the next start: {', '.join(answer['needs_restart'])}")


def _ask(state: Path) -> dict[str, Any]:
    """What the agent did. Raises its refusal, and says what it goes on with."""
    from edge_agent.service.control import ask

    try:
        return ask(state, "reload")
    except NotRunning:
        raise
    except EdgeError as fault:
        fault.message = f"not reloaded, the last good configuration stays: {fault.message}"
        raise
