"""Signals from what people write: how a configuration and a model together cut windows.

What the configuration leaves open, the model says; `check_signal.py` has made sure that the two do
not contradict one another. What reads samples is loaded where a signal is: most devices have none.
Read `sources/signal.py` next.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from edge_agent.bundles.bundle import Bundle
from edge_agent.bundles.find import find
from edge_agent.bundles.manifest import SignalInput
from edge_agent.config.schema import Config, SignalSource
from edge_agent.config.schema import Source as SourceConfig
from edge_agent.config.signal_uri import DEVICES, FILES, SignalUri, parse
from edge_agent.config.wording import printable
from edge_agent.errors import EdgeError, UsageError
from edge_agent.types import InputSpec, SignalSpec

if TYPE_CHECKING:
    from edge_agent.sources.signal import Signal

#: Files that are signals, whatever reads them.
RECORDINGS = (".csv", ".tsv", ".wav")
#: A source that no model looks at is delivered in windows of this many samples.
WINDOW = 1024


def signal_of(
    name: str, config: SignalSource, wanted: SignalSpec | None, origin: float = 0.0
) -> Signal:
    """The signal that a configuration describes. Raises UsageError for a uri that asks for what is
    not, and for a password that cannot be read."""
    from edge_agent.sources.signal import Framing, Signal
    from edge_agent.sources.signal_kinds import Access, samples_of

    rate = config.rate_hz or (wanted.rate_hz if wanted else None)
    access = Access(
        rate_hz=rate,
        stall_s=config.stall_s,
        username=config.username,
        password=None if config.password is None else config.password.reveal(),
    )
    window = config.window or (wanted.window if wanted else WINDOW)
    framing = Framing(
        window=window,
        hop=config.hop or (wanted.hop if wanted else window),
        rate_hz=rate,
        channels=wanted.channels if wanted else None,
        loop=config.loop,
        origin=origin,
        stall_s=config.stall_s,
    )
    return Signal(name, samples_of(name, parse(config.uri), access), framing)


def recorded_signal(
    uri: str, start: float, like: SourceConfig | None, wanted: SignalSpec
) -> Signal:
    """A recording that is named on the command line, for the source that it stands for: with its
    options and its rate. Raises UsageError where it is no signal."""
    from edge_agent.sources.signal import Framing, Signal
    from edge_agent.sources.signal_kinds import Access, samples_of

    found = _recording(uri)
    settings = like if isinstance(like, SignalSource) else None
    if settings is not None and not found.options:
        meant = parse(settings.uri)
        if meant.kind == found.kind:
            found = replace(found, options=_recorded(meant.options))
    rate = (settings.rate_hz if settings else None) or wanted.rate_hz
    name = Path(found.place).name if found.kind != "built-in" else "machine"
    framing = Framing(wanted.window, wanted.hop, rate, wanted.channels, origin=start)
    return Signal(name, samples_of(name, found, Access(rate)), framing)


def absent_place(config: SignalSource) -> str | None:
    """The file or the device that it names and that is not there yet, in words."""
    uri = parse(config.uri)
    what = "file" if uri.kind in FILES else "device" if uri.kind in DEVICES else None
    missing = what and uri.place != "-" and not Path(uri.place).exists()
    return f"{what} {printable(uri.place)}" if missing else None


def wanted_by(bundle: Bundle) -> SignalSpec | None:
    """How a model wants its windows; None where it reads pictures."""
    wanted = bundle.manifest.input
    return wanted.spec() if isinstance(wanted, SignalInput) else None


def wanted_of_source(config: Config, source: str, state: Path, beside: Path) -> SignalSpec | None:
    """How the first pipeline that looks at a source wants its windows, by its bundle; None where
    none does, or none that can be opened: the source can be looked at all the same."""
    for pipeline in config.pipelines.values():
        if pipeline.source == source:
            with suppress(EdgeError):
                return wanted_by(find(pipeline.model, state, beside))
    return None


def windows_a_second(config: SignalSource, wanted: SignalSpec | None) -> float | None:
    """As far as the configuration or the model says it; None: only the samples know."""
    rate = config.rate_hz or (wanted.rate_hz if wanted else None)
    hop = config.hop or (wanted.hop if wanted else config.window)
    return None if rate is None or hop is None else rate / hop


def of_machine(uri: str, within_burst: float, wanted: SignalSpec) -> float | None:
    """Windows a second of the built-in machine. Of one that is listened to now and then they are
    not evenly spread: None, unless each burst is one window."""
    from edge_agent.sources.machine import MachineSpec

    spec = MachineSpec.parse(uri)
    if spec.every_s is None:
        return within_burst
    return 1 / spec.every_s if wanted.window <= spec.burst < wanted.window + wanted.hop else None


def one_signal(wanted: list[InputSpec | SignalSpec], source: str) -> SignalSpec | None:
    """How the models that look at one source want its windows; None for pictures. Raises UsageError
    where they do not agree."""
    first = next(iter(wanted), None)
    for other in wanted:
        if cut_of(other) != cut_of(first):
            raise UsageError(
                f"the models that look at source {source} want other windows of it",
                "give each pipeline a source of its own",
            )
    return first if isinstance(first, SignalSpec) else None


def cut_of(wanted: InputSpec | SignalSpec | None) -> tuple[object, ...]:
    """What two models that look at one signal must agree on."""
    if isinstance(wanted, SignalSpec):
        return wanted.window, wanted.hop, wanted.rate_hz, wanted.channels
    return ()


def _recording(uri: str) -> SignalUri:
    """A file by its name, or a uri of the configuration's form."""
    kind = uri.partition(":")[0]
    if kind in ("csv", "wav", "built-in") and kind != uri:
        return parse(uri)
    if not uri.lower().endswith(RECORDINGS):
        raise UsageError(
            f"{uri} is no signal, and the model reads signals", "give a .csv or a .wav file"
        )
    if not Path(uri).exists():
        raise UsageError(f"there is no file {uri}")
    return SignalUri("wav" if uri.lower().endswith(".wav") else "csv", uri, {}, uri)


def _recorded(options: Mapping[str, str]) -> dict[str, str]:
    """Without what makes a file a live one."""
    return {option: value for option, value in options.items() if option != "follow"}
