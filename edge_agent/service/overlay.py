"""What lies over a configuration on this device: the policies in charge, what was set by hand.

`run`, `reload`, `check` and `regress` go by it, `replay` only with `--as-run`. Read
`config/effective.py` next.
"""

from __future__ import annotations

from pathlib import Path

from edge_agent.bundles import policies
from edge_agent.bundles.folders import version_of
from edge_agent.bundles.policies import Kept
from edge_agent.config.effective import Overlay, local_file
from edge_agent.config.load import Mistake
from edge_agent.config.wording import printable


def overlay(
    path: Path, state: Path | None, tried: Kept | None = None, *, without: str | None = None
) -> Overlay:
    """What lies over the configuration in `path`. `tried` stands for the one of its name that is in
    charge, `without` leaves that one out."""
    found, mistakes = {}, []
    for name, file in policies.stated(state) if state is not None else ():
        if name in (without, tried and tried.name):
            continue
        found[name] = file
        if policies.is_damaged(file):
            message = f"policy {name} is damaged or gone, allowed: edge-agent policies rollback"
            mistakes.append(Mistake(printable(str(file)), 1, 1, "", message))
    if tried is not None:
        found[tried.name] = tried.file
    local = local_file(path)
    return Overlay(
        tuple(found[name] for name in sorted(found)),
        local if local.exists() else None,
        tuple(mistakes),
    )


def policies_document(over: Overlay) -> list[dict[str, str]]:
    """The policies in it, for people and programs."""
    return [
        {
            "name": file.parent.parent.name,
            "version": version_of(file.parent.name),
            "file": printable(str(file)),
        }
        for file in over.policies
    ]
