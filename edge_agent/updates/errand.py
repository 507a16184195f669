"""A check or a download sent out to a process of its own: what the service calls.

Loads no tuf. Rules: whatever becomes of the child, the caller gets its answer or one EdgeError; it
has ended when the call returns; `stopped` is asked twice a second, so a stop waits for nobody.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edge_agent.errors import EdgeError, NoRoom, Refused, UsageError
from edge_agent.frozen import frozen
from edge_agent.updates.failures import LATER, BudgetSpent, Busy, NotServed, Unreachable
from edge_agent.updates.offer import Offer, Target, read_offer, target_document
from edge_agent.updates.source import Now, Source

_COMMAND = (sys.executable, "-P", "-m", "edge_agent.updates.child")
_KINDS: dict[str, type[EdgeError]] = {
    kind.__name__: kind
    for kind in (EdgeError, UsageError, Refused, NoRoom, Unreachable, BudgetSpent, Busy)
}
_LOOK_S = 0.5
#: The child bounds itself far below these; they are for a child that hangs.
CHECK_S = 1800.0
FETCH_S = 6 * 3600.0


class Stopped(Exception):
    """`stopped` said so; the child is gone."""


@frozen
class Leash:
    """How long a child may take, and who ends it before."""

    seconds: float = CHECK_S
    stopped: Callable[[], bool] = lambda: False


def check(source: Source, now: Now, leash: Leash | None = None) -> Offer:
    """As `opening.check`. Raises EdgeErrors, Stopped."""
    answer = _send({"do": "check", "source": asdict(source), "now": asdict(now)}, leash or Leash())
    return read_offer(answer["offer"])


def fetch(source: Source, now: Now, target: Target, into: Path, leash: Leash | None = None) -> Path:
    """As `opening.fetch`. Raises EdgeErrors, Stopped; what came is kept for the next time."""
    question = {
        "do": "fetch",
        "source": asdict(source),
        "now": asdict(now),
        "target": target_document(target),
        "into": str(into),
    }
    return Path(_send(question, leash or Leash(FETCH_S))["path"])


def _send(question: dict[str, Any], leash: Leash) -> dict[str, Any]:
    text = json.dumps({**question, "parent": os.getpid()})
    with subprocess.Popen(
        _COMMAND,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as child:
        try:
            said, complained = _wait(child, text, leash)
        finally:
            child.kill()
    return _read(said, complained, child.returncode)


def _wait(child: subprocess.Popen[str], text: str, leash: Leash) -> tuple[str, str]:
    until = time.monotonic() + leash.seconds
    given: str | None = text
    while True:
        try:
            return child.communicate(given, timeout=_LOOK_S)
        except subprocess.TimeoutExpired:
            given = None  # it has it already
        if leash.stopped():
            raise Stopped
        if time.monotonic() > until:
            raise Unreachable(
                f"the check did not end within {leash.seconds:g} s and was ended", LATER
            )


def _read(said: str, complained: str, status: int) -> dict[str, Any]:
    try:
        answer: dict[str, Any] = json.loads(said)
    except ValueError:
        last = (complained.strip().splitlines() or ["nothing"])[-1]
        raise EdgeError(
            f"the process of the check ended with code {status} and said: {last}",
            "edge-agent ota check shows it here",
        ) from None
    error = answer.get("error")
    if error is None:
        return answer
    if error["kind"] == NotServed.__name__:
        raise NotServed(error["message"], error["next"], error["status"])
    raise _KINDS.get(error["kind"], EdgeError)(error["message"], error["next"])
