"""Pictures inside the pages, in the colours that the reader chose for the site.

An SVG that a page shows by an `img` follows the reader's system, not the site's own switch between light and dark.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform

from lifecycle.diagram import Colour
from lifecycle_adapters.render import DARK

_COLOURS = {*map(str, DARK), *DARK.values()}


def figure(svg: str, label: str) -> str:
    """Return HTML of a picture: without its own style, which would hold for the whole page, and without ids."""
    bare = re.sub(r"<style>.*?</style>|<title>.*?</title>| id=\"[^\"]*\"", "", svg, flags=re.DOTALL)
    bare = re.sub(r"<a xlink:title=.*?>|</a>", "", bare)
    bare = "".join(line for line in bare.splitlines(keepends=True) if line.strip())
    bare = bare.replace("<svg", f'<svg aria-label="{escape(label)}"', 1)
    width = re.search(r' width="(\w+)"', bare)
    assert width is not None
    return f'<div class="picture" style="--width: {width[1]}" tabindex="0">{bare}</div>'


class InlinePictures(SphinxPostTransform):
    """Put the pictures that the project drew into the pages that show them."""

    default_priority = 9  # before the images are collected
    formats = ("html",)

    def run(self, **_: Any) -> None:
        """Replace every SVG whose style has the colours of `add_colours` and no others."""
        for image in [*self.document.findall(nodes.image)]:
            path = Path(self.env.srcdir, image["uri"])
            if path.suffix == ".svg":
                svg = path.read_text(encoding="utf-8")
                style = re.search(r"<style>(.*?)</style>", svg, re.DOTALL)
                if style and set(re.findall(r"#[0-9a-f]{6}", style[1])) <= _COLOURS:
                    image.replace_self(nodes.raw("", figure(svg, image.get("alt", "")), format="html"))


def add_colours(app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any) -> None:
    """Add the dark colours of pictures to each page."""
    context["metatags"] = f"{context.get('metatags', '')}\n<style>{_style({**DARK})}</style>"


def _style(dark: Mapping[Colour, str]) -> str:
    rules = "".join(f'[fill="{light}"]{{fill:{to}}}[stroke="{light}"]{{stroke:{to}}}' for light, to in dark.items())
    return (
        f"@media(prefers-color-scheme:dark){{body:not([data-theme=light]) .picture{{{rules}}}}}"
        f"body[data-theme=dark] .picture{{{rules}}}"
    )
