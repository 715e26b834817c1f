"""Read CSV and JSON Lines into DuckDB block by block, so that memory stays bounded and every row keeps its line.

Python splits a block into lines, DuckDB parses all of them at once. blocks.py reads the bytes; csv_file.py and
json_lines.py find the rows, records.py beside this package interprets the values.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable
from pathlib import Path

from lifecycle_adapters.logs.columns import Columns
from lifecycle_adapters.logs.duckdb_session import DuckDbSession
from lifecycle_adapters.logs.log_errors import UnusableLog, WrongEncoding
from lifecycle_adapters.logs.rules import Rules
from lifecycle_adapters.logs.text.blocks import BLOCK_BYTES, LONGEST_BYTES, STANDARD_INPUT, Blocks
from lifecycle_adapters.logs.text.csv_file import CsvFile
from lifecycle_adapters.logs.text.csv_options import CsvOptions
from lifecycle_adapters.logs.text.json_lines import JsonLinesFile
from lifecycle_adapters.logs.text.text_table import CREATE, TextTable


def read_text(
    session: DuckDbSession,
    rules: Rules,
    columns: Columns,
    files: Iterable[tuple[int, str, str]],
    *,
    csv: CsvOptions | None = None,
    block_bytes: int = BLOCK_BYTES,
    longest_bytes: int = LONGEST_BYTES,
    row_by_row: bool = False,
) -> dict[str, str]:
    """Read files into the table `text_records`, which has the columns of `records` (see queries.py).

    Args:
        session: the database in which to make the table.
        rules: the codes of the statuses.
        columns: the names of the columns.
        files: their numbers, their paths ("-" is the standard input) and their formats, "csv" or "jsonl".
        csv: the delimiter and the encoding of CSV files, if they are not commas and UTF-8.
        block_bytes: the number of bytes to read at once.
        longest_bytes: the longest row.
        row_by_row: read CSV only with the slow reader; the rows are the same.
    Returns:
        The files that could not be read to their end, and the reasons. Their rows before that count.
    Raises:
        UnusableLog: a column is missing or occurs twice, or a file is in another format.
        EngineFailed: there is no space.
    """
    session.run(CREATE)
    csv = csv or CsvOptions()
    broken: dict[str, str] = {}
    for number, path, form in files:
        table = TextTable(session, rules, columns, number, path)
        is_csv = form == "csv"
        reader = CsvFile(table, longest_bytes, csv, row_by_row=row_by_row) if is_csv else JsonLinesFile(table)
        encoding = csv.encoding if is_csv and not csv.is_utf_8 else None
        doing = f"reading {'the standard input' if path == STANDARD_INPUT else Path(path).name}"
        with Blocks(path, block_bytes=block_bytes, longest_bytes=longest_bytes, encoding=encoding) as blocks:
            for block in blocks:
                if reader.line == 1 and encoding is None:
                    _require_format(block.data, path, form)
                if rest := reader.take(block):
                    blocks.put_back(rest)
                if block.lost is not None:
                    table.reject([(reader.line, block.lost)])
                    reader.line += 1
                session.report_progress(doing, blocks.share)
        reader.end()
        if blocks.broken is not None:
            broken[path] = blocks.broken
    return broken


def _require_format(data: bytes, path: str, form: str) -> None:
    """Raise UnusableLog if a file that begins with these bytes is in another format than it should be."""
    if (encoding := _wide_encoding(data)) is not None:
        family = encoding[:6].upper()
        what = f"{path}: it is {family}, not UTF-8"
        if form == "csv":
            raise WrongEncoding(f"{what}: name the encoding ({encoding})", path=path, encoding=encoding)
        raise UnusableLog(f"{what}: convert it (iconv -f {family} -t UTF-8)")
    if form == "jsonl" and _ARRAY_OF_RECORDS.match(data[:_HEAD_BYTES]):
        raise UnusableLog(f"{path}: it is one JSON array, not an object on each line: convert it (jq -c '.[]')")


def _wide_encoding(data: bytes) -> str | None:
    """Return the kind of UTF-16 or UTF-32 of a text that begins with these bytes; None if it is another encoding."""
    if data.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):  # one begins like the mark of UTF-16
        return "utf-32"
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    match [byte == 0 for byte in data[:4]]:
        case [True, True, True, False]:
            return "utf-32-be"
        case [False, True, True, True]:
            return "utf-32-le"
        case [True, *_]:
            return "utf-16-be"
        case [False, True, *_]:
            return "utf-16-le"
        case _:
            return None


_HEAD_BYTES = 4_096
_ARRAY_OF_RECORDS = re.compile(rb"\s*\[\s*(\{|\Z)")
