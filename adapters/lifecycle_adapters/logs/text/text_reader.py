"""CSV and JSON Lines into DuckDB, block by block, so that memory stays bounded and every row keeps its line.

Python cuts a block into lines, DuckDB takes all of them apart at once. Where bytes come from is told in
blocks.py, what a row is in csv_file.py and json_lines.py, what a value means in records.py beside this package.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable
from pathlib import Path

from lifecycle_adapters.logs.columns import Columns
from lifecycle_adapters.logs.duckdb_session import DuckDbSession
from lifecycle_adapters.logs.log_errors import UnusableLog
from lifecycle_adapters.logs.rules import Rules
from lifecycle_adapters.logs.text.blocks import BLOCK_BYTES, LONGEST_BYTES, STANDARD_INPUT, Blocks
from lifecycle_adapters.logs.text.csv_file import CsvFile
from lifecycle_adapters.logs.text.json_lines import JsonLinesFile
from lifecycle_adapters.logs.text.text_table import CREATE, TextTable


def read_text(
    bench: DuckDbSession,
    rules: Rules,
    columns: Columns,
    files: Iterable[tuple[int, str, str]],
    *,
    block_bytes: int = BLOCK_BYTES,
    longest_bytes: int = LONGEST_BYTES,
    row_by_row: bool = False,
) -> dict[str, str]:
    """Read files into the table `text_records`, which has the columns of `records` (see queries.py).

    Args:
        bench: where the table is made.
        rules: give statuses their codes.
        columns: which column holds what.
        files: their numbers, their paths ("-" is the standard input) and their formats, "csv" or "jsonl".
        block_bytes: how much is read at once.
        longest_bytes: how long a row may be.
        row_by_row: read CSV only in the slow way. What is read is the same.
    Returns:
        The files that could not be read to their end, and why. What was read of them counts.
    Raises:
        UnusableLog: a column is missing or there twice, or a file is in another format.
        EngineFailed: there is no room.
    """
    bench.run(CREATE)
    broken: dict[str, str] = {}
    for number, path, form in files:
        table = TextTable(bench, rules, columns, number, path)
        reader = CsvFile(table, longest_bytes, row_by_row=row_by_row) if form == "csv" else JsonLinesFile(table)
        doing = f"reading {'the standard input' if path == STANDARD_INPUT else Path(path).name}"
        with Blocks(path, block_bytes=block_bytes, longest_bytes=longest_bytes) as blocks:
            for block in blocks:
                if reader.line == 1 and (wrong := _foreign(block.data, form)) is not None:
                    raise UnusableLog(f"{path}: {wrong}")
                if rest := reader.take(block):
                    blocks.put_back(rest)
                if block.lost is not None:
                    table.reject([(reader.line, block.lost)])
                    reader.line += 1
                bench.tell(doing, blocks.share)
        reader.end()
        if blocks.broken is not None:
            broken[path] = blocks.broken
    return broken


def _foreign(data: bytes, form: str) -> str | None:
    """What is wrong with a file that begins with these bytes and is in another format than it should be."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in data[:2]:
        return "it is UTF-16, not UTF-8: convert it (iconv -f UTF-16 -t UTF-8)"
    if form == "jsonl" and _ARRAY_OF_RECORDS.match(data[:_HEAD_BYTES]):
        return "it is one JSON array, not an object on each line: convert it (jq -c '.[]')"
    return None


_HEAD_BYTES = 4_096
_ARRAY_OF_RECORDS = re.compile(rb"\s*\[\s*(\{|\Z)")
