"""From what was typed to what was meant: lifecycles by name or file, and what a shell may complete.

Completion never fails: where something cannot be known, nothing is proposed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from lifecycle import CATALOG, Lifecycle, LifecycleError, MissingExtra, get

Proposals = list[tuple[str, str]]


def declared(name: str) -> Lifecycle[str, str]:
    """Return the lifecycle of the catalog that has this name, else the one that the file declares.

    Raises:
        UnknownName: neither a name of the catalog nor the path of a file.
        DefinitionError, MissingExtra, OSError: as `Lifecycle.from_file`.
    """
    if name not in CATALOG and (_looks_like_path(name) or Path(name).is_file()):
        return Lifecycle.from_file(name)
    return get(name)


def _looks_like_path(name: str) -> bool:
    return "/" in name or os.sep in name or Path(name).suffix.lower() in (".json", ".yaml", ".yml")


# --- completion --------------------------------------------------------------------------------


def lifecycle_proposals() -> Proposals:
    """Propose the names of the catalog."""
    return [(name, lifecycle.citation) for name, lifecycle in CATALOG.items()]


def state_proposals(ctx: typer.Context) -> Proposals:
    """Propose the states of the lifecycle that was typed."""
    return [(state.name, state.meaning) for lifecycle in _lifecycle_of(ctx) for state in lifecycle.states]


def event_proposals(ctx: typer.Context) -> Proposals:
    """Propose the events of the lifecycle that was typed."""
    return [(event.name, event.meaning) for lifecycle in _lifecycle_of(ctx) for event in lifecycle.events]


def api_proposals() -> list[str]:
    """Propose the services that clients know."""
    with suppress(MissingExtra):
        from lifecycle_adapters.http import services

        return list(services())
    return []


def command_proposals(ctx: typer.Context) -> Proposals:
    """Propose the commands of the service that was typed."""
    from lifecycle_adapters.http import service

    with suppress(LifecycleError):
        lifecycle: Lifecycle[Any, Any] = service(ctx.params["api"]).lifecycle
        return [(str(command), lifecycle.event(command).meaning) for command in lifecycle.commands]
    return []


def _lifecycle_of(ctx: typer.Context) -> Iterator[Lifecycle[str, str]]:
    # Where an option waits for its value, the arguments before it are not parsed yet.
    typed = ctx.params["name"] or next(iter(ctx.args), None)
    with suppress(LifecycleError, OSError):
        if typed is not None:
            yield declared(typed)


# --- arguments that several commands have ------------------------------------------------------

LifecycleName = Annotated[
    str,
    typer.Argument(
        metavar="NAME",
        help="A lifecycle of the catalog (see `list`), or a JSON or YAML file that declares one.",
        autocompletion=lifecycle_proposals,
    ),
]
StateName = Annotated[str, typer.Argument(metavar="STATE", help="One of its states.", autocompletion=state_proposals)]
EventName = Annotated[str, typer.Argument(metavar="EVENT", help="One of its events.", autocompletion=event_proposals)]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
