"""Where a repository is: an http(s) address, or a folder such as a mounted stick.

    ADDRESS/metadata/timestamp.json, 3.snapshot.json, ...    ADDRESS/targets/models/...

A folder is read through the same code, by `file:` addresses.
"""

from __future__ import annotations

from pathlib import Path

from edge_agent.config.repository_address import address_fault, is_folder
from edge_agent.errors import UsageError
from edge_agent.frozen import frozen

METADATA, TARGETS = "metadata/", "targets/"


@frozen
class Place:
    """`folder` is None for http(s). Both addresses end in a slash."""

    text: str  # as a person named it
    metadata: str
    targets: str
    folder: Path | None = None

    @classmethod
    def parse(cls, text: str) -> Place:
        """Raises ValueError with a sentence."""
        if is_folder(text):
            folder = Path(text).expanduser().absolute()
            base = f"{folder.as_uri().rstrip('/')}/"
            return cls(text, base + METADATA, base + TARGETS, folder)
        fault = address_fault(text)
        if fault is not None:
            raise ValueError(fault)
        base = f"{text.rstrip('/')}/"
        return cls(text, base + METADATA, base + TARGETS)

    def require(self) -> None:
        """Raise UsageError where a folder is none, or holds no repository."""
        if self.folder is None:
            return
        if not self.folder.is_dir():
            raise UsageError(
                f"there is no folder {self.folder}", "mount the stick, or name its folder"
            )
        if not (self.folder / METADATA).is_dir():
            raise UsageError(
                f"there is no repository in {self.folder}: it has no folder metadata",
                "name the folder that holds metadata and targets",
            )
