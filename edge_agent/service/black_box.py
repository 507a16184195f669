"""What a kill would take of the coverage, kept outside of the process, in memory.

Once a second the stretches that are not in the database yet go into a small file on a file system
that lives in memory (systemd's runtime directory, or /dev/shm), so that a start after a kill knows
to the second when the watching ended; nothing wears out. A power cut takes the file along: then the
time since the last database row counts as `power_off`. Read `housekeeping.py` next.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from edge_agent.frozen import frozen
from edge_agent.host.clock import kernel_boot
from edge_agent.policy.coverage import Attention, Cause, State, Stretch
from edge_agent.policy.documents import dump
from edge_agent.store.rows import CoverageRow

#: Always in memory on Linux.
SHARED_MEMORY = Path("/dev/shm")


@frozen
class Recording:
    """The unwritten rows of one start of the service, as of its last second."""

    store: str
    boot: int
    rows: tuple[CoverageRow, ...]


class BlackBox:
    """The file. `keep` never raises: without it a kill takes a minute of the account."""

    def __init__(self, store: str, runtime: Path | None = None) -> None:
        folder = runtime or runtime_folder()
        self._path = None if folder is None else folder / f"edge-agent-{store}"
        self._boot = kernel_boot()

    def keep(self, recording: Recording) -> None:
        if self._path is None:
            return
        text = dump(
            {
                "kernel_boot": self._boot,
                "store": recording.store,
                "boot": recording.boot,
                "rows": [_listed(row) for row in recording.rows],
            }
        )
        fresh = self._path.with_suffix(".new")
        try:
            with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
                file.write(text)
            fresh.replace(self._path)
        except OSError:
            self._path = None  # a folder that takes nothing now will not take anything later

    def last(self) -> Recording | None:
        """What the start before this one kept, if the machine has been on since."""
        if self._path is None:
            return None
        try:
            found = json.loads(self._path.read_text())
            if found["kernel_boot"] != self._boot:
                return None
            rows = tuple(_row(listed) for listed in found["rows"])
            return Recording(found["store"], found["boot"], rows)
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def forget(self) -> None:
        """Everything is in the database."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)


def runtime_folder() -> Path | None:
    """Where files live in memory; None where nothing of the kind can be written."""
    named = os.environ.get("RUNTIME_DIRECTORY", "").split(":")[0]
    for folder in (Path(named) if named else None, SHARED_MEMORY):
        if folder is not None and folder.is_dir() and os.access(folder, os.W_OK):
            return folder
    return None


def _listed(row: CoverageRow) -> list[object]:
    each = row.stretch
    attention = each.attention
    where = [row.pipeline, row.rule]
    return [*where, each.began, each.ended, each.seconds, attention.state, attention.cause]


def _row(listed: list[Any]) -> CoverageRow:
    pipeline, rule, began, ended, seconds, state, cause = listed
    attention = Attention(State(state), Cause(cause))
    stretch = Stretch(float(began), float(ended), attention, float(seconds))
    return CoverageRow(str(pipeline), str(rule), stretch)
