"""`edge-agent sources`: the sources of the configuration."""

from __future__ import annotations

from pathlib import Path

import click

from edge_agent.cli.options import config_option, existing_config, json_option


@click.group()
def command() -> None:
    """List the sources of the configuration."""


@command.command("list")
@config_option
@json_option
def list_sources(config: Path | None, as_json: bool) -> None:
    """Name, kind and place of every source, and the pipelines that look at it."""
    from edge_agent.cli.render import table
    from edge_agent.config.load import load
    from edge_agent.policy.documents import dump

    loaded = load(existing_config(config))
    looked_at = {
        name: [key for key, pipeline in loaded.pipelines.items() if pipeline.source == name]
        for name in loaded.sources
    }
    if as_json:
        entries = [
            {"name": name, "kind": each.kind, "uri": each.uri, "pipelines": looked_at[name]}
            for name, each in loaded.sources.items()
        ]
        click.echo(dump({"schema": "sources/1", "sources": entries}))
        return
    rows = [
        (name, each.kind, each.uri, ", ".join(looked_at[name]) or "none")
        for name, each in loaded.sources.items()
    ]
    table(("name", "kind", "uri", "pipelines"), rows, fold="uri")
