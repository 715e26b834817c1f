"""Rendering of diagrams as SVG and PNG, and the gallery of the catalog.

graphviz-pure computes the layout: a wheel with its own engine and fonts that writes the same bytes on every machine.
Without it the system's `dot` is used, whose bytes differ. lifecycle/diagram holds the model of a diagram and the
formats that need no layout.

`python -m lifecycle_adapters.render DIRECTORY` writes the gallery.
"""

from __future__ import annotations

import argparse
import math
import os
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib import metadata
from pathlib import Path
from typing import Any

from lifecycle import CATALOG, Lifecycle
from lifecycle.diagram import RENDERERS, Colour, Diagram, Format, to_dot
from lifecycle.diagram.markdown import markdown_escaped
from lifecycle.errors import AdapterError, MissingExtra, shortened
from lifecycle_adapters.argument_checks import path_text, require, require_lifecycle, require_number

__all__ = ["DARK", "RenderError", "to_png", "to_svg", "write_gallery"]

_TIMEOUT_S = 30.0  # a lifecycle of the catalog takes less than one second
_SCREEN_DPI = 96
DARK: dict[Colour, str] = {
    Colour.PAPER: "#0d1117",
    Colour.INK: "#e6edf3",
    Colour.BORDER: "#9198a1",
    Colour.FILL: "#1c2129",
    Colour.SETTLED_BORDER: "#009e73",
    Colour.SETTLED_FILL: "#0b3d2f",
    Colour.FINAL_FILL: "#343b45",
    Colour.CURRENT_BORDER: "#e69f00",
    Colour.CURRENT_FILL: "#543b00",
    Colour.CALLER: "#56b4e9",  # the sky blue of Okabe and Ito
    Colour.REMOTE: "#9198a1",
}
"""The colour on a dark background that replaces each colour."""


class RenderError(AdapterError):
    """A picture could not be rendered, or a gallery could not be written."""


def to_svg(picture: Diagram) -> str:
    """Return the picture as an SVG document that follows the reader's light or dark background.

    Raises:
        TypeError: `picture` is not a Diagram.
        MissingExtra: neither graphviz-pure nor `dot` is installed.
        RenderError: the program failed or took longer than 30 seconds, as for some hundred states.
    """
    return dot_to_svg(to_dot(picture), title=picture.name, dark={})


def dot_to_svg(dot: str, *, title: str, dark: Mapping[str, str]) -> str:
    """Return a picture in DOT as an SVG document that follows the reader's light or dark background.

    Args:
        dot: the picture in DOT.
        title: the title of the SVG, for screen readers.
        dark: the colours on a dark background that replace colours other than those of `Colour`.
    Raises:
        MissingExtra: neither graphviz-pure nor `dot` is installed.
        RenderError: the program failed or took longer than 30 seconds.
    """
    svg = _layout(dot, "-Tsvg").decode()
    # Remove the document type, which refers to another host, the comments, which hold the program's version,
    # and the titles, which show internal ids as tooltips.
    svg = re.sub(r"<!--.*?-->\n|<title>.*?</title>\n", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    head, body = svg.split(">", 1)
    return f'{head} role="img">\n<title>{escape(title)}</title>\n<style>{_dark_style(dark)}</style>{body}'


def to_png(picture: Diagram, *, scale: float = 2.0) -> bytes:
    """Return the picture as a PNG image on white, with 96 pixels per inch at scale 1.0.

    graphviz-pure's fonts contain Latin, Greek and Cyrillic letters; other characters appear as boxes.

    Raises:
        TypeError: `picture` is not a Diagram, or `scale` not a number.
        ValueError: the scale is not positive and finite.
        MissingExtra: neither graphviz-pure nor `dot` is installed.
        RenderError: the program failed or took longer than 30 seconds, as for some hundred states.
    """
    require_number(scale, "scale", more_than=0, less_than=math.inf)
    return _layout(to_dot(picture), "-Tpng", f"-Gdpi={_SCREEN_DPI * scale:g}")


def _dark_style(colours: Mapping[str, str]) -> str:
    rules = "".join(
        f'  [fill="{light}"] {{ fill: {dark} }}\n  [stroke="{light}"] {{ stroke: {dark} }}\n'
        for light, dark in (*DARK.items(), *colours.items())
    )
    return f"\n@media (prefers-color-scheme: dark) {{\n{rules}}}\n"


def _layout(dot: str, *options: str) -> bytes:
    program = require_layout()
    try:
        done = subprocess.run(  # noqa: S603 (no shell; the picture is passed on standard input)
            [program, *options], input=dot.encode(), capture_output=True, timeout=_TIMEOUT_S, check=True
        )
    except subprocess.CalledProcessError as error:
        raise RenderError(f"{program}: {error.stderr.decode(errors='replace').strip()}") from error
    except subprocess.TimeoutExpired as error:
        raise RenderError(
            f"{program} took longer than {_TIMEOUT_S:g} s: the lifecycle is too large for a picture;"
            f" {', '.join(Format)} need no layout"
        ) from error
    except OSError as error:
        raise RenderError(f"{program}: {error}") from error
    return done.stdout


def require_layout() -> str:
    """Return the path of the layout program. Raises MissingExtra if neither graphviz-pure nor `dot` is installed."""
    found = _installed_with_wheel() or shutil.which("graphviz-pure") or shutil.which("dot")
    if found is None:
        raise MissingExtra("render", needed_by="drawing SVG and PNG")
    return found


def _installed_with_wheel() -> str | None:
    # The wheel has no Python code, and its program may be missing from the PATH (in a virtual environment that is
    # not activated). So read the wheel's list of files first.
    try:
        files = metadata.files("graphviz-pure") or []
    except metadata.PackageNotFoundError:
        return None
    programs = (Path(str(file.locate())) for file in files if Path(file.name).stem == "graphviz-pure")
    return next((str(program.resolve()) for program in programs if program.is_file()), None)


# --- the gallery -------------------------------------------------------------------------------

_INDEX = "README.md"  # what GitHub shows for a directory
_OURS = "<!-- A gallery by task-lifecycle: the next run overwrites or removes this file and those that it links. -->\n"
_SUFFIXES = {
    Format.MARKDOWN: ".md",
    Format.MERMAID: ".mmd",
    Format.MERMAID_STATE: ".mermaid",  # GitHub draws both suffixes
    Format.DOT: ".dot",
    Format.PLANTUML: ".puml",
}


def write_gallery(
    directory: str | Path, lifecycles: Iterable[Lifecycle[Any, Any]] = tuple(CATALOG.values())
) -> tuple[Path, ...]:
    """Write lifecycles, by default those of the catalog, in every format, and an index, and return their paths.

    The directory is created if needed. A file of an earlier gallery is overwritten, or removed if the gallery no
    longer contains it; other files are not changed, including the targets of symbolic links in the directory.

    Raises:
        RenderError: a file of the same name is not from an earlier gallery; the layout program failed or took longer
            than 30 seconds; two lifecycles have the same name, or the name of one has other characters than letters,
            digits and "_-.", begins with "-" or ".", or is the index's, `README`, in any letter case.
        MissingExtra: neither graphviz-pure nor `dot` is installed.
        OSError: a file cannot be written.
        TypeError: `directory` is not a path, or one of the lifecycles is not a Lifecycle.
    """
    directory = Path(path_text(directory, "directory"))
    require(lifecycles, Iterable, "lifecycles must be several Lifecycles")
    lifecycles = list(lifecycles)
    for lifecycle in lifecycles:
        require_lifecycle(lifecycle, "each of the lifecycles")
    files = _gallery([lifecycle.diagram() for lifecycle in lifecycles])
    earlier = _earlier_gallery(directory)
    foreign = [name for name in files if name not in earlier and os.path.lexists(directory / name)]
    if foreign:
        raise RenderError(f"{directory} holds files that are not from an earlier gallery: {', '.join(foreign)}")
    directory.mkdir(parents=True, exist_ok=True)
    for name in earlier - files.keys():
        (directory / name).unlink(missing_ok=True)
    paths = tuple(directory / name for name in files)
    for path, content in zip(paths, files.values(), strict=True):
        if path.is_symlink():
            path.unlink()
        path.write_bytes(content)
    return paths


_FILE_NAME = re.compile(r"\w[\w.-]*")


def _gallery(pictures: Sequence[Diagram]) -> dict[str, bytes]:
    """Return the contents by file name. The index is first, so that an interrupted run can be repeated."""
    names = Counter(picture.name.casefold() for picture in pictures)  # some file systems ignore case
    for picture in pictures:
        if (why := _unfit(picture.name, names)) is not None:
            raise RenderError(f"{shortened(picture.name)} cannot name a picture: {why}")
    files = {_INDEX: "\n".join((_OURS, "# Lifecycles\n", *map(_section, pictures))).encode()}
    for picture in pictures:
        files |= {f"{picture.name}{suffix}": RENDERERS[form](picture).encode() for form, suffix in _SUFFIXES.items()}
        files[f"{picture.name}.svg"] = to_svg(picture).encode()
        files[f"{picture.name}.png"] = to_png(picture)
    return files


def _unfit(name: str, names: Mapping[str, int]) -> str | None:
    """Return the reason why a name cannot be that of files, None if it can. `names` counts the names, casefolded."""
    if not _FILE_NAME.fullmatch(name):
        return 'it may have letters, digits, "_", "-" and ".", and may not begin with the last two'
    if f"{name}.md".casefold() == _INDEX.casefold():
        return f"{_INDEX} is the index"
    return "two lifecycles have this name" if names[name.casefold()] > 1 else None


def _section(picture: Diagram) -> str:
    name = picture.name
    return f"""\
## {name}

{markdown_escaped(picture.citation)}

![The states and events of {name}]({name}.svg)

[Tables]({name}.md) · [Mermaid]({name}.mmd) · [Mermaid state diagram]({name}.mermaid) · [DOT]({name}.dot) · \
[PlantUML]({name}.puml) · [SVG]({name}.svg) · [PNG]({name}.png)
"""


def _earlier_gallery(directory: Path) -> set[str]:
    """Return the file names that the directory's index lists; an empty set if no gallery wrote the index."""
    index = directory / _INDEX
    text = index.read_text(encoding="utf-8", errors="replace") if index.is_file() else ""
    if not text.startswith(_OURS):
        return set()
    return {_INDEX, *re.findall(r"(?<!\\)\]\((\w[\w.-]*)\)", text)}


def main() -> None:
    """Write the gallery into the directory that the command line names."""
    parser = argparse.ArgumentParser(
        prog="python -m lifecycle_adapters.render",
        description="Write the pictures of every declared lifecycle, and their index, into a directory.",
    )
    parser.add_argument("directory", type=Path)
    write_gallery(parser.parse_args().directory)


if __name__ == "__main__":
    main()
