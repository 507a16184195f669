"""`edge-agent version`: ours, Python's and the engines', without importing any of them."""

from __future__ import annotations

import importlib.metadata
import json
import platform

import click

from edge_agent import __version__

PACKAGES = ("ai-edge-litert", "tflite-runtime", "numpy", "opencv-python-headless", "paho-mqtt")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="As one line of JSON.")
def command(as_json: bool) -> None:
    """Print the version of edge-agent and of what it stands on."""
    found = {"edge-agent": __version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue  # tflite-runtime has no wheels from Python 3.12 on
    if as_json:
        click.echo(json.dumps({"schema": "version/1", **found}))
        return
    for name, version in found.items():
        click.echo(f"{name} {version}")
