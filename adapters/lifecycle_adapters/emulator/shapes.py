"""Types that the request and response shapes of several APIs share: ids, time stamps, money, enumerations, errors.

A request's shape is a pydantic model. A response's shape is a `TypedDict`: the type checker checks it where the view
is written, the OpenAPI document shows it, and it costs nothing at run time.
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
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetPydanticSchema,
    StrictBool,
    StrictStr,
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema, PydanticCustomError
from pydantic_core.core_schema import no_info_after_validator_function, to_string_ser_schema
from typing_extensions import TypedDict

from lifecycle_adapters.http.responses import DuplicateKey, parsed

Id = Annotated[str, WithJsonSchema({"type": "string", "format": "uuid"})]
Moment = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]
_DATE_TIME = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}.*")


def _is_date_time(text: Any) -> Any:
    # pydantic would also accept a number, as seconds since 1970; the documents declare a date-time.
    if isinstance(text, str) and _DATE_TIME.fullmatch(text) is None:
        raise PydanticCustomError("datetime_parsing", "Input should be a valid datetime")
    return text


def _is_number(value: Any) -> Any:
    # pydantic would also accept "3" and true, whereas a strict integer would refuse 3.0.
    if isinstance(value, str | bool):
        raise PydanticCustomError("int_type", "Input should be a valid integer")
    return value


_LONGEST_MONEY = 100  # characters; the time to match `MONEY` grows with the cube of their number


def _is_short(text: Any) -> Any:
    if isinstance(text, str) and len(text) > _LONGEST_MONEY:
        raise PydanticCustomError("string_too_long", "Input should have at most 100 characters")
    return text


Bool = StrictBool
WHOLE = BeforeValidator(_is_number)
"""Add this to every integer, after its bounds: before them it would hide them from the OpenAPI document."""
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
DateTime = Annotated[datetime, BeforeValidator(_is_date_time)]
MONEY = r"^(?!^[-+.]*$)[+-]?0*\d*\.?\d*$"
"""The pattern of a decimal number as a string, from the specifications."""
MoneyText = Annotated[str, Field(pattern=MONEY), BeforeValidator(_is_short)]
Budget = Number | MoneyText
Money = Annotated[str, WithJsonSchema({"type": "string", "pattern": MONEY})]


class RequestModel(BaseModel):
    """Base of the request models: camelCase in JSON; unknown fields are ignored."""

    # `MONEY` has a look-ahead, which pydantic's own regular expressions do not support.
    model_config = ConfigDict(alias_generator=to_camel, regex_engine="python-re")


class Detail(TypedDict):
    """An error, for people."""

    detail: str


class FieldErrorModel(TypedDict):
    """One invalid field: its location, a message, and a stable code."""

    loc: list[str | int]
    msg: str
    type: str


class FieldErrors(TypedDict):
    """All invalid fields."""

    detail: list[FieldErrorModel]


def enumeration(name: str, values: Iterable[str]) -> GetPydanticSchema:
    """Return an annotation for a string that is one of `values`, shown under `name` in the OpenAPI document."""
    declare: Any = StrEnum  # type checkers accept such declarations only as literals
    members = declare(name, {value: value for value in values})

    def schema(_: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        as_text = to_string_ser_schema()  # defaults are plain strings; an enumeration's serializer would warn of them
        return no_info_after_validator_function(str, handler.generate_schema(members), serialization=as_text)

    return GetPydanticSchema(schema)


def decimal(amount: float | str) -> str:
    """Return an amount in the services' format: a decimal number without an exponent, as a string."""
    return format(Decimal(str(amount)), "f")


def moment(at: datetime) -> str:
    """Return a time stamp in the services' format: UTC, with microseconds and a `Z`."""
    return at.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def document_of(body: bytes) -> Any:
    """Return the JSON document in a body, None for an empty body.

    Raises:
        ValueError: the body is not JSON, or it holds a value that no response could repeat as JSON: NaN, an infinite
            number, half of a surrogate pair, or more than a hundred levels.
    """
    if not body:
        return None
    try:
        document = json.loads(body)
    except RecursionError:
        raise ValueError("more than a hundred levels") from None
    if not is_json(document):
        raise ValueError("NaN, an infinite number, half of a surrogate pair, or more than a hundred levels")
    return document


def plain_id(text: str) -> str:
    """Return an id that a control call names. Raises ValueError: no id is empty, or has such a character."""
    if not text:
        raise ValueError("an id has at least one character")
    if _CONTROL.search(text):
        raise ValueError("an id has no line end and no other control character")
    return utf_8(text)


def utf_8(text: str) -> str:
    """Return a text. Raises ValueError: UTF-8 cannot encode it, so that no request and no response can carry it."""
    if _HALF_A_PAIR.search(text):
        raise ValueError("half of a surrogate pair, which UTF-8 cannot encode")
    return text


_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
PlainId = Annotated[
    StrictStr,
    AfterValidator(plain_id),
    WithJsonSchema({"type": "string", "pattern": r"^[^\u0000-\u001f\u007f-\u009f\u2028\u2029]+$"}),
]
_DEEPEST = 100
_HALF_A_PAIR = re.compile("[\ud800-\udfff]")


def is_json(value: Any, levels: int = _DEEPEST) -> bool:
    """Return whether JSON in UTF-8 can hold a value, in so many levels at most."""
    match value:
        case str():
            return _HALF_A_PAIR.search(value) is None
        case float():
            return math.isfinite(value)
        case [*items]:
            return levels > 0 and all(is_json(each, levels - 1) for each in items)
        case {**fields}:
            return levels > 0 and all(is_json(each, levels - 1) for pair in fields.items() for each in pair)
        case _:
            return True


async def require_document(request: Request, *, needs_json: bool = False, with_unique_keys: bool = False) -> None:
    """Raise RequestValidationError for JSON that no response could repeat, and with `needs_json` for any other text.

    Without it, FastAPI refuses a body that is not JSON, if the endpoint has one. `with_unique_keys` refuses an object
    that has a key twice, too.
    """
    body = await request.body()
    try:
        document_of(body)
        if body and with_unique_keys:
            parsed(body)
    except DuplicateKey as error:
        what = f"the key {error.key[:80]!r} is twice in one object"
        raise RequestValidationError([{"loc": ("body",), "msg": what, "type": "json_invalid"}]) from None
    except ValueError as error:
        if isinstance(error, json.JSONDecodeError | UnicodeDecodeError) and not needs_json:
            return
        facts = {"msg": "JSON decode error", "type": "json_invalid", "ctx": {"error": str(error)}}
        raise RequestValidationError([{"loc": ("body",), **facts}]) from None
