"""The agent's log on stderr: text or JSON, for the journal with priorities, never a secret.

A record is a sentence and its facts, written as `source lost source=%s reason=%r`: as text it stays
one line of words and key=value, as JSON the keys stand beside the message. Where stderr is the
journal each line begins with its priority (`<4>`), and has no time of its own. What is repeated is
counted (`policy/repeats.py`).
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import time
from collections.abc import Mapping
from typing import Any, Literal, TextIO, TypeAlias

from edge_agent.frozen import frozen
from edge_agent.policy.repeats import Repeated, Repeats
from edge_agent.policy.secrecy import Scrubber

Format: TypeAlias = Literal["text", "json"]

#: syslog's, as sd-daemon(3) reads them at the beginning of a line.
_PRIORITIES = {
    logging.CRITICAL: 2,
    logging.ERROR: 3,
    logging.WARNING: 4,
    logging.INFO: 6,
    logging.DEBUG: 7,
}
#: `key=%s`, or a bare `%s`.
_PLACE = re.compile(r"(?:(\w+)=)?%[-#+ 0-9.]*[sdrfx]")
_OWN = frozenset({"time", "level", "logger", "message", "exception"})


@frozen
class Style:
    """`journal`: stderr is connected to it."""

    format: Format = "text"
    journal: bool = False


def start_log(format: Format, scrubber: Scrubber) -> LogHandler:  # noqa: A002
    """Everything from INFO on goes to stderr from now on, without what `scrubber` takes out."""
    style = Style(format, leads_to_journal(os.environ, sys.stderr))
    handler = LogHandler(sys.stderr, style, scrubber)
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    return handler


def leads_to_journal(environment: Mapping[str, str], stream: TextIO) -> bool:
    """Whether this very stream is the one that systemd connected (JOURNAL_STREAM=device:inode)."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return environment.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


class LogHandler(logging.Handler):
    """Writes records, each line whole, unless it was said a moment ago."""

    def __init__(self, stream: TextIO, style: Style, scrubber: Scrubber) -> None:
        super().__init__()
        self._stream = stream
        self._style = style
        self._scrubber = scrubber
        self._repeats: Repeats[logging.LogRecord] = Repeats()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self.tell_repeats()
            key = f"{record.levelno} {record.name} {record.getMessage()}"
            if self._repeats.is_news(time.monotonic(), key, record):
                self._write(record, {})
        except Exception:  # as every handler of the library: a log must not end its program
            self.handleError(record)

    def tell_repeats(self, *, everything: bool = False) -> None:
        """What was left out, where its minute is over."""
        for again in self._repeats.due(time.monotonic(), everything=everything):
            self._write(again.line, _again(again))

    def close(self) -> None:
        self.tell_repeats(everything=True)
        super().close()

    def _write(self, record: logging.LogRecord, more: dict[str, Any]) -> None:
        if more:
            record = logging.makeLogRecord({**record.__dict__, "exc_info": None, **_now()})
        if self._style.format == "json":
            document = self._scrubber.document(_document(record, more))
            lines = [json.dumps(document, ensure_ascii=False)]
        else:
            lines = self._scrubber.text(_as_text(record, more, self._style)).split("\n")
        if self._style.journal:
            priority = _PRIORITIES.get(record.levelno, 6)
            lines = [f"<{priority}>{line}" for line in lines]
        self._stream.write("\n".join(lines) + "\n")
        self._stream.flush()


# --- below -------------------------------------------------------------------------------------


def _again(again: Repeated[logging.LogRecord]) -> dict[str, Any]:
    return {"repeated": again.times, "seconds": round(again.seconds, 1)}


def _now() -> dict[str, float]:
    now = time.time()
    return {"created": now, "msecs": now % 1 * 1000}


def _moment(record: logging.LogRecord) -> str:
    """UTC, so that two devices can be compared."""
    second = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
    return f"{second}.{int(record.msecs):03d}Z"


def _exception(record: logging.LogRecord) -> str:
    return logging.Formatter().formatException(record.exc_info) if record.exc_info else ""


def _as_text(record: logging.LogRecord, more: dict[str, Any], style: Style) -> str:
    begin = "" if style.journal else f"{_moment(record)} {record.levelname} "
    # A name or a reason with a line end in it would forge a line.
    said = " ".join(record.getMessage().splitlines())
    facts = "".join(f" {key}={value}" for key, value in more.items())
    trace = _exception(record)
    return f"{begin}{record.name} {said}{facts}" + (f"\n{trace}" if trace else "")


def _document(record: logging.LogRecord, more: dict[str, Any]) -> dict[str, Any]:
    message, facts = _taken_apart(record)
    document = {
        "time": _moment(record),
        "level": record.levelname.lower(),
        "logger": record.name,
        "message": message,
        **{f"{key}_" if key in _OWN else key: value for key, value in facts.items()},
        **more,
    }
    if trace := _exception(record):
        document["exception"] = trace
    return document


def _taken_apart(record: logging.LogRecord) -> tuple[str, dict[str, Any]]:
    """The sentence, and its facts by their keys, with their types."""
    template, values = str(record.msg), record.args
    places = list(_PLACE.finditer(template))
    if not isinstance(values, tuple) or len(places) != len(values):
        return record.getMessage(), {}
    facts: dict[str, Any] = {}
    words, rest, end = [], [], 0
    for place, value in zip(places, values, strict=True):
        words.append(template[end : place.start()])
        end = place.end()
        if place.group(1):
            facts[place.group(1)] = value if isinstance(value, int | float | str) else str(value)
        else:
            words.append(place.group(0))
            rest.append(value)
    words.append(template[end:])
    return " ".join(("".join(words) % tuple(rest)).split()), facts
