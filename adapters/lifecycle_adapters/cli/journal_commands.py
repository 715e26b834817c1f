"""The commands `tasks`, `history`, `recover` and `journal`: what is recorded, and what was left open."""

from __future__ import annotations

import csv
import dataclasses
import io
import itertools
import json
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.table import Table

from lifecycle import CATALOG, Lifecycle
from lifecycle_adapters.cli.assignments import adoption, assignments
from lifecycle_adapters.cli.json_documents import plain
from lifecycle_adapters.cli.names import AsJson, declared, lifecycle_proposals
from lifecycle_adapters.cli.output import (
    BAD_INPUT,
    NOT_LEGAL,
    console,
    fail,
    misuse_is_bad_input,
    print_json,
    say,
    shown,
    table,
)
from lifecycle_adapters.cli.task_commands import Api, BaseUrl, GoverningLifecycle, KeyFrom, Worker, client_of
from lifecycle_adapters.cli.times import iso, parse_time
from lifecycle_adapters.spreadsheets import cell

if TYPE_CHECKING:
    from lifecycle_adapters.http import RecoveredCreate
    from lifecycle_adapters.journal import Recorded, RecordedCommand, RecordedCreate, RecordedReport, SqlJournal

JournalAt = Annotated[
    str,
    typer.Option("--journal", envvar="LIFECYCLE_JOURNAL", help="The journal.", metavar="FILE|URL", show_default=False),
]
TaskId = Annotated[str, typer.Argument(metavar="ID", help="The task's id.")]
OfLifecycle = Annotated[
    str | None,
    typer.Option("--lifecycle", help="Tasks of this lifecycle only.", autocompletion=lifecycle_proposals),
]
Declarations = Annotated[
    list[str] | None,
    typer.Option("--declaration", metavar="FILE", help="A JSON or YAML file that declares a lifecycle of your own."),
]


def tasks(
    *,
    journal: JournalAt,
    lifecycle: OfLifecycle = None,
    state: Annotated[str | None, typer.Option(help="Tasks in this state only.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 100,
    after: Annotated[int, typer.Option(min=0, help="Go on behind the page whose cursor this is.")] = 0,
    as_json: AsJson = False,
) -> None:
    """List the recorded tasks with their states, and the commands that are open."""
    with _opened(journal) as opened:
        page = opened.tasks(lifecycle, state, after=after, limit=limit)
    if as_json:
        print_json({"tasks": [_document(each) for each in page.tasks], "after": page.after})
        return
    listed = table("Lifecycle", "Task", "State", "Since", "Open command")
    for task in page.tasks:
        command = "" if task.command is None else f"{task.command} {task.command_state}" + _holder(task.held_by)
        listed.add_row(task.lifecycle, shown(task.task_id), shown(task.state or "?"), _time(task.since), shown(command))
    console().print(listed)
    for task in page.tasks:
        if task.error is not None:
            say(f"{task.lifecycle} {shown(task.task_id)}: it cannot be read: {shown(task.error)}", stderr=True)
    if page.after is not None:
        say(f"There are more: --after {page.after}", stderr=True)


def _holder(held_by: str | None) -> str:
    return "" if held_by is None else f", held by {held_by}"


def history(task_id: TaskId, *, journal: JournalAt, lifecycle: OfLifecycle = None, as_json: AsJson = False) -> None:
    """Show all that was recorded of a task: reports, commands, who, when and why."""
    with _opened(journal) as opened:
        entries = opened.history(task_id, lifecycle)
    if not entries:
        fail(f"nothing is recorded of a task {shown(task_id)!r}", BAD_INPUT)
    if as_json:
        print_json([_document(each) for each in entries])
        return
    for name in dict.fromkeys(each.lifecycle for each in entries):
        say((f"{name} {shown(task_id)}", "bold"))
        console().print(_timeline([each for each in entries if each.lifecycle == name]))


def record_line(entry: Recorded) -> tuple[str, str]:
    """Return what an entry of the record is about, and what it says."""
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
        remark = "late, not applied"
    elif entry.unconfirmed:
        remark = "may be late, not applied; to be read"
    elif entry.kind is None:
        remark = "the first report"
    else:
        remark = ": ".join(filter(None, (entry.kind, ", ".join(entry.path))))
    times = f", {entry.times} times" if (entry.times or 1) > 1 else ""
    return f"reported {entry.status}", f"{remark} ({entry.channel}, {_time(entry.as_of)}{times})"


def _made(entry: RecordedCreate) -> str:
    labels = ", ".join(f"{name}={text}" for name, text in entry.labels.items())
    known = {"by": entry.origin, "key": entry.idempotency_key, "because": entry.reason, "labels": labels}
    return ", ".join([entry.why, *(f"{word} {told}" for word, told in known.items() if told)])


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
    return what, ", ".join([f"intended in {source}", *(f"{word} {told}" for word, told in known.items() if told)])


def recover(
    *,
    api: Api,
    journal: JournalAt,
    worker: Worker = None,
    base_url: BaseUrl = None,
    lifecycle: GoverningLifecycle = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for commands that other workers have claimed.")] = False,
    dead: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A worker that is known to be gone; its commands are settled at once."),
    ] = None,
    adopt: Annotated[
        list[str] | None,
        typer.Option(metavar="CREATE=TASK", help="First record that this create made this task, which is read."),
    ] = None,
    abandon: Annotated[
        list[str] | None, typer.Option(metavar="CREATE", help="First record that this create made no task.")
    ] = None,
    key_from: KeyFrom = None,
    as_json: AsJson = False,
) -> None:
    """Settle the commands that a crash or a lost answer left open, and report the creates that have no outcome.

    Whether a create made a task is not decided here: the tasks that may be it are printed with what to type.

    A command that another worker has claimed is left to it, and shown with that worker's name and the end of its
    claim. A worker that has not moved its command for two minutes is taken for dead. One that comes back under its
    --worker NAME can settle its own commands at once.

    Exit code 0: nothing is open. 1: something still is.
    """
    with _opened(journal):  # a name that was mistyped would make an empty one, in which all is settled
        pass
    from lifecycle_adapters.http import RecoveredCreate

    adopted = assignments("--adopt", adopt, adoption)
    for create in abandon or ():
        if create in adopted:
            fail(f"create {shown(create)!r} is in --adopt and in --abandon; it has one outcome", BAD_INPUT)
    with client_of(api, base_url, lifecycle=lifecycle, journal=journal, worker=worker, key_from=key_from) as client:
        for create, task in adopted.items():
            client.adopt_create(create, task)
        for create in abandon or ():
            client.abandon_create(create)
        found = client.recover(wait=wait, dead=dead or ())
        creates = [each for each in found if isinstance(each, RecoveredCreate)]
        recovered = [each for each in found if not isinstance(each, RecoveredCreate)]
        left = [
            (lifecycle.name, task) for lifecycle in client.lifecycles for task in client.journal.open_tasks(lifecycle)
        ]
    unsettled = sum(not each.is_settled for each in creates)
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
            }
        )
    else:
        for each in recovered:
            outcome = f"done, {each.result.state}" if each.result is not None else str(each.error)
            command = "" if each.command is None else f"{each.command}: "
            say(f"{each.lifecycle} {shown(each.task_id)}: {command}{shown(outcome)}")
        for each in creates:
            _say_create(each)
        settled = sum(each.is_settled for each in found)
        say(f"{settled} settled, {len(left) + unsettled} still open", stderr=True)
    if left or unsettled:
        raise typer.Exit(NOT_LEGAL)


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
    """Say what is known of a create; if somebody must decide, what to type."""
    number = each.create.id
    say(f"{each.lifecycle} create {number}: {shown(each.error or each.create.why)}")
    if each.is_settled or each.create.hold is not None:
        return
    for listed in each.candidates:
        say(f"  it may have made {shown(listed.id)} ({shown(listed.status)}): add --adopt {number}={shown(listed.id)}")
    say(f"  {'if it made none of them' if each.candidates else 'no listed task may be it'}: add --abandon {number}")


# --- the journal itself ---------------------------------------------------------------------------


def check(*, journal: JournalAt, declaration: Declarations = None, as_json: AsJson = False) -> None:
    """Check the record: every history replays, every command has a lawful life.

    Exit code 0: sound. 1: damaged. 2: not wholly checked, for want of a declaration.
    """
    from lifecycle_adapters.journal import DamageCode

    known = _with_own(declaration)
    with _opened(journal) as opened:
        found = list(opened.check(known))
        unchecked = [name for name in opened.lifecycles() if name not in known]
    damages = [each for each in found if each.code is not DamageCode.UNKNOWN_LIFECYCLE]
    if as_json:
        print_json([_document(each) for each in damages])
    for each in () if as_json else damages:
        where = f"{each.lifecycle} {shown(each.task_id)}" + ("" if each.entry is None else f", entry {each.entry}")
        say(f"{where}: ", (each.code, "bold red"), f": {shown(each.message)}")
    for name in unchecked:
        say(
            f"the tasks of {shown(name)} were not checked: give the file that declares it by --declaration", stderr=True
        )
    if damages:
        raise typer.Exit(NOT_LEGAL)
    if unchecked:
        raise typer.Exit(BAD_INPUT)
    say("The record is sound.", stderr=True)


def _with_own(files: list[str] | None) -> dict[str, Lifecycle[Any, Any]]:
    """The lifecycles of the catalog, and those that files declare, by name."""
    own = assignments("--declaration", files, _declaration)
    return {**CATALOG, **own}


def _declaration(file: str) -> tuple[str, Lifecycle[Any, Any]]:
    lifecycle = declared(file)
    return lifecycle.name, lifecycle


def export(
    lifecycle: Annotated[str, typer.Argument(metavar="NAME", help="Whose tasks.", autocompletion=lifecycle_proposals)],
    *,
    journal: JournalAt,
    output_format: Annotated[Literal["csv", "jsonl"], typer.Option("--format", help="What to write.")] = "jsonl",
) -> None:
    """Print all reports as a log that `validate` reads: task_id, at, status; in UTF-8, whatever the terminal.

    JSON Lines are exact. In a CSV, which a spreadsheet may open, a cell that would be a formula there begins with an
    apostrophe, and control characters are spelled out.
    """
    governing = declared(lifecycle)
    with _opened(journal) as opened:
        rows = ({**row, "at": iso(row["at"])} for row in opened.reports(governing))
        for line in _csv(rows) if output_format == "csv" else _json_lines(rows):
            typer.echo(line.encode(errors="backslashreplace"), nl=False)


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
    """Delete all that was recorded of a task."""
    with _opened(journal, read_only=False) as opened:
        count = opened.forget(task_id, lifecycle)
    if not count:
        fail(f"nothing is recorded of a task {shown(task_id)!r}", BAD_INPUT)


def prune(
    *,
    journal: JournalAt,
    before: Annotated[
        datetime,
        typer.Option(
            parser=parse_time,
            metavar="DATE|TIME",
            help="ISO 8601 date or time, such as 2026-01-31 (its midnight) or 2026-01-31T09:30:00Z; UTC without a zone."
            " Only tasks with no later record are deleted.",
            show_default=False,
        ),
    ],
    declaration: Declarations = None,
) -> None:
    """Delete the tasks that are over, and say how many that were.

    A lifecycle that is not in the catalog keeps its tasks, unless a file declares it.
    """
    with _opened(journal, read_only=False) as opened:
        say(str(opened.prune(before, _with_own(declaration))))


@contextmanager
def _opened(at: str, *, read_only: bool = True) -> Generator[SqlJournal]:
    """A journal that is there already."""
    from lifecycle_adapters.journal import SqlJournal

    with misuse_is_bad_input():
        with SqlJournal(at, read_only=True) as opened:  # one that is not there is not made
            if read_only:
                yield opened
        if not read_only:
            with SqlJournal(at) as opened:
                yield opened


def _document(row: Any) -> dict[str, Any]:
    return {name: plain(value) for name, value in dataclasses.asdict(row).items()}


def _time(at: datetime | None) -> str:
    return "" if at is None else at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
