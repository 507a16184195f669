"""What `run` has not loaded when it judges its first frame: nobody waits for it at a start.

No clock decides here. The interpreter tells each import on stderr as it happens (`-X importtime`),
and the log stands between them: what comes after the first event was not in its way.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

from edge_agent.bundles.shipped import shipped_folders

#: A broker's, a television's, a desk's and a doctor's: none of it judges a picture.
NOT_YET = (
    "paho", "ssl", "http", "urllib.request", "html", "rich", "tuf", "cryptography", "sqlite_utils",
    "pytest", "matplotlib", "PIL", "scipy", "asyncio", "multiprocessing",
    "edge_agent.uplink.client", "edge_agent.service.commands", "edge_agent.service.receipt",
    "edge_agent.service.doctor", "edge_agent.service.support", "edge_agent.service.replay",
    "edge_agent.service.evaluate", "edge_agent.service.bench", "edge_agent.service.draw",
    "edge_agent.sources.camera", "edge_agent.sources.video", "edge_agent.sources.images",
    "edge_agent.sources.machine", "edge_agent.sources.signal", "edge_agent.sources.csv_lines",
    "edge_agent.host.fake",
)  # fmt: skip
CONFIG = """\
sources: {yard: {kind: scene, uri: "built-in:?seed=7"}}
pipelines:
  people:
    source: yard
    model: MODEL
    gate: {max_fps: 0, motion: false}
    rules: [{name: anything, min_score: 0.05}]
"""


#: What judges a configuration: it was found right at the start before.
NOT_AGAIN = ("pydantic", "pydantic_core", "annotated_types", "edge_agent.config.judging")


def loaded_before_the_first_event(folder: Path) -> set[str]:
    config = folder / "config.yaml"
    config.write_text(CONFIG.replace("MODEL", str(shipped_folders()["scene-detector"])))
    command = [sys.executable, "-X", "importtime", "-m", "edge_agent", "run", "-c", str(config)]
    log = folder / "log"
    with log.open("wb") as stderr:
        child = subprocess.Popen([*command, "--state", str(folder / "state")], stderr=stderr)
    try:
        until = time.monotonic() + 120
        while "event opened" not in log.read_text("utf-8", "replace"):
            assert child.poll() is None, log.read_text("utf-8", "replace")[-2000:]
            assert time.monotonic() < until
            time.sleep(0.05)
    finally:
        child.terminate()
        child.wait(30)
    before = log.read_text("utf-8", "replace").split("event opened", 1)[0]
    return set(re.findall(r"^import time: .*\| +(\S+)$", before, re.MULTILINE))


def test_run_loads_nothing_that_the_first_frame_does_not_need(tmp_path: Path) -> None:
    loaded = loaded_before_the_first_event(tmp_path)
    assert "edge_agent.pipeline.step" in loaded  # the list is one
    assert of(loaded, NOT_YET) == set()
    assert of(loaded, NOT_AGAIN) != set()
    again = loaded_before_the_first_event(tmp_path)
    assert "edge_agent.pipeline.step" in again
    assert of(again, (*NOT_YET, *NOT_AGAIN)) == set()
    for words in (["status"], ["events", "list"]):
        command = [*words, "-c", tmp_path / "config.yaml", "--state", tmp_path / "state"]
        assert of(loaded_by(*command), NOT_AGAIN) == set()


def of(loaded: set[str], modules: tuple[str, ...]) -> set[str]:
    return {name for name in loaded for each in modules if f"{name}.".startswith(f"{each}.")}


def loaded_by(*words: str | Path) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "edge_agent", *words],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "edge_agent.config.load" in done.stderr, done.stderr
    return set(re.findall(r"^import time: .*\| +(\S+)$", done.stderr, re.MULTILINE))


def test_the_uplink_is_made_without_paho_or_tls() -> None:
    program = (
        "import sys, edge_agent.uplink.publisher, edge_agent.service.broker\n"
        "sys.exit(', '.join({'paho', 'ssl', 'urllib.request'} & set(sys.modules)) or None)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_what_can_be_written_is_described_without_pydantic() -> None:
    """A configuration that is known needs its types alone."""
    program = (
        "import sys, edge_agent.config.effective, edge_agent.bundles.find\n"
        "import edge_agent.service.check\n"
        "sys.exit(', '.join({'pydantic', 'pydantic_core'} & set(sys.modules)) or None)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
