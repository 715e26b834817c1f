"""The command `serve`, which runs the emulator of the service. `demo` is in demo.py."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from lifecycle import Lifecycle
from lifecycle_adapters.cli.assignments import assignments
from lifecycle_adapters.cli.names import declared
from lifecycle_adapters.cli.output import BAD_INPUT, fail, misuse_is_bad_input, say, shown

if TYPE_CHECKING:
    from lifecycle_adapters.emulator import Webhook


def serve(
    *,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1; 0 chooses a free one.")] = 8787,
    pace: Annotated[float, typer.Option(metavar="SECONDS", help="Time that a task stays in each state.")] = 1.0,
    manual: Annotated[
        bool, typer.Option("--manual", help="Let tasks change only by commands and control calls.")
    ] = False,
    lifecycle: Annotated[
        list[str] | None,
        typer.Option(
            "--lifecycle",
            metavar="SERVICE=NAME",
            help="Lifecycle of one service's tasks, such as v1=v1 instead of v1-full. Can be repeated.",
        ),
    ] = None,
    webhook: Annotated[
        str | None,
        typer.Option(metavar="URL", help="URL that every change of a task is sent to, signed with the secret."),
    ] = None,
    webhook_secret: Annotated[
        str | None,
        typer.Option(envvar="LIFECYCLE_WEBHOOK_SECRET", metavar="TEXT", help="Secret that webhooks are signed with."),
    ] = None,
) -> None:
    """Serve v1 to v4 on this machine until Ctrl-C.

    The server accepts any API key. It keeps everything in memory and nothing on disk.
    """
    from lifecycle_adapters.emulator import serve as run

    target = None if webhook is None else _webhook(webhook, webhook_secret)
    with suppress(KeyboardInterrupt), misuse_is_bad_input():
        lifecycles = assignments("--lifecycle", lifecycle, _followed)
        run(port=port, pace_s=pace, manual=manual, lifecycles=lifecycles, webhook=target, on_start=_introduce)
    say("stopped; nothing was kept", stderr=True)


def _webhook(url: str, secret: str | None) -> Webhook:
    from pydantic import ValidationError

    from lifecycle_adapters.emulator import Webhook

    if not secret:
        fail("a webhook needs a secret: set LIFECYCLE_WEBHOOK_SECRET or give --webhook-secret", BAD_INPUT)
    try:
        return Webhook.model_validate({"url": url, "secret": secret})
    except ValidationError as error:
        fail(f"{shown(url)} is not a URL for a webhook: {error.errors()[0]['msg']}", BAD_INPUT)


def _followed(given: str) -> tuple[str, Lifecycle[str, str]]:
    """Parse the `SERVICE=NAME` of an option; return the service and the lifecycle."""
    api, equals, name = given.partition("=")
    if not (api and equals and name):
        fail(f"--lifecycle needs SERVICE=NAME, such as v1=v1, not {shown(given)!r}", BAD_INPUT)
    return api, declared(name)


def _introduce(base_url: str) -> None:
    from lifecycle_adapters.emulator import NOTICE, PREFIX
    from lifecycle_adapters.services.browser_use import KEY_VARIABLE

    say(("Browser Use Cloud, emulated: ", "bold"), (base_url, "bold green"))
    say(NOTICE)
    say()
    say("In another terminal, with any key:")
    say(f"  export LIFECYCLE_BASE_URL={base_url} {KEY_VARIABLE.name}=any")
    say('  lifecycle create --api v2 "Find the cheapest flight"')
    say()
    say(f"In Python: Client('v2', base_url={base_url!r}, api_key='any')")
    say(f"Control calls (remote events, faults): {base_url}{PREFIX}/docs")
    say("Ctrl-C ends it.")
