"""The short-lived process of a check or a download: one JSON document in, one out.

    python -P -m edge_agent.updates.child < question

python-tuf and urllib3 cost 20 MB and 140 ms; here they end with the check. The question and the
answer are `errand.py`'s. It dies with the thread that asked.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from edge_agent.errors import EdgeError
from edge_agent.updates.offer import offer_document, read_target
from edge_agent.updates.source import Now, Source

_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG


def main() -> None:
    ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # ctrl-C is for the parent, which ends us
    question = json.load(sys.stdin)
    if os.getppid() != question["parent"]:
        return  # it went before we could ask to go with it
    try:
        answer = _answer(question)
    except EdgeError as fault:
        answer = {
            "error": {
                "kind": type(fault).__name__,
                "message": fault.message,
                "next": fault.next,
                "status": getattr(fault, "status", 0),
            }
        }
    print(json.dumps(answer, ensure_ascii=False), flush=True)


def _answer(question: dict[str, Any]) -> dict[str, Any]:
    from edge_agent.updates.opening import check, fetch

    source, now = Source(**question["source"]), Now(**question["now"])
    if question["do"] == "check":
        return {"offer": offer_document(check(source, now))}
    path = fetch(source, now, read_target(question["target"]), Path(question["into"]))
    return {"path": str(path)}


if __name__ == "__main__":
    main()
