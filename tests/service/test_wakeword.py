"""microWakeWord's streaming int8 models (PyPI: pymicro-wakeword), window by window with state.

Their own runtime and their own features are the reference; both run in this Python, or in the one
that EDGE_AGENT_WAKEWORD_PYTHON names. What is said is spoken by espeak-ng, where it is installed.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import yaml

from edge_agent.bundles.bundle import open_bundle, sha256_of
from edge_agent.engines import Plan, available, load
from edge_agent.pipeline.prepare import preparer
from edge_agent.pipeline.quantize import dequantize
from edge_agent.sources.recordings import open_windows
from edge_agent.types import Frame

#: File name of the model: what to say (espeak does not know how to spell the first one).
WORDS = {"okay_nabu": "okay naboo", "alexa": "alexa", "hey_mycroft": "hey mycroft",
         "hey_jarvis": "hey jarvis"}  # fmt: skip

#: Their features and their probabilities of two seconds of 16 kHz audio, by their own code.
REFERENCE = """
import sys, numpy as np, pymicro_wakeword as mww
folder, name = sys.argv[1:]
features = np.array([f.ravel() for f in mww.MicroWakeWordFeatures().process_streaming(
    open(f"{folder}/audio.raw", "rb").read())], np.float32)
model = mww.MicroWakeWord.from_config(mww.microwakeword._MODELS_DIR / f"{name}.json")
said = []
for row in features:
    before = len(model._features)
    model.process_streaming_prob(row.reshape(1, 1, -1))
    if before == model.stride - 1:
        said.append(model._probabilities[-1])
np.save(f"{folder}/features.npy", features)
np.save(f"{folder}/said.npy", said)
print(model.model_path.decode())
"""


def wakeword_python() -> str | None:
    named = os.environ.get("EDGE_AGENT_WAKEWORD_PYTHON")
    return named or (sys.executable if importlib.util.find_spec("pymicro_wakeword") else None)


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        wakeword_python() is None,
        reason="no pymicro-wakeword; EDGE_AGENT_WAKEWORD_PYTHON may name a Python that has it",
    ),
]


def spoken(words: str, folder: Path) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    """A second of noise, the words, another second: 16 kHz."""
    program = shutil.which("espeak-ng")
    if program is None:
        pytest.skip("nobody here can speak: apt install espeak-ng")
    subprocess.run(
        [program, "-v", "en-us", "-s", "150", "-w", folder / "said.wav", words], check=True
    )
    raw = (folder / "said.wav").read_bytes()
    rate = int.from_bytes(raw[24:28], "little")
    voice = np.frombuffer(raw[44:], "<i2").astype(float)
    at = np.arange(int(len(voice) * 16000 / rate)) * rate / 16000
    quiet = np.zeros(16000)
    audio = np.concatenate([quiet, np.interp(at, np.arange(len(voice)), voice), quiet])
    audio += np.random.default_rng(0).normal(0, 20, len(audio))
    return audio.astype(np.int16)


@dataclass(frozen=True)
class Heard:
    """A bundle of the model, the file of its features, and what its own runtime said of them."""

    bundle: Path
    features: Path
    said: np.ndarray[tuple[int], np.dtype[np.float64]]


@pytest.fixture(params=sorted(WORDS))
def heard(request: pytest.FixtureRequest, tmp_path: Path) -> Heard:
    name = request.param
    (tmp_path / "audio.raw").write_bytes(spoken(WORDS[name], tmp_path).tobytes())
    done = subprocess.run(
        [str(wakeword_python()), "-c", REFERENCE, tmp_path, name],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    bundle = tmp_path / name
    bundle.mkdir()
    shutil.copyfile(done.stdout.strip().splitlines()[-1], bundle / "model.tflite")
    manifest = {
        "name": name, "version": "1", "family": "classification", "labels": [name],
        "input": {"kind": "signal", "features": "raw", "window": 3, "hop": 3, "channels": 40,
                  "rate_hz": 100},
        "min_score": 0.0, "sha256": sha256_of(bundle / "model.tflite"),
    }  # fmt: skip
    (bundle / "manifest.yaml").write_text(yaml.safe_dump(manifest), "utf-8")
    return Heard(bundle, tmp_path / "features.npy", np.load(tmp_path / "said.npy"))


def assert_alike(scores: list[float], heard: Heard) -> None:
    """Runtimes round differently, and a state carries it on: some steps of 256, more only where the
    probability is on its way up or down."""
    assert len(scores) == len(heard.said)
    off = np.abs(np.array(scores) - heard.said)
    assert np.quantile(off, 0.9) <= 10 / 256
    assert off.max() <= 0.2
    assert max(scores) == pytest.approx(heard.said.max(), abs=0.02)


@pytest.mark.parametrize("name", ["litert", "tflite-runtime"])
def test_windows_in_a_row_say_what_the_models_own_runtime_says(heard: Heard, name: str) -> None:
    if name not in available():
        pytest.skip(f"{name} is not installed")
    bundle = open_bundle(heard.bundle)
    engine = load(bundle.model.read_bytes(), Plan(name, 1), bundle.name)  # type: ignore[arg-type]
    spec = bundle.spec(engine.inputs[0], engine.outputs)
    prepare, source = preparer(spec), open_windows(heard.features, spec.input)  # type: ignore[arg-type]
    source.open()
    windows = []
    while isinstance(item := source.read(), Frame):
        windows.append(item.data)

    def said(*, forgetful: bool = False) -> list[float]:
        answers = []
        for window in windows:
            if forgetful:
                engine.reset()
            (output,) = engine.invoke(prepare(window).tensor)
            answers.append(float(dequantize(output, engine.outputs[0]).item()))
        return answers

    engine.reset()
    first = said()
    assert_alike(first, heard)
    engine.reset()
    assert said() == first, "reset forgets"
    assert max(said(forgetful=True)) < 0.1, "a word is longer than one window"
    if bundle.name != "hey_jarvis":  # the voice does not say it well enough
        assert max(first) > 0.9


def test_infer_hears_the_word(heard: Heard, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "edge_agent", "infer", heard.bundle, heard.features, "--json",
         "--state", tmp_path / "state"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    scores = [json.loads(line)["top"][0]["score"] for line in done.stdout.splitlines()]
    assert_alike(scores, heard)
