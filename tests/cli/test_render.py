"""Lines and tables: at most 80 columns in every script, nothing lost where it is wrapped."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from unicodedata import east_asian_width

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.cli.render import account, counts, plural, table, wrapped
from edge_agent.types import Ledger

LEDGER = Ledger(626, 143, {"busy": 10, "motion": 7, "paused": 35, "rate": 431, "stale": 0}, 0, 0)
LETTERS = st.text("ab人侵é ", max_size=200)


def columns(line: str) -> int:
    return sum(1 + (east_asian_width(letter) in "WF") for letter in line)


@given(st.text("ab人", max_size=20), LETTERS, st.integers(44, 80))
def test_wrapped_lines_fit_and_hold_every_letter(head: str, text: str, room: int) -> None:
    lines = wrapped(head, text, room)
    assert all(columns(line) <= room for line in lines)
    assert "".join(lines).replace(" ", "") == (head + text).replace(" ", "")
    assert all(line.startswith(" " * columns(head)) for line in lines[1:])


def test_a_number_stays_with_its_word() -> None:
    lines = wrapped("  ledger  ", account(LEDGER))
    assert lines == [
        "  ledger  626 captured = 143 inferred + 483 skipped (busy 10, motion 7,",
        "          paused 35, rate 431) + 0 failed + 0 pending",
    ]


CELLS = st.text("ab人侵 ", min_size=1, max_size=60)


@given(st.lists(st.tuples(CELLS, CELLS, CELLS), max_size=5))
@settings(max_examples=60)
def test_a_table_fits_and_its_columns_stand_below_one_another(
    rows: list[tuple[str, str, str]],
) -> None:
    said: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("edge_agent.cli.render.say", said.append)
        table(("name", "what", "place"), rows, fold="what")
    assert all(columns(line) <= 80 for line in said)
    assert said[0].split() == ["name", "what", "place"]
    folded = "".join(line for line in said[1:]).replace(" ", "")
    for _, what, _ in rows:
        assert set(what.replace(" ", "")) <= set(folded)


def test_the_folded_column_keeps_its_text_and_the_others_are_cut(
    capsys: pytest.CaptureFixture[str],
) -> None:
    table(("name", "what"), [("n" * 100, "人" * 30)], fold="what")
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith("nnn")
    assert "…" in lines[1]
    assert sum(line.count("人") for line in lines) == 30


def test_what_could_move_the_cursor_is_shown_by_its_number(
    capsys: pytest.CaptureFixture[str],
) -> None:
    table(("name",), [("\x1b[31mred\n",)])
    assert capsys.readouterr().out.splitlines()[1] == r"\x1b[31mred\n"
    assert wrapped("", "a\x1b[2Jb") == [r"a\x1b[2Jb"]


def test_counts_and_plurals() -> None:
    assert counts({"dog": 1, "人": 2}) == "1 dog, 2 人"
    assert counts({}) == "none"
    assert plural(1, "message waits", "messages wait") == "1 message waits"
    assert plural(0, "frame") == "0 frames"


CODE = "from edge_agent.cli.render import table; table(('id', 'what'), [('1', '人')])"


def _on_a_terminal(**environment: str) -> str:
    own, theirs = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "-c", CODE], stdout=theirs, env={**os.environ, **environment}
    )
    os.close(theirs)
    assert child.wait(60) == 0
    said = os.read(own, 10_000).decode()
    os.close(own)
    return said


def test_no_colour_reaches_a_pipe_whatever_the_environment_forces() -> None:
    forced = {"FORCE_COLOR": "1", "CLICOLOR_FORCE": "1", "TERM": "xterm-256color"}
    piped = subprocess.run(
        [sys.executable, "-c", CODE],
        env={**os.environ, **forced},
        check=True,
        capture_output=True,
        text=True,
    )
    assert piped.stdout == "id  what\n1   人\n"


def test_a_terminal_gets_bold_headings_and_never_a_colour() -> None:
    assert _on_a_terminal(TERM="xterm-256color") == "\x1b[1mid  what\x1b[0m\r\n1   人\r\n"
    assert not re.search(r"\x1b\[[0-9;]*3\d", _on_a_terminal(NO_COLOR="1"))
