"""Whether a recording that is here is what its configuration and its model want.

A file, or the built-in machine, is opened as the agent opens it and read up to its first window:
its columns, its channels, its rate. Rules: what would stop the agent is a mistake, at the line of
the uri; what it would pass over is a doubt; what is live is left alone. Read `sources/signal.py`
next.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_agent.bundles.bundle import Bundle
from edge_agent.config.known import part_of
from edge_agent.config.part import Invalid
from edge_agent.config.schema import SignalSource
from edge_agent.config.signal_uri import FILES, parse
from edge_agent.config.wording import printable
from edge_agent.config.yaml_text import Fault
from edge_agent.errors import EdgeError
from edge_agent.service.signals import absent_place, of_machine, signal_of, wanted_by
from edge_agent.types import Broken, Frame, SignalSpec, SourceInfo

if TYPE_CHECKING:
    from edge_agent.sources.signal import Signal


@dataclass(slots=True)
class Heard:
    """What came of listening. `rates`: windows a second, by source."""

    faults: list[Fault] = field(default_factory=list)
    doubts: list[Fault] = field(default_factory=list)
    rates: dict[str, float] = field(default_factory=dict)


def listen(
    sources: Mapping[str, Any],
    pipelines: Mapping[str, Any],
    bundles: Mapping[str, Bundle],
    beside: Path,
) -> Heard:
    """Open every recording that is here, as far as what is written is right."""
    heard = Heard()
    for name, written in sources.items():
        config = _signal_config(written, beside)
        looking = [key for key, each in pipelines.items() if each.get("source") == name]
        if config is None or not looking or not all(key in bundles for key in looking):
            continue  # what is wrong, others say; how it is to be cut, only the model knows
        wanted = wanted_by(bundles[looking[0]])
        if wanted is not None:
            _listen_to(name, config, wanted, heard)
    return heard


def _signal_config(written: Any, beside: Path) -> SignalSource | None:
    """None for what is no signal, or none that the schema accepts."""
    if written.get("kind") != "signal":
        return None
    try:
        return part_of(SignalSource, {**written, "username": None, "password": None}, beside)
    except Invalid:
        return None


def _listen_to(name: str, config: SignalSource, wanted: SignalSpec, heard: Heard) -> None:
    uri, where = parse(config.uri), ("sources", name, "uri")
    if uri.kind not in (*FILES, "built-in") or absent_place(config) is not None:
        return
    if uri.kind in FILES and uri.place != "-" and not os.access(uri.place, os.R_OK):
        heard.doubts.append(Fault(where, f"{printable(uri.place)} cannot be read by this user"))
        return
    try:
        signal = signal_of(name, config, wanted)
        if signal.live:
            return
        info, first = _begun(signal)
    except EdgeError as fault:
        heard.faults.append(Fault(where, fault.in_one_line))
        return
    if isinstance(first, Broken):
        heard.doubts.append(Fault(where, f"it does not begin well: {first.reason}"))
    elif info.fps is not None:
        rate = info.fps if uri.kind in FILES else of_machine(uri.text, info.fps, wanted)
        if rate is not None:
            heard.rates[name] = rate


def _begun(signal: Signal) -> tuple[SourceInfo, Frame | Broken | None]:
    """What it says of itself, and its first window or what stands in its place."""
    try:
        info, first = signal.open(), signal.read()
        while isinstance(first, Broken) and not first.counted:  # a bad line is no window
            first = signal.read()
        return info, first
    finally:
        signal.close()
