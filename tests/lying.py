"""`edge-agent run` whose models lie while the file LIE is there.

    python lying.py CONFIG STATE LIE

An engine spoiled by heat or a bad cell answers something else, and says nothing of it: here every
output is shifted. Known answers are asked for all the time, so that a test need not wait for hours.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

from edge_agent.engines.interpreter import InterpreterEngine
from edge_agent.host.log import start_log
from edge_agent.policy.secrecy import Scrubber
from edge_agent.service import known_answer
from edge_agent.service.agent import Agent

LIE = Path(sys.argv[3])
OFTEN_S = 0.5
invoke = InterpreterEngine.invoke


def invoke_or_lie(self: InterpreterEngine, tensor: Any) -> Any:
    outputs = invoke(self, tensor)
    if not LIE.exists():
        return outputs
    return tuple(np.roll(output, output.size // 3) for output in outputs)


InterpreterEngine.invoke = invoke_or_lie  # type: ignore[method-assign]
known_answer.FIRST_S = known_answer.EVERY_S = known_answer.AGAIN_S = OFTEN_S
start_log("text", Scrubber(()))
agent = Agent(Path(sys.argv[1]), Path(sys.argv[2]))
agent.install_signals()
sys.exit(agent.run())
