"""From the start of `run` to its first inference, and what it takes in memory then.

Claims: <= 1.3 times a bare script that does the same (configuration, database, broker, camera,
model, one invoke) and PSS <= 150 MB with one pipeline and the broker connected. Rounds take turns,
the least of each counts, as time and as CPU time (which other processes disturb less). Both say
themselves what they have spent once the first inference is there. Both run from compiled bytecode,
as an installed agent does, with the model in a bundle, and the configuration was found right at a
start before: the first one after a change loads pydantic, too. A mosquitto on a free port is the
broker where there is one.

    python benchmarks/startup.py VIDEO CLASSIFIER [ROUNDS]
"""

from __future__ import annotations

import compileall
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from figures import tell
from running import pss_mb, running, status, wait_for

PACKAGE = Path(__file__).parents[1] / "edge_agent"
RULE = "{name: seen, score_above: 0.9}"
BARE = """\
import sqlite3, sys, cv2, numpy, yaml
import paho.mqtt.client as mqtt
from ai_edge_litert.interpreter import Interpreter
config, video, model, port = sys.argv[1:]
yaml.safe_load(open(config))
base = sqlite3.connect(config + ".db")
base.execute("PRAGMA journal_mode = WAL")
base.execute("CREATE TABLE IF NOT EXISTS events (n INTEGER PRIMARY KEY, body TEXT)")
base.commit()
client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
if int(port): client.connect("127.0.0.1", int(port)); client.loop_start()
capture = cv2.VideoCapture(video)
interpreter = Interpreter(model_path=model, num_threads=1)
interpreter.allocate_tensors()
tensor = interpreter.get_input_details()[0]
_, height, width, _ = tensor["shape"]
good, image = capture.read()
small = cv2.resize(image, (int(width), int(height)), interpolation=cv2.INTER_AREA)
interpreter.set_tensor(tensor["index"], (small.astype(int) - 128).astype("int8")[None]
                       if tensor["dtype"] is numpy.int8 else small[None])
interpreter.invoke()
import time; print(time.process_time(), flush=True)
"""
#: The agent as it is, but for that line at its first inference.
OURS = """\
import time
from edge_agent.policy.probation import Gauge
infer = Gauge.infer
def first(*inferred):
    print(time.process_time(), flush=True)
    Gauge.infer = infer
    infer(*inferred)
Gauge.infer = first
from edge_agent.__main__ import main
main()
"""


@contextmanager
def broker() -> Iterator[int]:
    """Its port; 0 where mosquitto is not installed."""
    program = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin")
    if program is None:
        yield 0
        return
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    child = subprocess.Popen([program, "-p", str(port)], stderr=subprocess.DEVNULL)
    try:
        time.sleep(0.5)
        yield port
    finally:
        child.terminate()
        child.wait(10)


def main(video: str, model: str, rounds: int = 5) -> None:
    video, model = str(Path(video).resolve()), str(Path(model).resolve())
    with tempfile.TemporaryDirectory() as folder, broker() as port:
        state = Path(folder)
        mqtt = f"mqtt: {{host: 127.0.0.1, port: {port}}}\n" if port else ""
        text = (
            f"sources: {{cam: {{kind: video, uri: {video}, loop: true}}}}\n"
            f"pipelines: {{p: {{source: cam, model: {model}, rules: [{RULE}]}}}}\n{mqtt}"
        )
        compileall.compile_dir(str(PACKAGE), quiet=1)
        text = text.replace(model, bundled(model, state))
        ours(text, state, port)  # a child process loads the model first; the file is judged
        (state / "bare.yaml").write_text(text)
        bare_command = [
            sys.executable,
            "-c",
            BARE,
            str(state / "bare.yaml"),
            video,
            model,
            str(port),
        ]
        bare, mine, memory = [], [], []
        for _ in range(rounds):
            bare.append(first(subprocess.Popen(bare_command, stdout=subprocess.PIPE)))
            took, pss = ours(text, state, port)
            mine.append(took), memory.append(pss)
    for place, name in enumerate(("time", "CPU time")):
        base, own = (min(each[place] for each in costs) for costs in (bare, mine))
        print(f"{name:8} bare script {base:.2f} s, run {own:.2f} s to the first inference")
        tell(f"run to its first inference / bare script, {name}", own / base, 1.3)
    connected = "broker connected" if port else "no broker"
    tell(f"PSS of run, one pipeline, {connected}", max(memory), 150, "MB")


def bundled(model: str, state: Path) -> str:
    """Install it; the name that it has then."""
    command = [sys.executable, "-m", "edge_agent", "models", "import", model, "--state", str(state)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    (folder,) = (state / "models").glob("[!.]*/")
    return folder.name


def first(child: subprocess.Popen[bytes]) -> tuple[float, float]:
    """Seconds and CPU seconds until it says that its first inference is there."""
    began = time.perf_counter()
    assert child.stdout is not None
    cpu_s = float(child.stdout.readline())
    return time.perf_counter() - began, cpu_s


def ours(text: str, state: Path, port: int) -> tuple[tuple[float, float], float]:
    """What the first inference took, and the memory a few seconds later."""
    with running(text, state, ("-c", OURS)) as child:
        took = first(child)
        if port:
            wait_for(lambda: (status(state).get("broker") or {}).get("connected"), "the broker")
        time.sleep(3)
        return took, pss_mb(child.pid)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *(int(each) for each in sys.argv[3:4]))
