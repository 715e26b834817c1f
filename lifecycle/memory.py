"""The journal in memory, for one process. reducers.py decides how records change."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Generic, NamedTuple, Self
from weakref import WeakValueDictionary

from lifecycle.catalog import COMMAND, CommandEvent
from lifecycle.errors import OtherServer, RecordMissing, shortened
from lifecycle.journal import (
    NO_CONTEXT,
    Claimant,
    CommandEntry,
    CommandOutcome,
    CommandRecord,
    Delivery,
    Entry,
    Lease,
    Report,
    ReportEntry,
    RequestContext,
    Server,
    TaskRecord,
    TaskReport,
    check_name,
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
from lifecycle.memory_creates import CreateStore, MemoryCreates
from lifecycle.process_bound import ProcessBound
from lifecycle.reducers import (
    apply_claim,
    apply_command,
    apply_event,
    apply_report,
    classify_report,
    is_repeat,
    may_attempt,
)
from lifecycle.table import E, S

OnReport = Callable[[Lifecycle[Any, Any], ReportEntry[Any, Any], TaskRecord[Any, Any], TaskRecord[Any, Any]], object]


_now = partial(datetime.now, UTC)


def _check_settings(on_report: Any, worker: Any, lease_s: Any) -> None:
    if on_report is not None and not callable(on_report):
        raise TypeError(f"on_report must be called with reports, and {shortened(on_report)} cannot be called")
    require_worker(worker)
    if lease_s is None:
        return
    if isinstance(lease_s, bool) or not isinstance(lease_s, int | float):
        raise TypeError(f"lease_s must be a number, not {shortened(lease_s)} ({type(lease_s).__name__})")
    if not 0 < lease_s <= LONGEST_LEASE_S:
        raise ValueError(f"lease_s must be more than 0 and at most {LONGEST_LEASE_S:g}, not {lease_s}")


class MemoryJournal(ProcessBound):
    """The default journal: in memory, for one process, safe to share between threads.

    A task is kept as long as its task journal is referenced (a client's handle does that), it has an open command, or
    it is among the last 10,000 tasks of which `add_reports` or `receive` recorded a report; and permanently once a
    command had an idempotency key. Of every other task it knows only whether one of its creates made it, and when. So
    following many tasks does not fill the memory with the histories of tasks that are over.

    A command stays claimed until its procedure ends, even with an error: no other thread can claim it before that.

    Args:
        on_report: called after each report is recorded, with its lifecycle, its entry, and the task's record before
            and after it.
        worker: the worker's name in errors about claimed commands and creates.
        lease_s: seconds after which a worker that has written nothing about its claims counts as dead; None for
            never: a thread that has ended has released its claims.
        clock: returns the time, aware and in UTC.
    Raises:
        TypeError: `lease_s` is not a number, `worker` is not a text, `on_report` or `clock` cannot be called, or
            `clock` returns no datetime.
        ValueError: `worker` is empty, `lease_s` is not more than 0 or longer than a year, or the time of `clock` has no
            zone, or is not in the years 2 to 9998.
    """

    _instead = "a journal that processes share is `lifecycle_adapters.journal.SqlJournal`"

    def __init__(
        self,
        *,
        on_report: OnReport | None = None,
        worker: str = "this process",
        lease_s: float | None = None,
        clock: Callable[[], datetime] = _now,
    ) -> None:
        _check_settings(on_report, worker, lease_s)
        self._store = _Store(on_report, None if lease_s is None else timedelta(seconds=lease_s), checked_clock(clock))
        self._worker = worker

    def join(self, worker: str) -> MemoryJournal:
        """Return the same journal, for another worker of this process.

        Raises TypeError if `worker` is not a text, ValueError if it is empty.
        """
        require_worker(worker)
        joined = object.__new__(type(self))
        joined._store, joined._worker = self._store, worker
        return joined

    def task(
        self, lifecycle: Lifecycle[S, E], task_id: str, *, server: Server | None = None
    ) -> MemoryTaskJournal[S, E]:
        """Return the journal of one task.

        Raises:
            OtherServer: the journal has the tasks of this service at another server.
            ValueError: the id has more than 1,000 bytes.
            TypeError: `lifecycle` is not a lifecycle, or the id is not a text.
        """
        require_task(lifecycle, task_id, server)
        self._store.require_server(lifecycle, server)
        return MemoryTaskJournal(self._store.kept(lifecycle, task_id), self._worker)

    def creates(self, lifecycle: Lifecycle[Any, Any], *, server: Server | None = None) -> MemoryCreates:
        """Return the creates of tasks of this lifecycle.

        Raises:
            OtherServer: the journal has the tasks of this service at another server.
            TypeError: `lifecycle` is not a lifecycle.
        """
        require_lifecycle_at(lifecycle, server)
        self._store.require_server(lifecycle, server)
        return MemoryCreates(self._store.creates, lifecycle, self, self._worker)

    def open_tasks(self, lifecycle: Lifecycle[Any, Any], *, server: Server | None = None) -> list[str]:
        """Return the ids of the tasks that have an open command.

        Raises:
            OtherServer: the journal has the tasks of this service at another server.
            TypeError: `lifecycle` is not a lifecycle.
        """
        require_lifecycle_at(lifecycle, server)
        self._store.require_server(lifecycle, server)
        return [
            kept.task_id
            for kept in self._store.needed()
            if kept.lifecycle.name == lifecycle.name and kept.record.open_command
        ]

    def add_server(self, server: Server) -> None:
        """Record that the server's URL is a further one of the server that has the tasks of its lifecycles.

        Afterwards each of these has the URLs that any of them had, and this one. Raises TypeError if it is no Server.
        """
        require_server(server)
        self._store.add_server(server)

    def open_lifecycles(self) -> list[str]:
        """Return the names of the lifecycles that have an open command or create, in order."""
        creates = self._store.creates
        with creates.lock:
            names = {name for name, record in creates.records.values() if record.is_open}
        names.update(kept.lifecycle.name for kept in self._store.needed() if kept.record.open_command)
        return sorted(names)

    def recorded_otherwise(self, lifecycle: Lifecycle[Any, Any]) -> list[str]:
        """Return the ids of the tasks that are recorded under another declaration of a lifecycle of this name.

        The declaration that came first governs a task as long as it is kept, whatever is given later.

        Raises TypeError if it is not a lifecycle.
        """
        require_lifecycle(lifecycle)
        return [
            kept.task_id
            for kept in self._store.known()
            if kept.lifecycle.name == lifecycle.name and kept.lifecycle.digest != lifecycle.digest
        ]

    def add_reports(self, reports: Sequence[TaskReport]) -> list[ReportEntry[Any, Any]]:
        """Record n reports in this order, and return n entries.

        The first error that `on_report` raises is raised after all are recorded and `on_report` was called for each.

        Raises, before any is recorded:
            TypeError: one of them is not a TaskReport, or a part of it is of another type.
            ValueError: an id has more than 1,000 bytes.
            UnknownName: a lifecycle does not declare the channel of its report.
            OtherServer: the journal has the tasks of a lifecycle at another server.
        """
        return self._add(checked_reports(reports))

    def _add(self, reports: list[TaskReport]) -> list[ReportEntry[Any, Any]]:
        entries: list[ReportEntry[Any, Any]] = []
        raised: list[Exception] = []
        for each in reports:
            self._store.require_server(each.lifecycle, each.server)
        for lifecycle, task_id, report, _ in reports:
            journal = self.task(lifecycle, task_id)
            self._store.keep_recent(lifecycle, task_id)
            recorded = journal.record(report)
            entries.append(recorded.entry)
            try:
                journal.notify(recorded)
            except Exception as error:  # noqa: BLE001  # whatever a callback raises: the others are recorded first
                raised.append(error)
        if raised:
            raise raised[0]
        return entries

    def receive(self, delivery: Delivery, reports: Sequence[TaskReport] = ()) -> list[ReportEntry[Any, Any]] | None:
        """Record a delivery and its reports; return None if it was recorded before, in the last hour.

        Raises TypeError if `delivery` is not a Delivery, ValueError if its id has more than 1,000 bytes, and the
        errors of `add_reports`.
        """
        require_delivery(delivery)
        checked = checked_reports(reports)
        return self._add(checked) if self._store.is_new(delivery) else None


_REMEMBERED = timedelta(hours=1)
_MOST_RECENT = 10_000  # tasks


class _Store:
    """The data that all workers of one journal share."""

    def __init__(self, on_report: OnReport | None, lease: timedelta | None, clock: Callable[[], datetime]) -> None:
        self.on_report = on_report
        self.lease = lease
        self.clock = clock
        self._lock = threading.Lock()
        self._tasks: WeakValueDictionary[tuple[str, str], _Kept[Any, Any]] = WeakValueDictionary()
        self._needed: dict[tuple[str, str], _Kept[Any, Any]] = {}
        self._recent: dict[tuple[str, str], _Kept[Any, Any]] = {}  # in the order of their latest reports
        self._deliveries: dict[str, Delivery] = {}  # oldest first
        self._servers: dict[str, tuple[str, ...]] = {}  # by the lifecycle's name without a scope
        self.creates = CreateStore(lease=lease, clock=clock)

    def kept(self, lifecycle: Lifecycle[S, E], task_id: str) -> _Kept[S, E]:
        """Return the data of a task; the same object as long as the task is kept."""
        with self._lock:
            kept = self._tasks.get((lifecycle.name, task_id))
            if kept is None:
                maker = self.creates.makers.get((lifecycle.name, task_id))
                # Not TaskRecord[S, E]: Python 3.11 cannot call the alias of a frozen dataclass with slots.
                record: TaskRecord[S, E] = TaskRecord(created_at=None if maker is None else maker.at)
                kept = self._tasks[lifecycle.name, task_id] = _Kept(self, lifecycle, task_id, record)
            return kept

    def require_server(self, lifecycle: Lifecycle[Any, Any], server: Server | None) -> None:
        """Record the server for all its lifecycles that have none. Raises OtherServer if one has another."""
        if server is None:
            return
        with self._lock:
            names = server.names(lifecycle)
            for name in names:
                recorded = self._servers.get(name, (server.url,))
                if server.url not in recorded:
                    raise OtherServer(name, server.url, recorded)
            for name in names:
                self._servers.setdefault(name, (server.url,))

    def add_server(self, server: Server) -> None:
        """Record a further URL of the server of these lifecycles."""
        with self._lock:
            urls = [url for each in server.lifecycles for url in self._servers.get(each, ())]
            self._servers.update(dict.fromkeys(server.lifecycles, tuple(dict.fromkeys([*urls, server.url]))))

    def known(self) -> list[_Kept[Any, Any]]:
        """Return the tasks that are kept."""
        with self._lock:
            return list(self._tasks.values())

    def needed(self) -> list[_Kept[Any, Any]]:
        """Return the tasks that are kept without a reference to their task journal."""
        with self._lock:
            return list(self._needed.values())

    def need(self, kept: _Kept[Any, Any], *, is_needed: bool) -> None:
        """Keep a task, or stop keeping it, without a reference to its task journal."""
        name = (kept.lifecycle.name, kept.task_id)
        with self._lock:
            if is_needed:
                self._needed[name] = kept
            else:
                self._needed.pop(name, None)

    def keep_recent(self, lifecycle: Lifecycle[Any, Any], task_id: str) -> None:
        """Keep a task with a new report, so that its next report is compared with this one."""
        kept = self.kept(lifecycle, task_id)
        with self._lock:
            self._recent.pop((lifecycle.name, task_id), None)
            self._recent[lifecycle.name, task_id] = kept
            if len(self._recent) > _MOST_RECENT:
                del self._recent[next(iter(self._recent))]

    def is_new(self, delivery: Delivery) -> bool:
        """Remember a delivery; return False if it was remembered already."""
        with self._lock:
            if delivery.id in self._deliveries:
                return False
            self._deliveries[delivery.id] = delivery
            while delivery.sent_at - next(iter(self._deliveries.values())).sent_at > _REMEMBERED:
                del self._deliveries[next(iter(self._deliveries))]
            return True


@dataclass(eq=False)
class _Kept(Generic[S, E]):
    """The data of one task."""

    store: _Store
    lifecycle: Lifecycle[S, E]
    task_id: str
    record: TaskRecord[S, E]
    commands: dict[str, CommandRecord[S, E]] = field(default_factory=dict[str, "CommandRecord[S, E]"])
    keys: dict[str, str] = field(default_factory=dict[str, str])  # of commands, by their idempotency keys
    entries: list[Entry[S, E]] = field(default_factory=list["Entry[S, E]"])
    claimant: object = None  # the mark of the claimant of the open command
    lock: threading.Lock = field(default_factory=threading.Lock)


class RecordedInMemory(NamedTuple):
    """A report's entry, and the task's record before and after it."""

    entry: ReportEntry[Any, Any]
    before: TaskRecord[Any, Any]
    after: TaskRecord[Any, Any]


@dataclass(eq=False)
class MemoryTaskJournal(Claimant, Generic[S, E]):
    """One worker's task journal in memory; the protocol `TaskJournal` describes its methods."""

    _kept: _Kept[S, E]
    _worker: str
    _mark: object = field(default_factory=object)  # not this object itself: the task must not keep it

    def for_procedure(self) -> Self:
        """Return the same task journal for one procedure."""
        return type(self)(self._kept, self._worker)

    @property
    def lifecycle(self) -> Lifecycle[S, E]:
        """Return the lifecycle that governs the task."""
        return self._kept.lifecycle

    @property
    def entries(self) -> list[Entry[S, E]]:
        """Return the task's history, oldest first."""
        return self._kept.entries

    @property
    def blocking(self) -> bool:
        """Return False: no method waits for a disk or a network."""
        return False

    def load(self) -> TaskRecord[S, E]:
        """Return the task's current record."""
        return self._kept.record

    def track(self, *, created: bool = False) -> None:
        """Record the time of creation if `created`; otherwise do nothing, since this object keeps the task known."""
        kept = self._kept
        with kept.lock:
            if created and kept.record.created_at is None:
                kept.record = replace(kept.record, created_at=kept.store.clock())

    def add_report(self, report: Report) -> TaskRecord[S, E]:
        """Classify and record a report. Raises UnknownName for a channel that is not declared."""
        self.enter_report(report)
        return self._kept.record

    def enter_report(self, report: Report) -> ReportEntry[S, E]:
        """Classify and record a report, and return its entry. Raises UnknownName for a channel that is not declared."""
        recorded = self.record(report)
        self.notify(recorded)
        return recorded.entry

    def record(self, report: Report) -> RecordedInMemory:
        """Record a report without calling `on_report`."""
        kept = self._kept
        with kept.lock:
            now = kept.store.clock()
            entry = classify_report(kept.lifecycle, kept.record, report, now=now)
            last = kept.entries[-1] if kept.entries else None
            recorded = RecordedInMemory(entry, kept.record, apply_report(kept.record, entry, now=now))
            if isinstance(last, ReportEntry) and is_repeat(entry, last):
                kept.entries[-1] = replace(last, times=last.times + 1)
            else:
                kept.entries += (entry,)
            kept.record = recorded.after
            return recorded

    def notify(self, recorded: RecordedInMemory) -> None:
        """Call `on_report` with a recorded report."""
        if self._kept.store.on_report is not None:
            self._kept.store.on_report(self._kept.lifecycle, *recorded)

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
        kept, key = self._kept, context.idempotency_key
        if key is not None:
            check_name("idempotency key", key)
        with kept.lock:
            record = kept.record
            if record.version != version or record.open_command is not None or key in kept.keys:
                return record
            number = str(len(kept.commands) + 1)
            opened: CommandRecord[S, E] = CommandRecord(
                number, command, source, COMMAND.initial, dict(fields), context=context, lease=self._new_lease()
            )
            kept.claimant = self._mark
            self._enter(opened, None, "intended")
            return opened

    def find_command(self, idempotency_key: str) -> CommandRecord[S, E] | None:
        """Return the command that was opened under this key, open or ended; None if there is none."""
        with self._kept.lock:
            number = self._kept.keys.get(idempotency_key)
            return None if number is None else self._kept.commands[number]

    def load_command(self, command_id: str) -> CommandRecord[S, E]:
        """Return a command as it is now, open or ended. Raises ValueError if the task has no such command."""
        with self._kept.lock:
            return self._command(command_id)

    def claim(self, command_id: str, *, dead: Collection[str] = ()) -> CommandRecord[S, E] | None:
        """Claim an open command; return None if it has ended, or a worker that may be alive has claimed it."""
        with self._kept.lock:
            command = self._command(command_id)
            now = self._kept.store.clock()
            claimed = apply_claim(command, self._new_lease(), now=now, is_successor=False, dead=dead)
            if claimed is not None:
                self._kept.claimant = self._mark
                self._enter(claimed, None, "claimed")
            return claimed

    def release(self, command_id: str, *, claim: int) -> None:
        """End this claim of a command, so that any worker can claim it; do nothing if the command has ended."""
        with self._kept.lock:
            command = self._command(command_id)
            if command.claim == claim and not COMMAND.is_final(command.state):
                self._release(command)

    def release_claim(self) -> None:
        """End the last claim made through this object; do nothing if there is none, or another has followed."""
        with self._kept.lock:
            opened = self._kept.record.open_command
            if opened is not None and self._kept.claimant is self._mark:
                self._release(opened)

    def add_attempt(self, command_id: str, *, number: int, claim: int) -> bool:
        """Record that the command is about to be sent; return False if it must not be sent under this claim."""
        kept = self._kept
        with kept.lock:
            command = self._command(command_id)
            may_send = may_attempt(kept.lifecycle, kept.record, command_id, number=number, claim=claim)
            if may_send:
                self._enter(replace(command, attempts=number, lease=self._new_lease()), None, "sent")
            return may_send

    def add_outcome(self, command_id: str, event: CommandEvent, *, why: str, claim: int) -> CommandOutcome[S, E]:
        """Apply an event of its lifecycle to the command, if this claim is still valid; otherwise change nothing.

        Raises ValueError if the task has no such command.
        """
        with self._kept.lock:
            command = self._command(command_id)
            after = apply_event(command, event, why=why, claim=claim, lease=self._new_lease())
            if after is not command:
                self._enter(after, event, why)
            return CommandOutcome(self._kept.record, after)

    def _new_lease(self) -> Lease:
        store = self._kept.store
        return Lease(self._worker, None if store.lease is None else store.clock() + store.lease)

    def _command(self, command_id: str) -> CommandRecord[S, E]:
        try:
            return self._kept.commands[command_id]
        except KeyError:
            raise RecordMissing(command_id, lifecycle=self._kept.lifecycle.name, task=self._kept.task_id) from None

    def _enter(self, command: CommandRecord[S, E], event: CommandEvent | None, why: str) -> None:
        self._keep(command, apply_command(self._kept.record, command), CommandEntry(command, event, why))

    def _release(self, opened: CommandRecord[S, E]) -> None:
        released = replace(opened, lease=None)
        self._keep(released, replace(self._kept.record, open_command=released))

    def _keep(self, command: CommandRecord[S, E], record: TaskRecord[S, E], *entries: Entry[S, E]) -> None:
        kept, key = self._kept, command.context.idempotency_key
        # All or nothing, also if Ctrl-C is pressed: nothing is called in these lines.
        if key is not None:
            kept.keys[key] = command.id
        kept.commands[command.id] = command
        kept.record = record
        kept.entries += entries
        kept.store.need(kept, is_needed=record.open_command is not None or bool(kept.keys))
