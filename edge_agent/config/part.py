"""A part: one mapping of a file, as a frozen dataclass that pydantic can judge.

Rules: what a key may be follows from its type, its meaning stands in its description, unknown keys
are mistakes. A part is made without pydantic; that is loaded when something has to be judged that
nobody has judged yet (`known.py`, `judging.py`; docs/decisions/0013-known.md). A part that is left
out has all of its defaults. Read `schema.py` next.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import MISSING, field, fields
from typing import TYPE_CHECKING, Any, ClassVar

from edge_agent.frozen import frozen_by_name

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler
    from pydantic_core import CoreSchema, ErrorDetails


class Invalid(ValueError):
    """What is written is no such part; every mistake, as pydantic says it."""

    def __init__(self, errors: list[ErrorDetails]) -> None:
        super().__init__(f"{len(errors)} mistakes, the first: {errors[0]}")
        self.errors = errors


@frozen_by_name
class Part:
    """`stated`: the keys that were written; the others have their defaults."""

    #: How pydantic reads it (its ConfigDict): nothing is converted silently.
    READ: ClassVar[Mapping[str, Any]] = {
        "frozen": True,
        "extra": "forbid",
        "strict": True,
        "allow_inf_nan": False,
        "populate_by_name": True,
    }

    stated: frozenset[str] = field(default=frozenset(), compare=False, repr=False)

    def fault(self) -> str | None:
        """What its keys say of one another that cannot be; None: nothing."""
        return None

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        from edge_agent.config.judging import schema_of

        return schema_of(cls, handler)


def key(meaning: str, default: Any = MISSING, **constraints: Any) -> Any:
    """One key: what it means, its default (none: it is required), its bounds."""
    said = {"description": meaning, **constraints}
    if isinstance(default, dict):
        return field(default_factory=default.copy, metadata=said)
    return field(default=default, metadata=said)


def part(meaning: str, made: Callable[[], Part], **constraints: Any) -> Any:
    """A mapping that may be left out: all of its keys then have their defaults."""
    return field(default_factory=made, metadata={"description": meaning, **constraints})


def keys_of(kind: type[Part]) -> tuple[str, ...]:
    """Its keys, in the order in which they stand there."""
    return tuple(each.name for each in fields(kind) if each.name != "stated")


def plain(value: Any, without: Collection[str] = (), *, nulls: bool = True) -> Any:
    """A part as a mapping of what is written in a file, with its defaults; tuples become lists.

    `without` some of its keys; without `nulls` no key stands there that has no value.
    """
    if isinstance(value, Part):
        shown = {
            each.metadata.get("alias", each.name): getattr(value, each.name)
            for each in fields(value)
            if each.name not in ("stated", *without)
        }
        return {
            name: plain(each, nulls=nulls)
            for name, each in shown.items()
            if nulls or each is not None
        }
    if isinstance(value, dict):
        return {name: plain(each, nulls=nulls) for name, each in value.items()}
    return [plain(each, nulls=nulls) for each in value] if isinstance(value, tuple) else value
