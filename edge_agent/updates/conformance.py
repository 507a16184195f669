r"""The client of theupdateframework/tuf-conformance: the agent's own code, the suite's commands.

    python -m edge_agent.updates.conformance --metadata-dir D init ROOT
    ... --metadata-dir D --metadata-url U refresh
    ... --metadata-dir D --metadata-url U --target-name N --target-base-url T --target-dir F \
        download

Exit 0, or 1 on any failure with one sentence on stderr. The reference time is the wall clock,
which the suite moves: no floor, no record of least versions. How to run it: docs/ota.md.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from edge_agent.errors import EdgeError
from edge_agent.updates.budget import Budget
from edge_agent.updates.limits import Limits
from edge_agent.updates.line import Line
from edge_agent.updates.over_http import HttpOpener
from edge_agent.updates.place import Place
from edge_agent.updates.repository import Repository
from edge_agent.updates.source import Now
from edge_agent.updates.trust import Trust

#: Not ending in .json: the suite counts those as trusted metadata.
BOOTSTRAP = "bootstrap"


def main(arguments: Sequence[str] | None = None) -> int:
    given = _parser().parse_args(arguments)
    try:
        if given.do == "init":
            _init(given.metadata_dir, given.trusted_root)
        elif given.do == "refresh":
            with_repository(given, names=())
        else:
            with_repository(given, names=given.target_name)
    except EdgeError as fault:
        print(fault.in_one_line, file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="conformance", description=__doc__.splitlines()[0])
    parser.add_argument("--metadata-dir", type=Path, required=True)
    parser.add_argument("--metadata-url", default="")
    parser.add_argument("--target-name", action="append", default=[])
    parser.add_argument("--target-base-url", default="")
    parser.add_argument("--target-dir", type=Path)
    commands = parser.add_subparsers(dest="do", required=True)
    commands.add_parser("init").add_argument("trusted_root", type=Path)
    commands.add_parser("refresh")
    commands.add_parser("download")
    return parser


def _init(folder: Path, root: Path) -> None:
    content = root.read_bytes()
    (folder / BOOTSTRAP).write_bytes(content)
    (folder / "root.json").write_bytes(content)


def with_repository(given: argparse.Namespace, names: Sequence[str]) -> None:
    """Refresh; then each target in turn."""
    now = time.time()
    limits = Limits()
    budget = Budget(None, None, datetime.fromtimestamp(now, UTC))
    place = Place(given.metadata_url, _slash(given.metadata_url), _slash(given.target_base_url))
    trust = Trust(given.metadata_dir, (given.metadata_dir / BOOTSTRAP).read_bytes())
    repository = Repository(place, trust, Line(HttpOpener(limits), budget, limits))
    try:
        repository.refresh_metadata(Now(now))
        for name in names:
            # A folder for each of the target's own folders: two may hold files of one name.
            parent = name.rpartition("/")[0]
            repository.fetch_path(name, given.target_dir / quote(parent, safe=""))
    finally:
        repository.close()


def _slash(url: str) -> str:
    return f"{url.rstrip('/')}/"


if __name__ == "__main__":
    sys.exit(main())
