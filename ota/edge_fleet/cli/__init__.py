"""The command line of the desk: one file per command, loaded only when it is called."""

from __future__ import annotations

import click

from edge_agent import __version__
from edge_agent.cli import Lazy

COMMANDS = {
    "keys": "Make, list and replace the keys that sign.",
    "repo": "Found a repository; renew its signatures.",
    "publish": "Try a model or a policy, and put it into the repository.",
    "rollout": "Ship by degrees: begin, watch, step in, lead.",
    "enroll": "Say which devices there are.",
    "devices": "Which there are, and how they fare.",
    "collect": "Receive by MQTT or from a stick; tell what is missing.",
}


class Fleet(Lazy):
    package = "edge_fleet.cli"
    known = COMMANDS


@click.group("edge-fleet", cls=Fleet, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="edge-fleet", message="%(prog)s %(version)s")
def root() -> None:
    """The operator's desk: receives what devices send, ships them models by degrees."""
