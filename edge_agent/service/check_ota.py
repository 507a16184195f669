"""Whether signed updates can come at all: there must be a root that the device trusts first."""

from __future__ import annotations

from collections.abc import Iterator

from edge_agent.config.schema import Config
from edge_agent.config.yaml_text import Fault
from edge_agent.updates.source import ROOT


def missing_root(config: Config) -> Iterator[Fault]:
    """One that is named and not there is a mistake; the default one comes with the device, and this
    may be another machine."""
    if config.ota is not None and config.ota.root is None and not ROOT.is_file():
        message = f"there is no {ROOT} here: without a root to trust first no update is taken"
        yield Fault(("ota",), message)
