"""The command `show`, which prints one lifecycle as tables, as data or as a picture."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lifecycle import Event, Lifecycle, Origin, UnknownName
from lifecycle.diagram import RENDERERS, Diagram, Mark
from lifecycle_adapters.cli.names import AsJson, LifecycleName, declared, state_proposals
from lifecycle_adapters.cli.output import BAD_INPUT, console, fail, say, shown, table, write_whole
from lifecycle_adapters.cli.overwriting import require_unread

Shown = Lifecycle[str, str]
Produce = Callable[[Shown, str | None], str | bytes]

_TABLES = "tables"
_ARROWS = {Origin.CALLER: "→", Origin.REMOTE: "⇢"}


# --- formats -----------------------------------------------------------------------------------


def _json(lifecycle: Shown, state: str | None) -> str:
    return lifecycle.to_json() if state is None else json.dumps(_allowances(lifecycle, state), indent=2)


def _yaml(lifecycle: Shown, state: str | None) -> str:
    if state is not None:
        fail("YAML is the declaration, which has no current state; --state needs another --format", BAD_INPUT)
    return lifecycle.to_yaml()


def _svg(lifecycle: Shown, state: str | None) -> str:
    from lifecycle_adapters.render import to_svg

    return to_svg(lifecycle.diagram(current=state))


def _png(lifecycle: Shown, state: str | None) -> bytes:
    from lifecycle_adapters.render import to_png

    return to_png(lifecycle.diagram(current=state))


def _text(render: Callable[[Diagram], str]) -> Produce:
    return lambda lifecycle, state: render(lifecycle.diagram(current=state))


_PRODUCERS: dict[str, Produce] = {
    **{str(format_): _text(render) for format_, render in RENDERERS.items()},
    "json": _json,
    "yaml": _yaml,
    "svg": _svg,
    "png": _png,
}


def _formats() -> list[str]:
    return [_TABLES, *_PRODUCERS]


def _producer(format_: str) -> Produce:
    try:
        return _PRODUCERS[format_]
    except KeyError:
        raise UnknownName("format", format_, known=_formats(), where="show") from None


_SUFFIXES = {
    ".dot": {"dot"}, ".gv": {"dot"}, ".json": {"json"}, ".mermaid": {"mermaid", "mermaid-state"},
    ".mmd": {"mermaid", "mermaid-state"}, ".png": {"png"}, ".puml": {"plantuml"}, ".svg": {"svg"},
    ".yaml": {"yaml", "json"}, ".yml": {"yaml", "json"},
}  # fmt: skip
"""The formats that a file with this suffix may have; JSON is YAML. Any other suffix fits every format."""


def require_suffix(output: Path, format_: str, *, has_option: bool) -> None:
    """End the command as bad input if the file's suffix is that of another format; it may have the option --format."""
    formats = _SUFFIXES.get(output.suffix.lower(), {format_})
    if format_ not in formats:
        other = f"--format {' or '.join(sorted(formats))}, or " if has_option else ""
        fail(f"{shown(output)} would hold {format_}; give {other}another suffix", BAD_INPUT)


def _deliver(content: str | bytes, output: Path | None) -> None:
    data = content if isinstance(content, bytes) else content.rstrip("\n").encode() + b"\n"
    if output is not None:
        write_whole(output, data, mode="wb")
        say(f"wrote {shown(output)}", stderr=True)
    elif isinstance(content, bytes) and sys.stdout.isatty():
        fail("this format is binary; write it to a file with --output", BAD_INPUT)
    else:
        typer.echo(data, nl=False)


def _allowances(lifecycle: Shown, state: str) -> dict[str, object]:
    return {
        "lifecycle": lifecycle.name,
        "state": state,
        "final": lifecycle.is_final(state),
        "over": lifecycle.is_over(state),
        "settled": lifecycle.is_settled(state),
        "allowed": [
            {"event": event, "origin": lifecycle.event(event).origin, "target": lifecycle.target(state, event)}
            for event in lifecycle.allowed(state)
        ],
    }


# --- the command ------------------------------------------------------------------------------


def show(
    name: LifecycleName,
    *,
    state: Annotated[
        str | None,
        typer.Option(
            help="Mark this state as the current one, and list the events that it allows.",
            autocompletion=state_proposals,
        ),
    ] = None,
    format_: Annotated[
        str,
        typer.Option("--format", "-f", help=f"Print in this format: {', '.join(_formats())}.", autocompletion=_formats),
    ] = _TABLES,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Write to this file instead of the standard output; its suffix must fit --format.",
            dir_okay=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show a lifecycle: its states, events, transitions and invariants.

    The formats json and yaml print the declaration itself; NAME can be a file in either format.

    With --state, json prints the events that this state allows.

    Example: lifecycle show v4 --format svg --output v4.svg
    """
    lifecycle = declared(name)
    picture = lifecycle.diagram(current=state)
    if as_json and format_ not in (_TABLES, "json"):
        fail(f"--json and --format {shown(format_)} exclude each other", BAD_INPUT)
    chosen = "json" if as_json else format_
    if chosen != _TABLES:
        producer = _producer(chosen)
        if output is not None:
            require_suffix(output, chosen, has_option=True)
            require_unread([output], name=name)
        _deliver(producer(lifecycle, state), output)
    elif output is not None:
        fail(f"{_TABLES!r} cannot be written to a file; --output needs another --format", BAD_INPUT)
    else:
        _print_tables(console(), lifecycle, picture)
        if state is not None:
            _print_allowed(lifecycle, state)


# --- tables ------------------------------------------------------------------------------------


def _print_tables(to: Console, lifecycle: Shown, picture: Diagram) -> None:
    to.print(Text.assemble((shown(lifecycle.name), "bold"), "  ", (shown(lifecycle.citation), "dim")))
    to.print(Text(f"digest {lifecycle.digest}", "dim"))
    tables = _states(picture), _transitions(lifecycle), _events(lifecycle), _aliases(lifecycle), _invariants(lifecycle)
    for made in tables:
        if made.row_count:
            to.print()
            to.print(made)


def _states(picture: Diagram) -> Table:
    made = table("state", "marks", "meaning")
    for node in picture.nodes:
        style = "reverse" if Mark.CURRENT in node.marks else ""
        made.add_row(Text(shown(node.name), style), ", ".join(node.marks), shown(node.meaning))
    return made


def _transitions(lifecycle: Shown) -> Table:
    made = table("state", "commands", "remote events")
    for state in lifecycle.states:
        if not state.final:
            made.add_row(shown(state.name), *(_rows(lifecycle, state.name, origin) for origin in Origin))
    return made


def _rows(lifecycle: Shown, state: str, origin: Origin) -> Text:
    events = lifecycle.allowed(state, origin=origin)
    rows = (f"{shown(event)} {_ARROWS[origin]} {shown(lifecycle.target(state, event))}" for event in events)
    return Text("\n".join(rows))


def _events(lifecycle: Shown) -> Table:
    made = table("event", "origin", "meaning")
    for event in lifecycle.events:
        made.add_row(shown(event.name), event.origin, "; ".join(_meaning(event)))
    return made


def _meaning(event: Event[str]) -> Iterator[str]:
    if event.meaning:
        yield shown(event.meaning)
    if not event.proved_by_state:
        yield "the target state does not prove that it took effect"
    if not event.idempotent:
        yield "not idempotent: sending it twice differs from sending it once"


def _aliases(lifecycle: Shown) -> Table:
    made = table("channel", "status", "state")
    for alias in lifecycle.aliases:
        made.add_row(shown(alias.channel), shown(alias.status), shown(alias.state))
    return made


def _invariants(lifecycle: Shown) -> Table:
    made = table("invariant", "source")
    for invariant in lifecycle.invariants:
        made.add_row(shown(invariant.name), shown(invariant.citation))
    return made


def _print_allowed(lifecycle: Shown, state: str) -> None:
    commands, own = (", ".join(map(shown, lifecycle.allowed(state, origin=origin))) or "none" for origin in Origin)
    say()
    say(f"in {shown(state)!r}  commands: ", (commands, "bold"), f"  remote events: {own}")
