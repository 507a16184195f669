"""`edge-fleet repo`: a repository is founded, and its signatures are renewed."""

from __future__ import annotations

import time
from pathlib import Path

import click

from edge_agent.cli.options import json_option
from edge_fleet.cli.options import keyring, keys_options


@click.group()
def command() -> None:
    """Found a repository of models, policies and rollouts; renew its signatures."""


@command.command()
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
@keys_options
def init(folder: Path, key_folders: tuple[Path, ...], passphrase_files: tuple[str, ...]) -> None:
    """Make an empty, signed repository in DIR: plain files for any web server.

    The first folder of --keys holds roles.json (edge-fleet keys init).
    """
    from edge_agent.cli.render import say
    from edge_fleet.founding import found
    from edge_fleet.keys import read_ring

    signers = keyring(key_folders, passphrase_files)
    found(folder, read_ring(signers.folders[0]), signers, time.time())
    say(f"{folder}: a repository, empty and signed")
    say(f"next: give every device {folder}/metadata/1.root.json, and publish a bundle")


@command.command()
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
@click.option(
    "--role", "roles", multiple=True, help="Sign this role, too; again for others. [none]"
)
@keys_options
@json_option
def refresh(
    folder: Path,
    roles: tuple[str, ...],
    key_folders: tuple[Path, ...],
    passphrase_files: tuple[str, ...],
    as_json: bool,
) -> None:
    """Sign snapshot and timestamp again, so that devices know that this is the newest.

    `rollout run` does so by itself. Whoever carries a repository on a stick does it before.
    """
    from edge_agent.errors import UsageError
    from edge_fleet.cli.expiry import expiry_document, tell_expiries
    from edge_fleet.repository import open_repository
    from edge_fleet.roles import ROLES
    from edge_fleet.rotation import expiries
    from edge_fleet.rotation import refresh as sign

    if wrong := [role for role in roles if role not in ROLES]:
        raise UsageError(f"there is no role {wrong[0]!r}", f"one of: {', '.join(ROLES)}")
    now = time.time()
    sign(folder, keyring(key_folders, passphrase_files), now, roles)
    found = tuple(expiries(open_repository(folder), now))
    if as_json:
        click.echo(expiry_document(found))
    else:
        tell_expiries(found, now)
