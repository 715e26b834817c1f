"""The command `serve`, which runs the emulator of services. `demo` is in demo.py."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lifecycle import Lifecycle
from lifecycle_adapters.cli.assignments import assignments
from lifecycle_adapters.cli.names import api_proposals, declared, declared_service
from lifecycle_adapters.cli.output import (
    BAD_INPUT,
    accepted_by,
    fail,
    finite_seconds,
    misuse_is_bad_input,
    not_empty,
    say,
    shown,
)

if TYPE_CHECKING:
    from lifecycle_adapters.emulator import Profile, Webhook
    from lifecycle_adapters.http import HttpBinding


def serve(
    *,
    api: Annotated[
        list[str] | None,
        typer.Option(
            "--api",
            metavar="SERVICE",
            help="Serve this service: a name, or a JSON or YAML file. Can be repeated. Default: v1 to v4.",
            autocompletion=api_proposals,
        ),
    ] = None,
    profile: Annotated[
        list[str] | None,
        typer.Option(
            "--profile",
            metavar="SERVICE=PLACE",
            help="Import the profile of one service, such as printer=mine.printer:PROFILE. Can be repeated.",
        ),
    ] = None,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Listen on this port of 127.0.0.1; 0 chooses a free one.")
    ] = 8787,
    pace: Annotated[
        float,
        typer.Option(
            callback=accepted_by(finite_seconds),
            metavar="SECONDS",
            help="Keep a task in each state for this time, 0 or more.",
        ),
    ] = 1.0,
    manual: Annotated[bool, typer.Option("--manual", help="Change tasks by commands and control calls only.")] = False,
    lifecycle: Annotated[
        list[str] | None,
        typer.Option(
            "--lifecycle",
            metavar="SERVICE=NAME",
            help="Let one service's tasks follow this lifecycle, such as v1=v1 instead of v1-full. Can be repeated.",
        ),
    ] = None,
    webhook: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Send every change of a task to this URL. Needs a webhook secret."),
    ] = None,
    webhook_secret: Annotated[
        str | None,
        typer.Option(
            envvar="LIFECYCLE_WEBHOOK_SECRET",
            callback=not_empty,
            metavar="TEXT",
            help="Sign the webhooks of --webhook with this secret.",
        ),
    ] = None,
) -> None:
    """Serve v1 to v4, or services of your own, on this machine until Ctrl-C.

    The server accepts any API key. It keeps everything in memory and nothing on disk.

    Example: lifecycle serve --api v4 --pace 0.2
    """
    from lifecycle_adapters.emulator import Emulator

    target = None if webhook is None else _webhook(webhook, webhook_secret)
    with suppress(KeyboardInterrupt), misuse_is_bad_input():
        bindings = [declared_service(each) for each in api or ()]
        own = {each.name: each.lifecycle for each in bindings}
        emulator = Emulator(
            *bindings,
            port=port,
            pace_s=pace,
            manual=manual,
            lifecycles=assignments("--lifecycle", lifecycle, partial(_followed, own)),
            profiles=assignments("--profile", profile, _profile),
            webhook=target,
        )
        emulator.serve(on_start=partial(_introduce, api or []))
    say("stopped; nothing was kept", stderr=True)


def _webhook(url: str, secret: str | None) -> Webhook:
    from pydantic import ValidationError

    from lifecycle_adapters.emulator import Webhook

    if not secret:
        fail("a webhook needs a secret: set LIFECYCLE_WEBHOOK_SECRET or give --webhook-secret", BAD_INPUT)
    try:
        return Webhook.model_validate({"url": url, "secret": secret})
    except ValidationError as error:
        wrong = error.errors()[0]
        option = {"url": "--webhook", "secret": "--webhook-secret"}[str(wrong["loc"][0])]
        fail(f"{wrong['msg'].removeprefix('Value error, ')}; on the command line: {option}", BAD_INPUT)


def _followed(own: Mapping[str, Lifecycle[str, str]], given: str) -> tuple[str, Lifecycle[str, str]]:
    """Parse the `SERVICE=NAME` of an option; return the service and the lifecycle."""
    api, equals, name = given.partition("=")
    if not (api and equals and name):
        fail(f"--lifecycle needs SERVICE=NAME, such as v1=v1, not {shown(given)!r}", BAD_INPUT)
    return api, declared(name, own.get(api))


def _profile(given: str) -> tuple[str, Profile]:
    """Parse the `SERVICE=MODULE:NAME` of an option; return the service and the imported profile."""
    from importlib import import_module

    api, _, place = given.partition("=")
    module, colon, name = place.partition(":")
    if not (api and module and colon and name):
        fail(f"--profile needs SERVICE=MODULE:NAME, such as printer=mine:PROFILE, not {shown(given)!r}", BAD_INPUT)
    try:
        return api, getattr(import_module(module), name)
    except (Exception, SystemExit) as error:  # noqa: BLE001 (whatever a module does when it is imported)
        from lifecycle_adapters.http.declared import where_to_import_from

        why = f"{type(error).__name__}: {shown(error)}{where_to_import_from(module, error)}"
        fail(f"no profile can be imported from {shown(place)!r}: {why}", BAD_INPUT)


def _introduce(apis: list[str], base_url: str) -> None:
    from lifecycle_adapters.emulator import NOTICE, PREFIX

    first = apis[0] if apis else "v2"
    binding: HttpBinding[Any, Any] = declared_service(first)
    key = "" if binding.key_variable is None else f" {binding.key_variable.name}=any"
    say((f"{', '.join(apis) or 'Browser Use Cloud'}, emulated: ", "bold"), (base_url, "bold green"))
    say(NOTICE)
    say()
    say("In another terminal, with any key:")
    say(f"  export LIFECYCLE_BASE_URL={base_url}{key}")
    say(f"  lifecycle create --api {quote(first)}{_example(binding)}")
    say()
    python = repr(first) if first == binding.name else f"HttpBinding.from_file({first!r})"
    api_key = "" if binding.authentication is None else ", api_key='any'"
    parameters = _example_parameters(binding)
    filled = f", parameters={parameters!r}" if parameters else ""
    say(f"In Python: Client({python}, base_url={base_url!r}{api_key}{filled})")
    say(f"Control calls (remote events, faults): {base_url}{PREFIX}/docs")
    say("Ctrl-C ends it.")


def _example(binding: HttpBinding[Any, Any]) -> str:
    """Return the arguments of a create as one would type them."""
    task = "" if binding.task_field is None else ' "Find the cheapest flight"'
    parameters = [f" --parameter {quote(f'{name}={text}')}" for name, text in _example_parameters(binding).items()]
    fields = [name for name in binding.create.required_fields if name != binding.task_field]
    return task + "".join([*parameters, *(f" --field {quote(f'{name}=...')}" for name in fields)])


def _example_parameters(binding: HttpBinding[Any, Any]) -> dict[str, str]:
    """Return a value for each parameter: its name, because an emulator knows no owner and no repository by another."""
    from lifecycle_adapters.http.parameters import all_parameters

    return {name: name for name in all_parameters(binding)}
