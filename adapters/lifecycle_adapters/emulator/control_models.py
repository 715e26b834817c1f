"""The base of what control calls are given: models whose errors name the field and say what it must be.

A field's description completes the sentence "`field` must be ...", in Python, over HTTP and in the OpenAPI document.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from pydantic import (
    BaseModel,
    ConfigDict,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from lifecycle.errors import UnknownName, described

HIDDEN_FIELDS = frozenset({"url", "secret"})
"""The fields that no error shows, because they may hold a password."""


class ControlModel(BaseModel):
    """A model whose errors are sentences about one field; an unknown field is an UnknownName."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _has_known_fields(cls, fields: Any) -> Any:
        if not isinstance(fields, Mapping):
            what = f"a JSON object with the field {next(iter(cls.model_fields))} is needed"
            raise PydanticCustomError("value_error", "{what}", {"what": what})
        for name in cast("Mapping[str, Any]", fields):
            if name not in cls.model_fields:
                raise UnknownName("field", name, known=cls.model_fields, where=f"emulator, {cls.__name__}")
        return cast("Any", fields)

    @field_validator("*", mode="wrap")
    @classmethod
    def _is_wanted(cls, given: Any, check: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
        try:
            return check(given)
        except ValidationError as error:
            raised = error.errors()[0].get("ctx", {}).get("error")  # of a validator of ours
        if isinstance(raised, UnknownName):
            raise raised
        name = str(info.field_name)
        shown = "" if name in HIDDEN_FIELDS else f", not {described(given)}"
        wanted = f"{name} must be {cls.model_fields[name].description}{shown}"
        text = f"{name}: {raised}" if isinstance(raised, ValueError) else wanted
        raise PydanticCustomError("value_error", "{text}", {"text": text})
