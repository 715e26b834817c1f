"""Lifecycles by name or file, the arguments that name them, and proposals for shell completion.

Completion never fails: it proposes nothing if it cannot find out what fits.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from errno import EISDIR, ENOENT
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer

from lifecycle import CATALOG, Lifecycle, LifecycleError, MissingExtra, UnknownName
from lifecycle.lifecycle import lifecycle_in, read_file
from lifecycle.scope import base_name
from lifecycle_adapters.connection_strings import without_passwords

if TYPE_CHECKING:
    from lifecycle_adapters.http import HttpBinding
    from lifecycle_adapters.journal import SqlJournal

_SUFFIXES = (".json", ".yaml", ".yml")

Proposals = list[tuple[str, str]]


def declared(name: str, own: Lifecycle[str, str] | None = None) -> Lifecycle[str, str]:
    """Return the lifecycle of the catalog that has this name, otherwise the one that the file declares.

    The file declares a lifecycle, or a service with its lifecycle. `own` is that of the service that is used, which its
    name means, too.

    Raises:
        UnknownName: it is neither a name of the catalog, nor that of `own`, nor the path of a file.
        DefinitionError: the file's declaration is not sound.
        MissingExtra: the file is YAML or declares a service, and the extra for it is not installed.
        OSError: the file cannot be read.
    """
    named = {**CATALOG, **({} if own is None else {own.name: own})}
    if name in named:
        return named[name]
    if _is_file(name):
        document = read_file(name)
        value: Any = document.value
        if _is_service(value):
            from lifecycle_adapters.http.binding import binding_in

            return binding_in(document).lifecycle
        return lifecycle_in(document)
    advice = "for a lifecycle of your own, give the file that declares it, such as ./mine.json"
    raise UnknownName("lifecycle", without_passwords(name), known=named, where="catalog", advice=advice)


def _is_service(value: Any) -> bool:
    """Return whether a file declares a service, also one whose key `lifecycle` is misspelt."""
    if not isinstance(value, dict):
        return False
    has_calls = not {"base_url", "create", "status", "commands"}.isdisjoint(cast("dict[str, Any]", value))
    return "lifecycle" in value or (has_calls and "states" not in value)


def recorded_lifecycle(name: str, journal: SqlJournal) -> Lifecycle[str, str] | None:
    """Return the lifecycle of this name as the journal has recorded it last, also in a scope; None if it has not."""
    texts = [each.text for each in journal.declarations() if name in (each.lifecycle, base_name(each.lifecycle))]
    return Lifecycle.from_json(texts[-1]).replace(name=name) if texts else None  # the text may have another name


def declared_service(name: str) -> HttpBinding[Any, Any]:
    """Return the service that has this name, otherwise the one that the file declares. Raises like `declared`."""
    from lifecycle_adapters.http import HttpBinding
    from lifecycle_adapters.services import service, services

    if name in services():
        return service(name)
    if _is_file(name):
        return HttpBinding.from_file(name)
    advice = "for a service of your own, give the file that declares it, such as ./mine.yaml"
    raise UnknownName("service", without_passwords(name), known=services(), where="services", advice=advice)


def declared_with_service(name: str, api: str | None) -> tuple[Lifecycle[Any, Any], HttpBinding[Any, Any]]:
    """Return a lifecycle as `declared` does, and the service that is named, otherwise the one of the lifecycle.

    Raises:
        UnknownName: as `declared` and `declared_service`, or there is no service of this lifecycle.
        DefinitionError, MissingExtra, OSError: as `declared`.
    """
    if api is not None:
        return declared(name), declared_service(api)
    if name not in CATALOG and _is_file(name):
        document = read_file(name)
        value: Any = document.value
        if _is_service(value):
            from lifecycle_adapters.http.binding import binding_in

            binding = binding_in(document)
            return binding.lifecycle, binding
    from lifecycle_adapters.services import service_of

    lifecycle = declared(name)
    try:
        return lifecycle, service_of(lifecycle)
    except UnknownName as error:
        advice = "give the service with --api, by name or by the file that declares it"
        raise UnknownName(error.kind, error.name, known=error.known, where=error.where, advice=advice) from None


def _is_file(name: str) -> bool:
    """Return whether a name is that of a file.

    Raises OSError if it is that of a folder, or of a missing file that exists with another suffix.
    """
    path = Path(name)
    if name and path.is_dir():
        raise IsADirectoryError(EISDIR, "it is a folder; name the file that declares a lifecycle or a service", name)
    if name and not path.exists():
        others = [str(each) for each in map(path.with_suffix, _SUFFIXES) if each.is_file()]
        if others:
            raise FileNotFoundError(ENOENT, f"no such file, but there is {' and '.join(others)}", name)
    return "/" in name or os.sep in name or path.suffix.lower() in _SUFFIXES or path.is_file()


# --- completion --------------------------------------------------------------------------------


def lifecycle_proposals() -> Proposals:
    """Propose the names of the catalog."""
    return [(name, lifecycle.citation) for name, lifecycle in CATALOG.items()]


def state_proposals(ctx: typer.Context) -> Proposals:
    """Propose the states of the lifecycle that the command line names."""
    return [(state.name, state.meaning) for lifecycle in _lifecycle_of(ctx) for state in lifecycle.states]


def event_proposals(ctx: typer.Context) -> Proposals:
    """Propose the events of the lifecycle that the command line names."""
    return [(event.name, event.meaning) for lifecycle in _lifecycle_of(ctx) for event in lifecycle.events]


def api_proposals() -> list[str]:
    """Propose the services that a client can use."""
    with suppress(MissingExtra):
        from lifecycle_adapters.services import services

        return list(services())
    return []


def command_proposals(ctx: typer.Context) -> Proposals:
    """Propose the commands of the service that the command line names."""
    with suppress(LifecycleError, OSError):
        lifecycle: Lifecycle[Any, Any] = declared_service(ctx.params["api"]).lifecycle
        return [(str(command), lifecycle.event(command).meaning) for command in lifecycle.commands]
    return []


def _lifecycle_of(ctx: typer.Context) -> Iterator[Lifecycle[str, str]]:
    # If an option still lacks its value, the arguments before it are not parsed yet.
    typed = ctx.params["name"] or next(iter(ctx.args), None)
    with suppress(LifecycleError, OSError):
        if typed is not None:
            yield declared(typed)


# --- arguments that several commands have ------------------------------------------------------

LifecycleName = Annotated[
    str,
    typer.Argument(
        metavar="NAME",
        help="Use this lifecycle: one of the catalog (see `list`), or a file that declares one or a service.",
        autocompletion=lifecycle_proposals,
    ),
]
StateName = Annotated[
    str, typer.Argument(metavar="STATE", help="Assume that the task is in this state.", autocompletion=state_proposals)
]
EventName = Annotated[str, typer.Argument(metavar="EVENT", help="Judge this event.", autocompletion=event_proposals)]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
ComparisonFormat = Annotated[
    Literal["text", "markdown"],
    typer.Option("--format", "-f", help="Print in this format; markdown suits a comment on a pull request."),
]
OpenApiDocument = Annotated[
    str,
    typer.Argument(
        metavar="SPEC",
        help="Read this OpenAPI document, 3.0 or 3.1, in JSON or YAML: a file or a URL.",
        show_default=False,
    ),
]
AllowPrivate = Annotated[
    bool, typer.Option("--allow-private", help="Allow a URL at an address of this machine or of a private network.")
]
