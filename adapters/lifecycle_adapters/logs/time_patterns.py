"""The supported patterns of times, and for each the regular expression by which DuckDB checks texts.

A pattern has the directives of Python's strptime, with the same meaning; those that differ from machine to machine, or
have another meaning for DuckDB, are refused. Two directives differ: `%Z` also reads the names of zones, such as CET,
which Python ignores or refuses, and `%z` also reads an offset of hours alone.

DuckDB's own strptime accepts more than its pattern says: "epoch" and "infinity" with any pattern (as times of the year
1900), spaces around a time, a year of two digits for `%Y` (as one of the first century), and an offset of 99 hours.
DuckDB alone decides whether a text of that shape is a time: it knows the days of each month.

Sources: DuckDB's "Date Format Functions", Format Specifiers; Python's `datetime`, Format Codes.
"""

from __future__ import annotations

import re

from lifecycle_adapters.argument_checks import is_text
from lifecycle_adapters.logs.log_errors import WrongPattern

_NUMBER = "[0-9]{1,2}"
_DAYS = "Mon|Tue|Wed|Thu|Fri|Sat|Sun"
_LONG_DAYS = "Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday"
_MONTHS = "Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec"
_LONG_MONTHS = "January|February|March|April|May|June|July|August|September|October|November|December"

_SHAPES = {
    **dict.fromkeys("dmHIMS", _NUMBER),
    "Y": "[0-9]{4}",
    "y": "[0-9]{2}",
    "j": "[0-9]{1,3}",
    "f": "[0-9]{1,6}",
    "u": "[1-7]",
    "w": "[0-6]",
    "a": f"(?i:{_DAYS})",
    "A": f"(?i:{_LONG_DAYS})",
    "b": f"(?i:{_MONTHS})",
    "B": f"(?i:{_LONG_MONTHS})",
    "p": "(?i:AM|PM)",
    "z": "([+-]([01][0-9]|2[0-3])(:?[0-5][0-9]|:[0-5][0-9]:[0-5][0-9])?|Z)",
    "Z": "[A-Za-z][A-Za-z0-9_/+-]*",
    "%": "%",
}
_REFUSED = {
    **dict.fromkeys("cxX", "depends on the language of a machine: write its parts, such as %d.%m.%Y or %H:%M:%S"),
    **dict.fromkeys("GVUW", "counts weeks, which is not supported"),
}
_PARTS = {"the year": "Yy", "the month": "mbBj", "the day": "dj", "the hour": "HI"}
_DIRECTIVES = ", ".join(f"%{each}" for each in _SHAPES)
_TOKEN = re.compile(r"%(?P<directive>-?.?)|(?P<space>\s+)|(?P<text>[^%\s]+)", re.DOTALL)


def require_pattern(pattern: str) -> None:
    """Raise WrongPattern unless the pattern is supported."""
    if (fault := _fault_of(pattern)) is not None:
        raise WrongPattern(f"{pattern!r} is not a pattern of times: {fault}", pattern=pattern)


def _fault_of(pattern: str) -> str | None:
    if not is_text(pattern):
        return "it is not UTF-8"
    given = [token["directive"] for token in _TOKEN.finditer(pattern) if token.lastgroup == "directive"]
    for each in given:
        if each not in _SHAPES:
            return f"%{each} {_REFUSED.get(each, f'is not a supported directive ({_DIRECTIVES})')}"
        if each != "%" and given.count(each) > 1:
            return f"%{each} occurs {given.count(each)} times"
    for part, letters in _PARTS.items():
        if len(several := [f"%{each}" for each in letters if each in given]) > 1:
            return f"{' and '.join(several)} both say {part}"
    if ("I" in given) is not ("p" in given):
        return "%I and %p need each other"
    return None if {*given} - {"Z", "%"} else "it has no directive of a day or a time of day, such as %Y"


def shape_of(pattern: str) -> str:
    """Return the regular expression that a text must match as a whole to be a time by this pattern."""
    return "".join(map(_shape, _TOKEN.finditer(pattern)))


def duckdb_patterns(pattern: str) -> list[str]:
    """Return DuckDB's patterns for the texts of this one: DuckDB's `%z` does not read Z, which is UTC."""
    of_utc = "".join("Z" if token["directive"] == "z" else token[0] for token in _TOKEN.finditer(pattern))
    return list(dict.fromkeys((pattern, of_utc)))


def _shape(token: re.Match[str]) -> str:
    match token.lastgroup:
        case "directive":
            return _SHAPES[token["directive"]]
        case "space":
            return "[[:space:]]+"
        case _:
            return re.escape(token["text"])
