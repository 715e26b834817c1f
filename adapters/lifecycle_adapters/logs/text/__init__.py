"""Logs as text: CSV and JSON Lines, plain or compressed, into DuckDB's table `text_records`.

`read_text` in text_reader.py is the door. Bytes come in blocks (blocks.py), a format finds the rows of a block
(csv_file.py, with csv_rows.py where that is not simple; json_lines.py), and text_table.py takes them. What a value
means is decided in records.py beside this package, as for all that DuckDB reads.
"""

from __future__ import annotations

from lifecycle_adapters.logs.text.blocks import STANDARD_INPUT, standard_input
from lifecycle_adapters.logs.text.csv_options import CsvOptions
from lifecycle_adapters.logs.text.csv_rows import is_text
from lifecycle_adapters.logs.text.text_reader import read_text

__all__ = ["STANDARD_INPUT", "CsvOptions", "is_text", "read_text", "standard_input"]
