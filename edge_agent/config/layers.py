"""Files laid over a configuration: policies that are in charge, and what was set by hand here.

Pure: plain values and the places of each in, the same out. Rules: mappings are joined key by key; a
list (rules, a polygon) takes the place of the one below it. What was set by hand lies on top and
changes rules by their names, so that a policy may bring other rules and a technician's threshold
stays; each of its keys is remembered with what lies below it. Two policies never state the same.
Read `effective.py` next: which files, and what becomes of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from edge_agent.config.lookup import items, mapping, text
from edge_agent.config.wording import did_you_mean, dotted, listed, printable, quoted
from edge_agent.config.yaml_text import Fault, Marks, Path, Place, Tree
from edge_agent.frozen import frozen

_LONGEST = 48


@frozen
class Layer:
    """One file: its name for people, its values. `by_hand`: set on this device, it wins."""

    file: str
    tree: Tree
    by_hand: bool = False


@frozen
class Overridden:
    """A key that was set by hand here, and what it is instead of; nowhere: nothing stood there."""

    path: str
    value: str
    at: str  # file:line
    instead_of: str | None = None
    instead_at: str | None = None


@frozen
class Laid:
    """All of it as one. `faults` are of the layers: with the file that each is in."""

    tree: Tree
    overridden: tuple[Overridden, ...]
    faults: tuple[tuple[Layer, Fault], ...]


def lay(file: str, base: Tree, layers: tuple[Layer, ...]) -> Laid:
    """The values of `base`, with each layer over what came before it."""
    if not isinstance(base.data, dict):
        return Laid(base, (), ())
    work = _Work(file, base)
    for layer in layers:
        work.lay(layer)
    marks = Marks(work.values, work.keys, work.files)
    return Laid(Tree(work.data, marks, base.faults), tuple(work.overridden), tuple(work.faults))


class _Work:
    """What was laid so far. Nothing of a tree that came in is changed."""

    def __init__(self, file: str, base: Tree) -> None:
        self._file = file
        self.data: dict[str, Any] = dict(base.data)
        self.values: dict[Path, Place] = dict(base.marks.values)
        self.keys: dict[Path, Place] = dict(base.marks.keys)
        self.files: dict[Path, str] = {}
        self.overridden: list[Overridden] = []
        self.faults: list[tuple[Layer, Fault]] = []

    def lay(self, layer: Layer) -> None:
        known = dict(mapping(self.data, "pipelines"))
        for name, stated in mapping(layer.tree.data, "pipelines").items():
            here: Path = ("pipelines", name)
            if not isinstance(stated, dict):
                continue
            if not isinstance(known.get(name), dict):
                self._object(layer, here, _no("pipeline", name, known), key=True)
                continue
            known[name] = self._joined(known[name], stated, _Place(layer, here, here))
        self.data["pipelines"] = known

    def _joined(self, under: dict[str, Any], over: dict[str, Any], at: _Place) -> dict[str, Any]:
        joined = dict(under)
        for word, value in over.items():
            below, here = joined.get(word), at.below(word)
            if isinstance(value, dict) and (isinstance(below, dict) or word not in joined):
                if word not in joined:
                    self._take(here, whole=False)
                joined[word] = self._joined(below or {}, value, here)
            elif at.layer.by_hand and here.is_rules and isinstance(value, list):
                joined[word] = self._rules(items(joined, word), value, here)
            else:
                self._note(value, word in joined, below, here)
                self._take(here)
                joined[word] = value
        return joined

    def _rules(self, under: list[Any], over: list[Any], at: _Place) -> list[Any]:
        """Each of the rules set by hand over the one of its name."""
        joined = list(under)
        names = [text(rule, "name") for rule in under]
        for index, rule in enumerate(over):
            name = text(rule, "name")
            if name not in names or name is None:
                known = [each for each in names if each]
                self._object(at.layer, (*at.there, index), _no("rule", str(name), known))
                continue
            number = names.index(name)
            changes = {word: value for word, value in rule.items() if word != "name"}
            place = _Place(at.layer, (*at.here, number), (*at.there, index))
            joined[number] = self._joined(joined[number], changes, place)
        return joined

    def _note(self, value: object, stood: bool, below: object, at: _Place) -> None:
        """What is replaced: remembered of what was set by hand, no right of a second policy."""
        mine, marks = at.layer.file, at.layer.tree.marks
        other = Marks(self.values, {}, self.files).file(at.here) if stood else None
        where = f"{other or self._file}:{self._line(at.here)}"
        if not at.layer.by_hand:
            if other is not None:
                message = f"another policy states it, too: {where}"
                self.faults.append((at.layer, Fault(at.there, message)))
        elif not stood or value != below:
            self.overridden.append(
                Overridden(
                    dotted(at.here),
                    told(value),
                    f"{printable(mine)}:{marks.at(at.there)[0]}",
                    told(below) if stood else None,
                    printable(where) if stood else None,
                )
            )

    def _line(self, path: Path) -> int:
        return Marks(self.values).at(path)[0]

    def _take(self, at: _Place, *, whole: bool = True) -> None:
        """The places of a value, and with `whole` of all that is in it, are the layer's."""
        for places in (self.values, self.keys, self.files):
            for path in [path for path in places if whole and _within(path, at.here)]:
                del places[path]
        marks = at.layer.tree.marks
        for path in _paths(marks, at.there):
            if whole or path == at.there:
                new = (*at.here, *path[len(at.there) :])
                self.files[new] = at.layer.file
                if path in marks.values:
                    self.values[new] = marks.values[path]
                if path in marks.keys:
                    self.keys[new] = marks.keys[path]

    def _object(self, layer: Layer, path: Path, message: str, *, key: bool = False) -> None:
        place = layer.tree.marks.key(path) if key else None
        self.faults.append((layer, Fault(path, message, place)))


@frozen
class _Place:
    """Where a value is: in what was laid so far, and in the layer's own file."""

    layer: Layer
    here: Path
    there: Path

    def below(self, word: str) -> _Place:
        return _Place(self.layer, (*self.here, word), (*self.there, word))

    @property
    def is_rules(self) -> bool:
        return len(self.here) == 3 and self.here[-1] == "rules"


def told(value: object) -> str:
    """A value on one line, cut where it is long."""
    line = json.dumps(value, ensure_ascii=False, default=str)
    return printable(line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…")


def _within(path: Path, outer: Path) -> bool:
    return path[: len(outer)] == outer


def _paths(marks: Marks, outer: Path) -> Iterator[Path]:
    yield from (path for path in marks.values if _within(path, outer))


def _no(what: str, name: str, known: Any) -> str:
    names = tuple(str(each) for each in known)
    there = f"allowed: {listed(names)}" if names else "there are none"
    change = " to change" if what == "rule" else ""
    return f"there is no {what} {quoted(name)}{change}, {there}{did_you_mean(name, names)}"
