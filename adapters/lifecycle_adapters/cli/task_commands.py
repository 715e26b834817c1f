"""The commands `create`, `status`, `send` and `wait`: one task of a real or a local service.

Each prints its result (an id, a state) on the standard output and everything else on the standard
error, so that `id=$(lifecycle create ...)` works.
"""

from __future__ import annotations

import inspect
import json
import os
import sys
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from rich.text import Text

from lifecycle import Lifecycle
from lifecycle.effects import Progress
from lifecycle.following import Until
from lifecycle_adapters.cli.assignments import assignments, field_assignment, text_assignment
from lifecycle_adapters.cli.names import AsJson, api_proposals, command_proposals, declared, lifecycle_proposals
from lifecycle_adapters.cli.output import BAD_INPUT, console, fail, misuse_is_bad_input, print_json, say, shown

if TYPE_CHECKING:
    from lifecycle_adapters.http import AsyncClient, Client, TaskResult, Timing
    from lifecycle_adapters.journal import SqlJournal

    C = TypeVar("C", Client, AsyncClient)

Api = Annotated[
    str,
    typer.Option(
        help="The service, such as v2, or v2-session for its sessions.",
        autocompletion=api_proposals,
        show_default=False,
    ),
]
BaseUrl = Annotated[
    str | None,
    typer.Option(envvar="LIFECYCLE_BASE_URL", help="The server; the real service if omitted.", metavar="URL"),
]
GoverningLifecycle = Annotated[
    str | None,
    typer.Option(
        "--lifecycle",
        metavar="NAME|FILE",
        help="The lifecycle that governs the task, such as v1 instead of v1-full; the service's own if omitted.",
        autocompletion=lifecycle_proposals,
        show_default=False,
    ),
]
Journal = Annotated[
    str | None,
    typer.Option(
        envvar="LIFECYCLE_JOURNAL",
        help="Where all is recorded: a file, or PostgreSQL by its URL; nowhere if omitted.",
        metavar="FILE|URL",
    ),
]
Worker = Annotated[
    str | None,
    typer.Option(
        envvar="LIFECYCLE_WORKER",
        help="Who writes the journal, unique among the living; who comes back takes up what it held.",
        metavar="NAME",
    ),
]
KeyFrom = Annotated[
    str | None,
    typer.Option(
        "--key-from",
        help="The environment variable that holds the API key; it is sent to any server.",
        metavar="VARIABLE",
        show_default=False,
    ),
]
TaskId = Annotated[str, typer.Argument(metavar="ID", help="The task's or session's id.")]
Fields = Annotated[
    list[str] | None,
    typer.Option("--field", metavar="NAME=TEXT", help="Another field of the request; NAME:=JSON for what is no text."),
]


def create(
    task: Annotated[str | None, typer.Argument(metavar="TASK", help="What to do; a session can begin without.")] = None,
    *,
    api: Api,
    base_url: BaseUrl = None,
    lifecycle: GoverningLifecycle = None,
    field: Fields = None,
    idempotency_key: Annotated[
        str | None, typer.Option(metavar="KEY", help="Create at most one task per key; given again, print its id.")
    ] = None,
    label: Annotated[
        list[str] | None, typer.Option("--label", metavar="NAME=TEXT", help="A label for the record; it is not sent.")
    ] = None,
    reason: Annotated[str, typer.Option(help="Why, for the record.")] = "",
    journal: Journal = None,
    worker: Worker = None,
    key_from: KeyFrom = None,
    as_json: AsJson = False,
) -> None:
    """Create a task, or a session, and print its id.

    The API key is taken from the variable that --key-from names; from BROWSER_USE_API_KEY, if the server is the
    service's own or this machine; or asked for on a terminal.
    """
    from lifecycle_adapters.http import Client

    fields, labels = _fields(field, Client.create), assignments("--label", label, text_assignment)
    require_journal(
        journal,
        {
            "--idempotency-key": ("the key", idempotency_key is not None),
            "--label": ("the label", labels),
            "--reason": ("the reason", reason),
        },
    )
    with client_of(api, base_url, lifecycle=lifecycle, journal=journal, worker=worker, key_from=key_from) as client:
        made = client.create(task, idempotency_key=idempotency_key, labels=labels, reason=reason, **fields)
        state = made.known_state()
    if as_json:
        print_json({"task": made.id, "lifecycle": made.lifecycle.name, "state": state})
    else:
        say(f"{made.lifecycle.name}: created, {_known(state)}", stderr=True)
        say(shown(made.id))


def status(
    task_id: TaskId,
    *,
    api: Api,
    base_url: BaseUrl = None,
    lifecycle: GoverningLifecycle = None,
    journal: Journal = None,
    worker: Worker = None,
    key_from: KeyFrom = None,
    as_json: AsJson = False,
) -> None:
    """Read a task's state, and say which commands it accepts."""
    with client_of(api, base_url, lifecycle=lifecycle, journal=journal, worker=worker, key_from=key_from) as client:
        task = client.task(task_id)
        state = task.status()
        allowed, governs = task.allowed(), task.lifecycle
    if as_json:
        facts = {"final": governs.is_final(state), "settled": governs.is_settled(state), "commands": allowed}
        print_json({"task": task.id, "lifecycle": governs.name, "state": state, **facts})
    else:
        say(shown(state))
        say(f"{governs.name}: accepts {', '.join(map(shown, allowed)) or 'nothing, it is over'}", stderr=True)


def send(
    task_id: TaskId,
    command: Annotated[
        str,
        typer.Argument(
            metavar="COMMAND",
            help="Such as stop, or dispatch, which needs --field task=TEXT.",
            autocompletion=command_proposals,
        ),
    ],
    *,
    api: Api,
    base_url: BaseUrl = None,
    lifecycle: GoverningLifecycle = None,
    field: Fields = None,
    idempotency_key: Annotated[
        str | None, typer.Option(metavar="KEY", help="Execute at most one command per key.")
    ] = None,
    reason: Annotated[str, typer.Option(help="Why, for the record.")] = "",
    wait_for_in_flight: Annotated[
        float, typer.Option(metavar="SECONDS", help="How long to wait for a command that another worker has claimed.")
    ] = 0.0,
    journal: Journal = None,
    worker: Worker = None,
    key_from: KeyFrom = None,
    as_json: AsJson = False,
) -> None:
    """Give a task a command, and print its state once the command is proved to have taken effect.

    What the state refuses is not sent. Exit code 0: done, or redundant. 1: refused, or uncertain.
    """
    from lifecycle_adapters.http import Task

    fields = _fields(field, Task.send)
    require_journal(
        journal,
        {
            "--idempotency-key": ("the key", idempotency_key is not None),
            "--reason": ("the reason", reason),
            "--wait-for-in-flight": ("the commands of other workers", wait_for_in_flight),
        },
    )
    with client_of(api, base_url, lifecycle=lifecycle, journal=journal, worker=worker, key_from=key_from) as client:
        task = client.task(task_id)
        result = task.send(
            command, idempotency_key=idempotency_key, reason=reason, wait_for_in_flight_s=wait_for_in_flight, **fields
        )
    if as_json:
        print_json({"task": task.id, "command": result.command, "state": result.state, "sent": result.sent})
    else:
        outcome = "took effect" if result.sent else "was redundant; it was not sent"
        say(f"{task.lifecycle.name}: {shown(result.command)!r} {outcome}", stderr=True)
        say(shown(result.state))


def wait(
    task_id: TaskId,
    *,
    api: Api,
    until: Annotated[Until, typer.Option(help="settled: no work is being done. final: it is over.")] = "settled",
    timeout: Annotated[float | None, typer.Option(metavar="SECONDS", help="How long; without end if omitted.")] = None,
    poll: Annotated[float, typer.Option(metavar="SECONDS", help="Between the first polls; grows fivefold.")] = 1.0,
    go_on: Annotated[bool, typer.Option("--go-on", help="Go on at a status that the lifecycle does not know.")] = False,
    base_url: BaseUrl = None,
    lifecycle: GoverningLifecycle = None,
    journal: Journal = None,
    worker: Worker = None,
    key_from: KeyFrom = None,
    as_json: AsJson = False,
) -> None:
    """Follow a task until it rests, and print its state and what came of it.

    Exit code 0: it rests. 1: the time was up before.
    """
    from lifecycle_adapters.http import Timing

    with misuse_is_bad_input():
        timing = Timing(poll_s=poll, longest_poll_s=5 * poll)
    asked = client_of(
        api, base_url, lifecycle=lifecycle, timing=timing, journal=journal, worker=worker, key_from=key_from
    )
    with asked as client, _watched(task_id) as see:
        task = client.task(task_id)
        result = task.wait(until, timeout_s=timeout, on_progress=see, on_unknown="continue" if go_on else "raise")
    if as_json:
        cost = None if result.cost_usd is None else str(result.cost_usd)
        print_json({"task": task.id, "state": result.state, "output": result.output, "cost_usd": cost})
    else:
        _print_result(result)


def _print_result(result: TaskResult[str]) -> None:
    say(shown(result.state))
    if result.cost_usd is not None:
        say(f"cost: {result.cost_usd} USD", stderr=True)
    if result.output is not None:
        text = result.output if isinstance(result.output, str) else json.dumps(result.output)
        for line in text.splitlines():
            say(shown(line))


def _known(state: str | None) -> str:
    return "its state is not known yet" if state is None else f"it is {shown(state)!r}"


# --- the client --------------------------------------------------------------------------------


@contextmanager
def client_of(
    api: str,
    base_url: str | None,
    *,
    lifecycle: str | None,
    timing: Timing | None = None,
    journal: str | None = None,
    worker: str | None = None,
    key_from: str | None = None,
) -> Generator[Client]:
    """A client of the service; what it refuses of what was typed ends the command as bad input."""
    from lifecycle_adapters.http import Client

    with misuse_is_bad_input(), record_at(journal, worker) as record:
        settings: dict[str, Any] = {"base_url": base_url, "timing": timing, "journal": record}
        with with_key(Client, api, key_from, lifecycle=governing(lifecycle), **settings) as client:
            yield client


def governing(name: str | None) -> Lifecycle[str, str] | None:
    """Return the lifecycle that was named, by the errors of `declared`; None, the service's own, if none was."""
    return None if name is None else declared(name)


@contextmanager
def record_at(journal: str | None, worker: str | None) -> Generator[SqlJournal | None]:
    """The journal that was named, if one was."""
    if journal is None:
        yield None
        return
    from lifecycle_adapters.journal import SqlJournal

    with SqlJournal(journal, worker=worker) as opened:
        yield opened


def with_key(make: Callable[..., C], api: str, variable: str | None, **settings: Any) -> C:
    """Make a client with the key in a variable that a person names, the one it finds itself, or one that is typed.

    A key is no argument: it would show in the list of processes.
    """
    from lifecycle_adapters.http import service
    from lifecycle_adapters.http.keys import NoKey

    binding = service(api)
    if variable is not None:
        key = os.environ.get(variable) or fail(f"no API key: {shown(variable)} is not set", BAD_INPUT)
        return make(binding, api_key=key, **settings)
    try:
        return make(binding, **settings)
    except NoKey as error:
        if not sys.stdin.isatty():
            ways = "name the variable that holds it by --key-from, or run this in a terminal to be asked"
            fail(f"no API key: {error.why}; {ways}", BAD_INPUT)
        why = error.why
    return make(binding, api_key=typer.prompt(f"API key ({shown(why)})", hide_input=True, err=True), **settings)


def require_journal(journal: str | None, kept: Mapping[str, tuple[str, object]]) -> None:
    """End the command as bad input if something was given that only a journal keeps, and no journal was named.

    Without one each call has a journal of its own, in memory: a key would protect nothing.

    Args:
        journal: the journal that was named, None or empty if none was.
        kept: by option, what the journal keeps, for the message, and the value, which is false if it was not given.
    """
    for option, (what, value) in kept.items():
        if value and not journal:
            fail(f"{option} needs a journal, which keeps {what}: give --journal FILE|URL", BAD_INPUT)


def _fields(given: list[str] | None, method: Callable[..., object]) -> dict[str, Any]:
    """Return the fields of the request, none of which may have the name of an argument of the method."""
    fields = assignments("--field", given, field_assignment)
    parameters = inspect.signature(method).parameters.values()
    for name in fields.keys() & {each.name for each in parameters if each.kind is not each.VAR_KEYWORD}:
        fail(f"--field cannot send {name!r}: that is an argument or an option of this command", BAD_INPUT)
    return fields


# --- the live display --------------------------------------------------------------------------


class _Sight:
    """The states that were seen so far and for how long, as one line that is drawn anew all the time."""

    def __init__(self, task_id: str) -> None:
        self._task_id = task_id
        self._begun_s = time.monotonic()
        self._seen: list[tuple[str, float]] = []
        self._polls = 0

    def see(self, progress: Progress[str]) -> bool:
        """Take a poll in; whether the status is another than before."""
        self._polls = progress.poll
        is_new = not self._seen or self._seen[-1][0] != progress.status
        if is_new:
            self._seen.append((progress.status, time.monotonic()))
        return is_new

    def __rich__(self) -> Text:
        now_s = time.monotonic()
        seen = tuple(self._seen)  # another thread draws while this one polls
        ends = [*(since_s for _, since_s in seen[1:]), now_s]
        trail = " → ".join(
            f"{shown(status, longest=40)} {end_s - since_s:.0f} s"
            for (status, since_s), end_s in zip(seen, ends, strict=True)
        )
        return Text.assemble((shown(self._task_id, longest=40), "bold"), f"  {trail}  ", (self._summary(now_s), "dim"))

    def _summary(self, now_s: float) -> str:
        return f"{now_s - self._begun_s:.0f} s, {self._polls} polls"


@contextmanager
def _watched(task_id: str) -> Generator[Callable[[Progress[str]], None]]:
    """What to tell each poll to: a line that lives on a terminal, a line for each change elsewhere."""
    to = console(stderr=True)
    sight = _Sight(task_id)

    def note(progress: Progress[str]) -> None:
        if sight.see(progress) and not to.is_terminal:
            say(f"{shown(progress.status)} (poll {progress.poll})", stderr=True)

    if to.is_terminal:
        with to.status(sight):
            yield note
    else:
        yield note
