"""The public classes of the durable journal: `SqlJournal` and one task's `SqlTaskJournal`."""

from __future__ import annotations

import os
import secrets
import socket
import weakref
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, Self, TypeVar

from sqlalchemy import Connection

from lifecycle.catalog import CommandEvent
from lifecycle.errors import UnreadableRecord, not_made
from lifecycle.journal import (
    NO_CONTEXT,
    CommandOutcome,
    CommandRecord,
    Delivery,
    Report,
    ReportOutcome,
    RequestContext,
    Server,
    TaskRecord,
    TaskReport,
    check_time,
    checked_clock,
)
from lifecycle.journal_arguments import (
    LONGEST_LEASE_S,
    checked_reports,
    require_delivery,
    require_lifecycle,
    require_lifecycle_at,
    require_server,
    require_task,
    require_worker,
)
from lifecycle.lifecycle import Lifecycle
from lifecycle.process_bound import ProcessBound
from lifecycle.table import E, S
from lifecycle_adapters import telemetry
from lifecycle_adapters.argument_checks import TaskId, id_text, require, require_number
from lifecycle_adapters.journal import (
    forgetting,
    journal_reader,
    recorded_declarations,
    recorded_servers,
    sql_commands,
    transactions,
)
from lifecycle_adapters.journal.database import Database, TransactionMode
from lifecycle_adapters.journal.integrity import Damage, verify
from lifecycle_adapters.journal.journal_errors import UnreadableReports
from lifecycle_adapters.journal.journal_reader import Changes, Named, Page, Recorded, name_of
from lifecycle_adapters.journal.recorded_declarations import KnownDeclarations, RecordedDeclaration
from lifecycle_adapters.journal.recorded_servers import KnownServers
from lifecycle_adapters.journal.sql_creates import SqlCreates
from lifecycle_adapters.journal.transactions import (
    AppliedReport,
    StaleError,
    TaskName,
    TaskSnapshot,
    TaskTransaction,
    Writer,
)

R = TypeVar("R")


class SqlJournal(ProcessBound):
    """The journal of all tasks in SQLite or PostgreSQL, for any number of workers at a time.

    Every method is one transaction, done completely or not at all, and durable when it returns. In SQLite
    two writes become durable with the next one, which always follows before anything depends on them: an
    intent with its first attempt, and a report of a task with an open command with that command's outcome. Until
    then they survive a crash of the process, but not a power failure.

    Safe to share between threads, and with the children of a fork.

    Args:
        url: a path of a file, a URL (`sqlite:///journal.db`, `postgresql://user@host/database`), or a
            connection string of libpq (`host=... dbname=...`). A missing file is created, readable for its owner
            only; missing tables are created.
        worker: the worker's name in the journal, unique among running workers. A worker that restarts under the
            same name can resume its open commands at once. Host, process number and a random number if omitted.
            The child of a fork is another worker, which does not release its parent's claims.
        lease_s: seconds after which a worker that has written nothing about the command it has claimed counts as
            dead, more than 0 and at most 31,536,000 (a year); longer than a request and a pause between two. The same
            for all workers of a journal: a worker that recovers a command uses its own lease.
        read_only: whether nothing is ever written; the file may belong to another user, the server may be a replica.
        clock: returns the time, aware and in UTC.
    Raises:
        TypeError: `url` is not a path or a URL in text, `worker` is not a text, `lease_s` is not a number, `read_only`
            is not True or False, or `clock` returns no datetime.
        ValueError: `url` is neither a path nor a URL of SQLite or PostgreSQL; `worker` is empty; `lease_s` is out of
            its range; or the time of `clock` has no zone, or is not in the years 2 to 9998.
        JournalUnavailable: the database cannot be reached, or is locked.
        JournalReadOnly: it can be read but not written, and `read_only` is False.
        NotAJournal: it is not a database, contains other tables, or is damaged.
        JournalVersionMismatch: another version of this library created its tables.
    """

    _instead = "open another journal with the same URL"

    def __init__(
        self,
        url: str | os.PathLike[str],
        *,
        worker: str | None = None,
        lease_s: float = 120.0,
        read_only: bool = False,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        if worker is not None:
            require_worker(worker)
        require_number(lease_s, "lease_s", more_than=0, at_most=LONGEST_LEASE_S)
        self._given_worker = worker
        self.worker = _worker() if worker is None else worker
        self.lease = timedelta(seconds=lease_s)
        self._session = secrets.token_hex(8)
        self._clock = checked_clock(clock)
        self.database = Database(url, read_only=read_only)
        self.declared = KnownDeclarations(self.database)
        self.known_servers = KnownServers(self.database)
        _journals.add(self)

    def __repr__(self) -> str:
        if "database" not in vars(self):
            return not_made(self)
        return f"{type(self).__name__}({self.database.where!r}, worker={self.worker!r})"

    def become_another_worker(self) -> None:
        """Change to another worker that has claimed nothing; called in the child of a fork, while its parent continues.

        The child's name is the given name with the child's process number.
        """
        self.worker = _worker() if self._given_worker is None else f"{self._given_worker}:{os.getpid()}"
        self._session = secrets.token_hex(8)

    def writer(self) -> Writer:
        """Return the worker, its session and its lease, with the present time."""
        return Writer(self.worker, self._session, self.lease, self._clock, self.declared)

    # --- the journal's interface ---

    def task(self, lifecycle: Lifecycle[S, E], task_id: str, *, server: Server | None = None) -> SqlTaskJournal[S, E]:
        """Return the journal of one task.

        Its methods raise OtherServer if the journal has the tasks of this lifecycle at another server than `server`.

        Raises:
            ValueError: the id has more than 1,000 bytes.
            TypeError: `lifecycle` is not a lifecycle, or the id is not a text.
        """
        require_task(lifecycle, task_id, server)
        return SqlTaskJournal(self, lifecycle, task_id, server)

    def creates(self, lifecycle: Lifecycle[Any, Any], *, server: Server | None = None) -> SqlCreates:
        """Return the creates of tasks of this lifecycle. Raises TypeError if it is not a lifecycle.

        Its methods raise OtherServer if the journal has the tasks of this lifecycle at another server than `server`.
        """
        require_lifecycle_at(lifecycle, server)
        return SqlCreates(self.known_servers, self.writer, self.lease, lifecycle, server)

    def open_tasks(self, lifecycle: Lifecycle[Any, Any], *, server: Server | None = None) -> list[str]:
        """Return the ids of the tasks that have an open command.

        Raises:
            OtherServer: the journal has the tasks of this service at another server.
            TypeError: `lifecycle` is not a lifecycle.
        """
        require_lifecycle_at(lifecycle, server)
        with self.known_servers.transaction(lifecycle, server, TransactionMode.READ) as connection:
            return journal_reader.open_tasks(connection, lifecycle.name)

    def add_server(self, server: Server) -> None:
        """Record that the server's URL is a further one of the server that has the tasks of its lifecycles.

        Afterwards each of these has the URLs that any of them had, and this one. Raises TypeError if it is no Server.
        """
        require_server(server)
        with self.database.transaction() as connection:
            recorded_servers.add(connection, server)

    def open_lifecycles(self) -> list[str]:
        """Return the names of the lifecycles that have an open command or create, in order."""
        with self.database.transaction(TransactionMode.READ) as connection:
            return journal_reader.open_lifecycles(connection)

    def add_reports(self, reports: Sequence[TaskReport]) -> list[ReportOutcome]:
        """Record n reports in this order, in one transaction, and return n entries in this order.

        A report of a task whose record cannot be read is not recorded; the error takes the place of its entry.

        Raises, before any is recorded:
            TypeError: one of them is not a TaskReport, or a part of it is of another type.
            ValueError: an id has more than 1,000 bytes.
            UnknownName: a lifecycle does not declare the channel of its report.
            OtherServer: the journal has the tasks of a lifecycle at another server.
        """
        reports = checked_reports(reports)
        if not reports:
            return []
        self._prepare(reports)
        with self.database.transaction() as connection:
            entered = transactions.enter_reports(connection, self.writer(), reports)
        return _outcomes_of(entered)

    def receive(self, delivery: Delivery, reports: Sequence[TaskReport] = ()) -> list[ReportOutcome] | None:
        """Record a delivery and its reports in one transaction; return None if it was recorded before.

        A report of a task whose record cannot be read is not recorded; the error takes the place of its entry.

        Raises TypeError if `delivery` is not a Delivery, ValueError if its id has more than 1,000 bytes, and the
        errors of `add_reports`.
        """
        require_delivery(delivery)
        reports = checked_reports(reports)
        self._prepare(reports)
        with self.database.transaction() as connection:
            writer = self.writer()
            about = TaskName(*reports[0][:2]) if reports else None
            if not transactions.enter_delivery(connection, writer, delivery, about):
                return None
            entered = transactions.enter_reports(connection, writer, reports) if reports else []
        return _outcomes_of(entered)

    def _prepare(self, reports: Sequence[TaskReport]) -> None:
        for each in reports:
            self.known_servers.require(each.lifecycle, each.server)
        self.declared.ensure(each.lifecycle for each in reports)

    # --- reading ---

    def lifecycles(self) -> tuple[str, ...]:
        """Return the names of the lifecycles of the recorded tasks and creates, such as "v1-full", in order."""
        with self.database.transaction(TransactionMode.READ) as connection:
            return journal_reader.lifecycles(connection)

    def servers(self) -> dict[str, tuple[str, ...]]:
        """Return the URLs of the servers that have the tasks, by the lifecycles' names without a scope."""
        with self.database.transaction(TransactionMode.READ) as connection:
            return recorded_servers.recorded(connection)

    def declarations(self) -> list[RecordedDeclaration]:
        """Return the declarations under which the last entries of tasks were recorded, lifecycle by lifecycle."""
        with self.database.transaction(TransactionMode.READ) as connection:
            return list(recorded_declarations.recorded(connection))

    def recorded_otherwise(self, lifecycle: Lifecycle[Any, Any]) -> list[str]:
        """Return the ids of the tasks whose last entry was recorded under another declaration of this lifecycle's name.

        Raises TypeError if it is not a lifecycle.
        """
        require_lifecycle(lifecycle)
        with self.database.transaction(TransactionMode.READ) as connection:
            return recorded_declarations.recorded_otherwise(connection, lifecycle)

    def tasks(
        self, lifecycle: Named | None = None, state: str | None = None, *, after: int = 0, limit: int = 100
    ) -> Page:
        """Return a page of tasks, in the order in which they were first recorded.

        Args:
            lifecycle: one lifecycle, or its name; all if omitted. The name of a lifecycle with scopes, such as
                `workflow-run`, means all of them, and `workflow-run[acme/web]` one.
            state: one state; all if omitted. A query by state is fast only if `lifecycle` is given too.
            after: the cursor of the page before, 0 for the first page.
            limit: the most tasks of a page.
        Raises:
            UnknownName: no task of this lifecycle is recorded (`Client("v1")` records under "v1-full"), or the state
                is in neither the journal, the catalog, nor `lifecycle`, if that is an object. An empty journal accepts
                the names of the catalog and of recorded declarations, also of states (pass your own lifecycles as
                objects).
            ValueError: `limit` is less than 1, or `after` is negative.
            TypeError: `after` or `limit` is not an integer, or `state` is not a text.
        """
        require(state, str | None, "state must be a text")
        after, limit = _whole_number(after, "after", at_least=0), _whole_number(limit, "limit", at_least=1)
        with self.database.transaction(TransactionMode.READ) as connection:
            return journal_reader.page(connection, lifecycle, state, after=after, limit=limit)

    def history(self, task_id: TaskId, lifecycle: Named | None = None) -> list[Recorded]:
        """Return all entries of a task, oldest first.

        The first entry is the create, if the task was created with this journal. If `lifecycle` is omitted, the
        entries of every lifecycle that has a task with this id are returned, one lifecycle after the other.

        Raises:
            UnknownName: no task of this lifecycle is recorded. As for `tasks`, an empty journal accepts those that are
                declared.
            TypeError: the id is not a text, an integer or a UUID.
        """
        with self.database.transaction(TransactionMode.READ) as connection:
            return journal_reader.history(connection, id_text(task_id), lifecycle)

    def changes(self, since: str | None = None, *, limit: int = 1000) -> Changes:
        """Return the entries recorded after a point, in an order that is the same for every reader.

        No entry is ever skipped: entries are returned only once every older transaction has ended. Reports that
        only repeat the one before are not returned, and neither are creates: a create has no task until its first
        report, or its first command.

        Args:
            since: the cursor of the changes before; None for the beginning, `"now"` for the present.
            limit: the most entries to return; the cursor leads to the rest.
        Raises:
            ValueError: `since` is not a cursor of a journal's changes, or is ahead of the journal, because another one
                gave it; or `limit` is less than 1. PostgreSQL's cursors are not compared with the journal: a
                replica may lag behind.
            TypeError: `since` is not a text, or `limit` is not an integer.
        """
        require(since, str | None, "since must be a cursor in text")
        limit = _whole_number(limit, "limit", at_least=1)
        with self.database.transaction(TransactionMode.READ) as connection:
            return journal_reader.changes(connection, since, limit=limit)

    def reports(self, lifecycle: Lifecycle[Any, Any]) -> Iterator[dict[str, Any]]:
        """Yield all reports as rows of a log, task after task, each in the order of its times.

        A row has `task_id`, `at` (aware, UTC) and `status`, translated to the channel `api` if the
        lifecycle declares it. `lifecycle check` and other checkers of logs read such rows.

        Raises:
            UnknownName: the journal is not empty, and no task of this lifecycle is recorded; raised with the first row.
            ValueError: `lifecycle` is that of all scopes, and a task's id is in several of them; raised likewise.
            UnreadableReports: some reports cannot be read; raised after the last row of the others.
            TypeError: `lifecycle` is not a lifecycle.
        """
        require_lifecycle(lifecycle)

        def rows() -> Iterator[dict[str, Any]]:
            with self.database.transaction(TransactionMode.SNAPSHOT) as connection:
                unreadable = yield from journal_reader.reports(connection, lifecycle)
            if unreadable:
                raise UnreadableReports(unreadable, where=self.database.where)

        return rows()

    def check(self) -> Iterator[Damage]:
        """Check that every history replays and every command's events are legal, and yield the damage.

        Each entry is judged by the declaration under which it was recorded.
        """
        with self.database.transaction(TransactionMode.SNAPSHOT) as connection:
            yield from verify(connection)

    # --- deleting ---

    def forget(self, task_id: TaskId, lifecycle: Named | None = None) -> int:
        """Delete everything about a task, and return the number of deleted tasks (one for each lifecycle).

        Only a digest of each webhook about it is kept, until it is pruned, to recognise a repeated delivery.
        The idempotency keys of its create and its commands are free again: the next use of one is sent as new.

        Raises:
            UnknownName: no task of this lifecycle is recorded. As for `tasks`, an empty journal accepts those that are
                declared.
            TypeError: the id is not a text, an integer or a UUID.
        """
        with self.database.transaction() as connection:
            journal_reader.require_recorded(connection, lifecycle)
            return forgetting.forget(connection, id_text(task_id), name_of(lifecycle))

    def prune(self, before: datetime) -> int:
        """Delete the tasks that are over, have no open command and no entry since `before`; return their number.

        The declaration under which a task's last entry was recorded says whether it is over: its state is final or
        reopenable. A settled task, such as an idle session, is not over; `forget` deletes it.

        Deliveries that were received before `before` are deleted too. This takes several transactions, so that
        other workers do not wait long. The idempotency keys of what is deleted are free again: the next use of one
        is sent as new.

        Raises:
            TypeError: `before` is not a datetime.
            ValueError: `before` has no time zone, or is not in the years 1 to 9999 in UTC.
        """
        check_time("before", before)
        with self.database.transaction(TransactionMode.READ) as connection:
            ends = recorded_declarations.ended_states(connection)
        deleted = 0
        while True:
            with self.database.transaction() as connection:
                some = forgetting.prune(connection, before, ends)
            if not some:
                return deleted
            deleted += some

    def close(self) -> None:
        """Close all connections; every later use raises JournalUnavailable. A child of a fork closes only its own."""
        self.database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _worker() -> str:
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(2)}"


_LARGEST = 2**62  # the largest integer of databases


def _whole_number(given: int, name: str, *, at_least: int) -> int:
    """Return a number that a database accepts. Raises TypeError, ValueError."""
    require_number(given, name, kind=int, at_least=at_least)
    return min(given, _LARGEST)


_journals: weakref.WeakSet[SqlJournal] = weakref.WeakSet()


def _become_other_workers() -> None:
    for journal in _journals:
        journal.become_another_worker()


if hasattr(os, "register_at_fork"):  # Windows has no forks
    os.register_at_fork(after_in_child=_become_other_workers)


def _outcomes_of(entered: Sequence[AppliedReport | UnreadableRecord]) -> list[ReportOutcome]:
    """Return the outcomes of reports, and count them in the telemetry, now that they are committed."""
    if telemetry.is_recording():
        for each in entered:
            if isinstance(each, AppliedReport):
                telemetry.count_report(*each)
    return [each.entry if isinstance(each, AppliedReport) else each for each in entered]


class SqlTaskJournal(Generic[S, E]):
    """One task's journal, by the protocol `lifecycle.journal.TaskJournal`; made by `SqlJournal.task`."""

    __slots__ = ("_has_opened", "_journal", "_key", "_known", "_server")

    def __init__(self, journal: SqlJournal, lifecycle: Lifecycle[S, E], task_id: str, server: Server | None) -> None:
        self._journal = journal
        self._server = server
        self._key = TaskName(lifecycle, task_id)
        self._known: TaskSnapshot | None = None  # the last snapshot, which may be stale
        self._has_opened = False  # whether it has opened a command whose outcome is not written yet

    @property
    def blocking(self) -> bool:
        """Return True: the methods wait for a disk or a network."""
        return True

    def load(self) -> TaskRecord[S, E]:
        """Return the task's current record."""
        with self._transaction(TransactionMode.READ) as connection:
            known = self._known = transactions.load(connection, self._key, self._journal.writer())
        return TaskRecord() if known is None else known.record

    def track(self, *, created: bool = False) -> None:
        """Record that the task exists, if it is not known yet; with `created`, that it was created now."""
        self._journal.declared.ensure([self._key.lifecycle])
        with self._transaction(TransactionMode.WRITE) as connection:
            transactions.ensure_tasks(connection, self._journal.writer(), [self._key], created=created)

    def add_report(self, report: Report) -> TaskRecord[S, E]:
        """Classify and record a report. Raises UnknownName for a channel that is not declared."""
        # Grouped if a command is open: its outcome makes this durable too.
        durability = TransactionMode.WRITE_GROUPED if self._has_opened else TransactionMode.WRITE
        entered = self._write(lambda transaction: transactions.enter_report(transaction, report), durability)
        _outcomes_of([entered])
        return entered.after

    def add_intent(
        self,
        command: E,
        *,
        source: S | None,
        version: int,
        fields: Mapping[str, Any],
        context: RequestContext = NO_CONTEXT,
    ) -> CommandRecord[S, E] | TaskRecord[S, E]:
        """Open a command, or return the task's record if it has changed, a command is open, or the key is used."""
        lifecycle = self._key.lifecycle
        intent = {
            "command": lifecycle.event(command).name,
            "source": None if source is None else lifecycle.state(source).name,
            "fields": dict(fields),
        }
        # Grouped: nothing is sent before the first attempt is durable, which makes this durable too.
        opened = self._write(
            lambda transaction: sql_commands.open_command(transaction, intent, context, version=version),
            TransactionMode.WRITE_GROUPED,
        )
        self._has_opened = isinstance(opened, CommandRecord)
        return opened

    def find_command(self, idempotency_key: str) -> CommandRecord[S, E] | None:
        """Return the command that was opened under this key, open or ended; None if there is none."""
        with self._transaction(TransactionMode.READ) as connection:
            return sql_commands.find_command(connection, self._key, self._journal.writer(), idempotency_key)

    def load_command(self, command_id: str) -> CommandRecord[S, E]:
        """Return a command as it is now, open or ended. Raises ValueError if the task has no such command."""
        with self._transaction(TransactionMode.READ) as connection:
            return sql_commands.load_command(connection, self._key, self._journal.writer(), command_id)

    def claim(self, command_id: str, *, dead: Collection[str] = ()) -> CommandRecord[S, E] | None:
        """Claim an open command; return None if it has ended, or a worker that may be alive has claimed it."""
        self._known = None  # a claim needs a locked row, not a snapshot
        return self._write(lambda transaction: sql_commands.claim(transaction, command_id, dead=dead))

    def release(self, command_id: str, *, claim: int) -> None:
        """End this claim of a command, so that any worker can claim it; do nothing if the command has ended."""
        self._has_opened = False
        self._write(lambda transaction: sql_commands.release(transaction, command_id, claim=claim))

    def add_attempt(self, command_id: str, *, number: int, claim: int) -> bool:
        """Record that the command is about to be sent; return False if it must not be sent under this claim."""
        return self._write(
            lambda transaction: sql_commands.attempt(transaction, command_id, number=number, claim=claim)
        )

    def add_outcome(self, command_id: str, event: CommandEvent, *, why: str, claim: int) -> CommandOutcome[S, E]:
        """Apply an event of its lifecycle to the command, if this claim is still valid; otherwise change nothing.

        Raises ValueError if the task has no such command.
        """
        outcome = self._write(
            lambda transaction: sql_commands.end(transaction, command_id, event, why=why, claim=claim)
        )
        self._has_opened = outcome.task.open_command is not None
        return outcome

    def _write(self, act: Callable[[TaskTransaction], R], durability: TransactionMode = TransactionMode.WRITE) -> R:
        """Run `act` in a transaction with the last snapshot of the task; if that is stale, with the locked row."""
        self._journal.declared.ensure([self._key.lifecycle])
        while True:
            seen, self._known = self._known, None
            try:
                with self._transaction(durability) as connection:
                    writer = self._journal.writer()
                    known = transactions.lock(connection, self._key, writer) if seen is None else replace(seen)
                    result = act(TaskTransaction(connection, writer, self._key, known))
            except StaleError:
                continue
            self._known = replace(known, is_locked=False)
            return result

    def _transaction(self, mode: TransactionMode) -> AbstractContextManager[Connection]:
        return self._journal.known_servers.transaction(self._key.lifecycle, self._server, mode)
