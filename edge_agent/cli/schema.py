"""`edge-agent schema NAME`: the JSON Schema of a document; tests and docs use the same file."""

from __future__ import annotations

from importlib import resources

import click

from edge_agent.cli.names import complete_schema
from edge_agent.errors import UsageError


def names() -> list[str]:
    folder = resources.files("edge_agent") / "schemas"
    return sorted(
        entry.name.removesuffix(".json")
        for entry in folder.iterdir()
        if entry.name.endswith(".json")
    )


@click.command()
@click.argument("name", required=False, shell_complete=complete_schema)
def command(name: str | None) -> None:
    """Print the JSON Schema of the document NAME (event, or event/1); without a name, list them."""
    known = names()
    if name is None:
        click.echo("\n".join(known))
        return
    bare = name.removesuffix("/1")
    if bare not in known:
        from edge_agent.config.wording import did_you_mean

        raise UsageError(
            f"there is no schema {name!r}{did_you_mean(bare, known)}",
            f"one of: {', '.join(known)}",
        )
    file = resources.files("edge_agent") / "schemas" / f"{bare}.json"
    click.echo(file.read_text("utf-8"), nl=False)
