"""The texts that a pattern of times describes, as a regular expression of DuckDB.

DuckDB's own strptime accepts more than its pattern says: "epoch" and "infinity" with any pattern (as times of the year
1900), spaces around a time, a year of two digits for `%Y` (as one of the first century), and an offset of 99 hours.
Whether a text that has the shape is a time is decided by DuckDB alone: it knows which days a month has.

Source: DuckDB's "Date Format Functions", Format Specifiers.
"""

from __future__ import annotations

import re

_NUMBER = "[0-9]{1,2}"
_DAYS = "Mon|Tue|Wed|Thu|Fri|Sat|Sun"
_LONG_DAYS = "Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday"
_MONTHS = "Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec"
_LONG_MONTHS = "January|February|March|April|May|June|July|August|September|October|November|December"
_DATE = f"[0-9]{{4}}-{_NUMBER}-{_NUMBER}"
_CLOCK = f"{_NUMBER}:{_NUMBER}:{_NUMBER}"

_SHAPES = {
    **dict.fromkeys(("d", "m", "H", "I", "M", "S", "U", "W", "V"), _NUMBER),
    **dict.fromkeys(("-d", "-m", "-H", "-I", "-M", "-S", "-y"), _NUMBER),
    **dict.fromkeys(("Y", "G"), "[0-9]{4}"),
    **dict.fromkeys(("j", "-j", "g"), "[0-9]{1,3}"),
    **dict.fromkeys(("b", "h"), f"(?i:{_MONTHS})"),
    **dict.fromkeys(("T", "X"), _CLOCK),
    "y": "[0-9]{2}",
    "f": "[0-9]{1,6}",
    "n": "[0-9]{1,9}",
    "u": "[1-7]",
    "w": "[0-6]",
    "a": f"(?i:{_DAYS})",
    "A": f"(?i:{_LONG_DAYS})",
    "B": f"(?i:{_LONG_MONTHS})",
    "p": "(?i:AM|PM)",
    "z": "[+-]([01][0-9]|2[0-3])(:?[0-5][0-9](:[0-5][0-9])?)?",
    "Z": "[A-Za-z][A-Za-z0-9_/+-]*",
    "c": f"{_DATE} {_CLOCK}",
    "x": _DATE,
    "%": "%",
}
_TOKEN = re.compile(r"%(?P<directive>-?.)|(?P<space>\s+)|(?P<text>[^%\s]+|%)", re.DOTALL)


def shape_of(pattern: str) -> str:
    """Return the regular expression that a text must match as a whole to be a time by this pattern of DuckDB."""
    return "".join(map(_shape, _TOKEN.finditer(pattern)))


def _shape(token: re.Match[str]) -> str:
    match token.lastgroup:
        case "directive":
            return _SHAPES[token["directive"]]
        case "space":
            return "[[:space:]]+"
        case _:
            return re.escape(token["text"])
