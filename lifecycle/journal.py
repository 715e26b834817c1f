"""The record that commands are executed against: what it holds, how it grows, and its interface.

A journal holds, for each task, every report, every command and every outcome. It decides
nothing about legality itself: reports are judged by the task's lifecycle, commands by the
lifecycle `command`. How a record follows from another is decided here, once, for every journal;
where it is kept is theirs: memory.py keeps it in memory, durable journals live elsewhere.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Generic, NamedTuple, Protocol, runtime_checkable

from lifecycle.catalog import COMMAND, CommandEvent, CommandState
from lifecycle.conformance import Channel, Observation, ObservationKind
from lifecycle.errors import UnreadableRecord
from lifecycle.lifecycle import Lifecycle
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
class RequestContext:
    """Why a command is given, and by whom.

    Of all commands of a task that are given under one `key`, one is executed. `origin` names what
    gave it (`caller`, or a policy), `reason` is for those who ask later.
    """

    idempotency_key: str | None = None
    origin: str = "caller"
    reason: str = ""


NO_CONTEXT = RequestContext()


class Hold(NamedTuple):
    """Which worker has claimed a command or a create, and until when (UTC); None if its claim has no end."""

    worker: str
    until: datetime | None


@dataclass(frozen=True, slots=True)
class CommandRecord(Generic[S, E]):
    """A command with its life so far.

    `source` is the state it was judged in (None for a stop of a task that could not be read), `fields`
    are what it is sent with, `attempts` counts its sends, `why` is what was said of it last.
    `claim` counts the claims so far, the first of which its intent is: what is written of the command
    names it. `hold` is None if nobody has claimed the command now.
    """

    id: str
    command: E
    source: S | None
    state: CommandState
    fields: Mapping[str, Any]
    attempts: int = 0
    context: RequestContext = NO_CONTEXT
    why: str = ""
    claim: int = 1
    hold: Hold | None = None


@dataclass(frozen=True, slots=True)
class TaskRecord(Generic[S, E]):
    """What is known of a task.

    `state` is None until it was reported once; `version` grows with every move and every command
    opened or ended; `open_command` is the one in flight. `as_of` is the time of the last report
    that was believed, `since` of the one that brought the task into its state, `first_at` of the first.
    `doubt` is what a later report said although `state` is final: one of the two is wrong, and only a
    read tells which. `created_at` is when the task was created, None if that was not seen here.
    """

    version: int = 0
    state: S | None = None
    as_of: datetime | None = None
    open_command: CommandRecord[S, E] | None = None
    since: datetime | None = None
    first_at: datetime | None = None
    doubt: S | None = None
    created_at: datetime | None = None

    @property
    def current(self) -> S | None:
        """The state that was reported last: `state`, or what contradicts it."""
        return self.state if self.doubt is None else self.doubt


class CommandOutcome(NamedTuple, Generic[S, E]):
    """What is recorded of a task and of one of its commands."""

    task: TaskRecord[S, E]
    command: CommandRecord[S, E]


@dataclass(frozen=True, slots=True)
class ReportEntry(Generic[S, E]):
    """A recorded report: what it was found to be, and the state kept after it.

    `observation` is None for the first report. `late` marks one that is older than the last
    applied, `unconfirmed` one that could be late without its time telling; neither was applied.
    `contradicts` marks one that cannot follow the final state that is kept.
    `times` counts equal reports in a row, of which this was the first.
    """

    report: Report
    state: S | None
    observation: Observation[S, E] | None
    late: bool = False
    unconfirmed: bool = False
    contradicts: bool = False
    times: int = 1


@dataclass(frozen=True, slots=True)
class CommandEntry(Generic[S, E]):
    """A command as it was after one event of its life. `event` is None for its intent and for an attempt."""

    record: CommandRecord[S, E]
    event: CommandEvent | None
    why: str


Entry = ReportEntry[S, E] | CommandEntry[S, E]

# --- how it grows ---------------------------------------------------------------------------------


def classify_report(
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
    contradicts = not keeps and observation.kind in _CONTRADICTS and lifecycle.is_final(record.state)
    state = record.state if keeps else observation.state
    return ReportEntry(report, state, observation, late, unconfirmed, contradicts)


_MOVES = (ObservationKind.STEP, ObservationKind.JUMP)


def _may_be_earlier(lifecycle: Lifecycle[S, E], observation: Observation[S, E]) -> bool:
    """Whether the reported state may as well be one that the task has left."""
    moves = observation.reported is not None and bool(observation.path)
    return moves and lifecycle.relation(observation.state, observation.known) in _MOVES


def apply_report(
    record: TaskRecord[S, E], entry: ReportEntry[S, E], *, now: datetime | None = None
) -> TaskRecord[S, E]:
    """Return what is known of a task after a report; nothing later than `now`, where that is told."""
    if entry.late or entry.unconfirmed:
        return record
    as_of = entry.report.as_of if now is None else min(entry.report.as_of, now)
    moved = entry.state != record.state
    observation = entry.observation
    kind = None if observation is None else observation.kind
    believed = entry.state is not None and kind not in _NOT_BELIEVED
    doubt = record.doubt
    if entry.contradicts and observation is not None:
        doubt = observation.reported
    elif believed:
        doubt = None
    # Not `replace`, which takes its time: a watcher records thousands of reports a second.
    return TaskRecord(
        version=record.version + (moved or doubt != record.doubt),
        state=entry.state,
        as_of=as_of if believed else record.as_of,
        open_command=record.open_command,
        since=as_of if moved else record.since,
        first_at=record.first_at or as_of,
        doubt=doubt,
        created_at=record.created_at,
    )


def is_repeat(entry: ReportEntry[S, E], last: Entry[S, E] | None) -> bool:
    """Whether an entry says what the last one said: it is then counted, for polling must not fill the record."""
    if not isinstance(last, ReportEntry) or entry.late or last.late or entry.unconfirmed or last.unconfirmed:
        return False
    return (entry.report.status, entry.report.channel) == (last.report.status, last.report.channel)


def apply_command(record: TaskRecord[S, E], command: CommandRecord[S, E]) -> TaskRecord[S, E]:
    """Return what is known of a task after an event of a command's life."""
    still_open = None if COMMAND.is_final(command.state) else command
    return replace(record, version=record.version + 1, open_command=still_open)


def may_attempt(
    lifecycle: Lifecycle[S, E], record: TaskRecord[S, E], command_id: str, *, number: int, claim: int
) -> bool:
    """Whether a command may be sent for the `number`-th time, under this claim.

    It is open, no other worker has claimed it since, nobody has made that attempt, and the task, of
    which `record` is known, still accepts it.
    """
    command = record.open_command
    if command is None or (command.id, command.attempts + 1, command.claim) != (command_id, number, claim):
        return False
    if record.current is None:
        return lifecycle.accepted_until_final(command.command)
    return lifecycle.target(record.current, command.command) is not None


def apply_event(command: CommandRecord[S, E], event: CommandEvent, *, why: str, claim: int) -> CommandRecord[S, E]:
    """Return a command after an event of its lifecycle.

    That is the same command if it has ended, or another worker has claimed it since `claim`: then
    this worker was too late, and what is recorded stays.
    """
    state = COMMAND.target(command.state, event)
    return command if state is None or command.claim != claim else replace(command, state=state, why=why)


def apply_claim(
    command: CommandRecord[S, E], by: Hold, *, now: datetime, is_successor: bool, dead: Collection[str]
) -> CommandRecord[S, E] | None:
    """Return a command after a worker has claimed it, or None if it has ended or another worker may be alive.

    Args:
        command: as it is known; its `hold` has ended if its time is over.
        by: the worker that claims it, and until when.
        now: the journal's time.
        is_successor: whether the worker has come back under the name of the one that holds it.
        dead: workers that are known to be gone.
    """
    hold = command.hold
    has_lapsed = hold is not None and hold.until is not None and hold.until < now
    is_free = hold is None or has_lapsed or is_successor or hold.worker in dead
    if COMMAND.is_final(command.state) or not is_free:
        return None
    return replace(command, claim=command.claim + 1, hold=by)


_NOT_BELIEVED = frozenset({ObservationKind.STALE, ObservationKind.CONFLICT, ObservationKind.UNKNOWN})
_CONTRADICTS = frozenset({ObservationKind.STALE, ObservationKind.CONFLICT})

# --- the interface --------------------------------------------------------------------------------


class TaskJournal(Protocol[S, E]):
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

    def track(self, *, created: bool = False) -> None:
        """Record that there is such a task, if nothing is known of it yet; with `created`, that it was created now."""
        ...

    def add_report(self, report: Report) -> TaskRecord[S, E]:
        """Record a report as what it is and move the task if the move is lawful and the report not late."""
        ...

    def add_intent(
        self,
        command: E,
        *,
        source: S | None,
        version: int,
        fields: Mapping[str, Any],
        context: RequestContext = NO_CONTEXT,
    ) -> CommandRecord[S, E] | TaskRecord[S, E]:
        """Open a command, only if the task is still at `version`, no command is open, and its key is new.

        A journal that cannot tell whether its transaction was committed raises, and does not repeat it: the
        command that it has opened would stand in its own way.

        Returns the opened command, which this worker has claimed, or the task's present record if it
        could not be opened.
        """
        ...

    def find_command(self, idempotency_key: str) -> CommandRecord[S, E] | None:
        """Return the command that was opened under that key, open or ended, if there is one."""
        ...

    def load_command(self, command_id: str) -> CommandRecord[S, E]:
        """Return a command as it is now, open or ended. Raises ValueError if the task has no such command."""
        ...

    def claim(self, command_id: str, *, dead: Collection[str] = ()) -> CommandRecord[S, E] | None:
        """Claim an open command for this worker alone.

        Args:
            command_id: the command.
            dead: names of workers that are known to be gone: what they hold can be claimed at once.
        Returns:
            The command, whose `claim` is to be named with all that is written of it from now on; None
            if it has ended, or a worker that may be alive holds it.
        Raises:
            ValueError: the task has no such command.
        """
        ...

    def release(self, command_id: str, *, claim: int) -> None:
        """End this worker's claim of a command, so that any worker can claim it; nothing if it has ended already."""
        ...

    def add_attempt(self, command_id: str, *, number: int, claim: int) -> bool:
        """Record that the command is about to be sent for the `number`-th time, counted from 1.

        Returns False, and records nothing, if it is no longer open, another worker has claimed it
        or made that attempt (one worker alone may send it), or the state last recorded refuses it.
        """
        ...

    def add_outcome(self, command_id: str, event: CommandEvent, *, why: str, claim: int) -> CommandOutcome[S, E]:
        """Move the command by an event of its lifecycle, if this claim still holds and the event is possible.

        Otherwise nothing changes.

        Returns:
            What is recorded now, whoever recorded it.
        Raises:
            ValueError: the task has no such command.
        """
        ...


# --- creates --------------------------------------------------------------------------------------

# A create has the lifecycle of a command: it is recorded, then done, refused, abandoned, or uncertain. What is
# missing is a task, so it has a record of its own; no remote event can end it, so it is never `ended_first`.


@dataclass(frozen=True, slots=True)
class CreateRecord:
    """A create with its life so far.

    `fields` are what it is sent with, `labels` are kept here only; `recorded_at` is when its intent was
    recorded, by the journal's clock. `attempts` counts its requests, `why` is what was said of it last.
    `task_id` is None unless it is done. `claim` counts the claims so far, the first of which its intent
    is: what is written of the create names it. `hold` is None if nobody has claimed the create now.
    """

    id: str
    fields: Mapping[str, Any]
    labels: Mapping[str, str]
    recorded_at: datetime
    state: CommandState = COMMAND.initial
    attempts: int = 0
    context: RequestContext = NO_CONTEXT
    why: str = ""
    task_id: str | None = None
    claim: int = 1
    hold: Hold | None = None

    @property
    def is_open(self) -> bool:
        """Whether it has no outcome yet."""
        return not COMMAND.is_final(self.state)

    @property
    def may_have_made(self) -> bool:
        """Whether a task was or may have been created; while it is so, its key is taken."""
        return self.state not in (CommandState.REFUSED, CommandState.ABANDONED)


@dataclass(frozen=True, slots=True)
class CreatedTask:
    """The task that a create made, and what the service reported of it with that, if anything."""

    task_id: str
    report: Report | None = None


def apply_claim_of_create(
    record: CreateRecord, by: Hold, *, now: datetime, is_successor: bool, dead: Collection[str]
) -> CreateRecord | None:
    """Return a create after a worker has claimed it, or None if it has ended or another worker may be alive.

    Args:
        record: as it is known.
        by: the worker that claims it, and until when.
        now: the journal's time.
        is_successor: whether the worker has come back under the name of the one that holds it.
        dead: workers that are known to be gone.
    """
    hold = record.hold
    has_lapsed = hold is not None and hold.until is not None and hold.until < now
    is_free = hold is None or has_lapsed or is_successor or hold.worker in dead
    return replace(record, claim=record.claim + 1, hold=by) if record.is_open and is_free else None


def apply_attempt_of_create(record: CreateRecord, *, number: int, claim: int) -> CreateRecord | None:
    """Return a create that is about to be sent; None if that is not for this claim to do."""
    may_attempt = record.is_open and (record.claim, record.attempts + 1) == (claim, number)
    return replace(record, attempts=number, why="sent") if may_attempt else None


def apply_event_of_create(
    record: CreateRecord, event: CommandEvent, *, why: str, claim: int, task: CreatedTask | None
) -> CreateRecord:
    """Return a create after an event of its life; the same record if the claim or the lifecycle forbids it."""
    state = COMMAND.target(record.state, event)
    if state is None or record.claim != claim:
        return record
    hold = None if COMMAND.is_final(state) else record.hold
    return replace(record, state=state, why=why, hold=hold, task_id=None if task is None else task.task_id)


class Creates(Protocol):
    """The creates of one lifecycle in a journal. Every method is atomic, and durable before it returns.

    Those of a `blocking` one are called by an event loop's threads, not by itself.
    """

    @property
    def blocking(self) -> bool:
        """Whether the methods wait for a disk or a network."""
        ...

    def add(
        self, fields: Mapping[str, Any], *, labels: Mapping[str, str], context: RequestContext = NO_CONTEXT
    ) -> CreateRecord | None:
        """Record an intent, which this worker has claimed; None if its key is taken."""
        ...

    def load(self, create_id: str) -> CreateRecord:
        """Return a create as it is now. Raises ValueError if there is none of that id."""
        ...

    def find(self, idempotency_key: str) -> CreateRecord | None:
        """Return the create under that key that made a task or may have made one, if there is one."""
        ...

    def find_maker(self, task_id: str) -> str | None:
        """Return the id of the create that made the task, if one of this journal did."""
        ...

    def unfinished(self) -> list[CreateRecord]:
        """Return the creates without an outcome, oldest first."""
        ...

    def claim(self, create_id: str, *, dead: Collection[str] = ()) -> CreateRecord | None:
        """Claim an open create for this worker alone.

        Returns None if it has ended, or a worker that may be alive holds it; those named in `dead` do not live.
        """
        ...

    def release(self, create_id: str, *, claim: int) -> None:
        """End this claim of an open create, so that any worker can claim it."""
        ...

    def add_attempt(self, create_id: str, *, number: int, claim: int) -> bool:
        """Record that the create is about to be sent for the `number`-th time, counted from 1.

        Returns False, and records nothing, if it has ended or another worker has claimed it since.
        """
        ...

    def add_outcome(
        self, create_id: str, event: CommandEvent, *, why: str, claim: int, task: CreatedTask | None = None
    ) -> CreateRecord:
        """Move the create by an event of the lifecycle `command`, if this claim still holds.

        In the same transaction its task, if it has one, becomes known, whoever holds the create.

        Returns:
            What is recorded now, whoever recorded it.
        """
        ...

    def excluded(self, create_id: str, task_ids: Collection[str]) -> set[str]:
        """Return those of the tasks that this create cannot have made.

        Another create made them, or they were known before its intent was recorded.
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


ReportOutcome = ReportEntry[Any, Any] | UnreadableRecord
"""What a report was found to be, or why it could not be recorded."""


@runtime_checkable
class Journal(Protocol):
    """The record of all tasks."""

    def task(self, lifecycle: Lifecycle[S, E], task_id: str) -> TaskJournal[S, E]:
        """Return the log of one task; the same record for the same lifecycle and id."""
        ...

    def creates(self, lifecycle: Lifecycle[Any, Any]) -> Creates:
        """Return the creates of tasks of this lifecycle."""
        ...

    def open_tasks(self, lifecycle: Lifecycle[Any, Any]) -> Iterable[str]:
        """Return the ids of the tasks that have an open command."""
        ...

    def add_reports(self, reports: Sequence[TaskReport]) -> Sequence[ReportOutcome]:
        """Record n reports in this order, in one transaction, and return n entries in this order.

        A report of a task whose record cannot be read is not recorded; its place has the error.
        """
        ...

    def receive(self, delivery: Delivery, reports: Sequence[TaskReport] = ()) -> Sequence[ReportOutcome] | None:
        """Record a delivery and what it reports in one transaction; None if it was recorded before.

        A report of a task whose record cannot be read is not recorded; its place has the error.
        """
        ...
