"""Readers of declarations in JSON and YAML, with the line of every part and the keys that are written twice.

validation.py checks the declaration itself. The usual readers report neither the line of a part nor a key that is
written twice: the last one wins, which RFC 8259 does not define and YAML 1.2 forbids.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Self

from lifecycle.declaration import Path
from lifecycle.errors import DefinitionError, DefinitionFinding, MissingExtra, shortened

NAMELESS = "?"
"""The name of a document, or of a declaration, that has none."""

LONGEST_TEXT = 5_000_000
"""The most characters or bytes of a declaration: the reader of YAML takes seconds for as many."""

_BYTE_ORDER_MARK = "\ufeff"

_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\],:]|[^\s{}\[\],:"]+')

_NESTING = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?|[{}\[\]]', re.DOTALL)


class _Odd(int):
    """A value that no field of a declaration accepts; `shown` is its text in the document."""

    shown: str

    @classmethod
    def written(cls, shown: str) -> Self:
        odd = cls()
        odd.shown = shown
        return odd

    def __repr__(self) -> str:
        return self.shown


@dataclass(frozen=True, slots=True)
class Document:
    """The value in a text, and the lines of its parts.

    `repeated` contains the path and the line of each key that its mapping has already. `line_of` returns the line of
    a part, or of the nearest part around it. `bare` returns the unquoted source text of a part in YAML, such as
    `no` or `2026-01-01`, which YAML does not read as text; None if there is none. `source` is the file's path, "?" if
    the text is not from a file.
    """

    value: Any
    repeated: tuple[tuple[Path, int], ...]
    line_of: Callable[[Path], int | None]
    bare: Callable[[Path], str | None]
    source: str = NAMELESS


def read_json(text: str | bytes) -> Document:
    """Read JSON. Raises DefinitionError if the text is not JSON, or too long."""
    _require_text("JSON", text)
    text = (
        text.removeprefix(_BYTE_ORDER_MARK)
        if isinstance(text, str)
        else _decoded("JSON", text, json.detect_encoding(text))
    )
    try:
        value = json.loads(text, parse_int=_whole)
    except json.JSONDecodeError as error:
        raise _bad_document("JSON", error, error.lineno) from error
    except RecursionError as error:
        raise _bad_document("JSON", error, _deepest_line(text)) from error
    lines, repeated = _json_lines(text)

    def line_of(path: Path) -> int | None:
        return next((lines[path[:end]] for end in range(len(path), -1, -1) if path[:end] in lines), None)

    return Document(value, tuple(repeated), line_of, lambda _: None)


def _decoded(language: str, data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        before = error.object[: error.start].decode(encoding, "replace")
        raise _bad_document(language, error, before.count("\n") + 1) from error


def _whole(digits: str) -> int:
    try:
        return int(digits)
    except ValueError:  # Python refuses thousands of digits, because their conversion is slow
        return _Odd.written(f"an integer of {len(digits):,} digits")


def _deepest_line(text: str) -> int:
    """Return the line on which JSON, valid or not, is nested most deeply."""
    depth = deepest = at = 0
    for token in _NESTING.finditer(text):
        if token[0] in ("{", "["):
            depth += 1
            if depth > deepest:
                deepest, at = depth, token.start()
        elif token[0] in ("}", "]"):
            depth -= 1
    return text.count("\n", 0, at) + 1


def _json_lines(text: str) -> tuple[dict[Path, int], list[tuple[Path, int]]]:
    """Return the line of every part of valid JSON, and the keys that are written twice."""
    lines: dict[Path, int] = {}
    repeated: list[tuple[Path, int]] = []
    place: list[str | int | None] = []  # in each open list or object the next value's; None if a key comes next
    keys: list[set[str]] = []
    line, end = 1, 0
    for token in _TOKEN.finditer(text):
        line += text.count("\n", end, token.start())
        end = token.start()
        match token[0]:
            case "}" | "]":
                place.pop()
                keys.pop()
            case ",":
                last = place[-1]
                place[-1] = last + 1 if isinstance(last, int) else None
            case ":":
                pass
            case key if place and place[-1] is None:
                place[-1] = json.loads(key)
                path = _path(place)
                if place[-1] in keys[-1]:
                    repeated.append((path, line))
                keys[-1].add(str(place[-1]))
                lines[path] = line
            case value:
                lines[_path(place)] = line
                if value in ("{", "["):
                    place.append(None if value == "{" else 0)
                    keys.append(set())
    return lines, repeated


def _path(place: list[str | int | None]) -> Path:
    return tuple(each for each in place if each is not None)


def _require_text(language: str, text: object) -> None:
    if not isinstance(text, str | bytes):
        raise TypeError(
            f"a declaration is read from a text or bytes, not from {shortened(text)}; use from_file for a file"
        )
    if len(text) > LONGEST_TEXT:
        raise _bad_document(language, ValueError(f"it is longer than {LONGEST_TEXT:,} characters or bytes"), 1)


def read_yaml(text: str | bytes) -> Document:
    """Read YAML.

    Raises:
        DefinitionError: the text is not YAML, or too long.
        MissingExtra: the extra `yaml` is not installed.
    """
    _require_text("YAML", text)
    yaml = require_yaml()
    if isinstance(text, bytes):
        is_wide = text.startswith((b"\xff\xfe", b"\xfe\xff"))  # a byte order mark
        text = _decoded("YAML", text, "utf-16" if is_wide else "utf-8")
    try:
        loader = _yaml_loader(yaml)(text)
    except yaml.reader.ReaderError as error:  # a character that YAML does not allow
        raise _bad_document("YAML", error, text.count("\n", 0, error.position) + 1) from error
    try:
        root = loader.get_single_node()
        repeated = () if root is None else tuple(_yaml_repeated(root))
        value = None if root is None else loader.construct_document(root)
    except yaml.MarkedYAMLError as error:
        raise _bad_document("YAML", error, error.problem_mark.line + 1) from error
    except RecursionError as error:
        raise _bad_document("YAML", error, loader.line + 1) from error
    finally:
        loader.dispose()

    def line_of(path: Path) -> int | None:
        *_, (node, line) = _yaml_nodes(root, path)
        return None if node is None else line

    def bare(path: Path) -> str | None:
        *parts, (node, _) = _yaml_nodes(root, path)
        if len(parts) < len(path) or node is None or node.id != "scalar" or node.style is not None:
            return None
        return str(node.value) or None

    return Document(value, repeated, line_of, bare)


def _yaml_loader(yaml: Any) -> Any:
    """Return PyYAML's safe loader, changed: every error has a line, and only `true` and `false` are Booleans."""
    base: Any = yaml.SafeLoader

    class Loader(yaml.SafeLoader):  # type: ignore[misc]
        def construct_object(self, node: Any, deep: bool = False) -> Any:
            try:
                return base.construct_object(self, node, deep)
            except (
                ValueError,
                KeyError,
                AttributeError,
            ) as error:  # an impossible date; `!!bool x`; `!!timestamp x`
                reason = str(error) if isinstance(error, ValueError) else f"{node.value!r} is not a {node.tag}"
                raise yaml.constructor.ConstructorError(None, None, reason, node.start_mark) from error

        def construct_yaml_bool(self, node: Any) -> Any:
            truth = base.construct_yaml_bool(self, node)
            return truth if node.value.lower() in ("true", "false") else _Odd.written(node.value)

    Loader.add_constructor("tag:yaml.org,2002:bool", Loader.construct_yaml_bool)
    return Loader


def _yaml_nodes(root: Any, path: Path) -> Iterator[tuple[Any, int]]:
    """Yield the nodes on the path to a part, each with its line, as far as they exist."""
    node, line = root, 0 if root is None else root.start_mark.line + 1
    yield node, line
    for part in path:
        if node.id == "mapping":
            found = [(value, key) for key, value in node.value if key.value == part]
        elif node.id == "sequence" and isinstance(part, int):
            found = [(value, value) for value in node.value[part : part + 1]]
        else:
            found = []
        if not found:
            return
        node, marked = found[-1]  # of keys that are written twice, or merged, the last one counts
        line = marked.start_mark.line + 1
        yield node, line


def _yaml_repeated(root: Any) -> Iterator[tuple[Path, int]]:
    seen: set[int] = set()  # an anchor's node may be in many places, and in itself
    waiting: list[tuple[Path, Any]] = [((), root)]
    while waiting:
        path, node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if node.id == "sequence":
            waiting += reversed([((*path, place), each) for place, each in enumerate(node.value)])
        elif node.id == "mapping":
            keys: set[tuple[str, str]] = set()
            for key, _ in node.value:
                if key.id == "scalar":
                    if (key.tag, key.value) in keys:
                        yield (*path, key.value), key.start_mark.line + 1
                    keys.add((key.tag, key.value))
            waiting += reversed([((*path, str(key.value)), value) for key, value in node.value])


def escaped(text: str) -> str:
    """Return JSON in which invisible characters are escaped, such as those that change the direction of writing."""
    return _NOT_ASCII.sub(lambda match: _visible(match[0]), text)


_NOT_ASCII = re.compile(r"[^\n -~]")


def _visible(character: str) -> str:
    is_seen = character.isprintable() or unicodedata.category(character) == "Zs"  # spaces
    return character if is_seen else json.dumps(character)[1:-1]


def require_yaml() -> Any:
    """Return the module of PyYAML. Raises MissingExtra if it is not installed."""
    try:
        import yaml
    except ImportError:
        raise MissingExtra("yaml", needed_by="reading and writing YAML") from None
    return yaml


def _bad_document(language: str, error: Exception, line: int) -> DefinitionError:
    reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
    finding = DefinitionFinding("bad_document", "text", f"not {language}: {reason}", (), line)
    return DefinitionError(NAMELESS, [finding], kind="document")
