"""`edge-agent run`, in which one part hangs for ever as soon as the file `hang` names it.

    python hanging.py CONFIG STATE HANG

The file is taken away by the part that obeys, so what is started anew works.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edge_agent.engines.interpreter import InterpreterEngine
from edge_agent.host.log import start_log
from edge_agent.policy.secrecy import Scrubber
from edge_agent.service import capture, keeper
from edge_agent.service.agent import Agent
from edge_agent.sources.scene import Scene
from edge_agent.store.record import Store
from edge_agent.store.retention import Retention
from edge_agent.uplink import publisher
from edge_agent.uplink.client import Session

HANG = Path(sys.argv[3])
FOR_EVER_S = 3600.0


def hanging(kind: type, method: str, name: str) -> None:
    does: Callable[..., Any] = getattr(kind, method)

    def or_hangs(*arguments: Any, **named: Any) -> Any:
        if HANG.exists() and HANG.read_text() == name:
            HANG.unlink()
            time.sleep(FOR_EVER_S)
        return does(*arguments, **named)

    setattr(kind, method, or_hangs)


def hang_at_the_disk(store: Store, batch: Any) -> Any:
    """As a commit that does not return: with the lock in its hands."""
    with store.database.lock:
        return record(store, batch)


record = Store.record
hanging(Store, "record", "writer")
record, Store.record = Store.record, hang_at_the_disk  # type: ignore[method-assign]
hanging(InterpreterEngine, "invoke", "invoke")
hanging(Scene, "read", "capture")
hanging(Session, "wait", "mqtt")
hanging(Retention, "look", "keeper")
publisher.LATE_S = capture.GRACE_S = keeper.KEEPS_S = 4.0  # so that a test need not wait
start_log("text", Scrubber(()))
agent = Agent(Path(sys.argv[1]), Path(sys.argv[2]))
agent.install_signals()
sys.exit(agent.run())
