"""The SQL of one engine: the few expressions that each engine writes in its own way.

records.py decides, once for all engines, the valid forms of an id, a status and a time. Expressions are texts of SQL.
None of them may raise an error for any cell.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import TypeAlias

Expression: TypeAlias = Callable[[str], str]
"""Turns an expression into another one."""


class Kind(Enum):
    """The kind of a column's cells, by its type."""

    TEXT = auto()
    JSON = auto()
    UUID = auto()
    INTEGER = auto()  # fits into 64 bits
    WIDE_INTEGER = auto()  # need not fit
    DECIMAL = auto()
    FLOAT = auto()
    TIMESTAMP = auto()  # or a date
    OTHER = auto()


def _not_read(*_: str) -> str:
    raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """The expressions of an engine's SQL. "Fits" means into an integer of 64 bits.

    Attributes:
        name: the engine, for messages.
        kinds: a pattern for the names of the types of each kind; the first that matches counts.
        literal: a text as a constant.
        identifier: a name, quoted.
        text_type, float_type: the types of texts and floats.
        fence: follows a subquery, so that the engine computes its columns only once.
        text: a cell as text.
        shown: a cell as text for messages, by the name of any type.
        matches: whether the whole of a text matches a regular expression, which holds no backslash.
        integer: a text of digits, or a wide integer, as an integer; NULL if it does not fit.
        decimal: a text that matches NUMBER as a decimal, rounded to six places; NULL if it is too large.
        truncated: a decimal as an integer without its fraction; NULL if that does not fit.
        rounded: a float that fits as the nearest integer; halves are rounded away from zero.
        us_of_timestamp: the microseconds since 1970 of a cell, by the name of its type. A cell for which there are none
            may have any number that is out of range.
        us_of_iso: the microseconds since 1970 of a text that matches ISO or ISO_NAIVE; NULL if there is no such day.
        us_of_pattern: the same of a text by a pattern of strptime; NULL if it does not match.
        us_of_ns: the microseconds of integer nanoseconds, rounded down.
        reads_every_time_form: whether it has the last two.
    """

    name: str
    kinds: Mapping[Kind, str]
    literal: Callable[[str], str]
    identifier: Callable[[str], str]
    text_type: str
    float_type: str
    fence: str = ""
    text: Expression
    shown: Callable[[str, str], str]
    matches: Callable[[str, str], str]
    integer: Expression
    decimal: Expression
    truncated: Expression
    rounded: Expression
    us_of_timestamp: Callable[[str, str], str]
    us_of_iso: Expression
    us_of_pattern: Callable[[str, str], str] = _not_read
    us_of_ns: Expression = _not_read
    reads_every_time_form: bool = False

    def kind(self, type_name: str) -> Kind:
        """Return the kind of a type of this engine."""
        matching = (kind for kind, names in self.kinds.items() if re.fullmatch(names, type_name, re.DOTALL))
        return next(matching, Kind.OTHER)


def us_of_iso_parts(text: str, *, day: Expression, integer: Expression, group: Callable[[str, str, int], str]) -> str:
    """Return `us_of_iso` for an engine that cannot cast such a text itself.

    Args:
        text: the text.
        day: the days from 1970 to the date that a text begins with; NULL if there is no such day.
        integer: as in Dialect; NULL for an empty text.
        group: a group of the first match of a pattern in a text; empty or NULL if there is none.
    """

    def number(part: str) -> str:
        return f"COALESCE({integer(part)}, 0)"

    def offset(number: int) -> str:
        return group(text, "[Tt ].*([+-])([0-9][0-9]):?([0-9][0-9])?$", number)

    seconds = f"CASE WHEN substr({text}, 17, 1) = ':' THEN {number(f'substr({text}, 18, 2)')} ELSE 0 END"
    clock_s = f"{number(f'substr({text}, 12, 2)')} * 3600 + {number(f'substr({text}, 15, 2)')} * 60 + {seconds}"
    offset_s = f"{number(offset(2))} * 3600 + {number(offset(3))} * 60"
    sign = f"CASE WHEN {offset(1)} = '-' THEN -1 ELSE 1 END"
    fraction_us = number(f"rpad({group(text, '[.,]([0-9]{1,6})', 1)}, 6, '0')")
    return f"({day(text)} * 86400 + {clock_s} - {sign} * ({offset_s})) * 1000000 + {fraction_us}"
