"""A source as a person names it: by its name in the configuration, or by what it is itself.

    edge-agent sources test dock                        a name
    edge-agent sources test rtsp://cam/stream           what would stand behind `uri`

Read `probe.py` next: what becomes of it.
"""

from __future__ import annotations

from pathlib import Path

from edge_agent.config.camera_uri import SCHEMES, is_device
from edge_agent.config.part import Invalid
from edge_agent.config.schema import Config
from edge_agent.config.schema import Source as SourceConfig
from edge_agent.config.signal_uri import KINDS
from edge_agent.config.wording import did_you_mean, listed, printable
from edge_agent.errors import UsageError
from edge_agent.sources.built_in import SCHEME
from edge_agent.sources.images import is_pattern, names_pictures


def looks_direct(text: str) -> bool:
    """Whether it is a source itself and no name of one."""
    scheme = text.partition(":")[0].lower()
    begins = ":" in text and scheme in (*SCHEMES, *KINDS)
    return begins or is_device(text) or Path(text).exists() or is_pattern(text)


def source_config(text: str, config: Config | None, rate_hz: float | None = None) -> SourceConfig:
    """The source that is meant. Raises UsageError when there is none of that name.

    `rate_hz` is that of a signal which no configuration names.
    """
    if config is not None and text in config.sources:
        if rate_hz is not None:
            raise UsageError(
                f"source {printable(text)} is configured, it is tested as it stands there",
                f"change its rate_hz in the configuration, as in rate_hz: {rate_hz:g}",
            )
        return config.sources[text]
    if looks_direct(text):
        return direct(text, rate_hz)
    names = tuple(config.sources) if config is not None else ()
    known = f"it has {listed(names)}" if names else "name a configuration: -c FILE"
    raise UsageError(
        f"there is no source {printable(text)}{did_you_mean(text, names)}",
        f"{known}; or give what would stand behind `uri`, such as rtsp://HOST/PATH",
    )


def direct(text: str, rate_hz: float | None = None) -> SourceConfig:
    """What would stand in a configuration for it. Raises UsageError with what is wrong."""
    written: dict[str, object] = {"kind": _kind(text), "uri": text}
    if rate_hz is not None:
        if written["kind"] != "signal":
            raise UsageError(f"{printable(text)} is no signal and has no rate_hz")
        written["rate_hz"] = rate_hz
    from edge_agent.config.judging import judge  # loads pydantic

    try:
        found: SourceConfig = judge(SourceConfig, written, {"beside": Path.cwd()})
    except Invalid as fault:
        about = fault.errors[0]
        sentence = str(about.get("ctx", {}).get("error") or about["msg"])
        raise UsageError(
            f"it cannot be read as it stands: {sentence}", "write it into a configuration: -c FILE"
        ) from None
    return found


def _kind(text: str) -> str:
    scheme = text.partition(":")[0].lower()
    if is_device(text) or ("://" in text and scheme in SCHEMES):
        return "camera"
    if text.startswith(SCHEME):
        return "scene"
    if ":" in text and scheme in KINDS:
        return "signal"
    return "images" if names_pictures(text) else "video"
