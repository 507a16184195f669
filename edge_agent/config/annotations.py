"""What an annotation says of a value beside its type: bounds, checks, words for what is allowed.

pydantic has an object of its own for each of them. These stand for those and make them when it
asks, so that a type can be written down without loading it. Read `part.py` next.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal

from edge_agent.frozen import frozen

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
    from pydantic_core import CoreSchema


@frozen
class Check:
    how: Literal["AfterValidator", "BeforeValidator", "PlainValidator"]
    check: Callable[..., object]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> Any:
        import pydantic

        made = getattr(pydantic, self.how)(self.check)
        return made.__get_pydantic_core_schema__(source, handler)


@frozen
class _Constraints:
    said: tuple[tuple[str, Any], ...]

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        from pydantic import Field

        return handler(Annotated[source, Field(**dict(self.said))])


@frozen
class _Words:
    text: str
    kind: str

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"type": self.kind, "allowed": self.text}


def after(check: Callable[..., object]) -> Check:
    """A function of the value that the type allows; it returns what counts, or raises ValueError.

    Who takes a second argument is told of the file, too (`judging.py`).
    """
    return Check("AfterValidator", check)


def before(check: Callable[..., object]) -> Check:
    """The same of what is written, which the type judges afterwards."""
    return Check("BeforeValidator", check)


def instead(check: Callable[..., object]) -> Check:
    """The same of what is written; no type judges it."""
    return Check("PlainValidator", check)


def bounds(**said: Any) -> _Constraints:
    """What pydantic's `Field` understands: `ge`, `gt`, `le`, `lt`, `allow_inf_nan`."""
    return _Constraints(tuple(said.items()))


def allowed(text: str, kind: str = "string") -> _Words:
    """What the reference and the mistakes say is allowed, where the type alone says too little."""
    return _Words(text, kind)


#: Of several kinds of mapping, the key `kind` says which.
BY_KIND = bounds(discriminator="kind")
