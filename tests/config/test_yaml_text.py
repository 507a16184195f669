"""YAML means what it looks like, and nothing that stands there makes it raise."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.config.yaml_text import MAX_DEPTH, MAX_VALUES, Fault, parse


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("false", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("5", 5),
        ("-5", -5),
        ("0.5", 0.5),
        (".5", 0.5),
        ("1.", 1.0),
        ("1e3", 1000.0),
        ("1.5E-2", 0.015),
        ("on", "on"),
        ("off", "off"),
        ("yes", "yes"),
        ("no", "no"),
        ("12:30", "12:30"),
        ("0777", "0777"),
        ("007", "007"),
        ("0x1f", "0x1f"),
        ("0o17", "0o17"),
        ("1_000", "1_000"),
        (".inf", ".inf"),
        (".nan", ".nan"),
        ("2026-01-31", "2026-01-31"),
        ("3.1.1", "3.1.1"),
        ("=", "="),
        ('"5"', "5"),
        ("'true'", "true"),
        ("!!str 5", "5"),
        ('!!int "5"', 5),
        ("人", "人"),
        ("9" * 31, "9" * 31),
    ],
)
def test_a_scalar_means_what_it_looks_like(text: str, value: object) -> None:
    tree = parse(f"key: {text}")
    assert tree.faults == ()
    found = tree.data["key"]
    assert found == value
    assert type(found) is type(value)


def test_keys_are_text() -> None:
    assert parse("{on: 1, 12: 2, true: 3, 0.5: 4}").data == {"on": 1, "12": 2, "true": 3, "0.5": 4}


def test_a_key_that_stands_twice_is_named_with_both_lines() -> None:
    tree = parse("a: 1\nb:\n  c: 1\n  d: 2\n  c: 3\n")
    assert tree.data == {"a": 1, "b": {"c": 1, "d": 2}}
    assert tree.faults == (Fault(("b", "c"), "the key stands twice, first on line 3", (5, 3)),)


def test_a_number_and_its_digits_are_the_same_key() -> None:
    assert len(parse('1: a\n"1": b\n').faults) == 1


def test_marks_say_where_keys_and_values_stand() -> None:
    marks = parse("a:\n  - b: 人\n    c: [1, 2]\n").marks
    assert marks.at(("a", 0, "b")) == (2, 8)
    assert marks.at(("a", 0, "c", 1)) == (3, 12)
    assert marks.key(("a", 0, "c")) == (3, 5)
    assert marks.at(("a", 0, "absent", "below")) == (2, 5)
    assert marks.at(()) == (1, 1)


def test_aliases_and_merges_unfold() -> None:
    tree = parse("a: &a {x: 1, y: 2}\nb: *a\nc: {<<: *a, y: 3}\nd: {<<: [{x: 5}, *a]}\n")
    assert tree.faults == ()
    assert tree.data["b"] == {"x": 1, "y": 2}
    assert tree.data["c"] == {"x": 1, "y": 3}
    assert tree.data["d"] == {"x": 5, "y": 2}


def test_only_a_mapping_can_be_merged() -> None:
    assert parse("a: {<<: 5}").faults == (
        Fault(("a", "<<"), "<< takes a mapping (an alias such as *base)", (1, 9)),
    )


def test_a_quoted_merge_sign_is_a_key() -> None:
    assert parse('{"<<": 5}').data == {"<<": 5}


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("", (1, 1), "is empty"),
        ("# only a comment\n", (1, 1), "is empty"),
        ("a: [1\nb: 2\n", (2, 2), "not YAML: expected ',' or ']', but got ':'"),
        ("a:\n\t- b\n", (2, 1), "not YAML: a tab stands here, YAML is indented with spaces"),
        ("a: 1\n---\nb: 2\n", (2, 1), "not YAML: a second document begins here, only one may"),
        (
            "a: {b: ${c}}\n",
            (1, 9),
            "not YAML: expected ',' or '}', but got '{', between braces \"${…}\" needs quotes",
        ),
        ("a: *b\n", (1, 4), "not YAML: found undefined alias 'b'"),
        ("a: \x07\n", (1, 4), "is binary, character U+0007 stands here"),
        ("a: &a [*a]\n", (1, 4), "not usable: an alias that contains itself"),
    ],
)
def test_text_that_is_no_yaml_is_one_fault_with_its_place(
    text: str, place: tuple[int, int], message: str
) -> None:
    tree = parse(text)
    assert tree.data is None
    assert tree.faults == (Fault((), message, place),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: !!bool yes", "the tag !!bool stands here, plain YAML has none"),
        ("a: !foo b", "the tag !foo stands here, plain YAML has none"),
        ("a: !!python/name:os.system x", "the tag !!python/name:os.system stands here"),
        ('a: "\\ud800"', "an escape stands here that is half a character"),
        ("? [a]\n: b", "a key is text, and not empty"),
        ('"": b', "a key is text, and not empty"),
    ],
)
def test_what_plain_yaml_does_not_have_is_a_fault(text: str, message: str) -> None:
    (fault,) = parse(text).faults
    assert fault.message.startswith(message)


def test_a_bomb_of_aliases_is_refused_before_it_unfolds() -> None:
    rows = ["a0: &a0 [x, x]"]
    rows += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 30)]
    (fault,) = parse("\n".join(rows)).faults
    assert fault.message == f"not usable: more than {MAX_VALUES} values, aliases unfolded"


def test_a_file_of_too_many_values_is_refused() -> None:
    (fault,) = parse("- 1\n" * (MAX_VALUES + 1)).faults
    assert fault.message == f"not YAML: more than {MAX_VALUES} values, aliases unfolded"
    assert fault.place == (MAX_VALUES, 3)


@pytest.mark.parametrize("deep", ["[" * 5000, "- " * 5000, "{a: " * 5000])
def test_nesting_has_an_end(deep: str) -> None:
    (fault,) = parse(deep).faults
    assert fault.message == f"not YAML: nested deeper than {MAX_DEPTH} levels"


_PRINTABLE = st.text(st.characters(categories=("L", "N", "P", "S", "Zs")), max_size=8)
_KEYS = _PRINTABLE.filter(bool)
_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**29), 10**29)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _PRINTABLE,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_KEYS, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=60)
@given(_JSON)
def test_json_is_yaml(value: object) -> None:
    tree = parse(json.dumps({"value": value}, ensure_ascii=False))
    assert tree.faults == ()
    assert tree.data == {"value": value}
