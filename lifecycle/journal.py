"""The record that commands are executed against: what it holds, how it grows, and its interface.

A journal holds, for each task, every report, every command and every outcome. It decides
nothing about legality itself: reports are judged by the task's lifecycle, commands by the
lifecycle `command`. How a record follows from another is decided here, once, for every journal;
where it is kept is theirs: memory.py keeps it in memory, durable journals live elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Generic, NamedTuple, Protocol

from lifecycle.catalog import COMMAND, CommandEvent, CommandState
from lifecycle.definition import Lifecycle
from lifecycle.history import Channel, Observation, ObservationKind
from lifecycle.table import E, S

# --- what a journal holds -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Report:
    """A status that a service reported.

    `as_of` is timezone-aware UTC: a webhook's time stamp, or the time at which a poll's request
    started, so that the report is never believed to be newer than it is.
    """

    status: str
    as_of: datetime
    channel: str = Channel.API


@dataclass(frozen=True, slots=True)
class Purpose:
    """Why a command is given, and by whom.

    Of all commands of a task that are given under one `key`, one is executed. `origin` names what
    gave it (`caller`, or a policy), `reason` is for those who ask later.
    """

    key: str | None = None
    origin: str = "caller"
    reason: str = ""


UNSTATED = Purpose()


@dataclass(frozen=True, slots=True)
class CommandRecord(Generic[S, E]):
    """A command with its life so far.

    `source` is the state it was judged in, `fields` are what it is sent with, `attempts` counts its
    sends, `why` is what was said of it last.
    """

    id: str
    command: E
    source: S
    state: CommandState
    fields: Mapping[str, Any]
    attempts: int = 0
    purpose: Purpose = UNSTATED
    why: str = ""


@dataclass(frozen=True, slots=True)
class TaskRecord(Generic[S, E]):
    """What is known of a task.

    `state` is None until it was reported once; `version` grows with every move and every command
    opened or ended; `open_command` is the one in flight. `as_of` is the time of the last report
    that was believed, `since` of the one that brought the task into its state, `first_at` of the first.
    """

    version: int = 0
    state: S | None = None
    as_of: datetime | None = None
    open_command: CommandRecord[S, E] | None = None
    since: datetime | None = None
    first_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ReportEntry(Generic[S, E]):
    """A recorded report: what it was found to be, and the state kept after it.

    `observation` is None for the first report. `late` marks one that is older than the last
    applied, `unconfirmed` one that could be late without its time telling; neither was applied.
    `times` counts equal reports in a row, of which this was the first.
    """

    report: Report
    state: S | None
    observation: Observation[S, E] | None
    late: bool = False
    unconfirmed: bool = False
    times: int = 1


@dataclass(frozen=True, slots=True)
class CommandEntry(Generic[S, E]):
    """A command as it was after one event of its life. `event` is None for its intent and for an attempt."""

    record: CommandRecord[S, E]
    event: CommandEvent | None
    why: str


Entry = ReportEntry[S, E] | CommandEntry[S, E]

# --- how it grows ---------------------------------------------------------------------------------


def judge_report(
    lifecycle: Lifecycle[S, E], record: TaskRecord[S, E], report: Report, *, now: datetime | None = None
) -> ReportEntry[S, E]:
    """Find out what a report is, to a task of which `record` is known.

    Two clocks never agree. A report is late if it is older than the last one believed, unless that
    one lies in the future of `now`, the journal's own clock, where that tells: then a clock was set
    back, and reachability alone decides. Inside a cycle reachability cannot tell late from new, and
    a pushed report's time is another clock's: it is unconfirmed, and only a read tells.

    Raises:
        UnknownName: the lifecycle declares no such channel.
    """
    if record.state is None:
        return ReportEntry(report, lifecycle.state_of(report.status, channel=report.channel), None)
    observation = lifecycle.observe(record.state, report.status, channel=report.channel)
    is_trusted = now is None or record.as_of is None or record.as_of <= now
    late = is_trusted and record.as_of is not None and report.as_of < record.as_of
    unconfirmed = not late and report.channel != Channel.API and _may_be_earlier(lifecycle, observation)
    keeps = late or unconfirmed
    return ReportEntry(report, record.state if keeps else observation.state, observation, late, unconfirmed)


def _may_be_earlier(lifecycle: Lifecycle[S, E], observation: Observation[S, E]) -> bool:
    """Whether the reported state may as well be one that the task has left."""
    moves = observation.reported is not None and bool(observation.path)
    return moves and observation.known in lifecycle.reachable(observation.state)


def after_report(
    record: TaskRecord[S, E], entry: ReportEntry[S, E], *, now: datetime | None = None
) -> TaskRecord[S, E]:
    """Return what is known of a task after a report; nothing later than `now`, where that is told."""
    if entry.late or entry.unconfirmed:
        return record
    as_of = entry.report.as_of if now is None else min(entry.report.as_of, now)
    moved = entry.state != record.state
    kind = None if entry.observation is None else entry.observation.kind
    believed = entry.state is not None and kind not in _NOT_BELIEVED
    # Not `replace`, which takes its time: a watcher records thousands of reports a second.
    return TaskRecord(
        version=record.version + moved,
        state=entry.state,
        as_of=as_of if believed else record.as_of,
        open_command=record.open_command,
        since=as_of if moved else record.since,
        first_at=record.first_at or as_of,
    )


def repeats(entry: ReportEntry[S, E], last: Entry[S, E] | None) -> bool:
    """Whether an entry says what the last one said: it is then counted, for polling must not fill the record."""
    if not isinstance(last, ReportEntry) or entry.late or last.late or entry.unconfirmed or last.unconfirmed:
        return False
    return (entry.report.status, entry.report.channel) == (last.report.status, last.report.channel)


def after_command(record: TaskRecord[S, E], command: CommandRecord[S, E]) -> TaskRecord[S, E]:
    """Return what is known of a task after an event of a command's life."""
    still_open = None if COMMAND.is_final(command.state) else command
    return replace(record, version=record.version + 1, open_command=still_open)


def may_send(lifecycle: Lifecycle[S, E], record: TaskRecord[S, E], command_id: str, number: int) -> bool:
    """Whether a command may be sent for the `number`-th time.

    It is open, nobody has made that attempt, and the task, of which `record` is known, still accepts it.
    """
    command = record.open_command
    is_next = command is not None and (command.id, command.attempts + 1) == (command_id, number)
    if command is None or record.state is None or not is_next:
        return False
    return lifecycle.target(record.state, command.command) is not None


_NOT_BELIEVED = frozenset({ObservationKind.STALE, ObservationKind.CONFLICT, ObservationKind.UNKNOWN})

# --- the interface --------------------------------------------------------------------------------


class TaskLog(Protocol[S, E]):
    """One task's part of a journal. Every method is atomic, and durable before it returns.

    Those of a `blocking` one are called by an event loop's threads, not by itself.
    """

    @property
    def blocking(self) -> bool:
        """Whether the methods wait for a disk or a network."""
        ...

    def load(self) -> TaskRecord[S, E]:
        """Return what is known of the task."""
        ...

    def track(self) -> None:
        """Record that there is such a task, where nothing is known of it yet."""
        ...

    def add_report(self, report: Report) -> TaskRecord[S, E]:
        """Record a report as what it is and move the task if the move is lawful and the report not late."""
        ...

    def add_intent(
        self, command: E, *, source: S, version: int, fields: Mapping[str, Any], purpose: Purpose = UNSTATED
    ) -> CommandRecord[S, E] | TaskRecord[S, E]:
        """Open a command, only if the task is still at `version`, no command is open, and its key is new.

        Returns the opened command, which this worker holds, or the task's present record where it
        could not be opened.
        """
        ...

    def find_command(self, key: str) -> CommandRecord[S, E] | None:
        """Return the command that was opened under that key, open or ended, if there is one."""
        ...

    def claim(self, command_id: str) -> CommandRecord[S, E] | None:
        """Take an open command up, to be held by this worker alone.

        Returns None where it has ended, or a worker that may be alive holds it.
        """
        ...

    def release(self, command_id: str) -> None:
        """Let an open command be taken up by anybody, if this worker holds it."""
        ...

    def add_attempt(self, command_id: str, *, number: int) -> bool:
        """Record that the command is about to be sent for the `number`-th time, counted from 1.

        Returns False, and records nothing, where it is no longer open, another worker has made that
        attempt (of several workers one alone may send), or the state last recorded refuses it.
        """
        ...

    def add_outcome(self, command_id: str, event: CommandEvent, *, why: str) -> TaskRecord[S, E]:
        """Move the command by an event of its lifecycle.

        Raises:
            IllegalTransition: the lifecycle `command` refuses the move (another worker was first).
            ValueError: the task has no such command.
        """
        ...


class TaskReport(NamedTuple):
    """A report with the task that it is about."""

    lifecycle: Lifecycle[Any, Any]
    task_id: str
    report: Report


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message that a service pushed, as it came. `id` is the same for the same message sent again."""

    id: str
    kind: str
    sent_at: datetime
    body: str


class Journal(Protocol):
    """The record of all tasks."""

    def task(self, lifecycle: Lifecycle[S, E], task_id: str) -> TaskLog[S, E]:
        """Return the log of one task; the same record for the same lifecycle and id."""
        ...

    def open_tasks(self, lifecycle: Lifecycle[Any, Any]) -> Iterable[str]:
        """Return the ids of the tasks that have an open command."""
        ...

    def add_reports(self, reports: Sequence[TaskReport]) -> list[ReportEntry[Any, Any]]:
        """Record n reports as `TaskLog.add_report` would, all or none, in this order; n entries, in this order."""
        ...

    def receive(self, delivery: Delivery, reports: Sequence[TaskReport] = ()) -> list[ReportEntry[Any, Any]] | None:
        """Record a delivery and what it reports, both or neither; None where it was recorded before."""
        ...
