"""A model of signals whose answer anybody can work out: it gives back nothing, so its error is the
mean square of its input. `loudness(folder, window=64, hop=32)` writes it as a bundle, `site` with
a configuration beside it.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import yaml
from picture_models import Model


def loudness(folder: Path, numbers: int | None = None, **signal: Any) -> Path:
    """`signal` are keys of the manifest's input; `numbers` how many the tensor has, where the
    features are not the samples themselves."""
    signal = {"window": 64, "channels": 1} | signal
    row = (1, numbers or signal["window"] * signal["channels"])
    made = Model()
    made.graph()
    window, nought, then = made.tensor(row), made.tensor((1,), data=[0]), made.tensor(row)
    made.operator("MUL", [window, nought], [then], fusedActivationFunction=0)
    made.ends([window], [then])
    folder.mkdir(parents=True)
    content = made.packed()
    (folder / "model.tflite").write_bytes(content)
    manifest = {
        "name": "loudness",
        "version": "1",
        "family": "anomaly",
        "input": {"kind": "signal", **signal},
        "labels": ["loud"],
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    (folder / "manifest.yaml").write_text(yaml.safe_dump(manifest), "utf-8")
    return folder


SITE = """
sources:
  motor: {{kind: signal, uri: "{uri}"{source}}}
pipelines:
  hum:
    source: motor
    model: loud
    {keys}
"""


def site(
    folder: Path, keys: str, uri: str = "csv:motor.csv", source: str = "", **signal: Any
) -> Path:
    """A configuration of one pipeline, and its model `loud` beside it; `keys` are the pipeline's,
    `source` such as ", hop: 3" more of the source."""
    if not (folder / "loud").exists():
        loudness(folder / "loud", **({"window": 64, "hop": 32, "rate_hz": 1000} | signal))
    path = folder / "site.yaml"
    path.write_text(SITE.format(uri=uri, source=source, keys=keys), "utf-8")
    return path
