"""The commands `tasks`, `history`, `recover` and `journal`, which read, settle, check and delete records."""

from __future__ import annotations

import csv
import dataclasses
import io
import itertools
import json
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.table import Table

from lifecycle import CATALOG, CommandUncertain, Lifecycle, UnknownName
from lifecycle.journal import CreateRecord, create_has_ended, made_by_another
from lifecycle.scope import base_name
from lifecycle_adapters.cli.assignments import adoption, assignments
from lifecycle_adapters.cli.json_documents import plain
from lifecycle_adapters.cli.names import AsJson, declared, declared_service, lifecycle_proposals, recorded_lifecycle
from lifecycle_adapters.cli.output import (
    BAD_INPUT,
    NOT_LEGAL,
    console,
    fail,
    misuse_is_bad_input,
    not_empty,
    print_json,
    say,
    shown,
    table,
)
from lifecycle_adapters.cli.task_commands import (
    Api,
    BaseUrl,
    GoverningLifecycle,
    KeyFrom,
    Parameters,
    Worker,
    assigned_parameters,
    client_of,
    governing,
    with_key,
)
from lifecycle_adapters.cli.times import iso, parse_time
from lifecycle_adapters.connection_strings import without_passwords
from lifecycle_adapters.spreadsheets import cell

if TYPE_CHECKING:
    from lifecycle_adapters.http import Client, RecoveredCreate
    from lifecycle_adapters.journal import Recorded, RecordedCommand, RecordedCreate, RecordedReport, SqlJournal

JournalAt = Annotated[
    str,
    typer.Option(
        "--journal",
        envvar="LIFECYCLE_JOURNAL",
        callback=not_empty,
        help="Use this journal: a SQLite file or a PostgreSQL URL.",
        metavar="FILE|URL",
        show_default=False,
    ),
]
TaskId = Annotated[str, typer.Argument(metavar="ID", help="Select the task with this id.")]
OfLifecycle = Annotated[
    str | None,
    typer.Option(
        "--lifecycle",
        metavar="NAME",
        help="Select the tasks of this lifecycle only, as `tasks` names it; without the [...] of its scope, of all"
        " scopes.",
        autocompletion=lifecycle_proposals,
    ),
]
Declarations = Annotated[
    list[str] | None,
    typer.Option(
        "--declaration",
        metavar="FILE",
        help="Compare with the lifecycle of your own that this JSON or YAML file declares. Can be repeated.",
    ),
]


def tasks(
    *,
    journal: JournalAt,
    lifecycle: OfLifecycle = None,
    state: Annotated[str | None, typer.Option(help="List the tasks in this state only.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="List at most this many tasks.")] = 100,
    after: Annotated[int, typer.Option(min=0, help="Continue after the cursor that ends the previous page.")] = 0,
    as_json: AsJson = False,
) -> None:
    """List the recorded tasks with their states and open commands.

    Example: lifecycle tasks --journal journal.db --state running
    """
    with _opened(journal) as opened:
        page = opened.tasks(lifecycle, state, after=after, limit=limit)
    if as_json:
        print_json({"tasks": [_document(each) for each in page.tasks], "after": page.after})
        return
    listed = table("Lifecycle", "Task", "State", "Since", "Open command")
    for task in page.tasks:
        command = "" if task.command is None else f"{task.command} {task.command_state}" + _claimant(task.claimed_by)
        state = shown(task.state or "?") + (
            "" if task.doubt is None else f", but {shown(task.doubt)} was reported later"
        )
        listed.add_row(task.lifecycle, shown(task.task_id), state, _time(task.since), shown(command))
    console().print(listed)
    for task in page.tasks:
        if task.error is not None:
            say(f"{task.lifecycle} {shown(task.task_id)}: its record cannot be read: {shown(task.error)}", stderr=True)
    if page.after is not None:
        say(f"there are more: add --after {page.after}", stderr=True)


def _claimant(claimed_by: str | None) -> str:
    return "" if claimed_by is None else f", claimed by {claimed_by}"


def history(task_id: TaskId, *, journal: JournalAt, lifecycle: OfLifecycle = None, as_json: AsJson = False) -> None:
    """Show everything recorded about a task: its reports and commands, with worker, time and reason.

    Example: lifecycle history TASK_ID --journal journal.db
    """
    with _opened(journal) as opened:
        entries = opened.history(task_id, lifecycle)
    if not entries:
        fail(f"no task {shown(task_id)!r} is recorded in this journal", BAD_INPUT)
    if as_json:
        print_json([_document(each) for each in entries])
        return
    for name in dict.fromkeys(each.lifecycle for each in entries):
        say((f"{name} {shown(task_id)}", "bold"))
        console().print(_timeline([each for each in entries if each.lifecycle == name]))


def record_line(entry: Recorded) -> tuple[str, str]:
    """Return the subject of a journal entry and its details, for people."""
    from lifecycle_adapters.journal import RecordedCommand, RecordedCreate, RecordedReport, RecordedUnreadable

    match entry:
        case RecordedCreate():
            return f"create {entry.id}", _made(entry)
        case RecordedUnreadable(why=why):
            return "unreadable", shown(why)
        case RecordedReport():
            return _report(entry)
        case RecordedCommand():
            return _event(entry)
        case _:
            raise AssertionError(entry)


def _timeline(entries: list[Recorded]) -> Table:
    lines = table("At (UTC)", "What", "", "Worker")
    for entry in entries:
        what, detail = record_line(entry)
        lines.add_row(_time(entry.at), shown(what), shown(detail, longest=500), shown(entry.worker))
    return lines


def _report(entry: RecordedReport) -> tuple[str, str]:
    if entry.late:
        comment = "late, not applied"
    elif entry.unconfirmed:
        comment = "may be late, not applied; read the task to be certain"
    elif entry.kind is None:
        comment = "the first report"
    else:
        comment = ": ".join(filter(None, (entry.kind, ", ".join(entry.path))))
    times = f", {entry.times} times" if (entry.times or 1) > 1 else ""
    return f"reported {entry.status}", f"{comment} ({entry.channel}, {_time(entry.as_of)}{times})"


def _made(entry: RecordedCreate) -> str:
    labels = ", ".join(f"{name}={text}" for name, text in entry.labels.items())
    known = {"by": entry.origin, "key": entry.idempotency_key, "because": entry.reason, "labels": labels}
    return ", ".join([entry.why, *(f"{label} {text}" for label, text in known.items() if text)])


def _event(entry: RecordedCommand) -> tuple[str, str]:
    what = f"{entry.command} (command {entry.id})"
    if entry.event is not None:
        return what, f"{entry.state}: {entry.why}"
    if entry.why == "sent":
        return what, f"sent, attempt {entry.attempts}"
    if entry.why != "intended":
        return what, entry.why
    known = {"by": entry.origin, "key": entry.idempotency_key, "because": entry.reason}
    source = entry.source or "a state that could not be read"
    return what, ", ".join([f"intended in {source}", *(f"{label} {text}" for label, text in known.items() if text)])


def recover(
    *,
    api: Api,
    journal: JournalAt,
    worker: Worker = None,
    base_url: BaseUrl = None,
    parameter: Parameters = None,
    lifecycle: GoverningLifecycle = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait for the commands that other workers have claimed.")
    ] = False,
    dead: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Settle the commands of this worker at once, because you know that it is dead. Can be repeated.",
        ),
    ] = None,
    adopt: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CREATE=TASK",
            help="First, read this task and record that this create created it. Can be repeated.",
        ),
    ] = None,
    abandon: Annotated[
        list[str] | None,
        typer.Option(metavar="CREATE", help="First, record that this create created no task. Can be repeated."),
    ] = None,
    abandon_command: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TASK",
            help="First, record that the outcome of this task's open command stays unknown and is no longer "
            "needed. Can be repeated.",
        ),
    ] = None,
    key_from: KeyFrom = None,
    as_json: AsJson = False,
) -> None:
    """Settle the commands that a crash or a lost response left open, and report the creates without an outcome.

    This command does not decide whether a create created a task.
    It prints the tasks that the create may have created, with the option to add for each.

    A command that another worker has claimed is left open.
    It is printed with that worker's name and the end of its claim.
    A worker that has not advanced its command for two minutes counts as dead.
    A worker that restarts under its --worker NAME settles its own commands at once.

    Exit code 0: nothing of this service is open. 1: a command or create is still open.

    Example: lifecycle recover --api v4 --journal journal.db --wait
    """
    with _opened(journal):  # a mistyped name would create an empty journal, in which nothing is open
        pass
    from lifecycle_adapters.http import RecoveredCreate

    adopted = assignments("--adopt", dict.fromkeys(adopt or ()), adoption)
    for create in abandon or ():
        if create in adopted:
            fail(f"create {shown(create)!r} is in --adopt and in --abandon; it has one outcome", BAD_INPUT)
    with client_of(
        api, base_url, parameter, lifecycle=lifecycle, journal=journal, worker=worker, key_from=key_from
    ) as client:
        _record_decisions(client, adopted, dict.fromkeys(abandon or ()), dict.fromkeys(abandon_command or ()))
        found = client.recover(wait=wait, dead=dead or ())
        creates = [each for each in found if isinstance(each, RecoveredCreate)]
        recovered = [each for each in found if not isinstance(each, RecoveredCreate)]
        left = [
            (lifecycle.name, task) for lifecycle in client.lifecycles for task in client.journal.open_tasks(lifecycle)
        ]
        others = sorted(set(client.journal.open_lifecycles()).difference(each.name for each in client.lifecycles))
    unsettled = sum(not each.is_settled for each in found if not each.task_id)  # the creates
    if as_json:
        print_json(
            {
                "recovered": [
                    {
                        "lifecycle": each.lifecycle,
                        "task": each.task_id,
                        "command": each.command,
                        "state": None if each.result is None else each.result.state,
                        "error": None if each.error is None else str(each.error),
                        "settled": each.is_settled,
                    }
                    for each in recovered
                ],
                "creates": [_create_document(each) for each in creates],
                "open": [{"lifecycle": name, "task": task} for name, task in left],
                "other_lifecycles": others,
            }
        )
    else:
        for each in recovered:
            outcome = f"done, {each.result.state}" if each.result is not None else str(each.error)
            command = "" if each.command is None else f"{each.command}: "
            name = f"{each.lifecycle} {shown(each.task_id)}".rstrip()
            say(f"{name}: {command}{shown(outcome)}")
            if not each.is_settled and isinstance(each.error, CommandUncertain):
                say(f"  if its outcome is no longer needed: add --abandon-command {shown(each.task_id)}")
        for each in creates:
            _say_create(each)
        settled = sum(each.is_settled for each in found)
        say(f"{settled} settled, {len(left) + unsettled} still open", stderr=True)
        if others:
            say(
                f"the journal has more that is open, which is not of this --api: {shown(', '.join(others))}",
                stderr=True,
            )
    if left or unsettled:
        raise typer.Exit(NOT_LEGAL)


def _record_decisions(
    client: Client[Any, Any], adopted: Mapping[str, str], abandoned: Iterable[str], commands_of: Iterable[str]
) -> None:
    """Record what the options say, and print each thing once it is recorded; nothing is if one of them is wrong."""
    lifecycle, journal = client.lifecycle, client.journal
    others = {  # of sessions, and of messages to them
        each.id: other
        for other in client.lifecycles
        for each in journal.creates(other).unfinished()
        if other.name != lifecycle.name and isinstance(each, CreateRecord)
    }
    lifecycles = {create: others.get(create, lifecycle) for create in (*adopted, *abandoned)}
    for create, its in lifecycles.items():
        record = journal.creates(its).load(create)
        if not record.is_open:
            raise create_has_ended(record.id, record.state, record.task_id)
    for create, task in adopted.items():
        maker = journal.creates(lifecycles[create]).find_maker(task)
        maker = maker or next(each for each, made in adopted.items() if made == task)
        if maker != create:
            raise made_by_another(create, task, maker)
    open_tasks = set(client.journal.open_tasks(lifecycle)) if commands_of else ()
    for task in commands_of:
        if task not in open_tasks:
            fail(f"no command of {lifecycle.name} task {shown(task)!r} is open", BAD_INPUT)
    for create, task in adopted.items():
        client.adopt_create(create, task)
        say(f"{lifecycles[create].name} create {create}: adopted {shown(task)}", stderr=True)
    for create in abandoned:
        client.abandon_create(create)
        say(f"{lifecycles[create].name} create {create}: abandoned", stderr=True)
    for task in commands_of:
        command = client.task(task).abandon_command()
        if command is not None:  # otherwise another worker has settled it meanwhile
            say(f"{lifecycle.name} {shown(task)}: {command.command}: abandoned", stderr=True)


def _create_document(each: RecoveredCreate) -> dict[str, Any]:
    record = each.create
    return {
        "lifecycle": each.lifecycle,
        "create": record.id,
        "state": record.state,
        "idempotency_key": record.context.idempotency_key,
        "labels": dict(record.labels),
        "fields": dict(record.fields),
        "recorded_at": iso(record.recorded_at),
        "error": None if each.error is None else str(each.error),
        "candidates": [{"task": listed.id, "status": listed.status} for listed in each.candidates],
    }


def _say_create(each: RecoveredCreate) -> None:
    """Print what is known about a create and, if a person must decide, the options to add."""
    number = each.create.id
    say(f"{each.lifecycle} create {number}: {shown(each.error or each.create.why)}")
    if each.is_settled or each.create.lease is not None:
        return
    for listed in each.candidates:
        task = shown(listed.id)
        say(f"  it may have created {task} ({shown(listed.status)}): add --adopt {number}={task}")
    if not each.candidates:
        say(f"  if it created a task that you know: add --adopt {number}=TASK")
    say(f"  if it created {'none of them' if each.candidates else 'no task'}: add --abandon {number}")


# --- the journal itself ---------------------------------------------------------------------------


def check(*, journal: JournalAt, declaration: Declarations = None, as_json: AsJson = False) -> None:
    """Check a journal: replay every history and the events of every command.

    Each entry is judged by the declaration under which it was recorded.
    It also prints how many tasks were recorded under a declaration other than the catalog's or --declaration's.

    Exit code 0: sound. 1: damaged. 2: it cannot be read, such as a database whose file is damaged.

    Example: lifecycle journal check --journal journal.db
    """
    known = _with_own(declaration)
    with _opened(journal) as opened:
        damages = list(opened.check())
        recorded = [] if damages else opened.declarations()
    if as_json:
        print_json([_document(each) for each in damages])
    for each in () if as_json else damages:
        where = f"{each.lifecycle} {shown(each.task_id)}" + ("" if each.entry is None else f", entry {each.entry}")
        say(f"{where}: ", (each.code, "bold red"), f": {shown(each.message)}")
    for kept in recorded:
        present = known.get(kept.lifecycle) or known.get(base_name(kept.lifecycle))
        if present is not None and present.digest != kept.digest:
            number = f"{kept.tasks} task{'' if kept.tasks == 1 else 's'}"
            what = f"{number} of {shown(kept.lifecycle)}: recorded under another declaration, with the digest"
            say(f"{what} {kept.digest}", stderr=True)
    if damages:
        raise typer.Exit(NOT_LEGAL)
    say("the journal is sound", stderr=True)


def _with_own(files: list[str] | None) -> dict[str, Lifecycle[Any, Any]]:
    """Return the lifecycles of the catalog and those that the files declare, by name."""
    own = assignments("--declaration", files, _declaration)
    return {**CATALOG, **own}


def _declaration(file: str) -> tuple[str, Lifecycle[Any, Any]]:
    lifecycle = declared(file)
    return lifecycle.name, lifecycle


def add_server(
    *,
    api: Api,
    journal: JournalAt,
    base_url: Annotated[
        str,
        typer.Option(metavar="URL", help="Add this URL, or the server that the service calls so.", callback=not_empty),
    ],
    parameter: Parameters = None,
    lifecycle: GoverningLifecycle = None,
) -> None:
    """Record that a URL leads to the server that has the journal's tasks of a service. Nothing is sent.

    A journal has the tasks of a service at one server, the one of its first record.
    The commands for a service accept no other URL with this journal.
    Add a URL if the server has moved, or has several.
    Never add a server with tasks of its own: it may give them the same ids.

    Example: lifecycle journal add-server --api v4 --base-url https://gateway.example --journal journal.db
    """
    from lifecycle_adapters.http import Client

    key = None if declared_service(api).authentication is None else "not-sent"
    parameters = assigned_parameters(parameter)
    with _opened(journal, read_only=False) as opened:
        its = governing(lifecycle, api, opened)
        client = with_key(
            Client, api, None, api_key=key, base_url=base_url, parameters=parameters, lifecycle=its, journal=opened
        )
        with client:
            client.add_server()
        for name, urls in opened.servers().items():
            say(f"{shown(name)}: {shown(' and '.join(urls))}")


def export(
    lifecycle: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="Print the reports of this lifecycle: one of the catalog, one that the journal has, such as job or"
            " its scope job[acme/web], or the JSON or YAML file that declares it.",
            autocompletion=lifecycle_proposals,
        ),
    ],
    *,
    journal: JournalAt,
    output_format: Annotated[Literal["csv", "jsonl"], typer.Option("--format", help="Print in this format.")] = "jsonl",
) -> None:
    """Print all reports as a log that `check --mode sampled` reads: task_id, at, status. The encoding is always UTF-8.

    JSON Lines are exact. A CSV is changed so that it is safe to open in a spreadsheet.
    A cell that would be a formula begins with an apostrophe, and control characters are escaped.

    Exit code 0: all reports are printed. 1: some reports cannot be read; all others are printed.

    Example: lifecycle journal export v4 --journal journal.db --format csv > log.csv
    """
    with _opened(journal) as opened:
        from lifecycle_adapters.journal import UnreadableReports

        rows = ({**row, "at": iso(row["at"])} for row in opened.reports(_declared_or_recorded(lifecycle, opened)))
        try:
            for line in _csv(rows) if output_format == "csv" else _json_lines(rows):
                typer.echo(line.encode(errors="backslashreplace"), nl=False)
        except UnreadableReports as error:
            fail(str(error), NOT_LEGAL)


def _declared_or_recorded(name: str, opened: SqlJournal) -> Lifecycle[str, str]:
    """Return the catalog's lifecycle, otherwise the newest that the journal has, otherwise the one in a file."""
    if name not in CATALOG and (found := recorded_lifecycle(name, opened)) is not None:
        return found
    try:
        return declared(name)
    except (UnknownName, FileNotFoundError):
        known = dict.fromkeys(each.lifecycle for each in opened.declarations())
        if not known or Path(name).suffix or Path(name).name != name:  # a path names a file
            raise
        advice = "the catalog and files declare others"
        raise UnknownName("lifecycle", without_passwords(name), known=known, where="journal", advice=advice) from None


def _csv(rows: Iterable[dict[str, str]]) -> Iterator[str]:
    """Yield the lines of a CSV file, as RFC 4180 ends them."""
    line = io.StringIO(newline="")
    writer = csv.writer(line)
    for row in itertools.chain([("task_id", "at", "status")], ([*map(cell, each.values())] for each in rows)):
        writer.writerow(row)
        yield line.getvalue()
        line.seek(0)
        line.truncate()


def _json_lines(rows: Iterable[dict[str, str]]) -> Iterator[str]:
    return (f"{json.dumps(row)}\n" for row in rows)


def forget(task_id: TaskId, *, journal: JournalAt, lifecycle: OfLifecycle = None) -> None:
    """Delete everything recorded about a task, and print the number of deleted tasks, one for each lifecycle.

    The idempotency keys of its create and its commands are free again: the next use of one is sent as new.

    Example: lifecycle journal forget TASK_ID --journal journal.db
    """
    with _opened(journal, read_only=False) as opened:
        count = opened.forget(task_id, lifecycle)
    if not count:
        fail(f"no task {shown(task_id)!r} is recorded in this journal", BAD_INPUT)
    say(str(count))


def prune(
    *,
    journal: JournalAt,
    before: Annotated[
        datetime,
        typer.Option(
            parser=parse_time,
            metavar="DATE|TIME",
            help="Delete only tasks without a record since this ISO 8601 time or date (its midnight; UTC without a "
            "zone).",
            show_default=False,
        ),
    ],
) -> None:
    """Delete the tasks that are over and have no record since --before, and print their number.

    A task is over if its state is final or reopenable in the declaration under which it was recorded.
    Any other task is kept, such as an idle session or one with an open command; `journal forget` deletes it.
    The idempotency keys of what is deleted are free again: the next use of one is sent as new.

    Example: lifecycle journal prune --journal journal.db --before 2026-01-31
    """
    with _opened(journal, read_only=False) as opened:
        say(str(opened.prune(before)))


@contextmanager
def _opened(at: str, *, read_only: bool = True) -> Generator[SqlJournal]:
    """Open a journal that exists."""
    from lifecycle_adapters.journal import SqlJournal

    with misuse_is_bad_input():
        with SqlJournal(at, read_only=True) as opened:  # does not create a missing journal
            if read_only:
                yield opened
        if not read_only:
            with SqlJournal(at) as opened:
                yield opened


def _document(row: Any) -> dict[str, Any]:
    return {name: plain(value) for name, value in dataclasses.asdict(row).items()}


def _time(at: datetime | None) -> str:
    return "" if at is None else at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
