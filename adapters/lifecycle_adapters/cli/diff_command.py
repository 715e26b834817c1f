"""The command `diff`: what changed between two lifecycles, and what that breaks."""

from __future__ import annotations

from typing import Annotated

import typer

from lifecycle import Audience, LifecycleDiff, diff
from lifecycle.conformance import Mode
from lifecycle_adapters.cli.names import AsJson, ComparisonFormat, declared, lifecycle_proposals
from lifecycle_adapters.cli.output import BAD_INPUT, LEGAL, NOT_LEGAL, fail, print_json, say, shown


def diff_(
    before: Annotated[
        str,
        typer.Argument(
            metavar="BEFORE",
            help="Compare this lifecycle, as it was: one of the catalog (see `list`), or a file that declares one or"
            " a service.",
            autocompletion=lifecycle_proposals,
        ),
    ],
    after: Annotated[
        str,
        typer.Argument(
            metavar="AFTER",
            help="Compare with this lifecycle, as it is now, by name or file.",
            autocompletion=lifecycle_proposals,
        ),
    ],
    *,
    mode: Annotated[
        Mode, typer.Option(help="Assume that readers check histories in this mode; see `lifecycle check --help`.")
    ] = "exact",
    format_: ComparisonFormat = "text",
    as_json: AsJson = False,
) -> None:
    """Print what changed from one lifecycle to another, and what that breaks.

    A change can break readers of recorded histories, senders of commands, and stored journals.

    Exit code 0: the change breaks none of them. 1: it breaks some. 2: a declaration cannot be used.

    Example: lifecycle diff v2 v2-full
    """
    if as_json and format_ != "text":
        fail(f"--json and --format {format_} exclude each other", BAD_INPUT)
    found = diff(declared(before), declared(after), mode=mode)
    if as_json:
        print_json(found.to_data())
    elif format_ == "markdown":
        typer.echo(found.to_markdown(), nl=False)
    else:
        _print(found)
    raise typer.Exit(LEGAL if found.is_compatible else NOT_LEGAL)


def _print(found: LifecycleDiff) -> None:
    for each in found.changes:
        style = "bold red" if each.breaks else "cyan"
        breaks = f" (breaks {', '.join(each.breaks)})" if each.breaks else ""
        say((each.code, style), f": {shown(each.where)}: {shown(each.message)}{breaks}")
    for audience in Audience:
        verdict = ("breaking", "bold red") if audience in found.broken else ("compatible", "green")
        say(f"{audience}: ", verdict)
    say(shown(found.summary))
