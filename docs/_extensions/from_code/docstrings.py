"""Docstrings as reStructuredText: in this project they are plain text, with names in single backticks.

`Args:` and `Raises:` are left to Napoleon. An indented block after an empty line is code or a drawing.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from enum import Enum
from functools import cache
from typing import Any

from sphinx.application import Sphinx

from from_code.markdown import OPTION
from from_code.public_names import everything

_CODE = re.compile(r"`([^`\n]+)`")
_SECTION = re.compile(r"^(Args|Attributes|Raises|Raises at once|Raises when driven|Returns|Yields):$")


def process(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Change the lines of one docstring in place; a member of an enumeration has the comment beside it."""
    if isinstance(obj, Enum):
        comment = comments(type(obj)).get(obj.name, "")
        lines[:] = [comment[:1].upper() + comment[1:]] if comment else []
    lines[:] = restructured(lines)


def restructured(lines: list[str]) -> list[str]:
    """Return the lines of a docstring as reStructuredText."""
    return [*_restructured(lines)]


def _restructured(lines: list[str]) -> Iterator[str]:
    is_code = in_section = False
    before = ""
    for line in lines:
        is_indented = line.startswith("    ")
        if line and not is_indented:
            in_section = bool(_SECTION.match(line))
            is_code = False
        if is_indented and not before and not in_section and not is_code:
            is_code = True
            yield from ("::", "")
        yield line if is_code else _marked_up(line)
        before = line


def _marked_up(line: str) -> str:
    """Return a line of prose with its names as literals or links, and nothing else as markup."""
    parts = _CODE.split(re.sub(OPTION, r"`\g<0>`", line))
    return "".join(
        _literal(part, parts[index - 1], parts[index + 1]) if index % 2 else _escaped(part)
        for index, part in enumerate(parts)
    )


def _escaped(text: str) -> str:
    return re.sub(r"(?<=\w)_(?!\w)", r"\\_", re.sub(r"[\\*|`]", r"\\\g<0>", text))


def _literal(text: str, before: str, after: str) -> str:
    """Return a literal, or a link if it is a public name; a letter beside it would otherwise keep it from being one."""
    target = linked_names().get(text)
    marked = f":py:obj:`~{target}`" if target else f"``{text}``"
    return rf"{_joint(before[-1:])}{marked}{_joint(after[:1])}"


def _joint(neighbour: str) -> str:
    return "" if neighbour in {"", " ", "(", ")", ",", ".", ";", ":"} else r"\ "


@cache
def linked_names() -> dict[str, str]:
    """Return the full name of every public name that only one thing has."""
    found: dict[str, set[str]] = {}
    for public in everything():
        if public.kind != "Values":
            found.setdefault(public.name, set()).add(public.full_name)
    return {name: full.pop() for name, full in found.items() if len(full) == 1}


@cache
def comments(kind: type[Enum]) -> dict[str, str]:
    """Return the comment beside each member of an enumeration that has one."""
    return dict(re.findall(r"^    (\w+) = .*?  # (.*)$", inspect.getsource(kind), flags=re.MULTILINE))
