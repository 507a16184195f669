"""Is the database sound? Read-only: the agent may be writing to it."""

from __future__ import annotations

from collections.abc import Iterator

from edge_agent.service.doctor_finding import Case, Said, fail, ok, shell, warn
from edge_agent.store.db import FILE
from edge_agent.store.examine import examine
from edge_agent.store.migrate import LATEST

SECONDS = 20.0
#: A log that never begins anew: some program reads the database without an end.
LONG_LOG = 64_000_000


def database(case: Case) -> Iterator[Said]:
    """Readable, undamaged, of a schema that this version knows."""
    found = examine(case.state, SECONDS)
    path = case.state / FILE
    if found is None:
        yield ok(f"there is none in {case.state} yet; the first start of the agent makes it")
        return
    about = f"{path}: {found.size / 1e6:.1f} MB, its log {found.log / 1e6:.1f} MB, "
    about += f"schema {found.schema} of {LATEST}"
    if found.faults:
        kept = shell(f"{path}.damaged")
        command = f"sudo systemctl stop edge-agent && sudo mv {shell(path)} {kept}"
        yield fail(
            f"{path} is damaged: {found.faults[0]}", f"set it aside, then start anew: {command}"
        )
    elif found.log > LONG_LOG:
        yield warn(f"{about}; the log never begins anew", f"who reads it? fuser -v {shell(path)}")
    elif not found.whole:
        yield warn(
            f"{about}; not checked to its end within {SECONDS:g} s",
            f'check it while nothing runs: sqlite3 {shell(path)} "PRAGMA quick_check"',
        )
    elif found.is_old:
        yield ok(f"{about}: undamaged; the next start of the agent migrates it")
    else:
        yield ok(f"{about}: undamaged")
