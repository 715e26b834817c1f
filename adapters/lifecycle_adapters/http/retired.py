"""The retirement of a service by its vendor."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Annotated

from pydantic import Field

from lifecycle.declaration import StrictText
from lifecycle_adapters.http.declared import Declared, Mistake

_SINCE = re.compile(r"[0-9]{4}-[0-9]{2}(-[0-9]{2})?")


class RetiredServiceWarning(FutureWarning):
    """A client of a retired service was made. Python shows warnings of this kind by default."""


@dataclass(frozen=True, slots=True)
class Retired(Declared):
    """The retirement of a service: `since`, a day or a month, and `instead`, the service to use instead.

    Raises:
        DefinitionError: a field is of another type, `since` is neither a day nor a month, or `instead` is empty.
    """

    since: Annotated[StrictText, Field(description="a day or a month, as text such as '2026-08-31' or '2026-08'")]
    instead: Annotated[StrictText, Field(description="what to use instead, as text such as 'v4'")]

    def __post_init__(self) -> None:
        self._examine("retired", str(self.since))

    def _mistakes(self) -> Iterator[Mistake]:
        try:
            is_date = _SINCE.fullmatch(self.since) is not None and bool(date.fromisoformat(f"{self.since}-01"[:10]))
        except ValueError:
            is_date = False
        if not is_date:
            yield ("since",), f"must be a day or a month, such as '2026-08-31' or '2026-08', not {self.since!r}"
        if not (self.instead and self.instead.isprintable()):
            yield ("instead",), f"must name the service to use instead, such as 'v4', not {self.instead!r}"

    def __str__(self) -> str:
        return f"retired since {self.since}; use {self.instead} instead"
