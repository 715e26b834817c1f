"""The command `validate`: recorded histories against a lifecycle."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer

from adapters.cli.names import AsJson, LifecycleName, declared
from adapters.cli.output import BAD_INPUT, LEGAL, NOT_LEGAL, fail, print_json, say, shown
from adapters.logs import Columns, Format, Histories, read_histories
from lifecycle import Channel, Finding, Lifecycle, Severity
from lifecycle.history import Mode

_STANDARD_INPUT = "-"
_FORMATS: Mapping[str, Format] = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl"}
_STYLES = {Severity.FINDING: "bold red", Severity.INFORMATION: "cyan"}


@dataclass(frozen=True, slots=True)
class Remark:
    """A finding, with the task it is about (None where the file has only one) and its line."""

    task: str | None
    line: int
    finding: Finding[str]


def validate(
    name: LifecycleName,
    file: Annotated[
        str,
        typer.Argument(metavar="FILE", help="CSV with a header, or one JSON object a line; - is the standard input."),
    ],
    *,
    input_format: Annotated[
        Format | None, typer.Option(help="What FILE is, where its name does not tell (.csv, .jsonl, .ndjson, .json).")
    ] = None,
    mode: Annotated[
        Mode, typer.Option(help="exact: every transition was recorded. sampled: the task was polled, some were missed.")
    ] = "exact",
    channel: Annotated[
        str, typer.Option(help="Whose words the statuses are: api, webhook, or another that the lifecycle names.")
    ] = Channel.API,
    status_column: Annotated[str, typer.Option(help="The column of the status.")] = "status",
    task_column: Annotated[
        str | None, typer.Option(help="The column of the task's id; task_id where there is one, else all is one task.")
    ] = None,
    at_column: Annotated[
        str | None, typer.Option(help="The column of the time, by which rows are put in order; at where there is one.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check recorded histories, one task's or many tasks', and report each row that cannot be true.

    A time is ISO 8601, or a number of seconds or milliseconds since 1970.

    Exit code 0: nothing, or information only. 1: findings. 2: bad rows.
    """
    lifecycle = declared(name)
    lifecycle.state_of("", channel=channel)  # raises for a channel that is not declared, also where there is no row
    columns = Columns(status=status_column, task=task_column, at=at_column)
    with _opened(file) as lines:
        histories = read_histories(lines, format=input_format or _format_of(file), columns=columns)
    remarks = list(judged(lifecycle, histories, mode=mode, channel=channel))
    if as_json:
        print_json(_document(lifecycle, histories, remarks))
    else:
        _print(file, histories, remarks)
    raise typer.Exit(_exit_code(histories, remarks))


def judged(
    lifecycle: Lifecycle[str, str], histories: Histories, *, mode: Mode = "exact", channel: str = Channel.API
) -> Iterator[Remark]:
    """Yield what the lifecycle says of each history, in the order of the file's tasks and of their rows."""
    for task, rows in histories.by_task.items():
        for finding in lifecycle.check((row.status for row in rows), mode=mode, channel=channel):
            yield Remark(task, rows[finding.index].line, finding)


def print_remark(file: str, remark: Remark) -> None:
    """Print a finding as compilers do: where it is, then what it is."""
    task = "" if remark.task is None else f"{shown(remark.task, longest=100)}: "
    severity = remark.finding.severity
    say(f"{shown(file)}:{remark.line}: {task}", (severity, _STYLES[severity]), f": {shown(remark.finding.message)}")


@contextmanager
def _opened(file: str) -> Generator[BinaryIO]:
    """The bytes of a file, or of the standard input, which stays open. Raises OSError."""
    if file == _STANDARD_INPUT:
        yield sys.stdin.buffer
    else:
        with Path(file).open("rb") as opened:
            yield opened


def _format_of(file: str) -> Format:
    try:
        return _FORMATS[Path(file).suffix.lower()]
    except KeyError:
        where = "the standard input" if file == _STANDARD_INPUT else shown(file)
        fail(f"what {where} holds is not known; give --input-format csv or jsonl", BAD_INPUT)


def _print(file: str, histories: Histories, remarks: list[Remark]) -> None:
    for bad in histories.bad_rows:
        say(f"{shown(file)}:{bad.line}: ", ("bad row", "bold red"), f": {shown(bad.reason)}")
    for remark in remarks:
        print_remark(file, remark)
    severities = Counter(remark.finding.severity for remark in remarks)
    say(
        f"{_count(len(histories.by_task), 'task')}, {_count(_row_count(histories), 'row')}: "
        f"{_count(severities[Severity.FINDING], 'finding')}, {severities[Severity.INFORMATION]} for information, "
        f"{_count(len(histories.bad_rows), 'bad row')}"
    )


def _document(lifecycle: Lifecycle[str, str], histories: Histories, remarks: list[Remark]) -> dict[str, Any]:
    return {
        "lifecycle": lifecycle.name,
        "tasks": len(histories.by_task),
        "rows": _row_count(histories),
        "findings": [_entry(remark) for remark in remarks],
        "bad_rows": [asdict(bad) for bad in histories.bad_rows],
    }


def _entry(remark: Remark) -> dict[str, Any]:
    finding = asdict(remark.finding)
    del finding["index"]  # within its task's history; the line says where it is in the file
    return {"task": remark.task, "line": remark.line, **finding}


def _exit_code(histories: Histories, remarks: list[Remark]) -> int:
    if histories.bad_rows:
        return BAD_INPUT
    return NOT_LEGAL if any(remark.finding.severity is Severity.FINDING for remark in remarks) else LEGAL


def _row_count(histories: Histories) -> int:
    return sum(map(len, histories.by_task.values()))


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
