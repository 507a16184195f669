"""The log as a person, a script and the journal read it."""

from __future__ import annotations

import ast
import io
import json
import logging
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge_agent.host.log import _OWN, _PLACE, LogHandler, Style, leads_to_journal
from edge_agent.policy.secrecy import Scrubber

PACKAGE = Path(__file__).parents[2] / "edge_agent"
Log = Callable[..., tuple[logging.Logger, io.StringIO]]


@pytest.fixture
def log() -> Iterator[Log]:
    """`log(Style(...), *secrets)`: a logger, and what it wrote."""
    logger = logging.getLogger("edge_agent.tested")
    logger.propagate = False
    logger.setLevel(logging.INFO)

    def start(style: Style, *secrets: str) -> tuple[logging.Logger, io.StringIO]:
        written = io.StringIO()
        logger.addHandler(LogHandler(written, style, Scrubber(secrets)))
        return logger, written

    yield start
    logger.handlers.clear()
    logger.propagate = True


def test_as_text_it_is_one_line_of_words_and_facts(log: Log) -> None:
    logger, written = log(Style())
    logger.warning("source lost source=%s reason=%r", "dock", "no answer\nFORGED")
    (line,) = written.getvalue().splitlines()
    moment, *rest = line.split(" ")
    assert moment.endswith("Z")
    assert " ".join(rest) == (
        "WARNING edge_agent.tested source lost source=dock reason='no answer\\nFORGED'"
    )


def test_as_json_the_facts_have_their_keys_and_types(log: Log) -> None:
    logger, written = log(Style("json"))
    logger.error("thread hangs name=%r seconds=%.1f level=%d 人 %s", "dock", 5.25, 3, "here")
    document = json.loads(written.getvalue())
    assert document.pop("time").endswith("Z")
    assert document == {
        "level": "error",
        "logger": "edge_agent.tested",
        "message": "thread hangs 人 here",
        "name": "dock",
        "seconds": 5.25,
        "level_": 3,
    }


def test_the_journal_gets_the_priority_of_every_line_and_no_time(log: Log) -> None:
    logger, written = log(Style(journal=True))
    logger.info("started version=%s", "1")
    try:
        raise ValueError("a fault of ours")
    except ValueError:
        logger.exception("worker failed name=%s", "x")
    lines = written.getvalue().splitlines()
    assert lines[0] == "<6>edge_agent.tested started version=1"
    assert lines[1] == "<3>edge_agent.tested worker failed name=x"
    assert lines[-1] == "<3>ValueError: a fault of ours"
    assert all(line.startswith("<3>") for line in lines[1:])


@pytest.mark.parametrize("form", ["text", "json"])
def test_what_is_repeated_is_counted_and_told_at_the_end(log: Log, form: str) -> None:
    logger, written = log(Style(form))  # type: ignore[arg-type]
    for _ in range(38):
        logger.warning("no connection reason=%r", "refused")
    (ours,) = [each for each in logger.handlers if isinstance(each, LogHandler)]
    ours.close()
    first, last = written.getvalue().splitlines()
    assert "repeated" not in first
    assert json.loads(last)["repeated"] == 37 if form == "json" else "repeated=37" in last


def test_no_secret_is_written(log: Log) -> None:
    logger, written = log(Style("json"), "hunter2")
    try:
        raise ValueError("rtsp://joe:hunter3@cam/ password=hunter4")
    except ValueError:
        logger.exception("the camera said %s to rtsp://joe:hunter5@cam", "hunter2")
    for number in range(2, 6):
        assert f"hunter{number}" not in written.getvalue()
    json.loads(written.getvalue())  # it is a document still


def test_stderr_is_the_journal_only_when_it_is_that_very_stream(tmp_path: Path) -> None:
    with (tmp_path / "stream").open("w") as stream:
        status = os.fstat(stream.fileno())
        ours = {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
        assert leads_to_journal(ours, stream)
        assert not leads_to_journal({"JOURNAL_STREAM": "8:1"}, stream)
        assert not leads_to_journal({}, stream)
    assert not leads_to_journal(ours, io.StringIO())
    assert sys.stderr is not None


def test_every_line_that_the_agent_writes_can_be_taken_apart() -> None:
    """A sentence first, then its facts: a key between words would be missed in the sentence."""
    wrong = []
    for path in PACKAGE.glob("**/*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and getattr(node.func.value, "id", "") == "log"
                and node.args
                and isinstance(node.args[0], ast.Constant)
            ):
                continue
            template = str(node.args[0].value)
            keyed = [place for place in _PLACE.finditer(template) if place.group(1)]
            where = f"{path.name}:{node.lineno} {template}"
            if {place.group(1) for place in keyed} & (_OWN - {"name"}):
                wrong.append(f"{where}: a key of the log's own")
            after = template[keyed[0].end() :] if keyed else ""
            if [word for word in after.split() if "=" not in word and "%" not in word]:
                wrong.append(f"{where}: words after the facts")
    assert wrong == []
