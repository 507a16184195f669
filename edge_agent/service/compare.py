"""Two event lists side by side: `replay --against OTHER.jsonl`.

Exactly: line by line, but for `config_sha256`, because a changed configuration is what is being
compared, and for `evidence`, which lies where each run keeps it, if it keeps any.
With a tolerance in seconds: events are matched by what they are about, and
may open and close a little earlier or later; ids and scores do not count then.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edge_agent.errors import UsageError
from edge_agent.policy.documents import parse_rfc3339

#: What says how a run was made, not what it found.
_OF_THE_RUN = ("config_sha256", "evidence")
#: What must be equal for two events to be the same one.
_SAME = ("input", "pipeline", "rule", "priority", "label", "zone", "close_reason")


def read_events(path: Path) -> tuple[str, ...]:
    """The lines of an earlier run. Raises UsageError when they are no `event/1`."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except OSError as fault:
        raise UsageError(f"{path} cannot be read: {fault.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not UTF-8 text", "give the output of a replay") from None
    for number, line in enumerate(lines, 1):
        try:
            fine = {"schema", "config_sha256"} <= json.loads(line).keys()
        except (ValueError, AttributeError):
            fine = False
        if not fine:
            raise UsageError(f"{path}:{number}: no event/1 line", "give the output of a replay")
    return tuple(lines)


def difference(
    before: Sequence[str], now: Sequence[str], tolerance_s: float | None
) -> tuple[str, ...]:
    """Lines of a diff, `-` for what only `before` has and `+` for what only `now` has."""
    if tolerance_s is None:
        old, new = ([_comparable(line) for line in lines] for lines in (before, now))
        diff = difflib.unified_diff(old, new, "before", "now", n=0, lineterm="")
        return tuple(line for line in diff if not line.startswith("@@"))
    left = [json.loads(line) for line in now]
    lost = []
    for line in before:
        wanted = json.loads(line)
        match = next((found for found in left if _alike(wanted, found, tolerance_s)), None)
        if match is None:
            lost.append(f"-{line}")
        else:
            left.remove(match)
    return (*lost, *(f"+{json.dumps(event, ensure_ascii=False)}" for event in left))


def _comparable(line: str) -> str:
    event = json.loads(line)
    for key in _OF_THE_RUN:
        event.pop(key, None)
    return json.dumps(event, ensure_ascii=False, separators=(",", ":"))


def _alike(first: dict[str, Any], second: dict[str, Any], tolerance_s: float) -> bool:
    if any(first[key] != second[key] for key in _SAME):
        return False
    return all(
        abs(parse_rfc3339(first[key]) - parse_rfc3339(second[key])) <= tolerance_s
        for key in ("opened", "closed")
    )
