"""The commands `list`, `judge` and `diagrams`, which query declared lifecycles. `show` is in show.py."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from lifecycle import CATALOG, Lifecycle, VerdictKind
from lifecycle_adapters.cli.names import AsJson, EventName, LifecycleName, StateName, declared
from lifecycle_adapters.cli.output import LEGAL, NOT_LEGAL, console, print_json, say, shown, table

_WORDS = {
    VerdictKind.APPLIED: ("legal", "bold green"),
    VerdictKind.REDUNDANT: ("redundant", "bold yellow"),
    VerdictKind.ILLEGAL: ("not legal", "bold red"),
    VerdictKind.ENDED: ("not legal", "bold red"),
}


def list_(*, as_json: AsJson = False) -> None:
    """List the declared lifecycles.

    Example: lifecycle list --json
    """
    if as_json:
        print_json([_summary(lifecycle) for lifecycle in CATALOG.values()])
        return
    catalog = table("lifecycle", "states, the final ones in brackets", "commands")
    for lifecycle in CATALOG.values():
        final = set(lifecycle.final_states)
        states = (f"[{state.name}]" if state.name in final else state.name for state in lifecycle.states)
        catalog.add_row(lifecycle.name, " ".join(states), " ".join(lifecycle.commands))
    console().print(catalog)


def _summary(lifecycle: Lifecycle[str, str]) -> dict[str, Any]:
    return {
        "name": lifecycle.name,
        "citation": lifecycle.citation,
        "states": [state.name for state in lifecycle.states],
        "initial": lifecycle.initial,
        "final": lifecycle.final_states,
        "commands": lifecycle.commands,
    }


def judge(name: LifecycleName, state: StateName, event: EventName, *, as_json: AsJson = False) -> None:
    """Judge whether a state allows an event, and print the reason.

    Exit code 0: legal. 1: not legal, or redundant (the task is in the target state already).

    Example: lifecycle judge v4 completed cancel
    """
    lifecycle = declared(name)
    verdict = lifecycle.judge(state, event)
    legal = verdict.kind is VerdictKind.APPLIED
    if as_json:
        print_json(
            {
                "lifecycle": lifecycle.name,
                "state": verdict.state,
                "event": verdict.event,
                "verdict": verdict.kind,
                "legal": legal,
                "target": verdict.target,
                "allowed": verdict.allowed,
                "reason": verdict.reason,
            }
        )
    else:
        say(_WORDS[verdict.kind], f": {shown(verdict.reason)}")
    raise typer.Exit(LEGAL if legal else NOT_LEGAL)


def diagrams(
    directory: Annotated[
        Path,
        typer.Argument(
            metavar="DIRECTORY", help="Write into this directory; it is created if it is missing.", file_okay=False
        ),
    ] = Path("diagrams"),
    declaration: Annotated[
        list[str] | None,
        typer.Option(
            "--declaration",
            metavar="NAME",
            help="Draw this lifecycle, not the whole catalog: one of the catalog, or a file that declares one or a"
            " service. Can be repeated.",
        ),
    ] = None,
) -> None:
    """Draw every declared lifecycle in each picture format, and write an index page.

    Example: lifecycle diagrams pictures --declaration print-job.yaml
    """
    from lifecycle_adapters.render import write_gallery

    index, *pictures = write_gallery(directory, *([map(declared, declaration)] if declaration else []))
    say(f"wrote {len(pictures)} files; begin with {shown(index)}")
