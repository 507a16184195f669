"""`@frozen`: a frozen, slotted dataclass that costs next to nothing until it is used.

The agent has hundreds of them. `dataclasses` writes and compiles six functions for each, which took
a third of the time from the start to the first inference; most of those functions are never called
in that time. Here the fields and slots are made by `dataclasses` itself, so `fields`, `replace`,
`asdict` and `match` work as always; comparing, hashing and showing are the same few functions for
every class; and a constructor is compiled when it is worth it.

docs/decisions/0012-frozen.md says why. Rules: every field is in the comparison and in `repr` unless
it says otherwise, as of a dataclass; `__post_init__` sets what it works out with
`object.__setattr__`. What differs from `dataclass(frozen=True, slots=True)` is the time alone, and
a test holds it to that. But for a NaN: the very same NaN is equal to itself here, as in a tuple; a
dataclass of Python 3.13 says that it is not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, Field, FrozenInstanceError, dataclass, field, fields
from operator import attrgetter
from types import MethodType
from typing import Any, TypeVar, dataclass_transform

T = TypeVar("T")

#: So many times a constructor is not worth being compiled.
FEW = 8
#: What makes it frozen; of the rest a class may have its own.
_ALWAYS = ("__init__", "__setattr__", "__delattr__")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(cls: type[T]) -> type[T]:
    """The class as a frozen dataclass with slots."""
    return _made(cls, by_name=False)


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
def frozen_by_name(cls: type[T]) -> type[T]:
    """The same, with fields that are given by their names alone, in any order."""
    return _made(cls, by_name=True)


def _made(cls: type[T], *, by_name: bool) -> type[T]:
    if cls.__doc__ is None:
        cls.__doc__ = cls.__name__  # or `dataclass` works out a signature to stand there
    made: Any = dataclass(init=False, repr=False, eq=False, slots=True, kw_only=by_name)(cls)
    key = _key(tuple(each.name for each in fields(made) if each.compare))
    methods: dict[str, object] = {
        "__init__": _Constructor(made),
        "__repr__": _shown,
        "__eq__": _equal(key),
        "__hash__": _hashed(key),
        "__setattr__": _refuse_to_set,
        "__delattr__": _refuse_to_delete,
        "__getstate__": _state,
        "__setstate__": _set_state,
    }
    for name, method in methods.items():
        if name in _ALWAYS or vars(cls).get(name) is None:  # Python puts no hash beside an own eq
            setattr(made, name, method)
    given: type[T] = made
    return given


class _Constructor:
    """Stands for `__init__` until somebody reads its signature, calls it wrongly, or often. What is
    made a few times, as most is at a start, is spelled out: a tenth of what compiling takes.
    """

    def __init__(self, made: Any) -> None:
        self._made = made
        self._calls = 0

    def __get__(self, one: object, kind: type | None = None) -> Callable[..., None]:
        self._calls += 1
        # Python 3.13 looks for a signature with the class itself in the place of an instance.
        if isinstance(one, self._made) and self._calls <= FEW:
            return MethodType(self._spell, one)
        init = self._compile()
        return init if one is None else MethodType(init, one)

    def _compile(self) -> Callable[..., None]:
        init = _compiled(self._made)
        self._made.__init__ = init
        return init

    def _spell(self, one: object, *values: Any, **named: Any) -> None:
        """The same, field by field."""
        given, made = dict(named), self._made
        all_of = fields(made)
        names = [each.name for each in all_of if each.init and not each.kw_only]
        given.update(zip(names, values, strict=False))
        right = len(values) <= len(names) and len(given) == len(values) + len(named)
        for each in all_of:
            if each.init and each.name in given:
                value = given.pop(each.name)
            elif each.default_factory is not MISSING:
                value = each.default_factory()
            elif each.default is not MISSING:
                value = each.default
            else:
                right = right and not each.init
                continue
            object.__setattr__(one, each.name, value)
        if given or not right:
            self._compile()(one, *values, **named)  # it says what is wrong
        elif hasattr(made, "__post_init__"):
            one.__post_init__()  # type: ignore[attr-defined]


def _compiled(made: Any) -> Callable[..., None]:
    """Its `__init__`: an argument a field, in order, set in its slot."""
    known: dict[str, Any] = {"MISSING": MISSING}
    arguments, lines = ["self"], []
    named: list[str] = []
    for number, each in enumerate(fields(made)):
        known[f"set_{number}"] = getattr(made, each.name).__set__  # of the slot
        known[f"default_{number}"], value = _default(each, number)
        if each.init:
            (named if each.kw_only else arguments).append(_argument(each, number))
        if value:
            lines.append(f"    set_{number}(self, {value})")
    if hasattr(made, "__post_init__"):
        lines.append("    self.__post_init__()")
    arguments += ["*", *named] if named else []
    text = f"def __init__({', '.join(arguments)}):\n" + "\n".join(lines or ["    pass"])
    exec(text, known)
    init: Callable[..., None] = known["__init__"]
    init.__qualname__ = f"{made.__qualname__}.__init__"
    init.__module__ = made.__module__
    init.__annotations__ = {each.name: each.type for each in fields(made) if each.init}
    return init


def _default(each: Field[Any], number: int) -> tuple[Any, str]:
    """What stands for a field that is not given, and the text of what is set in its slot."""
    if each.default_factory is not MISSING:
        made = f"default_{number}()"
        if each.init:
            made = f"{made} if {each.name} is MISSING else {each.name}"
        return each.default_factory, made
    if each.init:
        return each.default, each.name
    return each.default, "" if each.default is MISSING else f"default_{number}"


def _argument(each: Field[Any], number: int) -> str:
    if each.default_factory is not MISSING:
        return f"{each.name}=MISSING"
    return each.name if each.default is MISSING else f"{each.name}=default_{number}"


# --- what all of them share ----------------------------------------------------------------------


def _key(names: tuple[str, ...]) -> Callable[[Any], tuple[Any, ...]]:
    """The values of those fields."""
    if len(names) > 1:
        return attrgetter(*names)
    return lambda one: tuple(getattr(one, name) for name in names)


def _shown(self: Any) -> str:
    values = (f"{each.name}={getattr(self, each.name)!r}" for each in fields(self) if each.repr)
    return f"{type(self).__qualname__}({', '.join(values)})"


def _equal(key: Callable[[Any], Any]) -> Callable[[Any, object], Any]:
    def equal(self: Any, other: object) -> Any:
        if other.__class__ is not self.__class__:
            return NotImplemented
        return key(self) == key(other)

    return equal


def _hashed(key: Callable[[Any], Any]) -> Callable[[Any], int]:
    return lambda self: hash(key(self))


def _refuse_to_set(self: Any, name: str, value: object) -> None:
    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_to_delete(self: Any, name: str) -> None:
    raise FrozenInstanceError(f"cannot delete field {name!r}")


def _state(self: Any) -> list[Any]:
    return [getattr(self, each.name) for each in fields(self)]


def _set_state(self: Any, state: list[Any]) -> None:
    for each, value in zip(fields(self), state, strict=True):
        object.__setattr__(self, each.name, value)
