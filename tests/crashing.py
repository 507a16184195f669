"""`edge-agent run` that dies of a signal where the file ORDERS says so, as native code does.

    python crashing.py CONFIG STATE ORDERS

ORDERS is JSON: {"model": sha256} dies when that model is invoked (with "after": for the so many-th
time), {"frame": true} on a picture that
is all white, {"site": name} while a configuration with that `device.site` is built. {"slow":
sha256} takes a tenth of a second more for each invoke; {"settles": true}, {"frames": n} shorten
what a test need not wait for.
"""

from __future__ import annotations

import hashlib
import json
import signal
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

from edge_agent.engines.interpreter import InterpreterEngine
from edge_agent.host.log import start_log
from edge_agent.policy.secrecy import Scrubber
from edge_agent.policy.slots import Terms
from edge_agent.service import marker, models, ota_acts
from edge_agent.service.agent import Agent
from edge_agent.service.watch import Watch

ORDERS = Path(sys.argv[3])
SLOW_S = 0.1
crashing: dict[int, int] = {}  # engine: invokes that are left
slow: set[int] = set()  # engines
load, invoke, build = models.load, InterpreterEngine.invoke, Watch.__init__


def order(name: str) -> Any:
    return json.loads(ORDERS.read_text()).get(name) if ORDERS.exists() else None


def die() -> None:
    signal.raise_signal(signal.SIGSEGV)  # to this very thread, as a crash is


def load_and_note(content: bytes, *rest: Any) -> Any:
    engine = load(content, *rest)
    if hashlib.sha256(content).hexdigest() == order("model"):
        crashing[id(engine)] = order("after") or 1
    (slow.add if hashlib.sha256(content).hexdigest() == order("slow") else slow.discard)(id(engine))
    return engine


def invoke_or_die(self: InterpreterEngine, tensor: Any) -> Any:
    if id(self) in crashing:
        crashing[id(self)] -= 1
    if crashing.get(id(self)) == 0 or (order("frame") and tensor.min() == tensor.max()):
        die()
    if id(self) in slow:
        time.sleep(SLOW_S)
    return invoke(self, tensor)


def build_or_die(self: Watch, config: Any, *rest: Any) -> None:
    if order("site") and config.device.site == order("site"):
        die()
    build(self, config, *rest)


if order("settles"):
    marker.SETTLED_S = 1.0  # so that a test need not wait for ten minutes
if order("frames"):
    ota_acts.Terms = partial(Terms, frames=order("frames"))  # type: ignore[assignment,misc]
models.load = load_and_note
InterpreterEngine.invoke = invoke_or_die  # type: ignore[method-assign]
Watch.__init__ = build_or_die  # type: ignore[method-assign]
start_log("text", Scrubber(()))
agent = Agent(Path(sys.argv[1]), Path(sys.argv[2]))
agent.install_signals()
sys.exit(agent.run())
