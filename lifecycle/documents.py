"""Declarations as text, JSON or YAML: what they say, the line of every part, and which keys are written twice.

What a declaration must satisfy is in validation.py. Neither format's usual reader reports a key that is
written twice (the last one counts, RFC 8259 leaves it open and YAML 1.2 forbids it), nor where a part was.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from lifecycle.errors import DefinitionError, DefinitionFinding, MissingExtra
from lifecycle.validation import Path

_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\],:]|[^\s{}\[\],:"]+')


@dataclass(frozen=True, slots=True)
class Document:
    """What a text says.

    `repeated` holds the path and the line of each key that its mapping has already. `line_of` returns the line of
    a part, or of the nearest part around it; `bare` returns what stands for a part without quotes in YAML and is
    no text to it, such as `no` or `2026-01-01`.
    """

    value: Any
    repeated: tuple[tuple[Path, int], ...]
    line_of: Callable[[Path], int | None]
    bare: Callable[[Path], str | None]


def read_json(text: str | bytes) -> Document:
    """Read JSON. Raises DefinitionError."""
    try:
        text = text if isinstance(text, str) else text.decode(json.detect_encoding(text))
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _bad_document("JSON", error, getattr(error, "lineno", None)) from error
    lines, repeated = _json_lines(text)

    def line_of(path: Path) -> int | None:
        return next((lines[path[:end]] for end in range(len(path), -1, -1) if path[:end] in lines), None)

    return Document(value, tuple(repeated), line_of, lambda _: None)


def _json_lines(text: str) -> tuple[dict[Path, int], list[tuple[Path, int]]]:
    """The line of every part of sound JSON, and the keys that are written twice."""
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


def read_yaml(text: str | bytes) -> Document:
    """Read YAML.

    Raises:
        DefinitionError: the text is not YAML.
        MissingExtra: the extra `yaml` is not installed.
    """
    yaml = require_yaml()
    try:
        loader = yaml.SafeLoader(text)
        try:
            root = loader.get_single_node()
            repeated = () if root is None else tuple(_yaml_repeated(root))
            value = None if root is None else loader.construct_document(root)
        finally:
            loader.dispose()
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        raise _bad_document("YAML", error, None if mark is None else mark.line + 1) from error

    def line_of(path: Path) -> int | None:
        *_, (node, line) = _yaml_nodes(root, path)
        return None if node is None else line

    def bare(path: Path) -> str | None:
        *parts, (node, _) = _yaml_nodes(root, path)
        if len(parts) < len(path) or node is None or node.id != "scalar" or node.style is not None:
            return None
        return str(node.value) or None

    return Document(value, repeated, line_of, bare)


def _yaml_nodes(root: Any, path: Path) -> Iterator[tuple[Any, int]]:
    """Yield the nodes on the way to a part, each with its line, as far as there are some."""
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


def require_yaml() -> Any:
    """Return PyYAML. Raises MissingExtra."""
    try:
        import yaml
    except ImportError:
        raise MissingExtra("yaml", needed_by="reading and writing YAML") from None
    return yaml


def _bad_document(language: str, error: Exception, line: int | None) -> DefinitionError:
    reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
    return DefinitionError("?", [DefinitionFinding("bad_document", "text", f"not {language}: {reason}", (), line)])
