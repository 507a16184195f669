"""What is written is held against a part's types: pydantic does it, and is loaded here alone.

A model of pydantic's is made of each part, key by key; what it accepts becomes the part. Read
`known.py` next: why this is seldom needed.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields
from typing import Any, get_type_hints

import pydantic
from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, TypeAdapter, ValidationError
from pydantic_core import CoreSchema, core_schema

from edge_agent.config.part import Invalid, Part, plain


def judge(kind: Any, written: object, context: Mapping[str, Any]) -> Any:
    """What is written, as that kind of part (or one of several). Raises Invalid."""
    try:
        return adapter(kind).validate_python(written, context=dict(context))
    except ValidationError as error:
        raise Invalid(error.errors(include_url=False)) from None


@functools.cache
def adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def schema_of(kind: type[Part], handler: GetCoreSchemaHandler) -> CoreSchema:
    """How a part is read: as its model is, which then becomes the part."""

    def made(model: BaseModel) -> Part:
        stated = model.model_fields_set
        found = kind(**{name: getattr(model, name) for name in stated}, stated=frozenset(stated))
        fault = found.fault()
        if fault is not None:
            raise ValueError(fault)
        return found

    which: Any = kind  # mypy takes the hash of a part for that of its class
    model = handler.generate_schema(_model(which))
    return core_schema.no_info_after_validator_function(made, model)


@functools.cache
def _model(kind: Any) -> type[BaseModel]:
    hints = get_type_hints(kind, include_extras=True)
    keys: dict[str, Any] = {
        each.name: (hints[each.name], _said(each)) for each in fields(kind) if each.name != "stated"
    }
    meaning = None if kind.__doc__ == kind.__name__ else kind.__doc__
    config = ConfigDict(**kind.READ)  # type: ignore[typeddict-item]
    return pydantic.create_model(kind.__name__, __config__=config, __doc__=meaning, **keys)


def _said(each: Field[Any]) -> Any:
    """A key in pydantic's words. What is made when it is left out stands in no schema."""
    made: Any = each.default_factory
    default: dict[str, Any] = {}
    if isinstance(each.default, Part):
        default = {"default": each.default, "json_schema_extra": {"default": plain(each.default)}}
    elif each.default is not MISSING:
        default = {"default": each.default}
    elif isinstance(made, type):
        default = {"default_factory": made}
    elif made is not MISSING:
        default = {"default": made()}
    return pydantic.Field(**default, **each.metadata)
