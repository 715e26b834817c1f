"""Read CSV and JSON Lines, plain or compressed, into DuckDB's table `text_records`.

Call `read_text` (text_reader.py). It reads blocks of bytes (blocks.py), finds the rows of a block (csv_file.py, with
csv_rows.py if they are not simple; json_lines.py) and inserts them (text_table.py). records.py beside this package
interprets the values, as for everything that DuckDB reads.
"""

from __future__ import annotations

from lifecycle_adapters.logs.text.blocks import STANDARD_INPUT, standard_input
from lifecycle_adapters.logs.text.csv_options import CsvOptions
from lifecycle_adapters.logs.text.text_reader import read_text

__all__ = ["STANDARD_INPUT", "CsvOptions", "read_text", "standard_input"]
