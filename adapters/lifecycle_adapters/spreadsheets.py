r"""Escaping of CSV cells, so that neither a spreadsheet nor a terminal executes their contents.

A cell that a spreadsheet would interpret as a formula gets a leading apostrophe. Characters that control a terminal
(including line ends and tabs) or change the direction of writing are escaped as in Python (`\x1b`, `\r`). One function
is for Python, the other for DuckDB; both use the same table. Source: OWASP's "CSV Injection".
"""

from __future__ import annotations

from functools import reduce

_FORMULA = "=+-@＝＋－＠"  # noqa: RUF001 (East Asian spreadsheets interpret the wide ones like the narrow ones)
_NO_FORMULA = "-"  # the character alone is not a formula; it is the name of the standard input
_CODES = (*range(32), *range(127, 160), 0x61C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
_SPELLED = {code: repr(chr(code))[1:-1] for code in _CODES}


def cell(text: str) -> str:
    """Return a text escaped for a cell of a CSV file."""
    begins = "'" if text[:1] and text[0] in _FORMULA and text != _NO_FORMULA else ""
    return begins + text.translate(_SPELLED)


def cell_in_sql(text: str) -> str:
    """Return the DuckDB expression that escapes the value of the expression `text` for a cell of a CSV file."""
    begins = ", ".join(f"chr({ord(each)})" for each in _FORMULA)
    odd = "".join(f"\\x{{{code:x}}}" for code in _SPELLED)
    spelled = reduce(lambda inner, code: f"replace({inner}, chr({code}), '{_SPELLED[code]}')", _SPELLED, text)
    return (
        f"CASE WHEN left({text}, 1) IN ({begins}) AND {text} <> '{_NO_FORMULA}' THEN '''' ELSE '' END"
        f" || CASE WHEN regexp_matches({text}, '[{odd}]') THEN {spelled} ELSE {text} END"
    )
