"""Small pieces of Markdown, as the parser of the site reads it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

OPTION = r"(?<![\w`-])--[a-z][\w-]*(?=(?:[^`]*`[^`]*`)*[^`]*$)"
"""An option of a command line outside of backticks; its dashes would become one."""


def prose(text: str) -> str:
    """Return a text of a docstring or a help: names in backticks and options are code, nothing else is markup."""
    parts = re.split(r"(`[^`\n]+`)", re.sub(OPTION, r"`\g<0>`", text))
    return "".join(part if part.startswith("`") and len(part) > 2 else _escaped(part) for part in parts)


def _escaped(text: str) -> str:
    return re.sub(r"[\\*<>_\[\]{}$#|]", r"\\\g<0>", text)


def code(text: object) -> str:
    """Return a text as code, whatever is in it; nothing for an empty one."""
    content = str(text)
    if not content:
        return ""
    fence = "``" if "`" in content else "`"
    return f"{fence}{content}{fence}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table whose cells are Markdown already."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(map(_cell, line))} |\n" for line in lines) + "\n"


def _cell(text: str) -> str:
    line = " ".join(text.split())
    return re.sub(r"(?<!\\)\|", r"\\|", line)


def html(text: str) -> str:
    """Return HTML as a block that the parser leaves as it is."""
    return f"```{{raw}} html\n{text}\n```\n\n"


def docstring_table(docstring: str, head: str) -> list[tuple[str, str]]:
    """Return the rows of a table in a docstring: indented lines of two columns, after the line that `head` is in."""
    _, _, after = docstring.partition(head)
    block = re.match(r".*\n+((?:    .*(?:\n|$))+)", after)
    assert block is not None, f"no table after {head!r}"
    return [(left.strip(), right.strip()) for left, right in re.findall(r"^ +(.+?)  +(.+)$", block[1], re.MULTILINE)]
