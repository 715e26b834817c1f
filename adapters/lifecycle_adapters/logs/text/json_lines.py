"""Read JSON Lines: DuckDB finds the rows and their values, Python only why a line is not a row."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import repeat
from operator import contains
from typing import Any, cast

from lifecycle.errors import shortened
from lifecycle_adapters.argument_checks import is_text
from lifecycle_adapters.logs.columns import require_columns
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
        self._names = tuple(dict.fromkeys(name for key in self._keys for path in _paths(key) for name in path))
        self._columns: set[str] = set()
        self._has_rows = False

    def take(self, block: Block) -> bytes:
        """Read a block to its end."""
        text = block.data.decode("utf-8", "surrogateescape")
        lines = text.split("\n")
        if not lines[-1]:
            lines.pop()
        if lines:
            keys = () if self._has_keys_once(text, lines) else self._keys
            is_row = _is_row(keys, may_be_lenient=_may_be_lenient(block.data))
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
            require_columns(sorted(self._columns), self._table.columns, of=self._table.path, is_nested=True)

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
        if "\\u" in text or any(
            "/" in name or json.dumps(name, ensure_ascii=False) != f'"{name}"' for name in self._names
        ):
            return False
        written = (f'"{name}"' for name in self._names)
        return all(text.count(name) == sum(map(contains, lines, repeat(name))) for name in written)


# DuckDB also takes a comma before an end, and numbers such as NaN and -Infinity, in any letter case, for JSON.
_LENIENT = r",[ \t\r]*[}\]]|[:,\[][ \t\r]*-?(?i:nan|inf)"
_STRING = r'"([^"\\]|\\.)*"'
_FOLDED = bytes.maketrans(b"}ABCDEFGHIJKLMNOPQRSTUVWXYZ", b"]abcdefghijklmnopqrstuvwxyz")


def _may_be_lenient(data: bytes) -> bool:
    """Return whether DuckDB may take a line for JSON that is none: a quick check, because the thorough one is slow."""
    folded = data.translate(_FOLDED, b" \t\r")
    return b",]" in folded or b"nan" in folded or b"inf" in folded


def _is_row(keys: Iterable[str], *, may_be_lenient: bool) -> str:
    """Return the condition that a line is an object with each of these keys, and of those on their paths, at most once.

    Args:
        keys: the keys; none if they need not be counted.
        may_be_lenient: whether a line can be what only DuckDB takes for JSON.
    """
    conditions = ["json_type(line) = 'OBJECT'"]
    if may_be_lenient:
        lenient = literal(_LENIENT)
        outside = f"regexp_replace(line, {literal(_STRING)}, '', 'g')"
        conditions.append(
            f"CASE WHEN regexp_matches(line, {lenient}) THEN NOT regexp_matches({outside}, {lenient}) ELSE true END"
        )
    names: defaultdict[str, set[str]] = defaultdict(set)  # by the pointer to the object that they are in
    for key in keys:
        for path in _paths(key):
            for depth, name in enumerate(path):
                names[_pointer(path[:depth])].add(name)
    for pointer, those in names.items():
        place = f", {literal(pointer)}" if pointer else ""
        found = f"list_filter(json_keys(line{place}), lambda key: key IN ({', '.join(map(literal, sorted(those)))}))"
        conditions.append(f"(len({found}) > list_unique({found})) IS NOT TRUE")
    return f"(CASE WHEN json_valid(line) THEN {' AND '.join(conditions)} ELSE false END)"


def _paths(key: str) -> list[list[str]]:
    """Return the names that lead to a key, the preferred ones first.

    For `data.status` that is `status` inside `data`; then the key as it is, with its dot.
    """
    return [key.split("."), [key]] if "." in key else [[key]]


def _pointer(path: Iterable[str]) -> str:
    """Return the pointer that has these names (RFC 6901)."""
    return "".join("/" + name.replace("~", "~0").replace("/", "~1") for name in path)


def _pointers(key: str) -> list[str]:
    """Return the pointers to a key, the preferred one first."""
    return [*map(_pointer, _paths(key))]


def json_fault(line: str, keys: Iterable[str]) -> str:
    """Return why a line is not a row of JSON Lines; each of `keys`, and of those on their paths, may occur once."""
    if not is_text(line):
        return NOT_UTF8
    try:
        # An `int` may have some thousand digits only.
        document = json.loads(line, object_pairs_hook=_ObjectPairs, parse_int=float, parse_constant=_refuse)
        if isinstance(document, _ObjectPairs):
            for path in (path for key in keys for path in _paths(key)):
                if (fault := _repetition(document, path)) is not None:
                    return fault
            json.dumps(document, ensure_ascii=False).encode()
            return "not JSON"
    except json.JSONDecodeError as error:
        return f"not JSON: {error.msg} at column {error.colno}"
    except _NoNumberError as error:
        return f"not JSON: {error}"
    except RecursionError:
        return "not JSON: nested too deeply"
    except UnicodeEncodeError:
        return "not JSON: half of a surrogate pair"
    return f"a row must be a JSON object, not {_KINDS[type(document)]}"


def _repetition(document: Any, path: Sequence[str]) -> str | None:
    """Return which name of a path occurs several times in its object, None if none does."""
    for depth, name in enumerate(path, 1):
        members: Iterable[tuple[str, Any]] = ()
        if isinstance(document, _ObjectPairs):
            members = document
        elif isinstance(document, list):
            members = ((str(index), item) for index, item in enumerate(cast("Any", document)))
        found = [value for each, value in members if each == name]
        if len(found) > 1:
            return f"the key {shortened('.'.join(path[:depth]))} occurs {len(found)} times"
        if not found:
            return None
        [document] = found
    return None


class _NoNumberError(Exception):
    """NaN or Infinity, which are JSON for Python but not for RFC 8259."""


def _refuse(name: str) -> None:
    raise _NoNumberError(f"{name} is no number")


class _ObjectPairs(list[tuple[str, Any]]):
    """The keys and values of an object, also of one that has a key twice."""
