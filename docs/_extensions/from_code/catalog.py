"""The lifecycles of the catalog: the picture and the table of each."""

from __future__ import annotations

from typing import Any

from from_code.markdown import code, html, prose, table
from from_code.pictures import figure
from lifecycle import CATALOG, Invariant, Lifecycle
from lifecycle.diagram import to_markdown
from lifecycle_adapters.render import to_svg


def lifecycles() -> str:
    """Return a section for each declared lifecycle."""
    return "".join(_section(each) for each in CATALOG.values())


def _section(lifecycle: Lifecycle[Any, Any]) -> str:
    # Its own heading is the section's, and its name says the same.
    heading, _, tables = to_markdown(lifecycle.diagram()).partition("\n")
    picture = html(figure(to_svg(lifecycle.diagram()), f"The lifecycle {lifecycle.name}"))
    aliases = table(
        ("channel", "status", "stands for"),
        ((each.channel, code(each.status), code(each.state)) for each in lifecycle.aliases),
    )
    invariants = "".join(f"- {_invariant(each)}\n" for each in lifecycle.invariants) + "\n"
    return (
        f"#{heading}\n\n{picture}{tables}\n\n"
        + (f"### Aliases of {lifecycle.name}\n\n{aliases}" if lifecycle.aliases else "")
        + (f"### Invariants of {lifecycle.name}\n\n{invariants}" if lifecycle.invariants else "")
    )


def _invariant(invariant: Invariant[Any, Any]) -> str:
    about = ", ".join(map(code, (*invariant.events, *invariant.states)))
    return f"{prose(invariant.name)}: {code(invariant.rule)} {about}, by {prose(invariant.citation)}"
