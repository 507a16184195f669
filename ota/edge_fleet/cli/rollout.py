"""`edge-fleet rollout`: begin one, watch it, step in, and the controller that leads it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_agent.cli.options import json_option
from edge_fleet.cli.options import (
    archive_path,
    broker_address,
    broker_options,
    keyring,
    keys_options,
    repo_option,
    repository_path,
    store_option,
)
from edge_fleet.cli.rollout_steps import abort, advance, pause, resume

if TYPE_CHECKING:
    from edge_fleet.archive import Archive
    from edge_fleet.decide import Fleet
    from edge_fleet.rollout_words import Looked
    from edge_fleet.standing import Ongoing

WATCH_S = 2.0


@click.group()
def command() -> None:
    """Models and policies by degrees: plans, stages, and who leads them."""


@command.command()
@click.argument("plan", type=click.Path(path_type=Path))
@store_option
@repo_option
@keys_options
def create(
    plan: Path,
    store: str,
    repo: Path | None,
    key_folders: tuple[Path, ...],
    passphrase_files: tuple[str, ...],
) -> None:
    """Begin the rollout that PLAN says, with its first stage. Examples: ota/plans."""
    from edge_fleet.archive import open_archive
    from edge_fleet.plan import load_plan
    from edge_fleet.standing import create as begin

    loaded = load_plan(plan)
    folder, signers = repository_path(repo), keyring(key_folders, passphrase_files)
    with open_archive(archive_path(store)) as archive:
        fleet = {each.name: each.tags for each in archive.devices()}
    begun = begin(loaded, folder, signers, time.time())
    found = begun.standing.order
    click.echo(f"rollout {found.id}: {found.name} {found.version}, stage {found.stages[0].name}")
    for line in _small_stages(begun, fleet):
        click.echo(line)
    click.echo("next: edge-fleet rollout run --broker URL leads it, rollout status tells of it")


@command.command()
@click.argument("id_", metavar="ID", required=False)
@click.option("--watch", is_flag=True, help="Again every two seconds, until ctrl-C.")
@store_option
@repo_option
@json_option
def status(id_: str | None, watch: bool, store: str, repo: Path | None, as_json: bool) -> None:
    """Where every rollout stands, or one in full; and which signatures expire soon."""
    from edge_fleet.archive import open_archive

    folder = repository_path(repo)
    with open_archive(archive_path(store)) as archive:
        while True:
            if watch and not as_json:
                click.clear()  # does nothing where no terminal is
            now = time.time()
            _tell(folder, _looked(folder, archive, id_, now), id_ is not None, as_json)
            if not watch:
                return
            time.sleep(WATCH_S)


def _looked(folder: Path, archive: Archive, id_: str | None, now: float) -> list[Looked]:
    from edge_fleet.controller import judge
    from edge_fleet.repository import open_repository
    from edge_fleet.rollout_words import Looked
    from edge_fleet.standing import rollout, rollouts

    repository = open_repository(folder)
    found = rollouts(repository) if id_ is None else (rollout(repository, id_),)
    return [Looked(each, judge(archive, each, now)) for each in found]


def _tell(folder: Path, looked: list[Looked], in_full: bool, as_json: bool) -> None:
    from edge_agent.cli.render import say, table
    from edge_agent.policy.documents import dump
    from edge_fleet.cli.expiry import expiry_rows, tell_soon
    from edge_fleet.repository import open_repository
    from edge_fleet.rollout_words import rollout_document, row, words
    from edge_fleet.rotation import expiries

    now = time.time()
    ends = tuple(expiries(open_repository(folder), now))
    if as_json:
        rows = [rollout_document(each) for each in looked]
        say(dump({"schema": "rollout-status/1", "rollouts": rows, "roles": expiry_rows(ends)}))
        return
    if in_full:
        for each in looked:
            for line in words(each):
                say(line)
    elif looked:
        table(("rollout", "ships", "state", "stage", "devices"), [row(each) for each in looked])
    else:
        say("there is no rollout yet: edge-fleet rollout create PLAN")
    tell_soon(ends, now, folder)


def _small_stages(ongoing: Ongoing, fleet: Fleet) -> Iterator[str]:
    """What the present fleet could never satisfy: a person wants to know it today."""
    from dataclasses import replace

    from edge_agent.cli.render import plural
    from edge_fleet.decide import newcomers

    found = ongoing.standing.order
    for index, stage in enumerate(ongoing.plan.stages):
        members = newcomers(replace(found, stage=index), fleet)
        if len(members) < stage.at_least.devices:
            yield (
                f"stage {stage.name} asks for {plural(stage.at_least.devices, 'device')}, and "
                f"{len(members) or 'none'} that the desk knows would come with it: it waits for "
                "more (edge-fleet enroll), or for rollout advance"
            )


# --- the controller -------------------------------------------------------------------------------


@command.command()
@broker_options("edge-fleet-rollout")
@click.option(
    "--every", "every_s", type=click.FloatRange(0.1), default=5.0, show_default=True,
    help="Seconds between two looks.",
)  # fmt: skip
@click.option("--for", "seconds", type=click.FloatRange(0), help="Lead so long. [until ctrl-C]")
@store_option
@repo_option
@keys_options
def run(
    broker: str | None,
    every_s: float,
    seconds: float | None,
    store: str,
    repo: Path | None,
    key_folders: tuple[Path, ...],
    passphrase_files: tuple[str, ...],
    **login: str | Path | None,
) -> None:
    """Lead every rollout: read what devices report, write the next signed order.

    With --broker it receives reports itself; without one it reads what `collect` writes into the
    same archive. It may be killed at any moment; of two started the second one ends.
    """
    import logging

    from edge_fleet.archive import open_archive
    from edge_fleet.cli.collect import until_told
    from edge_fleet.controller import Desk, Receiving, check_keys, lead, only_one

    logging.basicConfig(format="edge-fleet: %(message)s", level=logging.INFO)
    path, over, folder = archive_path(store), until_told(seconds), repository_path(repo)
    signers = keyring(key_folders, passphrase_files)
    with open_archive(path) as archive, only_one(folder):
        desk = Desk(folder, signers, archive)
        check_keys(desk)
        if broker is None:
            lead(desk, over, every_s)
            return
        receiving = Receiving(broker_address(broker, login), path)

        def ended() -> bool:
            receiving.check()
            return over()

        receiving.start()
        try:
            lead(desk, ended, every_s)
        finally:
            receiving.stop()


for each in (advance, pause, resume, abort):
    command.add_command(each)
