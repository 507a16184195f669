"""How a recipe runs: the same bytes each time, and a mistake costs one sentence.

Rule: nothing here imports TensorFlow before the recipe asks for it, so that wrong usage is told at
once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from edge_agent.errors import EdgeError, UsageError

SEED = 20261


def run(main: Callable[[], None]) -> int:
    """The exit code of a recipe: that of edge-agent for the same kind of fault."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        main()
    except EdgeError as fault:
        print(f"train.py: {fault.message}", file=sys.stderr)
        if fault.next:
            print(f"next: {fault.next}", file=sys.stderr)
        return fault.exit_code
    except KeyboardInterrupt:
        return 130
    return 0


def seeded() -> None:
    """Every random number from `SEED`, and operators that add up in one order.

    Call it once, before anything of TensorFlow runs. Raises UsageError where there is none.
    """
    try:
        import tensorflow as tf
    except ModuleNotFoundError:
        raise UsageError(
            "a recipe needs TensorFlow, which is not installed here",
            "python3.11 -m venv tf && tf/bin/pip install -r models/recipes/requirements.txt",
        ) from None

    tf.keras.utils.set_random_seed(SEED)
    tf.config.experimental.enable_op_determinism()
    tf.config.threading.set_intra_op_parallelism_threads(2)
    tf.config.threading.set_inter_op_parallelism_threads(1)


def say(text: str) -> None:
    """Progress, for whoever waits."""
    print(text, file=sys.stderr, flush=True)
