"""The command `import`: a draft of a service file from an OpenAPI document."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lifecycle_adapters.cli.names import AllowPrivate, OpenApiDocument
from lifecycle_adapters.cli.output import say, shown, write_whole
from lifecycle_adapters.cli.show import require_suffix


def import_(
    document: OpenApiDocument,
    *,
    status: Annotated[
        str,
        typer.Option(
            metavar="SCHEMA",
            help="Draft the statuses that this schema lists: its name, such as TaskStatus, or a JSON pointer, such as"
            " #/components/schemas/Task/properties/status.",
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Write to this file, which must not exist, instead of the standard output."
        ),
    ] = None,
    allow_private: AllowPrivate = False,
) -> None:
    """Write a draft of a service file, to finish by hand, from the OpenAPI document of the service.

    The draft has the statuses and the calls that the document lists.
    Every TODO in it marks something that only you know, such as where a command leads.
    Until all are replaced, a command that reads the file fails and lists what is missing.

    Exit code 0: written. 2: the document cannot be used, or no call reads a task with such a status.

    Example: lifecycle import openapi.json --status TaskStatus --output service.yaml
    """
    from lifecycle_adapters.drift import load, service_draft

    if output is not None:
        require_suffix(output, "yaml", has_option=False)
    draft = service_draft(load(document, allow_private=allow_private), status)
    if output is None:
        typer.echo(draft, nl=False)
        return
    write_whole(output, draft.encode(), mode="xb")
    say(f"wrote {shown(output)}: replace or remove each TODO in it", stderr=True)
