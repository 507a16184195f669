"""What a signal cannot have, and the forms of its uri: each mistake at its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_agent.config.explain import canonical, pipeline_spec
from edge_agent.config.load import Loaded, read
from edge_agent.config.signal_uri import EXAMPLES, KINDS, OPTIONS, address, parse
from edge_agent.errors import UsageError

HEAD = "sources:\n  motor: {{kind: signal, uri: '{uri}'{source}}}\npipelines:\n  p:\n"
BODY = "    source: motor\n    model: m\n"


def _loaded(tmp_path: Path, pipeline: str = "", source: str = "", uri: str = "csv:x.csv") -> Loaded:
    path = tmp_path / "site.yaml"
    path.write_text(HEAD.format(uri=uri, source=source) + BODY + pipeline, "utf-8")
    return read(path)


def _said(loaded: Loaded) -> list[str]:
    return [f"{each.line}:{each.column}: {each.path}: {each.message}" for each in loaded.mistakes]


# --- defaults ------------------------------------------------------------------------------------


def test_every_window_counts_and_nothing_moves(tmp_path: Path) -> None:
    loaded = _loaded(tmp_path)
    assert loaded.config is not None
    gate = pipeline_spec(loaded.config, "p").gate
    assert (gate.max_fps, gate.motion, gate.stationary) == (0.0, None, False)


def test_a_rate_that_is_stated_counts(tmp_path: Path) -> None:
    loaded = _loaded(tmp_path, "    gate: {max_fps: 2}\n")
    assert loaded.config is not None
    assert pipeline_spec(loaded.config, "p").gate.max_fps == 2.0


def test_what_is_the_same_is_the_same_text_however_it_was_written(tmp_path: Path) -> None:
    plain, said = _loaded(tmp_path), _loaded(tmp_path, "    gate: {max_fps: 0, motion: false}\n")
    assert plain.config is not None
    assert said.config is not None
    assert canonical(plain.config, "p", "0") == canonical(said.config, "p", "0")


def test_a_file_is_named_relative_to_the_configuration(tmp_path: Path) -> None:
    loaded = _loaded(tmp_path, uri="csv:data/x.csv?columns=a")
    assert loaded.config is not None
    assert loaded.config.sources["motor"].uri == f"csv:{tmp_path}/data/x.csv?columns=a"


@pytest.mark.parametrize("uri", ["csv:-", "mqtt://h/t", "iio:/sys/x", "built-in:?seed=3"])
def test_what_is_no_file_stays_as_it_is(tmp_path: Path, uri: str) -> None:
    loaded = _loaded(tmp_path, uri=uri)
    assert loaded.config is not None
    assert loaded.config.sources["motor"].uri == uri


# --- mistakes ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pipeline", "mistake"),
    [
        ("gate: {motion: {keepalive_s: 3}}",
         "7:20: pipelines.p.gate.motion: nothing in a signal moves, "
         "allowed: motion: false, or no such key"),
        ("gate: {motion: {}}",
         "7:20: pipelines.p.gate.motion: nothing in a signal moves, "
         "allowed: motion: false, or no such key"),
        ("gate: {stationary: true}",
         "7:24: pipelines.p.gate.stationary: nothing in a signal moves, "
         "allowed: stationary: false, or no such key"),
        ("masks: {privacy: [[[0, 0], [1, 0], [1, 1]]]}",
         "7:12: pipelines.p.masks: a signal is no picture that could have masks, allowed: none"),
        ("zones: {a: [[0, 0], [1, 0], [1, 1]]}",
         "7:12: pipelines.p.zones: a signal is no picture that could have zones, allowed: none"),
        ("lines: {a: {from: [0, 0], to: [1, 1]}}",
         "7:12: pipelines.p.lines: a signal is no picture that could have lines, allowed: none"),
        ("rules: [{name: a, score_above: 1, evidence: [snapshot]}]",
         "7:50: pipelines.p.rules[0].evidence[0]: there is no snapshot of a signal, "
         "allowed: window"),
        ("defaults: {evidence: [snapshot]}",
         "7:27: pipelines.p.defaults.evidence[0]: there is no snapshot of a signal, "
         "allowed: window"),
    ],
)  # fmt: skip
def test_what_belongs_to_pictures_is_named_at_its_place(
    tmp_path: Path, pipeline: str, mistake: str
) -> None:
    assert _said(_loaded(tmp_path, f"    {pipeline}\n")) == [mistake]


@pytest.mark.parametrize(
    ("uri", "source", "mistake"),
    [
        ("tcp:h:1", ", loop: true", "sources.motor.loop: only a file begins again"),
        ("csv:x", ", username: u", "sources.motor.username: username is a broker's"),
        ("mqtt://h/t", ", password: '${credential:p}'", "password without username"),
        ("csv:x", ", window: 0", "sources.motor.window: 0 stands here"),
        ("csv:x", ", rate_hz: 0", "sources.motor.rate_hz: 0 stands here"),
        ("x.csv", "", "sources.motor.uri: 'x.csv' is no signal"),
        ("pcm:x", "", "sources.motor.uri: 'pcm:x' is no signal"),
        ("csv:", "", "nothing is named behind csv:"),
        ("csv:x?colums=a", "", "csv: has no option 'colums', allowed: columns, time, follow"),
        ("mqtt://u:topsecret@h/t", "", "a password stands in the uri, write it as password:"),
    ],
)
def test_a_mistake_of_the_source_is_named(
    tmp_path: Path, uri: str, source: str, mistake: str
) -> None:
    said = _said(_loaded(tmp_path, uri=uri, source=source))
    assert len(said) == 1
    assert mistake in said[0]
    assert "topsecret" not in said[0]


def test_a_password_with_a_user_in_the_uri_is_right(tmp_path: Path) -> None:
    source = ", password: '${credential:p}'"
    assert _said(_loaded(tmp_path, uri="mqtt://u@h/t", source=source)) == []


# --- the uri itself ------------------------------------------------------------------------------


def test_every_kind_has_an_example_that_is_right() -> None:
    assert set(EXAMPLES) == set(KINDS)
    for kind, example in EXAMPLES.items():
        assert parse(example).kind == kind


@pytest.mark.parametrize(
    ("place", "found"),
    [
        ("broker.local", ("broker.local", 1883)),
        ("broker.local:1884", ("broker.local", 1884)),
        ("10.0.0.7:1", ("10.0.0.7", 1)),
        ("[::1]:5000", ("::1", 5000)),
        ("[fe80::1]", ("fe80::1", 1883)),
    ],
)
def test_an_address_is_a_host_and_a_port(place: str, found: tuple[str, int]) -> None:
    assert address(parse("mqtt://h/t"), place, 1883) == found


@pytest.mark.parametrize("place", ["", ":1", "h:", "h:0", "h:65536", "h:x", "h:²"])
def test_what_is_no_address_is_refused(place: str) -> None:
    with pytest.raises(UsageError, match="is no address"):
        address(parse("tcp:h:1"), place, None)


@pytest.mark.parametrize(
    ("uri", "sentence"),
    [
        ("serial:/d?baud=x", "'x' is no value for baud"),
        ("tcp:h:1?format=xml", "'xml' is no value for format"),
    ],
)
def test_an_option_is_one_of_its_words(uri: str, sentence: str) -> None:
    found = parse(uri)
    with pytest.raises(UsageError, match=sentence):
        found.word("baud" if "baud" in uri else "format", ("csv", "i16le"))


def test_options_are_known_for_every_kind() -> None:
    for kind, options in OPTIONS.items():
        for option in options:
            uri = EXAMPLES[kind].partition("?")[0]
            assert option in parse(f"{uri}?{option}=1").options
