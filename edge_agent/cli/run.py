"""`edge-agent run`: the service."""

from __future__ import annotations

import gc
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_agent.cli.options import (
    config_option,
    default_state,
    existing_config,
    recall_known,
    state_option,
)

if TYPE_CHECKING:
    from edge_agent.config.schema import Config
    from edge_agent.host.log import Format


@click.command()
@config_option
@state_option
@click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    default="text",
    envvar="EDGE_AGENT_LOG_FORMAT",
    help="How the log on stderr is written (default: $EDGE_AGENT_LOG_FORMAT, text).",
)
def command(config: Path | None, state: Path | None, log_format: Format) -> int:
    """Run the service until SIGTERM. SIGHUP reads the configuration again."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # nothing has begun yet
    gc.disable()  # what a start makes has come to stay; the agent enables it when it has started
    from edge_agent.config.load import load
    from edge_agent.host.log import start_log
    from edge_agent.policy.secrecy import Scrubber
    from edge_agent.service.agent import Agent

    os.umask(0o077)  # pictures and events are nobody else's business
    path = existing_config(config)
    recall_known(path, state)
    loaded = load(path)
    start_log(log_format, Scrubber(secrets(loaded)))
    stated = loaded.store.path
    agent = Agent(path, state or (Path(stated) if stated else default_state()))
    agent.install_signals()
    return agent.run()


def secrets(config: Config) -> list[str]:
    """Those that can be read now; what looks like a secret is taken out of the log anyway."""
    from edge_agent.config.load import secrets_of
    from edge_agent.errors import EdgeError

    known = []
    for secret in secrets_of(config).values():
        try:
            known.append(secret.reveal())
        except EdgeError:
            continue  # who needs it says so
    return known
