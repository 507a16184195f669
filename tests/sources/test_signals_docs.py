"""docs/signals.md against the code: every kind, every option, every count, and what it shows."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from edge_agent.config.load import read
from edge_agent.config.signal_uri import OPTIONS, parse
from edge_agent.errors import SourceLost
from edge_agent.sources.signal import TELLING, Framing, Signal
from edge_agent.sources.signal_kinds import Access, samples_of
from edge_agent.sources.signal_mqtt import MqttSpec, samples
from edge_agent.sources.signal_serial import BAUDS
from edge_agent.types import Frame

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "signals.md").read_text("utf-8")
PARTS = {part.splitlines()[0]: part for part in PAGE.split("\n## ")[1:]}


def options(part: str) -> set[str]:
    """Names in the first column of its table of options."""
    return set(re.findall(r"^\| `(\w+)=[^`]*` \|", part, re.MULTILINE))


@pytest.mark.parametrize("kind", [kind for kind in OPTIONS if kind != "built-in"])
def test_the_options_of_every_kind_are_the_pages(kind: str) -> None:
    title = "serial and tcp" if kind in ("serial", "tcp") else kind
    told = options(PARTS[title])
    assert told - ({"baud"} if kind == "tcp" else set()) == set(OPTIONS[kind])


def test_every_kind_has_its_part() -> None:
    titles = " ".join(PARTS)
    assert all(kind in titles for kind in OPTIONS)


def test_the_numbers_of_the_page_are_those_of_the_code() -> None:
    assert f"first {TELLING}" in PAGE
    assert f"{min(BAUDS)} to {max(BAUDS)}" in PAGE


@pytest.mark.parametrize("word", ["gaps", "missing_samples", "bad_lines", "bad_messages", "missed",
                                  "failed_readings", "bytes_out_of_step"])  # fmt: skip
def test_every_count_is_named(word: str) -> None:
    assert f"`{word}`" in PAGE
    sources = (ROOT / "edge_agent" / "sources").glob("*.py")
    assert any(word in path.read_text("utf-8") for path in sources)


def test_every_payload_of_the_page_is_understood() -> None:
    rows = re.findall(r"^\| `([\[{\d].*?)` \|", PARTS["mqtt"], re.MULTILINE)
    assert len(rows) == 4
    for row, channels in zip(rows, (1, 3, 2, 1), strict=True):
        samples(row.replace("…", "1").encode(), MqttSpec("h", 1, "t", 1.0, channels))


def test_the_configuration_of_the_page_and_the_shipped_one_are_right(tmp_path: Path) -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    path = tmp_path / "site.yaml"
    path.write_text(example, "utf-8")
    assert read(path).mistakes == ()
    shipped = yaml.safe_load((ROOT / "configs" / "vibration.yaml").read_text("utf-8"))
    assert shipped["sources"]["motor"]["kind"] == "signal"


def test_the_sender_of_the_page_is_understood(eventually: Callable[..., Any]) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    code = code.replace('("", 4000)', f'("127.0.0.1", {port})')
    threading.Thread(target=exec, args=(code, {}), daemon=True).start()
    uri = parse(f"tcp:127.0.0.1:{port}?format=i16le&channels=3&sync=a55a&scale=0.01")
    source = Signal("motor", samples_of("motor", uri, Access(10.0)), Framing(2, 2, 10.0))
    eventually(lambda: _opens(source), "the server of the page listens")
    item = source.read()
    source.close()
    assert isinstance(item, Frame)
    assert item.data == pytest.approx(np.array([[0.01, -0.02, 9.8], [0.02, -0.01, 9.81]]))


def _opens(source: Signal) -> bool:
    try:
        source.open()
    except SourceLost:
        return False
    return True
