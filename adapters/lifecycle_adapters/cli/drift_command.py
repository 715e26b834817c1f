"""The command `drift`: a lifecycle and its binding against an OpenAPI document."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from lifecycle import DefinitionError
from lifecycle.findings import OPENAPI
from lifecycle_adapters.cli.names import (
    AllowPrivate,
    AsJson,
    ComparisonFormat,
    LifecycleName,
    OpenApiDocument,
    api_proposals,
    declared_with_service,
)
from lifecycle_adapters.cli.output import BAD_INPUT, LEGAL, NOT_LEGAL, fail, misuse_is_bad_input, print_json, say, shown

if TYPE_CHECKING:
    from lifecycle_adapters.drift import Comparison


def drift(
    name: LifecycleName,
    document: OpenApiDocument,
    *,
    api: Annotated[
        str | None,
        typer.Option(
            help="Compare the calls of this service, by name or by the file that declares it. Default: the service of"
            " NAME; needed if NAME is a file that declares a lifecycle alone.",
            autocompletion=api_proposals,
        ),
    ] = None,
    status_schema: Annotated[
        str | None,
        typer.Option(
            metavar="SCHEMA",
            help="Compare the statuses that this schema lists: its name, such as TaskStatus, or a JSON pointer, such as"
            " #/components/schemas/TaskStatus. Default: the schema that the responses of the calls use.",
        ),
    ] = None,
    ignore: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KIND", help="Only count differences of this kind, such as parameter_new. Can be repeated."
        ),
    ] = None,
    allow_private: AllowPrivate = False,
    format_: ComparisonFormat = "text",
    as_json: AsJson = False,
) -> None:
    """Compare a lifecycle and its calls with an OpenAPI document of the service.

    Each difference is printed with its place in the document.

    Exit code 0: no difference. 1: differences. 2: the document cannot be used, or describes another API.

    Example: lifecycle drift v4 openapi.json
    """
    from lifecycle_adapters.drift import compare, load

    if as_json and format_ != "text":
        fail(f"--json and --format {format_} exclude each other", BAD_INPUT)
    try:
        lifecycle, binding = declared_with_service(name, api)
    except DefinitionError as error:
        if error.findings[0].code == OPENAPI:
            fail(f"{shown(name)} is an OpenAPI document: give the lifecycle or its service first, then it", BAD_INPUT)
        raise
    with misuse_is_bad_input():
        loaded = load(document, allow_private=allow_private)
        found = compare(lifecycle, binding, loaded, status_schema=status_schema, ignore=ignore or ())
    if as_json:
        print_json(found.to_data())
    elif format_ == "markdown":
        typer.echo(found.to_markdown(), nl=False)
    else:
        _print(found)
    raise typer.Exit(LEGAL if found.is_same else NOT_LEGAL)


def _print(found: Comparison) -> None:
    for each in found.differences:
        calls = f" ({', '.join(each.calls)})"
        say(
            shown(f"{found.document}{each.place}"),
            ": ",
            (each.kind, "bold red"),
            f": {shown(each.message)}{shown(calls)}",
        )
    for sentence in found.not_compared:
        say(("not compared", "cyan"), f": {shown(sentence)}")
    say(shown(found.summary))
