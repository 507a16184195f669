"""YAML that means what it looks like: text in, plain values out, with the place of each.

Rules: the core schema of YAML 1.2, so `12:30`, `on`, `no`, `0777` and `2026-01-31` are text, and
`1e3` is a number; only `true` and `false` are true and false. Keys are always text. A key that
stands twice is a fault. Anchors, aliases and `<<` work, and a bomb made of them is refused. Nothing
here raises for what a person wrote: faults are returned, and reading goes on behind them where it
can. Read `schema.py` next.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import field
from typing import Any, TypeAlias

import yaml

from edge_agent.frozen import frozen

#: Where a value stands: keys of mappings and indexes of lists, from the root.
Path: TypeAlias = tuple[str | int, ...]
#: Line and column, both counted from 1.
Place: TypeAlias = tuple[int, int]

MAX_VALUES = 20_000  # aliases counted as often as they are used; a large site has some hundreds
MAX_DEPTH = 40
_TOO_DEEP = f"nested deeper than {MAX_DEPTH} levels"
_TOO_MANY = f"more than {MAX_VALUES} values, aliases unfolded"
_TAG = "tag:yaml.org,2002:"


@frozen
class Fault:
    """One thing that is wrong, and where. `place` wins over what `path` would say."""

    path: Path
    message: str
    place: Place | None = None


_NOTHING = Fault((), "is empty", (1, 1))


@frozen
class Marks:
    """The place of every key and value of one file, or of several that were laid over it.

    `files` names the file of a value that is not the first file's own (`layers.py`).
    """

    values: Mapping[Path, Place] = field(default_factory=dict)
    keys: Mapping[Path, Place] = field(default_factory=dict)
    files: Mapping[Path, str] = field(default_factory=dict)

    def at(self, path: Path) -> Place:
        """Where the value at `path` begins, or else the nearest thing around it that exists."""
        return self.values.get(self._nearest(path), (1, 1))

    def file(self, path: Path) -> str | None:
        """In which file that is; None: in the first."""
        return self.files.get(self._nearest(path))

    def _nearest(self, path: Path) -> Path:
        for length in range(len(path), 0, -1):
            if path[:length] in self.values:
                return path[:length]
        return ()

    def key(self, path: Path) -> Place:
        """Where the key of `path` stands: what to point at when its value lacks something."""
        return self.keys.get(path) or self.at(path)


@frozen
class Tree:
    """What one YAML text holds. `data` is None when the text could not be read at all."""

    data: Any
    marks: Marks
    faults: tuple[Fault, ...]


@functools.lru_cache(maxsize=8)
def parse(text: str) -> Tree:
    """Plain dicts, lists, strings, numbers, booleans and None; never raises for the text.

    A start asks for the same texts several times. Nobody changes what is in a tree.
    """
    try:
        root = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        return Tree(None, Marks(), (_syntax_fault(text, error),))
    except yaml.reader.ReaderError as error:
        return Tree(None, Marks(), (_character_fault(text, error.position),))
    if root is None:
        return Tree(None, Marks(), (_NOTHING,))
    builder = _Builder()
    try:
        data = builder.value(root, ())
    except _TooMuch as bomb:
        return Tree(None, Marks(), (Fault((), f"not usable: {bomb}", _place(bomb.node)),))
    if data is None and not builder.faults:
        return Tree(None, Marks(), (_NOTHING,))
    return Tree(data, Marks(builder.values, builder.keys), tuple(builder.faults))


class _Loader(yaml.SafeLoader):
    """Composes nodes only; what a scalar is, the table below says."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - PyYAML's own shape
    depth = 0
    count = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        self.depth += 1
        self.count += 1
        if self.depth > MAX_DEPTH or self.count > MAX_VALUES:
            message = _TOO_DEEP if self.depth > MAX_DEPTH else _TOO_MANY
            raise yaml.composer.ComposerError(None, None, message, self.peek_event().start_mark)  # type: ignore[no-untyped-call]
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


#: What a plain scalar may be. Leading zeros and more than 30 digits are names, not numbers.
_SCALARS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "null": (r"~|null|Null|NULL|", lambda _: None),
    "bool": (r"true|True|TRUE|false|False|FALSE", lambda text: text.lower() == "true"),
    "int": (r"[-+]?(0|[1-9][0-9]{0,29})", int),
    "float": (
        r"[-+]?(\.[0-9]{1,30}|(0|[1-9][0-9]{0,29})(\.[0-9]{0,30})?)([eE][-+]?[0-9]{1,3})?",
        float,
    ),
}
for _name, (_pattern, _) in _SCALARS.items():
    _Loader.add_implicit_resolver(_TAG + _name, re.compile(rf"^(?:{_pattern})$"), None)


class _TooMuch(Exception):
    def __init__(self, message: str, node: yaml.Node) -> None:
        super().__init__(message)
        self.node = node


class _Builder:
    """Turns nodes into values, noting places and faults on the way."""

    def __init__(self) -> None:
        self.values: dict[Path, Place] = {}
        self.keys: dict[Path, Place] = {}
        self.faults: list[Fault] = []
        self._count = 0
        self._open: list[yaml.Node] = []  # the nodes around this one: an alias into them is a loop

    def value(self, node: yaml.Node, path: Path) -> Any:
        self._count += 1
        if self._count > MAX_VALUES:
            raise _TooMuch(_TOO_MANY, node)
        if any(node is outer for outer in self._open):
            raise _TooMuch("an alias that contains itself", node)
        self.values[path] = _place(node)
        self._open.append(node)
        value = self._built(node, path)
        self._open.pop()
        return value

    def _built(self, node: yaml.Node, path: Path) -> Any:
        kind = node.tag.removeprefix(_TAG)
        if isinstance(node, yaml.MappingNode) and kind == "map":
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode) and kind == "seq":
            return [self.value(item, (*path, index)) for index, item in enumerate(node.value)]
        if isinstance(node, yaml.ScalarNode):
            if kind == "str":
                return self._text(node, path)
            pattern, convert = _SCALARS.get(kind, ("(?!)", str))
            if re.fullmatch(pattern, node.value):
                return convert(node.value)
        tag = f"!!{kind}" if kind != node.tag else kind
        self.faults.append(Fault(path, f"the tag {tag} stands here, plain YAML has none"))
        return None

    def _text(self, node: yaml.ScalarNode, path: Path) -> str:
        if any("\ud800" <= letter <= "\udfff" for letter in node.value):
            self.faults.append(Fault(path, "an escape stands here that is half a character"))
            return ""
        return str(node.value)

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        found: dict[str, Any] = {}
        merged: list[yaml.Node] = []
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode) or not self._text(key, path):
                self.faults.append(Fault(path, "a key is text, and not empty", _place(key)))
            elif key.value == "<<" and key.style is None:
                merged.append(value)
            elif key.value in found:
                line = self.keys[(*path, key.value)][0]
                message = f"the key stands twice, first on line {line}"
                self.faults.append(Fault((*path, key.value), message, _place(key)))
            else:
                self.keys[(*path, key.value)] = _place(key)
                found[key.value] = self.value(value, (*path, key.value))
        for source in merged:
            for key, value in self._merged(source, path):
                if key.value not in found:
                    self.keys[(*path, key.value)] = _place(key)
                    found[key.value] = self.value(value, (*path, key.value))
        return found

    def _merged(self, node: yaml.Node, path: Path) -> Iterator[tuple[yaml.ScalarNode, yaml.Node]]:
        """The pairs that `<<` brings in: of one mapping, or of a list of them, the first wins."""
        for source in node.value if isinstance(node, yaml.SequenceNode) else [node]:
            if not isinstance(source, yaml.MappingNode):
                message = "<< takes a mapping (an alias such as *base)"
                self.faults.append(Fault((*path, "<<"), message, _place(source)))
                continue
            for key, value in source.value:
                if isinstance(key, yaml.ScalarNode) and key.value != "<<":
                    yield key, value


def _place(node: yaml.Node) -> Place:
    return node.start_mark.line + 1, node.start_mark.column + 1


def _syntax_fault(text: str, error: yaml.MarkedYAMLError) -> Fault:
    mark = error.problem_mark or error.context_mark
    place = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    problem = error.problem or "it cannot be read"
    if "'\\t'" in problem:
        problem = "a tab stands here, YAML is indented with spaces"
    if "expected a single document" in (error.context or ""):
        problem = "a second document begins here, only one may"
    if "${" in "".join(text.splitlines()[place[0] - 1 : place[0]]):
        problem += ', between braces "${…}" needs quotes'
    return Fault((), f"not YAML: {problem}", place)


def _character_fault(text: str, position: int) -> Fault:
    before = text[:position]
    place = before.count("\n") + 1, position - (before.rfind("\n") + 1) + 1
    code = f"U+{ord(text[position]):04X}"
    return Fault((), f"is binary, character {code} stands here", place)
