"""The durable journal, as its users hold it."""

from __future__ import annotations

import os
import secrets
import socket
import weakref
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, Self, TypeVar

from lifecycle.catalog import CATALOG, CommandEvent
from lifecycle.errors import UnreadableRecord
from lifecycle.journal import (
    NO_CONTEXT,
    CommandOutcome,
    CommandRecord,
    Delivery,
    Report,
    ReportOutcome,
    RequestContext,
    TaskRecord,
    TaskReport,
)
from lifecycle.lifecycle import Lifecycle
from lifecycle.table import E, S
from lifecycle_adapters import telemetry
from lifecycle_adapters.argument_checks import TaskId, id_text, require, require_aware, require_number
from lifecycle_adapters.journal import forgetting, journal_reader, sql_commands, transactions
from lifecycle_adapters.journal.database import Database, TransactionMode
from lifecycle_adapters.journal.integrity import Damage, verify
from lifecycle_adapters.journal.journal_reader import Changes, Page, Recorded
from lifecycle_adapters.journal.sql_creates import SqlCreates
from lifecycle_adapters.journal.transactions import (
    AppliedReport,
    StaleError,
    TaskName,
    TaskSnapshot,
    TaskTransaction,
    Writer,
    check_index_length,
)

R = TypeVar("R")


Named = str | Lifecycle[Any, Any]
"""A lifecycle, or its name."""

_LONGEST_LEASE_S = 365 * 24 * 3600.0


class SqlJournal:
    """The record of all tasks in SQLite or PostgreSQL, for any number of workers at a time.

    Every method is one transaction: done as a whole or not at all, and durable when it returns. In
    SQLite two are made durable by what must follow them, before anything happens that rests on them:
    an intent by its attempt, a report of a task with an open command by that command's outcome. Until
    then they survive the process, and not a machine that loses its power.

    Safe to share between threads, and with the children of a fork.

    Args:
        url: a path of a file, a URL (`sqlite:///journal.db`, `postgresql://user@host/database`), or a
            connection string of libpq's (`host=... dbname=...`). A file that is not there is created, for its owner
            only; tables are made, and migrated, where they are not there.
        worker: who writes, for the record. Unique among the living: a worker that comes back under
            its name takes up at once what it held when it died. Host, process and a random number
            if omitted. The child of a fork is another worker, which releases nothing of its parent's.
        lease_s: seconds after which a worker that has not moved the command it holds is taken for dead, more than 0
            and at most 31,536,000 (a year); longer than a request and a pause between two. The same for all workers
            of a journal: a worker that recovers uses its own.
        read_only: whether nothing is ever written: the file may be somebody else's, the server a replica.
        clock: tells the time, aware and in UTC.
    Raises:
        TypeError: a worker that is no text, a lease that is no number.
        ValueError: neither a path nor a URL of a database that can hold a journal; a lease out of its range.
        JournalError: as `lifecycle_adapters.journal.journal_errors` says.
    """

    def __init__(
        self,
        url: str | os.PathLike[str],
        *,
        worker: str | None = None,
        lease_s: float = 120.0,
        read_only: bool = False,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        given: tuple[Any, Any] = worker, lease_s
        if not (isinstance(given[0], str | None) and isinstance(given[1], int | float)):
            raise TypeError("`worker` is a text, `lease_s` a number of seconds")
        if not 0 < lease_s <= _LONGEST_LEASE_S:
            raise ValueError(f"lease_s is more than 0 and at most {_LONGEST_LEASE_S:g} seconds, not {lease_s:g}")
        self._given_worker = worker
        self.worker = worker or _worker()
        self.lease = timedelta(seconds=lease_s)
        self._session = secrets.token_hex(8)
        self._clock = clock
        self.database = Database(url, read_only=read_only)
        _journals.add(self)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.database.where!r}, worker={self.worker!r})"

    def become_another_worker(self) -> None:
        """Take another name, as a worker that has claimed nothing: in the child of a fork, whose parent lives on.

        The child's name is the given one with the child's process number.
        """
        self.worker = _worker() if self._given_worker is None else f"{self._given_worker}:{os.getpid()}"
        self._session = secrets.token_hex(8)

    def writer(self) -> Writer:
        """Who writes now."""
        return Writer(self.worker, self._session, self.lease, self._clock)

    # --- the journal's interface ---

    def task(self, lifecycle: Lifecycle[S, E], task_id: str) -> SqlTaskJournal[S, E]:
        """Return the log of one task. Raises ValueError for an id that no index takes."""
        return SqlTaskJournal(self, lifecycle, check_index_length("task id", task_id))

    def creates(self, lifecycle: Lifecycle[Any, Any]) -> SqlCreates:
        """Return the creates of tasks of this lifecycle."""
        return SqlCreates(self.database, self.writer, self.lease, lifecycle)

    def open_tasks(self, lifecycle: Lifecycle[Any, Any]) -> list[str]:
        """Return the ids of the tasks that have an open command."""
        with self.database.transaction(TransactionMode.READ) as connection:
            return journal_reader.open_tasks(connection, lifecycle.name)

    def add_reports(self, reports: Sequence[TaskReport]) -> list[ReportOutcome]:
        """Record n reports in this order, in one transaction, and return n entries in this order.

        A report of a task whose record cannot be read is not recorded; its place has the error.
        """
        if not reports:
            return []
        with self.database.transaction() as connection:
            entered = transactions.enter_reports(connection, self.writer(), reports)
        return _told(entered)

    def receive(self, delivery: Delivery, reports: Sequence[TaskReport] = ()) -> list[ReportOutcome] | None:
        """Record a delivery and what it reports in one transaction; None if it was recorded before.

        A report of a task whose record cannot be read is not recorded; its place has the error.
        """
        with self.database.transaction() as connection:
            author = self.writer()
            about = TaskName(*reports[0][:2]) if reports else None
            if not transactions.enter_delivery(connection, author, delivery, about):
                return None
            entered = transactions.enter_reports(connection, author, reports) if reports else []
        return _told(entered)

    # --- reading ---

    def lifecycles(self) -> tuple[str, ...]:
        """Return the names of the lifecycles of which something is recorded, such as "v1-full", in order."""
        with self.database.transaction(TransactionMode.READ) as connection:
            return journal_reader.lifecycles(connection)

    def tasks(
        self, lifecycle: Named | None = None, state: str | None = None, *, after: int = 0, limit: int = 100
    ) -> Page:
        """Return tasks in the order in which they became known, a page at a time.

        Args:
            lifecycle: one lifecycle, or its name; all if omitted.
            state: one state; all if omitted, which needs a lifecycle to be quick.
            after: the cursor of the page before, 0 for the first page.
            limit: how many tasks a page has at most.
        Raises:
            UnknownName: nothing is recorded of such a lifecycle (`Client("v1")` records under "v1-full"), or neither
                the journal nor the catalog knows such a state. A journal in which nothing is recorded refuses no name.
            ValueError: `limit` is less than 1, or `after` is negative.
            TypeError: one of them is no whole number.
        """
        for name, number, least in (("after", after, 0), ("limit", limit, 1)):
            require(number, int, f"{name} must be a whole number")
            require_number(number, name, at_least=least)
        after, limit = min(after, _LARGEST), min(limit, _LARGEST)
        with self.database.transaction(TransactionMode.READ) as connection:
            return journal_reader.page(connection, _name_of(lifecycle), state, after=after, limit=limit)

    def history(self, task_id: TaskId, lifecycle: Named | None = None) -> list[Recorded]:
        """Return all that was recorded of a task, oldest first; of each lifecycle that has such a task, if omitted.

        It begins with the create, if the task was created with this journal.

        Raises:
            UnknownName: something is recorded, but nothing of such a lifecycle.
            TypeError: the id is no text, integer or UUID.
        """
        with self.database.transaction(TransactionMode.READ) as connection:
            return journal_reader.history(connection, id_text(task_id), _name_of(lifecycle))

    def changes(self, since: str | None = None, *, limit: int = 1000) -> Changes:
        """Return what was recorded after a point, in an order that no later reader sees otherwise.

        Nothing is skipped: what a transaction still writes that began earlier is waited for, and
        told later. Reports that only repeat the one before are not told, nor are creates: a create has no
        task until its first report, or its first command.

        Args:
            since: the cursor of the changes before; None for the beginning, `"now"` for what comes.
            limit: how many entries are returned at most; the cursor leads to the rest.
        Raises:
            ValueError: no cursor, or one that is ahead of the journal, because another one gave it. PostgreSQL's
                cursors are not compared with the journal: a replica may lag behind.
        """
        with self.database.transaction(TransactionMode.READ) as connection:
            return journal_reader.changes(connection, since, limit=limit)

    def reports(self, lifecycle: Lifecycle[Any, Any]) -> Iterator[dict[str, Any]]:
        """Yield all reports as rows of a log, task after task, each in the order of its times.

        A row has `task_id`, `at` (aware, UTC) and `status`, a word of the channel `api` where the
        lifecycle knows it: what `lifecycle validate` and other checkers of logs read.

        Raises:
            UnknownName: something is recorded, but nothing of this lifecycle; when the first row is asked for.
            TypeError: that is no lifecycle.
        """
        given: Any = lifecycle
        if not isinstance(given, Lifecycle):
            raise TypeError(f"a lifecycle is wanted, such as get({given!r}), not {given!r}")

        def rows() -> Iterator[dict[str, Any]]:
            with self.database.transaction(TransactionMode.SNAPSHOT) as connection:
                yield from journal_reader.reports(connection, lifecycle)

        return rows()

    def check(self, lifecycles: Mapping[str, Lifecycle[Any, Any]] = CATALOG) -> Iterator[Damage]:
        """Yield all that is wrong with the record: every history replays, every command has a lawful life.

        Args:
            lifecycles: those that govern the recorded tasks, by name.
        Raises:
            TypeError: that is no mapping of names to lifecycles; when the first damage is asked for.
        """
        _require_by_name(lifecycles)
        with self.database.transaction(TransactionMode.SNAPSHOT) as connection:
            yield from verify(connection, lifecycles)

    # --- forgetting ---

    def forget(self, task_id: TaskId, lifecycle: Named | None = None) -> int:
        """Delete all that was recorded of a task, and return of how many tasks that was (one for each lifecycle).

        Of a webhook about it nothing stays but the digest by which it is known again until it is pruned.

        Raises:
            UnknownName: something is recorded, but nothing of such a lifecycle.
            TypeError: the id is no text, integer or UUID.
        """
        with self.database.transaction() as connection:
            journal_reader.require_recorded(connection, _name_of(lifecycle))
            return forgetting.forget(connection, id_text(task_id), _name_of(lifecycle))

    def prune(self, before: datetime, lifecycles: Mapping[str, Lifecycle[Any, Any]] = CATALOG) -> int:
        """Delete the tasks that are over, with no open command, and of which nothing was recorded since `before`.

        Deliveries that were received before go, too. Done in several transactions, so that nobody
        waits long. Returns how many tasks were deleted.

        Raises:
            TypeError: `before` is no datetime, or `lifecycles` is no mapping of names to lifecycles.
            ValueError: `before` has no time zone.
        """
        require_aware(before, "before")
        _require_by_name(lifecycles)
        deleted = 0
        while True:
            with self.database.transaction() as connection:
                some = forgetting.prune(connection, before, lifecycles)
            if not some:
                return deleted
            deleted += some

    def close(self) -> None:
        """Close all connections."""
        self.database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _worker() -> str:
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(2)}"


_LARGEST = 2**62  # what databases take as a number


def _require_by_name(lifecycles: Any) -> None:
    require(lifecycles, Mapping, "lifecycles must be a mapping of names to lifecycles, such as {V1.name: V1}")
    for name, lifecycle in lifecycles.items():
        require(lifecycle, Lifecycle, f"lifecycles[{name!r}] must be a Lifecycle")


def _name_of(lifecycle: Any) -> str | None:
    if isinstance(lifecycle, Lifecycle):
        return lifecycle.name
    if isinstance(lifecycle, str | None):
        return lifecycle
    raise TypeError(f"a lifecycle or its name is wanted, not {lifecycle!r}")


_journals: weakref.WeakSet[SqlJournal] = weakref.WeakSet()


def _become_other_workers() -> None:
    for journal in _journals:
        journal.become_another_worker()


if hasattr(os, "register_at_fork"):  # Windows has no forks
    os.register_at_fork(after_in_child=_become_other_workers)


def _told(entered: Sequence[AppliedReport | UnreadableRecord]) -> list[ReportOutcome]:
    """What reports were found to be; told to the telemetry, now that they are recorded for good."""
    if telemetry.is_recording():
        for each in entered:
            if isinstance(each, AppliedReport):
                telemetry.count_report(*each)
    return [each.entry if isinstance(each, AppliedReport) else each for each in entered]


class SqlTaskJournal(Generic[S, E]):
    """One task's part of a durable journal, as `lifecycle.journal.TaskJournal` describes; made by `SqlJournal.task`."""

    __slots__ = ("_has_opened", "_journal", "_key", "_known")

    def __init__(self, journal: SqlJournal, lifecycle: Lifecycle[S, E], task_id: str) -> None:
        self._journal = journal
        self._key = TaskName(lifecycle, task_id)
        self._known: TaskSnapshot | None = None  # what this log has seen last, and may be stale
        self._has_opened = False  # a command whose outcome is still to be written

    @property
    def blocking(self) -> bool:
        """Always: a disk is waited for."""
        return True

    def load(self) -> TaskRecord[S, E]:
        """Return what is known of the task."""
        with self._journal.database.transaction(TransactionMode.READ) as connection:
            known = self._known = transactions.load(connection, self._key, self._journal.writer())
        return TaskRecord() if known is None else known.record

    def track(self, *, created: bool = False) -> None:
        """Record that there is such a task, if nothing is known of it yet; with `created`, that it was created now."""
        with self._journal.database.transaction() as connection:
            transactions.ensure_tasks(connection, self._journal.writer(), [self._key], created=created)

    def add_report(self, report: Report) -> TaskRecord[S, E]:
        """Record a report as what it is. Raises UnknownName for a channel that is not declared."""
        durability = (
            TransactionMode.WRITE_GROUPED if self._has_opened else TransactionMode.WRITE
        )  # the outcome carries this with it
        entered = self._write(lambda turn: transactions.enter_report(turn, report), durability)
        _told([entered])
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
        # Nothing is sent before the first attempt is durable, which carries this with it.
        opened = self._write(
            lambda turn: sql_commands.open_command(turn, intent, context, version=version),
            TransactionMode.WRITE_GROUPED,
        )
        self._has_opened = isinstance(opened, CommandRecord)
        return opened

    def find_command(self, idempotency_key: str) -> CommandRecord[S, E] | None:
        """Return the command that was opened under that key, open or ended, if there is one."""
        with self._journal.database.transaction(TransactionMode.READ) as connection:
            return sql_commands.find_command(connection, self._key, self._journal.writer(), idempotency_key)

    def load_command(self, command_id: str) -> CommandRecord[S, E]:
        """Return a command as it is now, open or ended. Raises ValueError if the task has no such command."""
        with self._journal.database.transaction(TransactionMode.READ) as connection:
            return sql_commands.load_command(connection, self._key, self._journal.writer(), command_id)

    def claim(self, command_id: str, *, dead: Collection[str] = ()) -> CommandRecord[S, E] | None:
        """Claim an open command; None if it has ended, or a worker that may be alive holds it."""
        self._known = None  # who holds a command is no part of what is known
        return self._write(lambda turn: sql_commands.claim(turn, command_id, dead=dead))

    def release(self, command_id: str, *, claim: int) -> None:
        """End this worker's claim of an open command; nothing if it has ended already."""
        self._has_opened = False
        self._write(lambda turn: sql_commands.release(turn, command_id, claim=claim))

    def add_attempt(self, command_id: str, *, number: int, claim: int) -> bool:
        """Record that the command is about to be sent. False if that is another's to do, or nobody's."""
        return self._write(lambda turn: sql_commands.attempt(turn, command_id, number=number, claim=claim))

    def add_outcome(self, command_id: str, event: CommandEvent, *, why: str, claim: int) -> CommandOutcome[S, E]:
        """Move the command by an event of its lifecycle, if this claim still holds. Raises ValueError."""
        outcome = self._write(lambda turn: sql_commands.end(turn, command_id, event, why=why, claim=claim))
        self._has_opened = outcome.task.open_command is not None
        return outcome

    def _write(self, act: Callable[[TaskTransaction], R], durability: TransactionMode = TransactionMode.WRITE) -> R:
        """Write upon what this log knows of the task; where that is stale, upon what is there, locked."""
        while True:
            seen, self._known = self._known, None
            try:
                with self._journal.database.transaction(durability) as connection:
                    author = self._journal.writer()
                    known = transactions.lock(connection, self._key, author) if seen is None else replace(seen)
                    result = act(TaskTransaction(connection, author, self._key, known))
            except StaleError:
                continue
            self._known = replace(known, is_locked=False)
            return result
