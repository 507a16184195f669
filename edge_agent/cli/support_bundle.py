"""`edge-agent support-bundle`: one file for whoever helps, and a list of what is in it."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import click

from edge_agent.cli.doctor import case_of
from edge_agent.cli.options import config_option, json_option, state_option
from edge_agent.errors import UsageError


@click.command("support-bundle")
@config_option
@state_option
@json_option
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="The file. [edge-agent-support-HOST-TIME.tar.gz, here]",
)
@click.option(
    "--pictures", is_flag=True, help="Also the kept pictures of events, the newest first."
)
@click.option(
    "--log",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="The agent's log, where it does not go to the journal.",
)
@click.option("--force", is_flag=True, help="Replace a file that is there.")
def command(
    config: Path | None,
    state: Path | None,
    as_json: bool,
    out: Path | None,
    pictures: bool,
    log: Path | None,
    force: bool,
) -> None:
    """Write everything that helps to find a fault into one .tar.gz, and say what is in it.

    Secrets are taken out, and there are no pictures unless asked for. Nothing is sent anywhere.
    """
    from edge_agent.cli.render import say, table, wrapped
    from edge_agent.policy.documents import dump
    from edge_agent.service.doctor_finding import shell
    from edge_agent.service.support import Wish, make

    out = out or Path(
        f"edge-agent-support-{socket.gethostname()}-{time.strftime('%Y%m%d-%H%M%S')}.tar.gz"
    )
    if out.exists() and not force:
        raise UsageError(f"{out} is there already", "choose another name, or --force")
    members = make(case_of(config, state), Wish(out, pictures, log))
    size = out.stat().st_size
    if as_json:
        listed = [
            {"name": each.name, "about": each.about, "bytes": len(each.content)} for each in members
        ]
        document = {"schema": "support-bundle/1", "file": str(out), "bytes": size}
        click.echo(dump({**document, "pictures": pictures, "members": listed}))
        return
    rows = [(each.name, str(len(each.content)), each.about) for each in members]
    table(("in it", "bytes", "what"), rows, fold="what")
    say()
    say("\n".join(wrapped("", f"{out}: {size / 1000:.0f} kB, secrets are replaced by ***")))
    say(f"next: look into it before you give it away: tar -xzf {shell(out)}")
