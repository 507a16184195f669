"""What a signal's `uri` says: the kind, the place, and its options behind the question mark.

    csv:vibration.csv?columns=x,y     mqtt://broker/hall/motor     tcp:10.0.0.7:4000?format=i16le

Pure. Every kind and every option stands in `OPTIONS`, and in docs/signals.md, which a test holds to
it. A sentence about a uri never repeats what may be a secret. Read `sources/signal_kinds.py` next:
what becomes of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from urllib.parse import parse_qsl

from edge_agent.errors import UsageError
from edge_agent.frozen import frozen

_STREAM = ("format", "channels", "sync", "scale", "columns", "time")
#: The options of each kind. What the built-in machine understands, it says itself.
OPTIONS: Mapping[str, tuple[str, ...]] = {
    "csv": ("columns", "time", "follow"),
    "wav": ("channels",),
    "mqtt": ("channels",),
    "iio": ("channels",),
    "serial": ("baud", *_STREAM),
    "tcp": _STREAM,
    "built-in": (),
}
KINDS = tuple(OPTIONS)
#: These are files: another machine's perhaps, and read to their end.
FILES = ("csv", "wav")
#: These are devices of this machine: plugged in later, perhaps.
DEVICES = ("iio", "serial")


@frozen
class SignalUri:
    """`place` is a file, a device, an address or a topic; `options` are texts."""

    kind: str
    place: str
    options: Mapping[str, str] = field(default_factory=dict)
    text: str = ""

    def names(self, option: str) -> tuple[str, ...]:
        """An option that is a list of names; () where it is not said."""
        stated = self.options.get(option, "")
        return tuple(name.strip() for name in stated.split(",") if name.strip())

    def number(self, option: str, default: float, low: float, high: float) -> float:
        """An option that is a number. Raises UsageError."""
        stated = self.options.get(option)
        try:
            number = default if stated is None else float(stated)
        except ValueError:
            number = float("nan")
        if not low <= number <= high:
            raise UsageError(
                f"{self.text}: {stated!r} is no value for {option}",
                f"allowed: a number from {low:g} to {high:g}",
            )
        return number

    def whole(self, option: str, default: int, low: int, high: int) -> int:
        """An option that is a whole number. Raises UsageError."""
        number = self.number(option, default, low, high)
        if number != int(number):
            raise UsageError(f"{self.text}: {option} is a whole number")
        return int(number)

    def hex(self, option: str) -> bytes:
        """An option that is bytes in hexadecimal. Raises UsageError."""
        stated = self.options.get(option, "")
        try:
            return bytes.fromhex(stated)
        except ValueError:
            raise UsageError(
                f"{self.text}: {stated!r} is no value for {option}",
                "allowed: pairs of hex digits, as in a55a",
            ) from None

    def refuse(self, options: tuple[str, ...], where: str) -> None:
        """Raises UsageError where one of the options is said, which means nothing there."""
        for option in options:
            if option in self.options:
                raise UsageError(f"{self.text}: {option} means nothing with {where}", "remove it")

    def word(self, option: str, allowed: tuple[str, ...]) -> str:
        """An option that is one of some words; the first one is the default. Raises UsageError."""
        stated = self.options.get(option, allowed[0])
        if stated not in allowed:
            raise UsageError(
                f"{self.text}: {stated!r} is no value for {option}",
                f"allowed: {' | '.join(allowed)}",
            )
        return stated


def parse(uri: str) -> SignalUri:
    """Raises UsageError for an unknown kind or option, or where no place is named."""
    kind, colon, rest = uri.partition(":")
    if not colon or kind not in OPTIONS:
        raise UsageError(
            f"{uri!r} is no signal: it begins with none of the kinds that are read",
            f"begin with {', '.join(f'{kind}:' for kind in KINDS)}, as in csv:vibration.csv",
        )
    if kind == "built-in":
        return SignalUri(kind, rest, {}, uri)
    if kind == "mqtt" and ":" in rest.removeprefix("//").partition("/")[0].rpartition("@")[0]:
        raise UsageError(
            "a password stands in the uri", 'write it as password: "${file:NAME}" beside it'
        )
    place, _, query = rest.rpartition("?") if "?" in rest else (rest, "", "")
    options = dict(parse_qsl(query, keep_blank_values=True))
    for option in options:
        if option not in OPTIONS[kind]:
            raise UsageError(
                f"{uri}: {kind}: has no option {option!r}", f"allowed: {', '.join(OPTIONS[kind])}"
            )
    if not place.removeprefix("//"):
        raise UsageError(f"{uri}: nothing is named behind {kind}:", f"as in {EXAMPLES[kind]}")
    return SignalUri(kind, place, options, uri)


def quoted(name: str) -> str:
    """A name as it stands in an option: what would end it or mean something else there is written
    in hexadecimal."""
    return "".join(f"%{ord(each):02X}" if each in "%&+;#" else each for each in name)


#: One of each kind, for sentences.
EXAMPLES = {
    "csv": "csv:vibration.csv",
    "wav": "wav:motor.wav",
    "mqtt": "mqtt://broker.local/hall/motor",
    "iio": "iio:/sys/bus/iio/devices/iio:device0",
    "serial": "serial:/dev/ttyUSB0?baud=115200",
    "tcp": "tcp:10.0.0.7:4000",
    "built-in": "built-in:?seed=7",
}


def address(uri: SignalUri, place: str, default: int | None) -> tuple[str, int]:
    """Host and port of `host[:port]`, with an IPv6 address in brackets. Raises UsageError."""
    host, colon, port = place.rpartition(":")
    if not colon or "]" in port:
        host, port = place, "" if default is None else str(default)
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise UsageError(
            f"{uri.text}: {place!r} is no address",
            f"a host and a port, as in {EXAMPLES[uri.kind]}",
        )
    return host, int(port)
