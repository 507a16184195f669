"""A trained model becomes a bundle: model, manifest, labels, golden set, card.

Rule: what was written is opened again by the package, and its golden set is the package's own
answers, so that a bundle which edge-agent would refuse never leaves a recipe.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from edge_agent.bundles.anatomy import dissect
from edge_agent.bundles.bare import bundle_name
from edge_agent.bundles.bundle import CARD, FILES, LABELS, MANIFEST, MODEL, open_bundle
from edge_agent.bundles.golden import check, make
from edge_agent.engines import Plan, load
from edge_agent.errors import EdgeError, UsageError
from edge_agent.types import Family, Features, InputSpec, SignalSpec


@dataclass(frozen=True)
class Draft:
    """Everything that a bundle says. `golden` are its frames: pictures (n, H, W, 3) uint8 BGR, or
    windows (n, samples, channels) float32. No `card`: the one that lies there stays."""

    name: str
    version: str
    family: Family
    input: InputSpec | SignalSpec
    content: bytes
    golden: np.ndarray
    output: Mapping[str, Any] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    min_score: float = 0.0
    source: str = ""
    license: str = ""
    card: str = ""


def may_write(out: Path, *, force: bool) -> str:
    """The bundle's name, which is its folder's, before hours are spent on what goes in.

    Raises UsageError where the folder holds anything but a bundle, or one that need not go: it is
    replaced by `--force` only.
    """
    there = out.is_dir() and {each.name for each in out.iterdir()}
    if (out.exists() and not out.is_dir()) or (there and there - set(FILES)):
        raise UsageError(f"{out} is there and is no bundle", "say another place: --out BUNDLE")
    for made in (out if there else None, floats(out)):
        if made is not None and made.exists() and not force:
            raise UsageError(
                f"{made} is there already", "say another place, or replace it: --force"
            )
    return bundle_name(out.absolute().name)


def floats(out: Path) -> Path:
    """Where the same network before int8 lies: beside the bundle."""
    return out.with_name(f"{out.name}.float.tflite")


def write(out: Path, draft: Draft) -> Path:
    """The bundle's folder, made or replaced. Raises EdgeError where it cannot be written."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / MODEL).write_bytes(draft.content)
        (out / MANIFEST).write_text(_yaml(manifest(draft)), "utf-8")
        if draft.labels:
            (out / LABELS).write_text("".join(f"{label}\n" for label in draft.labels), "utf-8")
        if draft.card:
            (out / CARD).write_text(draft.card, "utf-8")
        _record_golden(out, draft.golden)
    except OSError as fault:
        raise EdgeError(f"{out} cannot be written: {fault.strerror}") from None
    return out


def manifest(draft: Draft) -> dict[str, Any]:
    """`manifest.yaml` as it is read back by the package."""
    found: dict[str, Any] = {
        "name": draft.name,
        "version": draft.version,
        "family": draft.family,
        "input": _input(draft.input),
        "output": dict(draft.output),
        "labels": LABELS if draft.labels else [],
        "min_score": draft.min_score,
        "sha256": hashlib.sha256(draft.content).hexdigest(),
        "requires": {"agent": ">=0.1", "ops": list(dissect(draft.content, MODEL).operators)},
        "license": draft.license,
        "source": draft.source,
    }
    return {key: value for key, value in found.items() if value not in ("", {})}


def _record_golden(out: Path, frames: np.ndarray) -> None:
    bundle = open_bundle(out)
    engine = load((out / MODEL).read_bytes(), Plan("litert"), bundle.name)
    spec = bundle.spec(engine.inputs[0], engine.outputs)
    differences = check(make(out, spec, engine, frames), spec, engine)
    if differences:
        raise EdgeError(f"the model does not answer alike twice: {differences[0]}")


def _input(spec: InputSpec | SignalSpec) -> dict[str, Any]:
    return _signal(spec) if isinstance(spec, SignalSpec) else _picture(spec)


def _picture(spec: InputSpec) -> dict[str, Any]:
    normalize: Any = "none"
    if spec.mean is not None and spec.std is not None:
        normalize = {"mean": list(spec.mean), "std": list(spec.std)}
    return {
        "kind": "image",
        "size": [spec.width, spec.height],
        "color": spec.color,
        "normalize": normalize,
        "resize": spec.resize,
        "interpolation": spec.interpolation,
    }


def _signal(spec: SignalSpec) -> dict[str, Any]:
    found: dict[str, Any] = {
        "kind": "signal",
        "window": spec.window,
        "hop": spec.hop,
        "rate_hz": spec.rate_hz,
        "channels": spec.channels,
        "features": _features(spec.features),
    }
    if spec.mean is not None and spec.std is not None:
        found["normalize"] = {"mean": list(spec.mean), "std": list(spec.std)}
    return found


def _features(features: Features) -> Any:
    shared = {"hop": features.hop, "window": features.window, "log": features.log}
    match features.kind:
        case "raw":
            return "raw"
        case "fft":
            return {"fft": {"n": features.n, **shared}}
        case "logmel":
            bands = {"mels": features.mels, "fmin": features.fmin, "fmax": features.fmax}
            return {"logmel": {"n_fft": features.n, **shared, **bands}}


def _yaml(document: dict[str, Any]) -> str:
    style = {"sort_keys": False, "allow_unicode": True, "width": 100}
    return yaml.safe_dump(document, default_flow_style=None, **style)
