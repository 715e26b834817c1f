"""Read JSON Lines: DuckDB finds the rows and their values, Python only why a line is not a row."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from itertools import repeat
from operator import contains
from typing import Any

from lifecycle.errors import shortened
from lifecycle_adapters.argument_checks import is_text
from lifecycle_adapters.logs.duckdb_session import literal
from lifecycle_adapters.logs.text.blocks import Block
from lifecycle_adapters.logs.text.csv_rows import NOT_UTF8
from lifecycle_adapters.logs.text.text_table import TextTable

_KINDS = {list: "an array", str: "a text", float: "a number", bool: "a truth value", type(None): "null"}


class JsonLinesFile:
    """A JSON Lines file: an object on each line. Empty lines are not rows."""

    def __init__(self, table: TextTable) -> None:
        self.line = 1
        self._table = table
        self._keys = tuple(dict.fromkeys(table.parts.values()))
        self._columns: set[str] = set()
        self._has_rows = False

    def take(self, block: Block) -> bytes:
        """Read a block to its end."""
        text = block.data.decode("utf-8", "surrogateescape")
        lines = text.split("\n")
        if not lines[-1]:
            lines.pop()
        if lines:
            is_row = _is_row(None if self._has_keys_once(text, lines) else self._keys)
            # A line that is not text cannot be registered. Its replacement is not JSON either.
            texts = lines if is_text(text) else [line if is_text(line) else NOT_UTF8 for line in lines]
            wrong = self._take_lines(texts, is_row)
            faults = ((place, json_fault(lines[place], self._keys)) for place in wrong)
            self._table.reject([(self.line + place, fault) for place, fault in faults])
            self.line += len(lines)
        return b""

    def end(self) -> None:
        """Raise UnusableLog if there were rows, and none of them had a column."""
        if self._has_rows:
            self._table.require(sorted(self._columns))

    def _take_lines(self, lines: Sequence[str], is_row: str) -> list[int]:
        """Insert the lines that are rows, and return which others are not empty."""
        pointers = [pointer for key in self._keys for pointer in _pointers(key)]
        cells = f"json_extract(line, [{', '.join(map(literal, pointers))}])"
        parts = (
            f'COALESCE({", ".join(f"cells[{pointers.index(each) + 1}]" for each in _pointers(key))}) AS "{part}"'
            for part, key in self._table.parts.items()
        )
        relation = f"(SELECT {', '.join(parts)}, place FROM (SELECT {cells} AS cells, place FROM lines WHERE {is_row}))"
        with self._table.registered(range(self.line, self.line + len(lines)), line=lines):
            count = self._table.insert(relation, "JSON")
            if count:
                self._record_columns(is_row)
            if count == len(lines):
                return []
            wrong = self._table.lines_where(f"NOT {is_row} AND trim(line, E' \\t\\r') <> ''")
        return [line - self.line for line in wrong]

    def _record_columns(self, is_row: str) -> None:
        """Record the columns: those of the first row, and the required ones that any row has."""
        if not self._has_rows:
            self._has_rows = True
            [keys] = self._table.first_of(f"SELECT json_keys(line) FROM lines WHERE {is_row} ORDER BY place LIMIT 1")
            self._columns.update(keys)
        for key in self._keys:
            if key not in self._columns:
                has_key = " OR ".join(f"json_exists(line, {literal(pointer)})" for pointer in _pointers(key))
                [is_there] = self._table.first_of(f"SELECT bool_or({has_key}) FROM lines WHERE {is_row}")
                if is_there:
                    self._columns.add(key)

    def _has_keys_once(self, text: str, lines: Sequence[str]) -> bool:
        """Return whether certainly no line has a key twice: a quick check, because the thorough one is slow."""
        # A key can also be written with \u0073, or with a character that needs an escape.
        if "\\u" in text or any("/" in key or json.dumps(key, ensure_ascii=False) != f'"{key}"' for key in self._keys):
            return False
        written = (f'"{key}"' for key in self._keys)
        return all(text.count(key) == sum(map(contains, lines, repeat(key))) for key in written)


def _is_row(keys: Sequence[str] | None) -> str:
    """Return the condition that a line is an object with each of these keys at most once."""
    once = ""
    if keys is not None:
        found = f"list_filter(json_keys(line), lambda key: key IN ({', '.join(map(literal, keys))}))"
        once = f" AND len({found}) = list_unique({found})"
    return f"(CASE WHEN json_valid(line) THEN json_type(line) = 'OBJECT'{once} ELSE false END)"


def _pointers(key: str) -> list[str]:
    """Return the pointers to a key (RFC 6901), the preferred one first.

    For `data.status` that is `status` inside `data`; then the key as it is, with its dot.
    """
    pointer = "/" + key.replace("~", "~0").replace("/", "~1")
    return [pointer.replace(".", "/"), pointer] if "." in key else [pointer]


def json_fault(line: str, keys: Iterable[str]) -> str:
    """Return why a line is not a row of JSON Lines; each of `keys` may occur once."""
    if not is_text(line):
        return NOT_UTF8
    try:
        # An `int` may have some thousand digits only.
        document = json.loads(line, object_pairs_hook=_ObjectPairs, parse_int=float)
        if isinstance(document, _ObjectPairs):
            names = [name for name, _ in document]
            twice = [key for key in keys if names.count(key) > 1]
            if twice:
                return f"the key {shortened(twice[0])} occurs {names.count(twice[0])} times"
            json.dumps(document, ensure_ascii=False).encode()
            return "not JSON"
    except json.JSONDecodeError as error:
        return f"not JSON: {error.msg} at column {error.colno}"
    except RecursionError:
        return "not JSON: nested too deeply"
    except UnicodeEncodeError:
        return "not JSON: half of a surrogate pair"
    return f"a row must be a JSON object, not {_KINDS[type(document)]}"


class _ObjectPairs(list[tuple[str, Any]]):
    """The keys and values of an object, also of one that has a key twice."""
