"""`edge-fleet keys`: make, list and replace the keys of a repository's roles."""

from __future__ import annotations

import time
from pathlib import Path

import click

from edge_agent.cli.options import json_option
from edge_agent.errors import UsageError
from edge_fleet.cli.options import keyring, keys_options, passphrases, repo_option


@click.group()
def command() -> None:
    """Make, list and replace the keys that sign. ota/README.md has the ceremony."""


@command.command()
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
@click.option(
    "--role",
    "quorums",
    multiple=True,
    metavar="ROLE[=M/N]",
    help="Keys of this role alone, M of N of which must sign; again for others. [all; root 2/3]",
)
@click.option(
    "--passphrase-file",
    "passphrase_files",
    multiple=True,
    metavar="[ROLE=]FILE",
    help="Seals the keys; its first line. [$EDGE_FLEET_PASSPHRASE, a credential, asked]",
)
def init(folder: Path, quorums: tuple[str, ...], passphrase_files: tuple[str, ...]) -> None:
    """Make the keys of every role in DIR, each in a file of its own, sealed with a passphrase."""
    from edge_agent.cli.render import say
    from edge_fleet.keys import make_ring
    from edge_fleet.roles import QUORUMS, quorum

    try:
        wanted = dict(quorum(each) if "=" in each else quorum(f"{each}=1/1") for each in quorums)
    except ValueError as fault:
        raise UsageError(str(fault), "edge-fleet keys init --help") from None
    ring = make_ring(folder, wanted or QUORUMS, passphrases(passphrase_files), time.time())
    for role in wanted or QUORUMS:
        keys = ring.of(role)
        say(f"{role}: {ring.thresholds[role]} of {len(keys)} must sign")
        for each in keys:
            say(f"  {folder / each.file}")
    say("next: keep those of root, targets, models and policies where no network is")


@command.command("list")
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
@json_option
def list_(folder: Path, as_json: bool) -> None:
    """The keys that DIR knows, and which of their private halves lie there."""
    from edge_agent.cli.render import say, table
    from edge_agent.policy.documents import dump
    from edge_fleet.keys import read_ring, ring_document

    ring = read_ring(folder)
    if as_json:
        say(dump(ring_document(folder, ring)))
        return
    table(
        ("role", "key", "must sign", "made", "private half"),
        [
            (
                each.role,
                each.keyid[:12],
                f"{ring.thresholds[each.role]} of {len(ring.of(each.role))}",
                each.created[:10],
                "here" if (folder / each.file).is_file() else "elsewhere",
            )
            for each in ring.keys
        ],
    )


@command.command()
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
@click.argument("role")
@click.option(
    "--key", "keyid", default="", metavar="KEYID", help="Which key, where there are more."
)
@repo_option
@keys_options
def rotate(
    folder: Path,
    role: str,
    keyid: str,
    repo: Path | None,
    key_folders: tuple[Path, ...],
    passphrase_files: tuple[str, ...],
) -> None:
    """Make a new key for ROLE in DIR in the place of an old, lost or stolen one.

    With a repository whoever names the role's keys signs it there: root, or targets. The old key
    is needed only where it is one of those.
    """
    import os

    from edge_agent.cli.render import say
    from edge_fleet.cli.options import repository_path
    from edge_fleet.rotation import rotate as replace

    named = repo is not None or bool(os.environ.get("EDGE_FLEET_REPO"))
    signers = keyring((folder, *key_folders), passphrase_files)
    place = repository_path(repo) if named else None
    new, old = replace(folder, place, (role, keyid), signers, time.time())
    say(f"{role}: {new.keyid[:12]} in the place of {old.keyid[:12]}: {folder / new.file}")
    if place is None:
        say("next: no repository was named, so none knows of it: --repo DIR")
    else:
        say(f"{place} is signed anew; devices follow at their next check")
