"""`edge-agent completion SHELL`: the script that makes the shell offer commands and names."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from edge_agent.errors import EdgeError

SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS), metavar="SHELL")
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the completion script for SHELL (bash, zsh, fish).

    For this session: eval "$(edge-agent completion bash)". To stay: put that line into ~/.bashrc.
    """
    made = get_completion_class(shell)
    if made is None:
        raise EdgeError(f"click knows no completion for {shell}")
    root = ctx.find_root().command
    script = made(root, {}, "edge-agent", "_EDGE_AGENT_COMPLETE")
    # `source()` asks bash for its version and warns on stderr; the script itself needs none of it.
    click.echo(script.source_template % script.source_vars())
