"""Whether a signal and the model that looks at it fit together, before a single sample was read.

What a window is, the model says: where the configuration says it too, both must be the same. Every
fault is at the line of the key that is wrong. Read `signals.py` next.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from edge_agent.bundles.bundle import Bundle
from edge_agent.bundles.manifest import SignalInput
from edge_agent.config.signal_uri import SignalUri, parse
from edge_agent.config.wording import printable
from edge_agent.config.yaml_text import Fault
from edge_agent.config.yaml_text import Path as Where
from edge_agent.errors import EdgeError
from edge_agent.service.signals import cut_of
from edge_agent.types import SignalSpec


def uri_faults(sources: Mapping[str, Any]) -> Iterator[Fault]:
    """What is wrong with a uri beyond its form: an option's value, an address, a topic."""
    for name, source in sources.items():
        uri = _uri(source)
        if uri is None:
            continue
        from edge_agent.sources.signal_kinds import Access, samples_of

        try:
            samples_of(name, uri, Access(1.0))
        except EdgeError as fault:
            yield Fault(("sources", name, "uri"), fault.in_one_line)


def fit_faults(
    pipelines: Mapping[str, Any], bundles: Mapping[str, Bundle], sources: Mapping[str, Any]
) -> Iterator[Fault]:
    """Pictures for a model of signals and the reverse, other windows, other rates."""
    first: dict[str, tuple[str, SignalSpec]] = {}  # by source: the pipeline that came first
    for name, bundle in bundles.items():
        stated = pipelines[name].get("source")
        source = sources.get(stated)
        if source is None or not isinstance(stated, str):
            continue  # the schema says so
        given, wanted = source.get("kind") == "signal", bundle.manifest.input
        if given != isinstance(wanted, SignalInput):
            words = ("signals", "pictures") if isinstance(wanted, SignalInput) else _REVERSE
            message = f"model {bundle.name} reads {words[0]}, source {printable(stated)} gives "
            yield Fault(("pipelines", name, "model"), f"{message}{words[1]}")
        elif isinstance(wanted, SignalInput):
            spec = wanted.spec()
            yield from _frame_faults(source, ("sources", stated), bundle.name, spec)
            before, earlier = first.setdefault(stated, (name, spec))
            if cut_of(spec) != cut_of(earlier):
                message = (
                    f"{printable(before)} wants {_words(earlier)} of source {printable(stated)}, "
                    f"this one {_words(spec)}, allowed: a source for each"
                )
                yield Fault(("pipelines", name, "source"), message)


_REVERSE = ("pictures", "a signal")


def _frame_faults(
    source: Mapping[str, Any], path: Where, model: str, wanted: SignalSpec
) -> Iterator[Fault]:
    from edge_agent.sources.signal import RATE_TOLERANCE

    for key, right in (("window", wanted.window), ("hop", wanted.hop)):
        stated = source.get(key)
        if isinstance(stated, int) and stated != right:
            message = f"{stated} stands here, model {model} wants {right}, allowed: {right} | null"
            yield Fault((*path, key), message)
    rate, right_rate = source.get("rate_hz"), wanted.rate_hz
    if right_rate and isinstance(rate, int | float) and abs(rate / right_rate - 1) > RATE_TOLERANCE:
        message = f"{rate:g} stands here, model {model} wants {right_rate:g}, within 5 %"
        yield Fault((*path, "rate_hz"), message)
    uri = _uri(source)
    if rate is None and right_rate is None and uri is not None and uri.kind in _WITHOUT_RATE:
        message = f"missing: neither {uri.kind}: nor model {model} says how many samples a second"
        yield Fault((*path, "uri"), f"{message}, write rate_hz")


#: Kinds whose samples never bear their rate.
_WITHOUT_RATE = ("mqtt", "iio", "serial", "tcp")


def _words(spec: SignalSpec) -> str:
    rate = "" if spec.rate_hz is None else f" at {spec.rate_hz:g} Hz"
    return f"windows of {spec.window} x {spec.channels}{rate}, one every {spec.hop}"


def _uri(source: Any) -> SignalUri | None:
    """The uri of a signal, where it has one that can be read."""
    text = source.get("uri") if isinstance(source, Mapping) else None
    if source.get("kind") != "signal" or not isinstance(text, str):
        return None
    try:
        return parse(text)
    except EdgeError:
        return None  # the schema says so
