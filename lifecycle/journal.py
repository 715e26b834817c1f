"""The journal: its records, and its interface.

A journal holds, for each task, every report, every command and every outcome. It does not decide legality itself:
reducers.py computes each next record, once, for every journal. memory.py keeps the records in memory; durable journals
are in the adapters.
"""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import MAXYEAR, MINYEAR, UTC, datetime
from itertools import islice
from typing import Any, Generic, NamedTuple, Protocol, Self, cast, runtime_checkable

from lifecycle.catalog import COMMAND, CommandEvent, CommandState
from lifecycle.conformance import Channel, Observation
from lifecycle.errors import UnreadableCreate, UnreadableRecord, not_made, shortened
from lifecycle.lifecycle import Lifecycle
from lifecycle.scope import base_name
from lifecycle.table import E, S

# --- records --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Report:
    """A status that a service reported.

    `as_of` is timezone-aware UTC: a webhook's time stamp, or the time at which a poll's request
    started, so that the report never counts as newer than it is.

    Raises:
        TypeError: `as_of` is not a datetime.
        ValueError: `as_of` has no time zone, or is not in the years 1 to 9999 in UTC.
    """

    status: str
    as_of: datetime
    channel: str = Channel.API

    def __post_init__(self) -> None:
        check_time("as_of", self.as_of)


@dataclass(frozen=True, slots=True)
class RequestContext:
    """The idempotency key, origin and reason of a command or a create.

    Of all commands of a task with one `idempotency_key`, one is executed. `origin` names the source of the
    command (`caller`, or a policy); `reason` is free text for later readers of the journal.
    """

    idempotency_key: str | None = None
    origin: str = "caller"
    reason: str = ""


NO_CONTEXT = RequestContext()

LONGEST_NAME_BYTES = 1000  # in UTF-8, of an id or a key; a durable journal indexes them


def name_fault(what: str, name: str) -> str | None:
    """Return the reason why no journal accepts this id or key; None if every journal does. `what` names it there."""
    size = len(name.encode("utf-8", "surrogatepass"))
    if size <= LONGEST_NAME_BYTES:
        return None
    return f"the {what} has {size:,} bytes; a journal accepts {LONGEST_NAME_BYTES:,}"


def check_name(what: str, name: str) -> str:
    """Return `name`, an id or a key. Raises ValueError if no journal accepts it."""
    fault = name_fault(what, name)
    if fault is not None:
        raise ValueError(fault)
    return name


_FIRST, _LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


def check_time(what: str, at: Any) -> None:
    """Raise an error unless every journal can hold `at`; `what` names it there.

    Raises:
        TypeError: it is not a datetime.
        ValueError: it has no time zone, or is not in the years 1 to 9999 in UTC.
    """
    if not isinstance(at, datetime):
        raise TypeError(f"{what} must be a datetime, not {shortened(at)}")
    if at.utcoffset() is None:
        raise ValueError(f"{what} must have a time zone, such as datetime.now(UTC); {at} has none")
    if at.year in (1, 9999) and not _FIRST <= at <= _LAST:  # only these can leave the calendar in UTC
        raise ValueError(f"{what} must be in the years 1 to 9999 in UTC, and {at} is not")


def checked_clock(clock: Any) -> Callable[[], datetime]:
    """Call a user's clock once to check it, and return a clock that checks each time that it returns.

    Raises:
        TypeError: the clock cannot be called, or does not return a datetime.
        ValueError: the time that it returns has no time zone, or is not in the years 2 to 9998.
    """
    if not callable(clock):
        raise TypeError(f"clock must return the time when it is called, and {shortened(clock)} cannot be called")

    def checked() -> datetime:
        now: Any = clock()
        check_time("the time that clock returns", now)
        if not MINYEAR < now.year < MAXYEAR:  # a lease of up to a year, and any offset from UTC, must fit
            raise ValueError(f"the time that clock returns must be in the years 2 to 9998, and {now} is not")
        return cast("datetime", now)

    checked()
    return checked


def are_same_fields(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Return whether two requests have the same fields as JSON, in any order.

    In Python, `True == 1 == 1.0`; a service may treat them differently.
    """
    return _as_json(one) == _as_json(other)


def _as_json(fields: Mapping[str, Any]) -> str:
    return json.dumps(dict(fields), sort_keys=True, default=repr)


class Lease(NamedTuple):
    """The worker that has claimed a command or a create, and the end of its lease (UTC; None if it has no end)."""

    worker: str
    until: datetime | None


@dataclass(frozen=True, slots=True)
class CommandRecord(Generic[S, E]):
    """A command with its present state.

    `source` is the state in which it was judged (None for a stop of a task that could not be read), `fields` are the
    fields of its request, `attempts` counts its requests, `why` is the reason recorded last. `claim` is the number of
    claims so far, including its intent, which is the first; every write about the command names it. `lease` is None if
    no worker has claimed the command now.
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
    lease: Lease | None = None


@dataclass(frozen=True, slots=True)
class TaskRecord(Generic[S, E]):
    """A task's current record.

    `state` is None until a first report; `version` grows with every change of `state` or `doubt` and every event of a
    command; `open_command` is the command in flight. `as_of` is the time of the last report that
    was applied, `since` of the report that brought the task into its state, `first_at` of the first report.
    `doubt` is the state that a later report contains although `state` is final: one of the two is wrong, and
    only a read shows which. `created_at` is when the task was created, None if it was not created here.
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
        """Return the state that was reported last: `doubt` if it is set, otherwise `state`."""
        return self.state if self.doubt is None else self.doubt

    @property
    def was_seen(self) -> bool:
        """Return whether the service had the task: it reported it, or may have received the open command about it."""
        opened = self.open_command
        return self.first_at is not None or (opened is not None and opened.state is CommandState.UNCERTAIN)


class CommandOutcome(NamedTuple, Generic[S, E]):
    """The records of a task and of one of its commands, after an event of the command."""

    task: TaskRecord[S, E]
    command: CommandRecord[S, E]


@dataclass(frozen=True, slots=True)
class ReportEntry(Generic[S, E]):
    """A recorded report with its classification, and the state kept after it.

    `observation` is None for the first report. `late` marks a report that is older than the last one
    applied, `unconfirmed` one that may be late although its time does not show it; neither was applied.
    `contradicts` marks a report that cannot follow the final state, which is kept.
    `times` counts equal reports in a row, this one being the first.
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
    """A command after one event. `event` is None for its intent, an attempt and a claim."""

    record: CommandRecord[S, E]
    event: CommandEvent | None
    why: str


Entry = ReportEntry[S, E] | CommandEntry[S, E]

# --- the interface --------------------------------------------------------------------------------


class Claimant(ABC):
    """A part of a journal that knows the claims made through it.

    So it can end a claim whose result an interruption, such as Ctrl-C, kept from the procedure.
    """

    @abstractmethod
    def for_procedure(self) -> Self:
        """Return the same part for one procedure, which makes its claims through it."""

    @abstractmethod
    def release_claim(self) -> None:
        """End the last claim made through this object, unless there is none or the command was claimed again since."""


class TaskJournal(Protocol[S, E]):
    """One task's part of a journal. Every method is atomic, and durable before it returns.

    An event loop calls the methods of a `blocking` task journal in threads.
    """

    @property
    def blocking(self) -> bool:
        """Return whether the methods wait for a disk or a network."""
        ...

    def load(self) -> TaskRecord[S, E]:
        """Return the task's current record."""
        ...

    def track(self, *, created: bool = False) -> None:
        """Record that the task exists, if it is not known yet; with `created`, that it was created now."""
        ...

    def add_report(self, report: Report) -> TaskRecord[S, E]:
        """Classify and record a report; change the task's state if the report is legal and not late."""
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

        If a journal does not know whether its transaction was committed, it raises an error and does not repeat
        the transaction: a command that the first one opened would block the second.

        Returns the opened command, which this worker has claimed, or the task's current record if it
        could not be opened.
        """
        ...

    def find_command(self, idempotency_key: str) -> CommandRecord[S, E] | None:
        """Return the command that was opened under this key, open or ended; None if there is none."""
        ...

    def load_command(self, command_id: str) -> CommandRecord[S, E]:
        """Return the present record of a command, open or ended. Raises ValueError if the task has no such command."""
        ...

    def claim(self, command_id: str, *, dead: Collection[str] = ()) -> CommandRecord[S, E] | None:
        """Claim an open command for this worker alone.

        Args:
            command_id: the command.
            dead: names of workers that are known to be dead: commands that they have claimed can be claimed at once.
        Returns:
            The command, whose `claim` every later write about it must name; None if it has ended, or a
            worker that may be alive has claimed it.
        Raises:
            ValueError: the task has no such command.
        """
        ...

    def release(self, command_id: str, *, claim: int) -> None:
        """End this claim of a command, so that any worker can claim it; do nothing if the command has ended."""
        ...

    def add_attempt(self, command_id: str, *, number: int, claim: int) -> bool:
        """Record that the command is about to be sent for the `number`-th time, counted from 1.

        Returns False, and records nothing, if it is no longer open, another worker has claimed it or
        made that attempt (only one worker may send it), or the last recorded state refuses it.
        """
        ...

    def add_outcome(self, command_id: str, event: CommandEvent, *, why: str, claim: int) -> CommandOutcome[S, E]:
        """Apply an event of its lifecycle to the command, if this claim is still valid and the event is possible.

        Otherwise nothing changes.

        Returns:
            The present record, also if another worker wrote it.
        Raises:
            ValueError: the task has no such command.
        """
        ...


# --- creates --------------------------------------------------------------------------------------

# A create has the lifecycle of a command: it is recorded, then done, refused, abandoned, or uncertain. It has its own
# record, because it has no task yet; it is never `ended_first`, because no remote event can end it.


NO_RESPONSE = "no response was recorded"
"""Why a create is open that was sent: the reason until another one is recorded, and for ever if its worker dies."""


@dataclass(frozen=True, slots=True)
class CreateRecord:
    """A create with its present state.

    `fields` are the fields of its request; `labels` are recorded and never sent; `recorded_at` is when its intent was
    recorded, by the journal's clock. `attempts` counts its requests, `why` is the reason recorded last. `task_id` is
    None unless it is done. `claim` is the number of claims so far, including its intent, which is the first; every
    write about the create names it. `lease` is None if no worker has claimed the create now.
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
    lease: Lease | None = None

    @property
    def is_open(self) -> bool:
        """Return whether it has no outcome yet."""
        return not COMMAND.is_final(self.state)

    @property
    def may_have_made(self) -> bool:
        """Return whether a task was or may have been created; as long as that is true, its key is taken."""
        return self.state not in (CommandState.REFUSED, CommandState.ABANDONED)


@dataclass(frozen=True, slots=True)
class CreatedTask:
    """The task that a create made, and the status in the same response, None if there was none."""

    task_id: str
    report: Report | None = None


def create_has_ended(create_id: str, state: str, task_id: str | None) -> ValueError:
    """Return the error for a create that has an outcome; it says which, and that it is kept."""
    return ValueError(f"create {create_id} has ended already, and is not changed: {_outcome(state, task_id)}")


def made_by_another(create_id: str, task_id: str, maker: str) -> ValueError:
    """Return the error for a task that cannot be recorded for a create, because `maker` created it."""
    return ValueError(f"create {create_id} cannot have made the task {task_id!r}: create {maker} did")


def create_of_another(create_id: str, lifecycle: str, its_own: str, state: str, task_id: str | None) -> ValueError:
    """Return the error for a create that is not of this lifecycle, but of `its_own`."""
    return ValueError(f"create {create_id} is of {its_own}, not of {lifecycle}: {_outcome(state, task_id)}")


def _outcome(state: str, task_id: str | None) -> str:
    return f"it is {state}" + ("" if task_id is None else f" with the task {task_id!r}")


def no_such_create(create_id: str, lifecycle: str, unfinished: Iterable[str]) -> ValueError:
    """Return the error for a create that a journal does not have; it lists the first ten of those without an outcome.

    It proposes none of them, because an id that looks alike is of another create.
    """
    first = [*islice(unfinished, 11)]
    listed = ", ".join(first[:10]) + (", ..." if first[10:] else "")
    return ValueError(
        f"there is no create {shortened(create_id)} of {lifecycle}; without an outcome: {listed or 'none'}"
    )


class Creates(Protocol):
    """The creates of one lifecycle in a journal. Every method is atomic, and durable before it returns.

    An event loop calls the methods of `blocking` creates in threads.
    """

    @property
    def blocking(self) -> bool:
        """Return whether the methods wait for a disk or a network."""
        ...

    def add(
        self, fields: Mapping[str, Any], *, labels: Mapping[str, str], context: RequestContext = NO_CONTEXT
    ) -> CreateRecord | None:
        """Record an intent, which this worker has claimed; None if its key is taken."""
        ...

    def load(self, create_id: str) -> CreateRecord:
        """Return the present record of a create. Raises ValueError if there is no create with that id."""
        ...

    def find(self, idempotency_key: str) -> CreateRecord | None:
        """Return the create under this key that made a task or may have made one; None if there is none."""
        ...

    def find_maker(self, task_id: str) -> str | None:
        """Return the id of the create that made the task; None if no create of this journal did."""
        ...

    def unfinished(self) -> Sequence[CreateRecord | UnreadableCreate]:
        """Return the creates without an outcome, oldest first."""
        ...

    def claim(self, create_id: str, *, dead: Collection[str] = ()) -> CreateRecord | None:
        """Claim an open create for this worker alone.

        Returns None if it has ended, or a worker that may be alive has claimed it; the workers in `dead` are not alive.
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
        """Apply an event of the lifecycle `command` to the create, if this claim is still valid.

        A task that it made, or a refusal, settles an open create whichever worker has claimed it since
        (`apply_event_of_create`). The task is recorded in the same transaction, also if the create has ended.

        Returns:
            The present record, also if another worker wrote it.
        """
        ...

    def excluded(self, create_id: str, task_ids: Collection[str]) -> set[str]:
        """Return the tasks among `task_ids` that this create cannot have made.

        Another create made them, or they were known before its intent was recorded.
        """
        ...


@dataclass(frozen=True, slots=True)
class Server:
    """The server of a client: all tasks of a service, its sessions and its messages are there.

    Args:
        url: its URL, such as a client's `base_url`. Two URLs of one server are two texts (`Journal.add_server`).
        lifecycles: the names of the lifecycles of these tasks, sessions and messages, without scopes.
    Raises:
        TypeError: the URL is not text, or the names are not several texts.
        ValueError: the URL has a user or a password, which messages would show; or it has no scheme or no host.
    """

    url: str
    lifecycles: tuple[str, ...]

    def __post_init__(self) -> None:
        given: Any = self.lifecycles
        if not isinstance(cast("Any", self.url), str):
            raise TypeError(f"the url of a Server must be a text, not {type(self.url).__name__}")
        if not (isinstance(given, list | tuple) and all(isinstance(each, str) for each in cast("list[Any]", given))):
            raise TypeError("the lifecycles of a Server must be several names, in a tuple such as ('v1',)")
        scheme, _, rest = self.url.partition("://")
        host = re.split("[/?#]", rest, maxsplit=1)[0]
        if not (scheme and host) or "@" in host:
            object.__delattr__(self, "url")  # an error report that shows this object must not show a password
            raise ValueError("the url of a Server must be like 'https://host/path', without a user and a password")
        object.__setattr__(self, "lifecycles", tuple(cast("list[str]", given)))

    def __repr__(self) -> str:
        return f"Server({self.url!r}, {self.lifecycles!r})" if hasattr(self, "url") else not_made(self)

    def names(self, lifecycle: Lifecycle[Any, Any]) -> tuple[str, ...]:
        """Return the names of all lifecycles of the server, that of this one first."""
        return tuple(dict.fromkeys((base_name(lifecycle.name), *self.lifecycles)))


class TaskReport(NamedTuple):
    """A report with the task that it is about; `server` is the server that was asked, None for a webhook."""

    lifecycle: Lifecycle[Any, Any]
    task_id: str
    report: Report
    server: Server | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message that a service pushed, as received. `id` is the same if the same message is sent again."""

    id: str
    kind: str
    sent_at: datetime
    body: str


ReportOutcome = ReportEntry[Any, Any] | UnreadableRecord
"""The entry of a recorded report, or the error for which it was not recorded."""


@runtime_checkable
class Journal(Protocol):
    """The journal of all tasks.

    The tasks of a service are at one server: another one may give its tasks the same ids, and does not know the
    commands. The first record of one of its lifecycles, in whatever scope, records the server for all of them; for
    any other server, the first method that needs a record raises `OtherServer`. Without a `server` nothing is compared.
    """

    def task(self, lifecycle: Lifecycle[S, E], task_id: str, *, server: Server | None = None) -> TaskJournal[S, E]:
        """Return the journal of one task; an equal lifecycle and id lead to the same record.

        Raises ValueError for an id that no journal accepts (`name_fault`).
        """
        ...

    def creates(self, lifecycle: Lifecycle[Any, Any], *, server: Server | None = None) -> Creates:
        """Return the creates of tasks of this lifecycle."""
        ...

    def open_tasks(self, lifecycle: Lifecycle[Any, Any], *, server: Server | None = None) -> Iterable[str]:
        """Return the ids of the tasks that have an open command."""
        ...

    def add_server(self, server: Server) -> None:
        """Record that the server's URL is a further one of the server that has the tasks of its lifecycles.

        Afterwards each of these has the URLs that any of them had, and this one.
        """
        ...

    def open_lifecycles(self) -> Iterable[str]:
        """Return the names of the lifecycles that have an open command or create."""
        ...

    def add_reports(self, reports: Sequence[TaskReport]) -> Sequence[ReportOutcome]:
        """Record n reports in this order, in one transaction, and return n entries in this order.

        A report of a task whose record cannot be read is not recorded; the error takes the place of its entry.
        """
        ...

    def receive(self, delivery: Delivery, reports: Sequence[TaskReport] = ()) -> Sequence[ReportOutcome] | None:
        """Record a delivery and its reports in one transaction; return None if it was recorded before.

        A report of a task whose record cannot be read is not recorded; the error takes the place of its entry.
        """
        ...
