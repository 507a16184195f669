"""Call one of our functions in a process of its own, with limits on time, memory and files.

A model file can crash, hang or bloat the runtime that reads it, and nothing inside of a process
protects from that. Here a fresh Python runs `function(at, *arguments)`; whatever becomes of it, the
caller gets an answer or one Refused.

Rules: the question goes in as a pickle (the child trusts us), the answer comes back as JSON (we do
not trust the child: a damaged model has run in it). `at("loading")` says what comes next, so that
the sentence about a crash can name it. The child's stdout and stderr lead nowhere, its group is
killed with it, and it ends itself should we be gone.

    python -P -m edge_agent.engines.child     # what is started; -P: never import from the cwd
"""

from __future__ import annotations

import json
import math
import os
import pickle
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias

from edge_agent.errors import EdgeError, NoRoom, Refused, UsageError
from edge_agent.frozen import frozen

#: Says what the child begins to do: "loading", "invoking", "decoding".
At: TypeAlias = Callable[[str], None]

_COMMAND = (sys.executable, "-P", "-m", "edge_agent.engines.child")
_ERRORS: dict[str, type[EdgeError]] = {kind.code: kind for kind in (UsageError, Refused, NoRoom)}
_NEXT = "choose another model, or another engine"
_MB = 1 << 20


@frozen
class Limits:
    """`memory_mb` is of address space: far above what is used, which includes every library.

    `file_kb` of a file that it writes, and so many open files: nothing that it does needs more.
    """

    seconds: float = 30.0
    memory_mb: int = 2048
    file_kb: int = 1024
    files: int = 256


def call(
    subject: str,
    function: Callable[..., dict[str, Any]],
    arguments: tuple[Any, ...],
    limits: Limits,
) -> dict[str, Any]:
    """What `function(at, *arguments)` returns in the child; it must be a function of a module.

    `subject` begins the sentence when the child crashes, hangs or says nothing sensible (Refused).
    An EdgeError of the function is raised here as it was there.
    """
    question = pickle.dumps((function, arguments, limits))
    with subprocess.Popen(
        _COMMAND,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as child:
        try:
            said, _ = child.communicate(question, timeout=limits.seconds)
        except subprocess.TimeoutExpired as late:
            stage = _read(late.output or b"").get("stage", "starting")
            raise Refused(
                f"{subject} did not answer within {limits.seconds:g} s, while {stage}", _NEXT
            ) from None
        finally:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)
    return _answer(subject, child.returncode, _read(said))


def _answer(subject: str, status: int, said: dict[str, Any]) -> dict[str, Any]:
    stage = said.get("stage", "starting")
    if status < 0:
        how = (signal.strsignal(-status) or f"signal {-status}").lower()
        raise Refused(f"{subject} crashed the runtime: {how}, while {stage}", _NEXT)
    if "error" in said:
        raise _ERRORS[said["error"]](said["message"], said["next"])
    if "fault" in said:
        raise Refused(f"{subject} failed while {stage}: {said['fault']}", _NEXT)
    if "answer" not in said:
        raise Refused(f"{subject} could not be tried: the process ended with code {status}")
    answer: dict[str, Any] = said["answer"]
    return answer


def _read(said: bytes) -> dict[str, Any]:
    """All that the child said, up to the first line that is not what we would have written."""
    heard: dict[str, Any] = {}
    for line in said.splitlines():
        try:
            heard.update(json.loads(line))
        except (ValueError, TypeError):
            break
    return heard


# --- the child's side --------------------------------------------------------------------------


def main() -> None:
    """Read the question, answer it, end."""
    with os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8") as parent:
        _silence()
        os.environ["OPENBLAS_NUM_THREADS"] = "1"  # each of its threads reserves address space
        function, arguments, limits = pickle.load(sys.stdin.buffer)
        _confine(limits)

        def say(document: dict[str, Any]) -> None:
            parent.write(json.dumps(document) + "\n")
            parent.flush()

        say(_outcome(lambda: function(lambda stage: say({"stage": stage}), *arguments)))


def _silence() -> None:
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)


def _confine(limits: Limits) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    space = limits.memory_mb * _MB
    _, allowed = resource.getrlimit(resource.RLIMIT_AS)
    if allowed != resource.RLIM_INFINITY:
        space = min(space, allowed)
    resource.setrlimit(resource.RLIMIT_AS, (space, space))
    _lower(resource.RLIMIT_FSIZE, limits.file_kb << 10)
    _lower(resource.RLIMIT_NOFILE, limits.files)
    # On a small board memory runs out before the limit: then it shall be us, not the agent. A
    # sandbox may keep /proc read-only; the limits above hold without it.
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    signal.alarm(math.ceil(limits.seconds) + 1)


def _lower(what: int, most: int) -> None:
    """Never above what the parent is allowed."""
    _, allowed = resource.getrlimit(what)
    most = most if allowed == resource.RLIM_INFINITY else min(most, allowed)
    resource.setrlimit(what, (most, most))


def _outcome(function: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The answer, or the error in words: what a model made the function raise is its fault."""
    try:
        return {"answer": function()}
    except (UsageError, Refused, NoRoom) as error:
        return {"error": error.code, "message": error.message, "next": error.next}
    except Exception as error:
        return {"fault": f"{type(error).__name__}: {' '.join(str(error).split())}"}


if __name__ == "__main__":
    main()
