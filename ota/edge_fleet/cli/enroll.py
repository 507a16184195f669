"""`edge-fleet enroll`: the desk expects a device, with its tags."""

from __future__ import annotations

import re
import time

import click

from edge_agent.errors import UsageError
from edge_fleet.cli.options import archive_path, store_option

NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="DEVICE...")
@click.option("--tag", "tags", multiple=True, metavar="KEY=VALUE", help="As in its configuration.")
@click.option("--remove", is_flag=True, help="Expect it no more; what was received stays.")
@store_option
def command(names: tuple[str, ...], tags: tuple[str, ...], remove: bool, store: str) -> None:
    """Say that DEVICE belongs to the fleet, so that a stage knows its members and who is silent.

    A device that was heard of is known without; what it tells of its tags itself counts more.
    """
    from edge_fleet.archive import open_archive

    wrong = [name for name in names if not NAME.fullmatch(name)]
    if wrong:
        raise UsageError(f"{wrong[0]!r} is no device's id", "letters a-z A-Z, digits, - and _")
    known = dict(_tag(each) for each in tags)
    with open_archive(archive_path(store)) as archive:
        for name in names:
            if remove:
                there = archive.dismiss(name)
                click.echo(f"{name}: {'removed' if there else 'was not enrolled'}")
            else:
                fresh = archive.enroll(name, known, time.time())
                told = " ".join(f"{key}={value}" for key, value in known.items()) or "no tags"
                click.echo(f"{name}: {'enrolled' if fresh else 'enrolled before'}, {told}")


def _tag(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key.strip() or not value.strip():
        raise UsageError(f"{text!r} is no tag", "write KEY=VALUE")
    return key.strip(), value.strip()
