"""`edge-fleet publish`: a model or a policy is tried and put into the repository."""

from __future__ import annotations

import time
from pathlib import Path

import click

from edge_agent.cli.options import json_option
from edge_agent.errors import UsageError
from edge_fleet.cli.options import keyring, keys_options, repo_option, repository_path


@click.command()
@click.argument("bundle", required=False, type=click.Path(path_type=Path))
@click.option(
    "--policy", type=click.Path(path_type=Path), metavar="FILE", help="Pipelines and rules, YAML."
)
@repo_option
@keys_options
@json_option
def command(
    bundle: Path | None,
    policy: Path | None,
    repo: Path | None,
    key_folders: tuple[Path, ...],
    passphrase_files: tuple[str, ...],
    as_json: bool,
) -> None:
    """Try a model bundle (a folder or .tar) as a device would, and publish it.

    No device takes it before a rollout says so. Exit code 4: it was refused.
    """
    from edge_agent.policy.documents import dump
    from edge_fleet.publishing import offer_bundle, offer_policy, publish
    from edge_fleet.repository import open_repository

    if (bundle is None) == (policy is None):
        raise UsageError("one thing is published at a time", "give a BUNDLE or --policy FILE")
    folder, signers = repository_path(repo), keyring(key_folders, passphrase_files)
    open_repository(folder)  # before the long trial of a model
    offer = offer_bundle(bundle) if bundle is not None else offer_policy(policy or Path())
    done = publish(offer, folder, signers, time.time())
    name, version = offer.custom["name"], offer.custom["version"]
    if as_json:
        click.echo(
            dump(
                {
                    "schema": "published/1",
                    "kind": "model" if bundle is not None else "policy",
                    "target": offer.path,
                    "name": name,
                    "version": version,
                    "sha256": offer.custom["sha256"],
                    "bytes": len(offer.content),
                    "fresh": done.fresh,
                }
            )
        )
        return
    if done.fresh:
        click.echo(f"published: {name} {version}, {len(offer.content)} bytes, as {offer.path}")
        click.echo("next: edge-fleet rollout create PLAN")
    else:
        click.echo(f"{name} {version} is published already, with the same content")
