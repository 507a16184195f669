"""What was found right is known: it is not judged again, and pydantic is not loaded for it.

A device starts with the configuration that it had when it stopped. Rules: only what was right is
known, by the whole of what was written, by where it lies and by this very program; what was asked
of this machine is asked again. Nothing is known that the file itself does not say: a secret is the
name of one. What is known can be lost or damaged at any time, and costs the time to judge it anew.
`service/known.py` keeps it in the state directory. docs/decisions/0013-known.md says why.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import threading
from collections import OrderedDict
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

from edge_agent import __version__
from edge_agent.config.asking import Question, is_so
from edge_agent.config.part import Part
from edge_agent.frozen import frozen

SomePart = TypeVar("SomePart", bound=Part)

#: So many parts are known at most; a configuration is one, and each of its gates and rules.
MOST = 2000
#: What decides about right and wrong: when one of these files is another, nothing is known.
_JUDGES = ("config", "bundles", "pipeline", "policy")


@frozen
class _Right:
    part: Part
    asked: tuple[Question, ...]

    @property
    def is_still(self) -> bool:
        return all(map(is_so, self.asked))


class Known:
    """By what was written. Threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._right: OrderedDict[str, _Right] = OrderedDict()  # used last at the end
        self._kept: dict[str, str] = {}  # as it was kept, not yet looked at
        self._news = False

    def part(self, kind: type[SomePart], written: object, beside: Path) -> SomePart:
        """What is written, as that kind of part. Raises Invalid."""
        mark = _mark(kind, written, beside)
        right = self._found(mark)
        if right is not None and isinstance(right.part, kind) and right.is_still:
            return right.part
        from edge_agent.config.judging import judge  # loads pydantic

        asked: set[Question] = set()
        part: SomePart = judge(kind, written, {"beside": beside, "asked": asked})
        with self._lock:
            self._news = True
            self._note(mark, _Right(part, tuple(sorted(asked))))
        return part

    def _found(self, mark: str) -> _Right | None:
        with self._lock:
            right = self._right.get(mark) or _decoded(self._kept.get(mark, ""))
            if right is not None:
                self._note(mark, right)
        return right

    def _note(self, mark: str, right: _Right) -> None:
        self._right[mark] = right
        self._right.move_to_end(mark)
        if len(self._right) > MOST:
            self._right.popitem(last=False)

    def recall(self, text: str) -> None:
        """What `news` gave another time; nothing where it is damaged, or another program's."""
        try:
            found = json.loads(text)
            kept, by, digest = found["known"], found["by"], found["sha256"]
        except (ValueError, TypeError, LookupError, RecursionError):
            return
        if by == program() and digest == _digest(kept):
            with self._lock:
                self._kept = kept

    def news(self) -> str | None:
        """What to keep for another time; None where nothing is new."""
        with self._lock:
            if not self._news:
                return None
            self._news = False
            kept = {mark: _encoded(right) for mark, right in self._right.items()}
        document = {"by": program(), "sha256": _digest(kept), "known": kept}
        return json.dumps(document, indent=1)


KNOWN = Known()


def part_of(kind: type[SomePart], written: object, beside: Path | None = None) -> SomePart:
    """What is written, as that part: all defaults where nothing is. Files that it names lie in
    `beside`. Raises Invalid."""
    return KNOWN.part(kind, written, Path() if beside is None else beside)


def program() -> str:
    """This very program and its Python."""
    here = Path(__file__).parents[1]
    files = sorted(
        (each.path, each.stat().st_size, each.stat().st_mtime_ns)
        for folder in _JUDGES
        for each in os.scandir(here / folder)
        if each.name.endswith(".py")
    )
    return _digest([__version__, sys.version, files])


def _mark(kind: type[Part], written: object, beside: Path) -> str:
    home = os.path.expanduser("~")  # where `~` in a file's name leads
    return _digest([kind.__module__, kind.__qualname__, written, str(beside), home])


def _digest(plain: object) -> str:
    return hashlib.sha256(json.dumps(plain).encode()).hexdigest()


# --- below: parts as text, and back --------------------------------------------------------------


def _encoded(right: _Right) -> str:
    return json.dumps([_written(right.part), right.asked])


def _written(value: Any) -> Any:
    """Of a part what was stated; the name of a class stands at the key "", which no mapping has."""
    if isinstance(value, Path):
        return {"": "path", "path": str(value)}
    if is_dataclass(value):
        kind = type(value)
        names = value.stated if isinstance(value, Part) else [each.name for each in fields(value)]
        own = {name: _written(getattr(value, name)) for name in sorted(names)}
        return {"": f"{kind.__module__}:{kind.__qualname__}", **own}
    if isinstance(value, dict):
        return {name: _written(each) for name, each in value.items()}
    return [_written(each) for each in value] if isinstance(value, tuple) else value


def _decoded(text: str) -> _Right | None:
    """None for what no such text is."""
    try:
        found, asked = json.loads(text, object_hook=_made)
        return _Right(found, tuple((what, about) for what, about in asked))
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return None


def _made(found: dict[str, Any]) -> Any:
    name = found.pop("", None)
    own = {key: _tuples(value) for key, value in found.items()}
    if name is None:
        return own
    if name == "path":
        return Path(own["path"])
    kind = _kind(name)
    return kind(**own, stated=frozenset(own)) if issubclass(kind, Part) else kind(**own)


def _kind(name: str) -> type[Any]:
    """A dataclass of ours that is loaded; nothing else is made of a text."""
    module, _, its_name = name.partition(":")
    kind = getattr(sys.modules[module], its_name)
    if not (isinstance(kind, type) and is_dataclass(kind) and kind.__module__ == module):
        raise TypeError(name)
    if not module.startswith("edge_agent."):
        raise TypeError(name)
    return kind


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
