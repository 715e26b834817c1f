"""The pieces that the shapes of several APIs share: ids, moments, money, enumerations, errors.

Shapes are declared twice as cheaply as usual: what a call takes is a pydantic model, what it answers a
`TypedDict`. The latter is checked where the view is written and shown in the OpenAPI document, and costs
nothing when a call is answered.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetPydanticSchema,
    StrictBool,
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema, PydanticCustomError
from pydantic_core.core_schema import no_info_after_validator_function, to_string_ser_schema
from typing_extensions import TypedDict

Id = Annotated[str, WithJsonSchema({"type": "string", "format": "uuid"})]
Moment = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]
_DATE_TIME = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}.*")


def _is_date_time(text: Any) -> Any:
    # pydantic would also read a number, as seconds since 1970; the documents say date-time and mean it.
    if isinstance(text, str) and _DATE_TIME.fullmatch(text) is None:
        raise PydanticCustomError("datetime_parsing", "Input should be a valid datetime")
    return text


def _is_number(value: Any) -> Any:
    # pydantic would also read "3" and true; a strict integer, on the other hand, would refuse 3.0.
    if isinstance(value, str | bool):
        raise PydanticCustomError("int_type", "Input should be a valid integer")
    return value


Bool = StrictBool
WHOLE = BeforeValidator(_is_number)
"""Goes with every integer, after its bounds: before them it would hide them from the OpenAPI document."""
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
DateTime = Annotated[datetime, BeforeValidator(_is_date_time)]
MONEY = r"^(?!^[-+.]*$)[+-]?0*\d*\.?\d*$"
"""A decimal number as a text, as the specifications declare it."""
Budget = Number | Annotated[str, Field(pattern=MONEY)]
Money = Annotated[str, WithJsonSchema({"type": "string", "pattern": MONEY})]


class Taken(BaseModel):
    """Base of what a call takes: camelCase in JSON; fields that it does not know are ignored."""

    # `MONEY` looks ahead, which pydantic's own regular expressions cannot.
    model_config = ConfigDict(alias_generator=to_camel, regex_engine="python-re")


class Detail(TypedDict):
    """An error, for people."""

    detail: str


class FieldError(TypedDict):
    """One field that is wrong: where it stands, what is wrong with it, and a stable code."""

    loc: list[str | int]
    msg: str
    type: str


class FieldErrors(TypedDict):
    """All fields that are wrong."""

    detail: list[FieldError]


def enumeration(name: str, words: Iterable[str]) -> GetPydanticSchema:
    """Return an annotation for a text that is one of `words`, shown under `name` in the OpenAPI document."""
    declare: Any = StrEnum  # type checkers want such declarations to be literal
    members = declare(name, {word: word for word in words})

    def schema(_: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        as_text = to_string_ser_schema()  # a default is a plain text, which an enumeration's own would warn about
        return no_info_after_validator_function(str, handler.generate_schema(members), serialization=as_text)

    return GetPydanticSchema(schema)


def decimal(amount: float | str) -> str:
    """Return an amount as the services write it: a decimal number without an exponent, as a text."""
    return format(Decimal(str(amount)), "f")


def moment(at: datetime) -> str:
    """Return a time stamp as the services write it: UTC, with a `Z`."""
    return at.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
