"""A Sphinx extension: what the code already says is taken from it when the site is built, never written twice.

A page says where it wants what, and the block is replaced by the Markdown that a function returns:

    ```{from-code} api lifecycle
    ```

`GENERATED` names the functions; each takes the further words of that line. public_names.py says what
is public, and api.py documents it with autodoc, for which docstrings.py turns docstrings into reStructuredText.
catalog.py, command_line.py, codes.py, schemas.py, tables.py and signals.py have the other pages; pictures.py and
flowcharts.py draw; outputs.py writes the files that are not pages: the JSON Schemas and llms.txt.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from sphinx.application import Sphinx
from sphinx.highlighting import lexer_classes

from from_code import (
    api,
    catalog,
    codes,
    command_line,
    docstrings,
    flowcharts,
    outputs,
    pictures,
    schemas,
    signals,
    tables,
)

if TYPE_CHECKING:
    from sphinx.util.typing import ExtensionMetadata

GENERATED: Mapping[str, Callable[..., str]] = {
    "api": api.reference,
    "packages": api.packages,
    "lifecycles": catalog.lifecycles,
    "commands": command_line.commands,
    "exit-codes": command_line.exit_codes,
    "environment": command_line.environment,
    "declaration-findings": codes.declaration_findings,
    "codes": codes.members,
    "errors": codes.errors,
    "schema": schemas.schema,
    "journal-tables": tables.journal_tables,
    "log-records": signals.log_records,
    "telemetry": signals.telemetry,
}
"""By name, each function that returns Markdown for a page."""


_BLOCK = re.compile(r"^```\{from-code\} (\S+) *(.*)\n```$", re.MULTILINE)
_FLOWCHART = re.compile(r"^```mermaid\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def fill_in(app: Sphinx, docname: str, source: list[str]) -> None:
    """Replace the blocks of a page, and draw its flowcharts.

    A name that `GENERATED` lacks is a KeyError, which ends the build.
    """
    source[0] = _BLOCK.sub(lambda block: GENERATED[block[1]](*block[2].split()), source[0])
    source[0] = _FLOWCHART.sub(lambda block: flowcharts.flowchart(block[1]), source[0])


def setup(app: Sphinx) -> ExtensionMetadata:
    """Connect the handlers of what Sphinx meets while it builds."""
    for handler in (api.load, api.without_overloads, api.without_constraints):
        app.connect("builder-inited", handler)
    lexer_classes["csv"] = lexer_classes["none"]  # Pygments has none
    app.connect("source-read", fill_in)
    app.add_post_transform(pictures.InlinePictures)
    # Before Napoleon, which reads Args and Raises.
    app.connect("autodoc-process-docstring", docstrings.process, priority=100)
    app.connect("autodoc-skip-member", api.skip)
    app.connect("missing-reference", api.resolve)
    app.connect("html-page-context", pictures.add_colours)
    app.connect("build-finished", outputs.write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
