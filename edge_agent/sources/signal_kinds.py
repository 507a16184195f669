"""From a signal's `uri` to its samples: the one place that knows every kind.

Nothing is opened here. What is wrong with a `uri` is a UsageError, so that `check` finds it without
a sensor. Read `signal_uri.py` for the texts, `signal.py` for what becomes of the samples.
"""

from __future__ import annotations

from dataclasses import field
from pathlib import Path

from edge_agent.config.signal_uri import SignalUri, address
from edge_agent.errors import UsageError
from edge_agent.frozen import frozen
from edge_agent.sources.csv_lines import Wanted
from edge_agent.sources.signal import Samples, unknown_rate


@frozen
class Access:
    """What a uri does not say. `rate_hz` None: nothing but the samples themselves tells it."""

    rate_hz: float | None = None
    stall_s: float = 10.0
    username: str | None = None
    password: str | None = field(default=None, repr=False)


def samples_of(name: str, uri: SignalUri, access: Access) -> Samples:
    """The samples of source `name`. Raises UsageError where the uri asks for what is not."""
    match uri.kind:
        case "csv":
            return _csv(name, uri, access)
        case "wav":
            return _wav(name, uri)
        case "mqtt":
            return _mqtt(name, uri, access)
        case "iio":
            return _iio(name, uri, access)
        case "built-in":
            from edge_agent.sources.machine import Machine, MachineSpec

            return Machine(MachineSpec.parse(uri.text))
    return _stream(name, uri, access)


def _csv(name: str, uri: SignalUri, access: Access) -> Samples:
    wanted = Wanted(uri.names("columns"), uri.options.get("time", ""))
    follow = uri.word("follow", ("0", "1")) == "1"
    if follow or uri.place == "-" or Path(uri.place).is_fifo():
        from edge_agent.sources.signal_pipe import PipeTap
        from edge_agent.sources.signal_stream import Form, Stream

        return Stream(PipeTap(name, uri.place), Form(wanted), access.stall_s)
    from edge_agent.sources.signal_csv import CsvFile

    return CsvFile(name, Path(uri.place), wanted)


def _wav(name: str, uri: SignalUri) -> Samples:
    from edge_agent.sources.signal_wav import WavFile

    chosen = uri.names("channels")
    if not all(each.isascii() and each.isdigit() and int(each) for each in chosen):
        raise UsageError(f"{uri.text}: the channels of a WAV file are numbers from 1")
    return WavFile(name, Path(uri.place), tuple(map(int, chosen)))


def _mqtt(name: str, uri: SignalUri, access: Access) -> Samples:
    from edge_agent.sources.signal_mqtt import MqttSamples, MqttSpec

    place, _, topic = uri.place.removeprefix("//").partition("/")
    user, _, broker = place.rpartition("@")
    if not topic:
        raise UsageError(f"{uri.text} names no topic", "as in mqtt://broker.local/hall/motor")
    host, port = address(uri, broker, 1883)
    spec = MqttSpec(
        host=host,
        port=port,
        topic=topic,
        rate_hz=_rate(name, access),
        channels=uri.whole("channels", 1, 1, 1024),
        username=access.username or user or None,
        password=access.password,
        stall_s=access.stall_s,
    )
    return MqttSamples(name, spec)


def _iio(name: str, uri: SignalUri, access: Access) -> Samples:
    from edge_agent.sources.signal_iio import Iio, IioSpec

    rate = _rate(name, access)
    return Iio(name, IioSpec(Path(uri.place), uri.names("channels"), rate, access.stall_s))


def _stream(name: str, uri: SignalUri, access: Access) -> Samples:
    from edge_agent.sources.signal_stream import Stream, form_of

    if uri.kind == "serial":
        from edge_agent.sources.signal_serial import BAUDS, SerialTap

        baud = int(uri.word("baud", tuple(map(str, BAUDS))))
        serial = SerialTap(name, uri.place, baud)
        return Stream(serial, form_of(uri, entered=True), access.stall_s)
    from edge_agent.sources.signal_tcp import TcpTap

    host, port = address(uri, uri.place.removeprefix("//"), None)
    return Stream(TcpTap(name, host, port), form_of(uri), access.stall_s)


def _rate(name: str, access: Access) -> float:
    if access.rate_hz is None:
        raise unknown_rate(name)
    return access.rate_hz
