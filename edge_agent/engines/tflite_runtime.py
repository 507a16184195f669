"""tflite-runtime: LiteRT's predecessor, for Python 3.11 and older. Its last release is 2.14.0.

It was built against numpy 1 and does not say so in its metadata: beside numpy 2 the import
succeeds and the first model dies with a SystemError. So it is asked here, in words.
"""

from __future__ import annotations

import numpy as np
from tflite_runtime.interpreter import Interpreter, load_delegate

from edge_agent.engines.interpreter import Runtime
from edge_agent.errors import UsageError

if int(np.__version__.split(".", maxsplit=1)[0]) >= 2:
    raise UsageError(
        f"the engine tflite-runtime cannot run beside numpy {np.__version__}: it needs numpy 1",
        "pip install 'numpy<2', or use `engine: litert`",
    )

RUNTIME = Runtime("tflite-runtime", Interpreter, load_delegate)
