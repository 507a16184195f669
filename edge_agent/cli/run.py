"""`edge-agent run`: the service."""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from pathlib import Path

import click

from edge_agent.cli.options import config_option, default_state, existing_config, state_option

#: One line an entry; times in UTC, so that two devices can be compared.
FORMAT = "%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s %(message)s"


@click.command()
@config_option
@state_option
def command(config: Path | None, state: Path | None) -> int:
    """Run the service until SIGTERM. SIGHUP reads the configuration again."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # nothing has begun yet
    from edge_agent.config.load import load
    from edge_agent.service.agent import Agent

    os.umask(0o077)  # pictures and events are nobody else's business
    path = existing_config(config)
    stated = load(path).store.path
    start_log()
    agent = Agent(path, state or (Path(stated) if stated else default_state()))
    agent.install_signals()
    return agent.run()


def start_log() -> None:
    formatter = logging.Formatter(FORMAT, "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    logging.basicConfig(level=logging.INFO, handlers=[handler])
