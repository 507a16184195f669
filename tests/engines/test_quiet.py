"""Nothing that a runtime says by itself comes out; everything that others say does."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

SILENT = """
import sys
import numpy as np
from pathlib import Path
from edge_agent.engines import Plan, available, load
from edge_agent.errors import EdgeError
for engine in available():
    for path in sys.argv[1:]:
        try:
            loaded = load(Path(path), Plan(engine, 2))
        except EdgeError:
            continue
        loaded.invoke(np.zeros(loaded.inputs[0].shape, loaded.inputs[0].dtype))
        loaded.reset()
        loaded.close()
    try:
        load(Path(path), Plan(engine, delegate="libnothing.so"))
    except EdgeError:
        pass
"""

BUSY = """
import os, sys, threading
from pathlib import Path
from edge_agent.engines import Plan, available, load
go = threading.Event()
def talk():
    for number in range(2000):
        os.write(2, f"line {number}\\n".encode())
        if number == 50:
            go.set()
talker = threading.Thread(target=talk)
talker.start()
go.wait()
while talker.is_alive():
    for engine in available():
        load(Path(sys.argv[1]), Plan(engine))
talker.join()
"""


def python(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True)


def test_engines_are_silent_on_stdout_and_stderr(
    tiny_file: Callable[[str], Path], realdata: Callable[[str], Path]
) -> None:
    paths = [
        realdata("models/yolov8n_192.tflite"),
        realdata("models/ad01_int8.tflite"),
        realdata("invalid/model_invoking_error.tflite"),
        tiny_file("counts"),
        tiny_file("resource_variable"),
        tiny_file("relu"),
    ]
    said = python(SILENT, *map(str, paths))
    assert (said.stdout, said.stderr) == ("", "")


def test_what_other_threads_write_during_a_load_is_not_lost(
    tiny_file: Callable[[str], Path],
) -> None:
    said = python(BUSY, str(tiny_file("float16_weights")))
    assert sorted(said.stderr.splitlines()) == sorted(f"line {number}" for number in range(2000))
