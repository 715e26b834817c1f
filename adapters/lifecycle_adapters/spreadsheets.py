r"""The cells of CSV files, which people open in a spreadsheet or print on a terminal: neither does what a cell says.

A cell that a spreadsheet would take for a formula begins with an apostrophe, and what controls a terminal (the ends
of lines and tabs too), or turns the direction of writing, is spelled out as Python does (`\x1b`, `\r`). Both Python
and DuckDB write such cells; the two functions read the same table. Source: OWASP's "CSV Injection".
"""

from __future__ import annotations

from functools import reduce

_FORMULA = "=+-@＝＋－＠"  # noqa: RUF001 (East Asian spreadsheets take the wide ones for the narrow ones)
_NO_FORMULA = "-"  # one such character alone, as the name of the standard input is
_CODES = (*range(32), *range(127, 160), 0x61C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
_SPELLED = {code: repr(chr(code))[1:-1] for code in _CODES}


def cell(text: str) -> str:
    """Return a text as a cell of a CSV file."""
    begins = "'" if text[:1] and text[0] in _FORMULA and text != _NO_FORMULA else ""
    return begins + text.translate(_SPELLED)


def cell_in_sql(text: str) -> str:
    """Return the expression by which DuckDB makes a cell of the text that an expression gives."""
    begins = ", ".join(f"chr({ord(each)})" for each in _FORMULA)
    odd = "".join(f"\\x{{{code:x}}}" for code in _SPELLED)
    spelled = reduce(lambda inner, code: f"replace({inner}, chr({code}), '{_SPELLED[code]}')", _SPELLED, text)
    return (
        f"CASE WHEN left({text}, 1) IN ({begins}) AND {text} <> '{_NO_FORMULA}' THEN '''' ELSE '' END"
        f" || CASE WHEN regexp_matches({text}, '[{odd}]') THEN {spelled} ELSE {text} END"
    )
