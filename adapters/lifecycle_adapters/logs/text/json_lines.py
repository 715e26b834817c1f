"""Read JSON Lines: DuckDB finds the rows and their values, Python the reason why a line is not a row."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Any, cast

from lifecycle.errors import shortened
from lifecycle_adapters.argument_checks import is_text
from lifecycle_adapters.logs.columns import require_columns
from lifecycle_adapters.logs.duckdb_session import literal
from lifecycle_adapters.logs.log_errors import MissingColumn
from lifecycle_adapters.logs.text.blocks import Block
from lifecycle_adapters.logs.text.csv_rows import NOT_UTF8
from lifecycle_adapters.logs.text.text_table import TextTable

_KINDS = {list: "an array", str: "a text", float: "a number", bool: "a truth value", type(None): "null"}


class JsonLinesFile:
    """A JSON Lines file: an object on each line. Empty lines are not rows."""

    def __init__(self, table: TextTable) -> None:
        self.line = 1
        self._table = table
        self._keys = tuple(table.parts.values())
        self._columns: set[str] = set()
        self._nested: dict[str, str] = {}  # by a required key, its path in the first row, where it is in an object
        self._has_rows = False

    def take(self, block: Block) -> bytes:
        """Read a block to its end."""
        text = block.data.decode("utf-8", "surrogateescape")
        lines = text.split("\n")
        if not lines[-1]:
            lines.pop()
        if lines:
            # A line that is not text cannot be registered. Its replacement is not JSON either.
            texts = lines if is_text(text) else [line if is_text(line) else NOT_UTF8 for line in lines]
            wrong = self._take_lines(texts)
            faults = ((line, json_fault(lines[line - self.line], self._keys)) for line in wrong)
            self._table.reject([*faults])
            self.line += len(lines)
        return b""

    def end(self) -> None:
        """Raise UnusableLog if there were rows, but a column was in none of them."""
        if not self._has_rows:
            return
        try:
            require_columns(sorted(self._columns), self._table.columns, of=self._table.path, is_nested=True)
        except MissingColumn as error:
            if (path := self._nested.get(error.name)) is None:
                raise
            message = f"{error}; the first row has {shortened(path)}"
            raise MissingColumn(message, name=error.name, known=error.known) from None

    def _take_lines(self, lines: Sequence[str]) -> list[int]:
        """Insert the lines that are rows, and return the other lines that are not empty."""
        layout = _Layout.of(lines[0], self._keys)
        with self._table.registered(range(self.line, self.line + len(lines)), line=lines):
            count = self._insert_plain(layout) if layout.is_plain else 0
            if count < len(lines):
                count += self._insert_any(layout, is_first=count == 0)
            if count:
                self._record_columns()
            if count == len(lines):
                return []
            return self._table.lines_left_out("trim(line, E' \\t\\r') <> ''", since=self.line)

    def _insert_plain(self, layout: _Layout) -> int:
        """Insert the lines that consist of a plain layout and of texts without escapes, and return how many.

        DuckDB parses such a line once, and not each of its values again.
        """
        cell = {key: f"cells[{number}]" for number, key in enumerate(layout.keys, 1)}
        parts = (f'{cell[key]} AS "{part}"' for part, key in self._table.parts.items())
        pointers = ", ".join(literal(_pointer([key])) for key in layout.keys)
        cells = f"CASE WHEN json_valid(line) THEN json_extract_string(line, [{pointers}]) END"
        # ELSE is false, but might fail: otherwise DuckDB would parse each line once more for each condition.
        is_plain = f"CASE WHEN cells IS NULL THEN false WHEN {layout.is_plainly_that_of('line', cell)} THEN true"
        is_plain = f"{is_plain} ELSE json_type(line) IS NULL END"
        rows = f"(SELECT line, place, {cells} AS cells FROM lines) WHERE {is_plain}"
        return self._table.insert(f"(SELECT {', '.join(parts)}, place FROM {rows})", "VARCHAR", is_quoted=True)

    def _insert_any(self, layout: _Layout, *, is_first: bool) -> int:
        """Insert the lines that are rows, except those inserted before, and return how many.

        `is_first`: none was inserted before.
        """
        wanted = (pointer for key in self._keys for pointer in _pointers(key))
        pointers = [*dict.fromkeys((*wanted, *(_pointer([key]) for key in layout.keys)))]
        cell = {pointer: f"cells[{number}]" for number, pointer in enumerate(pointers, 1)}
        parts = (
            f'COALESCE({", ".join(cell[each] for each in _pointers(key))}) AS "{part}"'
            for part, key in self._table.parts.items()
        )
        # The thorough check is slow, and most lines of most logs are laid out like the first of their block.
        is_laid_out = layout.is_that_of("line", cell)
        is_row = f"CASE WHEN cells IS NULL THEN false WHEN {is_laid_out} THEN true ELSE {_is_row(self._keys)} END"
        cells = f"CASE WHEN json_valid(line) THEN json_extract(line, [{', '.join(map(literal, pointers))}]) END"
        lines = "lines" if is_first else f"lines WHERE place NOT IN ({self._table.inserted(self.line)})"
        rows = f"(SELECT line, place, {cells} AS cells FROM {lines}) WHERE {is_row}"
        return self._table.insert(f"(SELECT {', '.join(parts)}, place FROM {rows})", "JSON")

    def _record_columns(self) -> None:
        """Record the columns: those of the first row, and the required ones that any row has."""
        first: Sequence[str] = ()
        if not self._has_rows:
            self._has_rows = True
            [first] = self._table.of_rows("json_keys(arg_min(line, place))", since=self.line)
            self._columns.update(first)
        for key in self._keys:
            if key not in self._columns:
                has_key = " OR ".join(f"json_exists(line, {literal(pointer)})" for pointer in _pointers(key))
                [is_there] = self._table.of_rows(f"bool_or({has_key})", since=self.line)
                if is_there:
                    self._columns.add(key)
        self._record_nested(first[:_MOST_KEYS])

    def _record_nested(self, columns: Sequence[str]) -> None:
        """Record where the first row has the required keys that no row has, inside of these columns."""
        wanted = [(column, key) for key in self._keys if key not in self._columns for column in columns]
        if wanted:
            exists = (f"json_exists(arg_min(line, place), {literal(_pointer(path))})" for path in wanted)
            found = self._table.of_rows(", ".join(exists), since=self.line)
            self._nested = {path[1]: ".".join(path) for path, is_there in zip(wanted, found, strict=True) if is_there}


@dataclass(frozen=True, slots=True)
class _Layout:
    """The keys of a line, and the texts before, between and after its values: one more than keys, or none.

    A line that consists of these texts and of values has each key once. The layout is plain if all values are texts
    and all required keys are there.
    """

    keys: Sequence[str] = ()
    texts: Sequence[str] = ()
    is_plain: bool = False

    @classmethod
    def of(cls, line: str, required: Iterable[str]) -> _Layout:
        """Return the layout of a line; a layout without texts if the line, or a required key, is not simple."""
        try:
            document = json.loads(line)
        except (ValueError, RecursionError):  # the former also for an integer of some thousand digits
            return cls()
        members = cast("dict[str, Any]", document) if isinstance(document, dict) else {}
        keys = [*members]
        if not 0 < len(keys) <= _MOST_KEYS or any("." in key for key in required):
            return cls()
        names = [json.dumps(key, ensure_ascii=False) for key in keys]
        if not all(is_text(key) and name == f'"{key}"' for key, name in zip(keys, names, strict=True)):
            return cls()
        comma, colon = (", ", ": ") if line.startswith(f"{{{names[0]}: ") else (",", ":")
        texts = (f"{before}{name}{colon}" for before, name in zip(chain("{", repeat(comma)), names, strict=False))
        is_plain = {*keys} >= {*required} and all(isinstance(value, str) for value in members.values())
        return cls(keys, [*texts, "}\r" if line.endswith("\r") else "}"], is_plain)

    def is_plainly_that_of(self, line: str, text: Mapping[str, str]) -> str:
        """Return the condition that a line, valid JSON, has this layout, and a text without escapes at each key.

        Without a backslash in the line and a quote in a text, the line can be taken apart in one way only.
        """
        values = [text[key] for key in self.keys]
        first, *between, last = self.texts
        quoted = [literal(each) for each in (f'{first}"', *(f'"{each}"' for each in between), f'"{last}')]
        whole = f"concat({', '.join(chain.from_iterable(zip(quoted, values, strict=False)))}, {quoted[-1]})"
        is_free = f"NOT contains({line}, '\\') AND NOT contains(concat({', '.join(values)}), '\"')"
        return f"{line} = {whole} AND {is_free}"

    def is_that_of(self, line: str, cell: Mapping[str, str]) -> str:
        """Return the condition that a line has this layout, and is JSON by RFC 8259 and not only for DuckDB.

        The line must equal the text that the layout and its values as DuckDB writes them make together: that text has
        no comma too many and no second value of a key. It may have NaN or infinity in a value; these are excluded.
        """
        if not self.texts:
            return "false"
        values = [f"CAST({cell[_pointer([key])]} AS VARCHAR)" for key in self.keys]
        pieces = chain.from_iterable(zip(map(literal, self.texts), values, strict=False))
        whole = f"{line} = concat({', '.join(pieces)}, {literal(self.texts[-1])})"
        strict = (f"(starts_with({each}, '\"') OR NOT regexp_matches({each}, '(?i:nan|inf)'))" for each in values)
        return f"{whole} AND {' AND '.join(strict)}"


_MOST_KEYS = 50  # of a layout: their number squared is how often keys are compared in each line

# DuckDB also accepts a comma before an end, and numbers such as NaN and -Infinity, in any letter case, as JSON.
_LENIENT = r",[ \t\r]*[}\]]|[:,\[][ \t\r]*-?(?i:nan|inf)"
_STRING = r'"([^"\\]|\\.)*"'


def _is_row(keys: Iterable[str]) -> str:
    """Return the condition that valid JSON is an object with each of these keys, and of those on their paths, once."""
    lenient = literal(_LENIENT)
    outside = f"regexp_replace(line, {literal(_STRING)}, '', 'g')"
    conditions = [
        "json_type(line) = 'OBJECT'",
        f"CASE WHEN regexp_matches(line, {lenient}) THEN NOT regexp_matches({outside}, {lenient}) ELSE true END",
    ]
    names: defaultdict[str, set[str]] = defaultdict(set)  # by the pointer to the object that they are in
    for key in keys:
        for path in _paths(key):
            for depth, name in enumerate(path):
                names[_pointer(path[:depth])].add(name)
    for pointer, those in names.items():
        place = f", {literal(pointer)}" if pointer else ""
        found = f"list_filter(json_keys(line{place}), lambda key: key IN ({', '.join(map(literal, sorted(those)))}))"
        conditions.append(f"(len({found}) > list_unique({found})) IS NOT TRUE")
    return " AND ".join(conditions)


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
    """Return the reason why a line is not a row; each of `keys`, and of those on their paths, may occur once."""
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
    """Return the name of a path that occurs several times in its object, None if none does."""
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
    raise _NoNumberError(f"{name} is not a number")


class _ObjectPairs(list[tuple[str, Any]]):
    """The keys and values of an object, also of one that has a key twice."""
