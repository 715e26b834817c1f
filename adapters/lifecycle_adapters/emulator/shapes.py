"""The pieces that the shapes of several APIs share: ids, moments, money, enumerations, errors.

Shapes are declared twice as cheaply as usual: what a call takes is a pydantic model, what it answers a
`TypedDict`. The latter is checked where the view is written and shown in the OpenAPI document, and costs
nothing when a call is answered.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
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


_LONGEST_MONEY = 100  # characters; `MONEY` takes time that grows with the cube of their number


def _is_short(text: Any) -> Any:
    if isinstance(text, str) and len(text) > _LONGEST_MONEY:
        raise PydanticCustomError("string_too_long", "Input should have at most 100 characters")
    return text


Bool = StrictBool
WHOLE = BeforeValidator(_is_number)
"""Goes with every integer, after its bounds: before them it would hide them from the OpenAPI document."""
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
DateTime = Annotated[datetime, BeforeValidator(_is_date_time)]
MONEY = r"^(?!^[-+.]*$)[+-]?0*\d*\.?\d*$"
"""A decimal number as a text, as the specifications declare it."""
MoneyText = Annotated[str, Field(pattern=MONEY), BeforeValidator(_is_short)]
Budget = Number | MoneyText
Money = Annotated[str, WithJsonSchema({"type": "string", "pattern": MONEY})]


class RequestModel(BaseModel):
    """Base of what a call takes: camelCase in JSON; fields that it does not know are ignored."""

    # `MONEY` looks ahead, which pydantic's own regular expressions cannot.
    model_config = ConfigDict(alias_generator=to_camel, regex_engine="python-re")


class Detail(TypedDict):
    """An error, for people."""

    detail: str


class FieldErrorModel(TypedDict):
    """One field that is wrong: where it stands, what is wrong with it, and a stable code."""

    loc: list[str | int]
    msg: str
    type: str


class FieldErrors(TypedDict):
    """All fields that are wrong."""

    detail: list[FieldErrorModel]


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


def document_of(body: bytes) -> Any:
    """Return the JSON document that a body is, None for an empty body.

    Raises:
        ValueError: it is not JSON; or it holds what no answer could repeat as JSON: NaN, an infinite number, half of
            a surrogate pair, or more than a hundred levels.
    """
    if not body:
        return None
    try:
        document = json.loads(body)
    except RecursionError:
        raise ValueError("more than a hundred levels") from None
    if not _is_repeatable(document, _DEEPEST):
        raise ValueError("NaN, an infinite number, half of a surrogate pair, or more than a hundred levels")
    return document


_DEEPEST = 100
_HALF_A_PAIR = re.compile("[\ud800-\udfff]")


def _is_repeatable(value: Any, levels: int) -> bool:
    match value:
        case str():
            return _HALF_A_PAIR.search(value) is None
        case float():
            return math.isfinite(value)
        case [*items]:
            return levels > 0 and all(_is_repeatable(each, levels - 1) for each in items)
        case {**fields}:
            return levels > 0 and all(_is_repeatable(each, levels - 1) for pair in fields.items() for each in pair)
        case _:
            return True


async def require_document(request: Request) -> None:
    """Raise RequestValidationError if a body is JSON that no answer could repeat; FastAPI refuses what is no JSON."""
    try:
        document_of(await request.body())
    except (json.JSONDecodeError, UnicodeDecodeError):
        return
    except ValueError as error:
        facts = {"msg": "JSON decode error", "type": "json_invalid", "ctx": {"error": str(error)}}
        raise RequestValidationError([{"loc": ("body",), **facts}]) from None
