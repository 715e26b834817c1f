"""The commands `create`, `status`, `send` and `wait`, for one task of a real or a local service.

Each prints its result (an id, a state) on the standard output and everything else on the standard
error, so that `id=$(lifecycle create ...)` works.
"""

from __future__ import annotations

import inspect
import json
import os
import re
import sys
import time
import warnings
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from getpass import getpass
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from rich.text import Text

from lifecycle import CATALOG, Lifecycle
from lifecycle.effects import Progress
from lifecycle.following import Until
from lifecycle_adapters.argument_checks import is_text
from lifecycle_adapters.cli.assignments import assignments, field_assignment, parameter_assignment, text_assignment
from lifecycle_adapters.cli.names import (
    AsJson,
    api_proposals,
    command_proposals,
    declared,
    declared_service,
    lifecycle_proposals,
    recorded_lifecycle,
)
from lifecycle_adapters.cli.output import (
    BAD_INPUT,
    accepted_by,
    console,
    fail,
    finite_seconds,
    misuse_is_bad_input,
    not_empty,
    os_error_text,
    print_json,
    say,
    shown,
    shows_the_cursor,
)

if TYPE_CHECKING:
    from lifecycle_adapters.http import AsyncClient, Client, HttpBinding, TaskResult, Timing
    from lifecycle_adapters.journal import SqlJournal

    C = TypeVar("C", Client, AsyncClient)


Api = Annotated[
    str,
    typer.Option(
        metavar="NAME|FILE",
        help="Use this service, such as v4, v2-session or v4-message; or a file that declares one.",
        autocompletion=api_proposals,
        show_default=False,
    ),
]
BaseUrl = Annotated[
    str | None,
    typer.Option(
        envvar="LIFECYCLE_BASE_URL",
        callback=not_empty,
        help="Send requests to this server instead of the real service.",
        metavar="URL",
    ),
]
GoverningLifecycle = Annotated[
    str | None,
    typer.Option(
        "--lifecycle",
        metavar="NAME|FILE",
        help="Judge by this lifecycle, of the catalog, the journal or a file, instead of the service's own.",
        autocompletion=lifecycle_proposals,
        show_default=False,
    ),
]
Journal = Annotated[
    str | None,
    typer.Option(
        envvar="LIFECYCLE_JOURNAL",
        callback=not_empty,
        help="Record in this journal: a SQLite file or a PostgreSQL URL. Nothing is recorded if omitted.",
        metavar="FILE|URL",
    ),
]
Worker = Annotated[
    str | None,
    typer.Option(
        envvar="LIFECYCLE_WORKER",
        callback=not_empty,
        help="Record this worker name, which must be unique among running workers. Restarting under the same name"
        " resumes its commands.",
        metavar="NAME",
    ),
]
Parameters = Annotated[
    list[str] | None,
    typer.Option(
        "--parameter",
        metavar="NAME=TEXT",
        help="Set a parameter of the service's paths, such as owner=acme. Can be repeated.",
        show_default=False,
    ),
]
KeyFrom = Annotated[
    str | None,
    typer.Option(
        "--key-from",
        callback=not_empty,
        help="Read the API key from this environment variable; it is then sent to any server.",
        metavar="VARIABLE",
        show_default=False,
    ),
]
TaskId = Annotated[str, typer.Argument(metavar="ID", help="Address the task or session with this id.")]
Fields = Annotated[
    list[str] | None,
    typer.Option(
        "--field",
        metavar="NAME=TEXT",
        help="Add this field to the request; use NAME:=JSON for a value that is not text. Can be repeated.",
    ),
]


def create(
    task: Annotated[
        str | None,
        typer.Argument(metavar="TASK", help="Start the task with this instruction; a session needs none."),
    ] = None,
    *,
    api: Api,
    base_url: BaseUrl = None,
    parameter: Parameters = None,
    lifecycle: GoverningLifecycle = None,
    field: Fields = None,
    idempotency_key: Annotated[
        str | None,
        typer.Option(
            metavar="KEY",
            help="Create at most one task of a lifecycle under this idempotency key; repeated calls print its id."
            " Needs --journal.",
        ),
    ] = None,
    label: Annotated[
        list[str] | None,
        typer.Option(
            "--label",
            metavar="NAME=TEXT",
            help="Record this label in the journal; it is not sent. Can be repeated. Needs --journal.",
        ),
    ] = None,
    reason: Annotated[str, typer.Option(help="Record this reason in the journal. Needs --journal.")] = "",
    journal: Journal = None,
    worker: Worker = None,
    key_from: KeyFrom = None,
    as_json: AsJson = False,
) -> None:
    """Create a task or a session, and print its id.

    The API key is read from the variable that --key-from names, if it is given.
    Otherwise it is read from the service's own variable, such as BROWSER_USE_API_KEY.
    That variable is used only if the server is the service's own or this machine.
    If there is no key, a prompt on the terminal asks for it.

    Example: lifecycle create --api v4 "find the cheapest flight to Lisbon"
    """
    from lifecycle_adapters.http import Client

    if task is not None and not is_text(task):  # the client's error would call it a field
        fail("the argument TASK is not UTF-8", BAD_INPUT)
    fields, labels = _fields(field, Client.create), assignments("--label", label, text_assignment)
    require_journal(
        journal,
        {
            "--idempotency-key": ("the key", idempotency_key is not None),
            "--label": ("the label", labels),
            "--reason": ("the reason", reason),
        },
    )
    unknown = "it is not known whether a task was created"
    recovery = "" if journal is None else "; run `lifecycle recover` to settle that"
    opened = client_of(api, base_url, parameter, lifecycle=lifecycle, journal=journal, worker=worker, key_from=key_from)
    with opened as client, _interruption_reported(unknown + recovery):
        made = client.create(task, idempotency_key=idempotency_key, labels=labels, reason=reason, **fields)
        state = made.known_state()
    try:
        if as_json:
            print_json({"task": made.id, "lifecycle": made.lifecycle.name, "state": state})
        else:
            say(f"{made.lifecycle.name}: created; {_known(state)}", stderr=True)
            say(shown(made.id))
    except OSError as error:  # the id is nowhere else if there is no journal
        fail(f"the task {made.id!r} was created; its id could not be printed: {os_error_text(error)}", BAD_INPUT)


def status(
    task_id: TaskId,
    *,
    api: Api,
    base_url: BaseUrl = None,
    parameter: Parameters = None,
    lifecycle: GoverningLifecycle = None,
    journal: Journal = None,
    worker: Worker = None,
    key_from: KeyFrom = None,
    as_json: AsJson = False,
) -> None:
    """Read a task's state, and print it with the commands that it accepts.

    Example: lifecycle status --api v4 TASK_ID
    """
    with client_of(
        api, base_url, parameter, lifecycle=lifecycle, journal=journal, worker=worker, key_from=key_from
    ) as client:
        task = client.task(task_id)
        state = task.status()
        allowed, governs = task.allowed(), task.lifecycle
    if as_json:
        facts = {"final": governs.is_final(state), "over": governs.is_over(state), "settled": governs.is_settled(state)}
        print_json({"task": task.id, "lifecycle": governs.name, "state": state, **facts, "commands": allowed})
    else:
        say(shown(state))
        say(f"{governs.name}: accepts {', '.join(map(shown, allowed)) or 'no command, it is over'}", stderr=True)


def send(
    task_id: TaskId,
    command: Annotated[
        str,
        typer.Argument(
            metavar="COMMAND",
            help="Send this command, such as stop. The command dispatch needs --field task=TEXT.",
            autocompletion=command_proposals,
        ),
    ],
    *,
    api: Api,
    base_url: BaseUrl = None,
    parameter: Parameters = None,
    lifecycle: GoverningLifecycle = None,
    field: Fields = None,
    idempotency_key: Annotated[
        str | None,
        typer.Option(
            metavar="KEY", help="Execute at most one command of a task under this idempotency key. Needs --journal."
        ),
    ] = None,
    reason: Annotated[str, typer.Option(help="Record this reason in the journal. Needs --journal.")] = "",
    wait_for_in_flight: Annotated[
        float,
        typer.Option(
            callback=accepted_by(finite_seconds),
            metavar="SECONDS",
            help="Wait at most this long for a command that another worker has claimed. Needs --journal.",
        ),
    ] = 0.0,
    journal: Journal = None,
    worker: Worker = None,
    key_from: KeyFrom = None,
    as_json: AsJson = False,
) -> None:
    """Send a command to a task, and print the task's state once the command is known to have taken effect.

    A command that the state does not allow is not sent. Exit code 0: done, or redundant. 1: refused, or uncertain.

    Example: lifecycle send --api v4 TASK_ID cancel --journal journal.db --idempotency-key order-5
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
    unknown = "it is not known whether the command took effect"
    hint = "`lifecycle status` reads the state" if journal is None else "`lifecycle recover` settles the command"
    opened = client_of(api, base_url, parameter, lifecycle=lifecycle, journal=journal, worker=worker, key_from=key_from)
    with opened as client, _interruption_reported(f"{unknown}; {hint}"):
        task = client.task(task_id)
        result = task.send(
            command, idempotency_key=idempotency_key, reason=reason, wait_for_in_flight_s=wait_for_in_flight, **fields
        )
    outcome = "took effect" if result.sent else "was redundant; it was not sent"
    try:
        if as_json:
            how = {"sent": result.sent, "is_last_known": result.is_last_known}
            print_json({"task": task.id, "command": result.command, "state": result.state, **how})
        else:
            known = "; its state was not read after that: this is the last known one" if result.is_last_known else ""
            say(f"{task.lifecycle.name}: {shown(result.command)!r} {outcome}{known}", stderr=True)
            say(shown(result.state))
    except OSError as error:
        fail(f"{result.command!r} {outcome}; its result could not be printed: {os_error_text(error)}", BAD_INPUT)


def _polling(poll_s: float) -> Timing:
    """Return a client's timing with this pause between the first polls, and one up to five times as long later.

    Raises ValueError if the first pause is out of range.
    """
    from lifecycle_adapters.http import Timing
    from lifecycle_adapters.procedures.timing import LONGEST_S

    return Timing(poll_s=poll_s, longest_poll_s=min(5 * poll_s, LONGEST_S))


def wait(
    task_id: TaskId,
    *,
    api: Api,
    until: Annotated[
        Until,
        typer.Option(help="Wait for a state of this kind. settled: no work is being done. final: the task is over."),
    ] = "settled",
    timeout: Annotated[
        float | None,
        typer.Option(
            callback=accepted_by(finite_seconds),
            metavar="SECONDS",
            help="Wait at most this long. Default: no limit.",
        ),
    ] = None,
    poll: Annotated[
        float,
        typer.Option(
            callback=accepted_by(_polling),
            metavar="SECONDS",
            help="Pause this long, more than 0, between the first polls; later pauses grow up to five times as long.",
        ),
    ] = 1.0,
    go_on: Annotated[
        bool,
        typer.Option("--go-on", help="Continue if the service reports a status that the lifecycle does not declare."),
    ] = False,
    base_url: BaseUrl = None,
    parameter: Parameters = None,
    lifecycle: GoverningLifecycle = None,
    journal: Journal = None,
    worker: Worker = None,
    key_from: KeyFrom = None,
    as_json: AsJson = False,
) -> None:
    """Poll a task until it is settled or final, and print its state and output.

    If another process sent a command, the state before that command may end the wait.

    Exit code 0: the task reached that state. 1: it timed out.

    Example: lifecycle wait --api v4 TASK_ID --until final --timeout 600
    """
    settings: dict[str, Any] = {"lifecycle": lifecycle, "journal": journal, "worker": worker, "key_from": key_from}
    opened = client_of(api, base_url, parameter, timing=_polling(poll), **settings)
    with opened as client, _interruption_reported("the task continues"), _progress_printer(task_id) as see:
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


@contextmanager
def _interruption_reported(what: str) -> Generator[None]:
    """Let an interruption say what stays open after it."""
    try:
        yield
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"interrupted; {what}") from None


# --- the client --------------------------------------------------------------------------------


@contextmanager
def client_of(
    api: str,
    base_url: str | None,
    parameters: list[str] | None,
    *,
    lifecycle: str | None,
    timing: Timing | None = None,
    journal: str | None = None,
    worker: str | None = None,
    key_from: str | None = None,
) -> Generator[Client]:
    """Open a client of the service; arguments that it refuses end the command as bad input."""
    from lifecycle_adapters.http import Client

    with misuse_is_bad_input(), open_journal(journal, worker) as record:
        settings: dict[str, Any] = {"base_url": base_url, "timing": timing, "journal": record}
        settings["parameters"] = assigned_parameters(parameters)
        with with_key(Client, api, key_from, lifecycle=governing(lifecycle, api, record), **settings) as client:
            yield client


def assigned_parameters(given: list[str] | None) -> dict[str, str]:
    """Return the parameters of a service's paths, or end the command as bad input."""
    return assignments("--parameter", given, parameter_assignment)


def governing(name: str | None, api: str, journal: SqlJournal | None) -> Lifecycle[str, str] | None:
    """Return the lifecycle of this name, None for the service's own if no name is given.

    It is one of the catalog, or the service's own; otherwise one that the journal has recorded; otherwise a file's.
    Raises like `declared` and `declared_service`.
    """
    if name is None:
        return None
    own = declared_service(api).lifecycle
    if journal is None or name in CATALOG or name == own.name:
        return declared(name, own)
    return recorded_lifecycle(name, journal) or declared(name, own)


@contextmanager
def open_journal(journal: str | None, worker: str | None, *, must_exist: bool = False) -> Generator[SqlJournal | None]:
    """Open the journal, if one is named; a missing one is created, or refused if it must exist.

    Ends the command as bad input if only a worker is named.
    """
    require_journal(journal, {"--worker": ("the worker's name", worker)})
    if journal is None:
        yield None
        return
    from lifecycle_adapters.journal import SqlJournal

    if must_exist:
        SqlJournal(journal, read_only=True).close()  # does not create a missing journal
    with SqlJournal(journal, worker=worker) as opened:
        yield opened


def with_key(make: Callable[..., C], api: str, variable: str | None, **settings: Any) -> C:
    """Create a client with the key of the named variable, the key that it finds itself, or one typed at a prompt.

    No option takes the key itself: it would show in the list of processes. Print a line if the service is retired.
    """
    from lifecycle_adapters.http import RetiredServiceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RetiredServiceWarning)
        client = _with_key(make, declared_service(api), variable, **settings)
    if (notice := client.binding.retirement(client.base_url)) is not None:
        say(f"warning: {shown(notice)}", stderr=True)
    return client


def _with_key(make: Callable[..., C], binding: HttpBinding[str, str], variable: str | None, **settings: Any) -> C:
    from lifecycle_adapters.http.keys import NoKey, without_value

    if variable is not None:
        # A key that is given by mistake, instead of the variable's name, must not get into a log.
        name = shown(variable) if re.fullmatch("[A-Z_][A-Z0-9_]*", variable) else "the variable that --key-from names"
        key = os.environ.get(variable) or fail(f"no API key: {name} is {without_value(variable)}", BAD_INPUT)
        return make(binding, api_key=key, **settings)
    try:
        return make(binding, **settings)
    except NoKey as error:
        # Python has no standard input if it was closed when the process began.
        if sys.stdin is None or not sys.stdin.isatty():
            hint = "name the variable that holds it with --key-from, or run this on a terminal to type it"
            fail(f"no API key: {error.why}; {hint}", BAD_INPUT)
        why = error.why
    return make(binding, api_key=_typed_key(shown(why)), **settings)


def _typed_key(why: str) -> str:
    """Ask for the key on the terminal, which does not show it.

    Typer's prompt would print its question while the terminal still echoes, and discard what was typed until then.
    """
    try:
        while not (key := getpass(f"API key ({why}): ")):
            pass
    except (EOFError, KeyboardInterrupt):
        say("", stderr=True)  # the cursor is behind the question
        raise typer.Abort from None  # not KeyboardInterrupt: nothing was sent that could be uncertain
    except UnicodeDecodeError:
        say("", stderr=True)
        fail("the API key that was typed is not text in the terminal's encoding", BAD_INPUT)
    return key


def require_journal(journal: str | None, kept: Mapping[str, tuple[str, object]]) -> None:
    """End the command as bad input if an option needs a journal, and none is named.

    Without one each call has its own journal in memory, so that a key would protect nothing.

    Args:
        journal: the journal that was named, None or empty if none was.
        kept: by option, the noun for what the journal keeps, for the message, and the value, false if not given.
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


class _LiveStatus:
    """The statuses seen so far, and how long each lasted, as one line that is redrawn continuously."""

    def __init__(self, task_id: str) -> None:
        self._task_id = task_id
        self._begun_s = time.monotonic()
        self._seen: list[tuple[str, float]] = []
        self._polls = 0

    def see(self, progress: Progress[str]) -> bool:
        """Add a poll; return whether its status differs from the last one."""
        self._polls = progress.poll
        is_new = not self._seen or self._seen[-1][0] != progress.status
        if is_new:
            self._seen.append((progress.status, time.monotonic()))
        return is_new

    def __rich__(self) -> Text:
        now_s = time.monotonic()
        seen = tuple(self._seen)  # a second thread draws while this one polls
        ends = [*(since_s for _, since_s in seen), now_s][1:]
        trail = " → ".join(
            f"{shown(status, longest=40)} {end_s - since_s:.0f} s"
            for (status, since_s), end_s in zip(seen, ends, strict=True)
        )
        return Text.assemble((shown(self._task_id, longest=40), "bold"), f"  {trail}  ", (self._summary(now_s), "dim"))

    def _summary(self, now_s: float) -> str:
        return f"{now_s - self._begun_s:.0f} s, {self._polls} poll{'' if self._polls == 1 else 's'}"


@contextmanager
def _progress_printer(task_id: str) -> Generator[Callable[[Progress[str]], None]]:
    """Yield the callback for polls: it redraws one line on a terminal, and prints a line per change elsewhere."""
    to = console(stderr=True)
    sight = _LiveStatus(task_id)

    def note(progress: Progress[str]) -> None:
        if sight.see(progress) and not to.is_terminal:
            say(f"{shown(progress.status)} (poll {progress.poll})", stderr=True)

    if to.is_terminal:
        with shows_the_cursor(to), to.status(sight):
            yield note
    else:
        yield note
