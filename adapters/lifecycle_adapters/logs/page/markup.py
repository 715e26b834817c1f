"""HTML: the document, tables, sections, and escaped foreign text.

The contents of a page are in contents.py, its style in page.css and the colours of the diagrams. A content security
policy in the document forbids scripts, requests and any other style, in case foreign text is ever not escaped.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Sequence
from html import escape
from importlib import resources

from lifecycle.diagram import Colour
from lifecycle_adapters.logs.page.traffic import SHADES
from lifecycle_adapters.logs.units import visible
from lifecycle_adapters.render import DARK

_LONG = 40  # characters; a shorter text is not broken in a table
_STYLES = re.compile(r"<style>(.*?)</style>", re.DOTALL)


def document(title: str, main: str) -> str:
    """Return a whole document; its title is plain text, its contents are HTML."""
    style = _style()
    return f"""\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_policy([style, *_STYLES.findall(main)])}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escape(title)}</title>
<style>{style}</style>
</head>
<body>
<main>
{main}
</main>
</body>
</html>
"""


def word(text: str) -> str:
    """Return foreign text as HTML; its direction of writing does not affect the text around it."""
    shown = visible(text)
    return f'<bdi class="word{" long" if len(shown) > _LONG else ""}">{escape(shown)}</bdi>'


def section(title: str, *content: str) -> str:
    """Return a section under its title; nothing if it has no content."""
    if not any(content):
        return ""
    return f"<section>\n<h2>{title}</h2>\n{''.join(content)}</section>\n"


def table(caption: str, texts: Sequence[str], numbers: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of HTML cells, first the texts, then the numbers; nothing if there are no rows."""
    body = "".join(_row(cells, len(texts)) for cells in rows)
    if not body:
        return ""
    heads = "".join(f'<th scope="col">{head}</th>' for head in texts)
    heads += "".join(f'<th scope="col" class="n">{head}</th>' for head in numbers)
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(caption)}"><table>\n'
        f"<caption><span>{escape(caption)}</span></caption>\n<thead><tr>{heads}</tr></thead>\n<tbody>\n{body}</tbody>\n</table></div>\n"
    )


def _row(cells: Sequence[str], texts: int) -> str:
    first, *others = cells
    parts = [f'<th scope="row">{first}</th>']
    parts += [f"<td>{cell}</td>" if i < texts else f'<td class="n">{cell}</td>' for i, cell in enumerate(others, 1)]
    return f"<tr>{''.join(parts)}</tr>\n"


def side_by_side(*sections: str) -> str:
    """Return sections side by side, if there is room."""
    return f'<div class="pair">\n{"".join(sections)}</div>' if any(sections) else ""


def _style() -> str:
    light = {f"--{colour.name.lower().replace('_', '-')}": str(colour) for colour in Colour}
    dark = {f"--{colour.name.lower().replace('_', '-')}": each for colour, each in DARK.items()}
    light |= {"--bad": SHADES[-1].light, "--line": "#d1d9e0"}
    dark |= {"--bad": SHADES[-1].dark, "--line": "#3d444d"}
    rules = resources.files("lifecycle_adapters.logs.page").joinpath("page.css").read_text(encoding="utf-8")
    return f"\n{_root(light)}\n@media (prefers-color-scheme: dark) {{ {_root(dark)} }}\n{rules}"


def _root(variables: dict[str, str]) -> str:
    return f":root {{ {'; '.join(f'{name}: {value}' for name, value in variables.items())} }}"


def _policy(styles: Iterable[str]) -> str:
    hashes = (base64.b64encode(hashlib.sha256(each.encode()).digest()).decode() for each in styles)
    allowed = " ".join(f"'sha256-{each}'" for each in hashes)
    return f"default-src 'none'; style-src {allowed}; base-uri 'none'; form-action 'none'"
