"""The journal in memory: for one process, forgotten with it. What a record means is decided in journal.py."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Generic, NamedTuple
from weakref import WeakValueDictionary

from lifecycle.catalog import COMMAND, CommandEvent
from lifecycle.journal import (
    NO_CONTEXT,
    CommandEntry,
    CommandOutcome,
    CommandRecord,
    Delivery,
    Entry,
    Hold,
    Report,
    ReportEntry,
    RequestContext,
    TaskRecord,
    TaskReport,
    apply_claim,
    apply_command,
    apply_event,
    apply_report,
    classify_report,
    is_repeat,
    may_attempt,
)
from lifecycle.lifecycle import Lifecycle
from lifecycle.memory_creates import CreateStore, MemoryCreates
from lifecycle.table import E, S

OnReport = Callable[[Lifecycle[Any, Any], ReportEntry[Any, Any], TaskRecord[Any, Any], TaskRecord[Any, Any]], object]


_now = partial(datetime.now, UTC)


class MemoryJournal:
    """The default journal: in memory, for one process, safe to share between threads.

    A task is kept while somebody holds its log (a client's handle does), while it has an open command,
    and for good once a command was given under an idempotency key. So following many tasks does not
    fill the memory with the histories of those that are over.

    A command is claimed until its procedure ends, in whatever way: no other thread can claim it before.

    Args:
        on_report: called with each report once it is recorded, and what was known of the task before and after it.
        worker: the name by which errors say who has claimed a command or a create.
        lease_s: seconds after which a worker that has not moved what it claimed is taken for dead;
            None for never: a thread that is gone has released what it claimed.
        clock: returns the time, aware and in UTC.
    Raises:
        ValueError: a lease that is not more than 0.
    """

    def __init__(
        self,
        *,
        on_report: OnReport | None = None,
        worker: str = "this process",
        lease_s: float | None = None,
        clock: Callable[[], datetime] = _now,
    ) -> None:
        if lease_s is not None and not lease_s > 0:
            raise ValueError(f"lease_s is more than 0 seconds, not {lease_s}")
        self._store = _Store(on_report, None if lease_s is None else timedelta(seconds=lease_s), clock)
        self._worker = worker

    def join(self, worker: str) -> MemoryJournal:
        """Return the same journal, for another worker of this process."""
        joined = object.__new__(type(self))
        joined._store, joined._worker = self._store, worker
        return joined

    def task(self, lifecycle: Lifecycle[S, E], task_id: str) -> MemoryTaskJournal[S, E]:
        """Return the log of one task."""
        return MemoryTaskJournal(self._store.kept(lifecycle, task_id), self._worker)

    def creates(self, lifecycle: Lifecycle[Any, Any]) -> MemoryCreates:
        """Return the creates of tasks of this lifecycle."""
        return MemoryCreates(self._store.creates, lifecycle, self, self._worker)

    def open_tasks(self, lifecycle: Lifecycle[Any, Any]) -> list[str]:
        """Return the ids of the tasks that have an open command."""
        return [
            kept.task_id
            for kept in self._store.needed()
            if kept.lifecycle.name == lifecycle.name and kept.record.open_command
        ]

    def add_reports(self, reports: Sequence[TaskReport]) -> list[ReportEntry[Any, Any]]:
        """Record n reports, in this order. Raises UnknownName before any is recorded.

        What `on_report` raises is raised when all are recorded and `on_report` was told of each.
        """
        _require_channels(reports)
        entered: list[ReportEntry[Any, Any]] = []
        raised: list[Exception] = []
        for lifecycle, task_id, report in reports:
            log = self.task(lifecycle, task_id)
            recorded = log.record(report)
            entered.append(recorded.entry)
            try:
                log.tell(recorded)
            except Exception as error:  # noqa: BLE001  # whatever a callback raises: the others are recorded first
                raised.append(error)
        if raised:
            raise raised[0]
        return entered

    def receive(self, delivery: Delivery, reports: Sequence[TaskReport] = ()) -> list[ReportEntry[Any, Any]] | None:
        """Record a delivery and what it reports; None if it was recorded before, in the last hour."""
        _require_channels(reports)
        return self.add_reports(reports) if self._store.is_new(delivery) else None


_REMEMBERED = timedelta(hours=1)


def _require_channels(reports: Sequence[TaskReport]) -> None:
    for lifecycle, _, report in reports:
        lifecycle.state_of(report.status, channel=report.channel)


class _Store:
    """What all workers of one journal share."""

    def __init__(self, on_report: OnReport | None, lease: timedelta | None, clock: Callable[[], datetime]) -> None:
        self.on_report = on_report
        self.lease = lease
        self.clock = clock
        self._lock = threading.Lock()
        self._tasks: WeakValueDictionary[tuple[str, str], _Kept[Any, Any]] = WeakValueDictionary()
        self._needed: dict[tuple[str, str], _Kept[Any, Any]] = {}
        self._deliveries: dict[str, Delivery] = {}  # oldest first
        self.creates = CreateStore(lease=lease, clock=clock)

    def kept(self, lifecycle: Lifecycle[S, E], task_id: str) -> _Kept[S, E]:
        """Return what is kept of a task; the same object while it is needed."""
        with self._lock:
            kept = self._tasks.get((lifecycle.name, task_id))
            if kept is None:
                kept = self._tasks[lifecycle.name, task_id] = _Kept(self, lifecycle, task_id)
            return kept

    def needed(self) -> list[_Kept[Any, Any]]:
        """Return the tasks that must not be forgotten."""
        with self._lock:
            return list(self._needed.values())

    def need(self, kept: _Kept[Any, Any], *, is_needed: bool) -> None:
        """Keep a task although nobody holds its log, or no longer."""
        name = (kept.lifecycle.name, kept.task_id)
        with self._lock:
            if is_needed:
                self._needed[name] = kept
            else:
                self._needed.pop(name, None)

    def is_new(self, delivery: Delivery) -> bool:
        """Note a delivery; whether it was not noted before."""
        with self._lock:
            if delivery.id in self._deliveries:
                return False
            self._deliveries[delivery.id] = delivery
            oldest_at = delivery.sent_at - _REMEMBERED
            while next(iter(self._deliveries.values())).sent_at < oldest_at:
                del self._deliveries[next(iter(self._deliveries))]
            return True


@dataclass(eq=False)
class _Kept(Generic[S, E]):
    """All that is kept of one task."""

    store: _Store
    lifecycle: Lifecycle[S, E]
    task_id: str
    # Not TaskRecord[S, E]: Python 3.11 cannot call the alias of a frozen dataclass with slots.
    record: TaskRecord[S, E] = field(default_factory=lambda: TaskRecord())  # noqa: PLW0108
    commands: dict[str, CommandRecord[S, E]] = field(default_factory=dict[str, "CommandRecord[S, E]"])
    keys: dict[str, str] = field(default_factory=dict[str, str])  # of commands, by their idempotency keys
    entries: list[Entry[S, E]] = field(default_factory=list["Entry[S, E]"])
    lock: threading.Lock = field(default_factory=threading.Lock)


class RecordedInMemory(NamedTuple):
    """A report's entry, and what was known of its task before and after it."""

    entry: ReportEntry[Any, Any]
    before: TaskRecord[Any, Any]
    after: TaskRecord[Any, Any]


@dataclass(eq=False)
class MemoryTaskJournal(Generic[S, E]):
    """One worker's view of a task's record in memory, as `TaskJournal` describes."""

    _kept: _Kept[S, E]
    _worker: str

    @property
    def lifecycle(self) -> Lifecycle[S, E]:
        """The lifecycle that governs the task."""
        return self._kept.lifecycle

    @property
    def entries(self) -> list[Entry[S, E]]:
        """The task's history, oldest first."""
        return self._kept.entries

    @property
    def blocking(self) -> bool:
        """Never: memory is at hand."""
        return False

    def load(self) -> TaskRecord[S, E]:
        """Return what is known of the task."""
        return self._kept.record

    def track(self, *, created: bool = False) -> None:
        """Record when the task was created, if it was now. That there is such a task is known while its log is held."""
        kept = self._kept
        with kept.lock:
            if created and kept.record.created_at is None:
                kept.record = replace(kept.record, created_at=kept.store.clock())

    def add_report(self, report: Report) -> TaskRecord[S, E]:
        """Record a report as what it is. Raises UnknownName for a channel that is not declared."""
        self.enter_report(report)
        return self._kept.record

    def enter_report(self, report: Report) -> ReportEntry[S, E]:
        """Record a report like `add_report`; return what the report was found to be."""
        recorded = self.record(report)
        self.tell(recorded)
        return recorded.entry

    def record(self, report: Report) -> RecordedInMemory:
        """Record a report without telling `on_report` of it."""
        kept = self._kept
        with kept.lock:
            entry = classify_report(kept.lifecycle, kept.record, report)
            last = kept.entries[-1] if kept.entries else None
            if isinstance(last, ReportEntry) and is_repeat(entry, last):  # no move: the first of them has made it
                kept.entries[-1] = replace(last, times=last.times + 1)
            else:
                kept.entries.append(entry)
            before, kept.record = kept.record, apply_report(kept.record, entry)
            return RecordedInMemory(entry, before, kept.record)

    def tell(self, recorded: RecordedInMemory) -> None:
        """Tell `on_report` of a report that is recorded."""
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
        with kept.lock:
            record = kept.record
            if record.version != version or record.open_command is not None or key in kept.keys:
                return record
            number = str(len(kept.commands) + 1)
            opened: CommandRecord[S, E] = CommandRecord(
                number, command, source, COMMAND.initial, dict(fields), context=context, hold=self._hold()
            )
            if key is not None:
                kept.keys[key] = number
            self._enter(opened, None, "intended")
            return opened

    def find_command(self, idempotency_key: str) -> CommandRecord[S, E] | None:
        """Return the command that was opened under that key, open or ended, if there is one."""
        with self._kept.lock:
            number = self._kept.keys.get(idempotency_key)
            return None if number is None else self._kept.commands[number]

    def load_command(self, command_id: str) -> CommandRecord[S, E]:
        """Return a command as it is now, open or ended. Raises ValueError if there is none of that id."""
        with self._kept.lock:
            return self._command(command_id)

    def claim(self, command_id: str, *, dead: Collection[str] = ()) -> CommandRecord[S, E] | None:
        """Claim an open command; None if it has ended, or a worker that may be alive holds it."""
        with self._kept.lock:
            command = self._command(command_id)
            now = self._kept.store.clock()
            claimed = apply_claim(command, self._hold(), now=now, is_successor=False, dead=dead)
            if claimed is not None:
                self._enter(claimed, None, "claimed")
            return claimed

    def release(self, command_id: str, *, claim: int) -> None:
        """End this worker's claim of a command, if it has not ended already."""
        with self._kept.lock:
            command = self._command(command_id)
            if command.claim == claim and not COMMAND.is_final(command.state):
                self._keep(replace(command, hold=None))

    def add_attempt(self, command_id: str, *, number: int, claim: int) -> bool:
        """Record that the command is about to be sent. False if that is another's to do, or nobody's."""
        kept = self._kept
        with kept.lock:
            command = self._command(command_id)
            may = may_attempt(kept.lifecycle, kept.record, command_id, number=number, claim=claim)
            if may:
                self._enter(replace(command, attempts=number, hold=self._hold()), None, "sent")
            return may

    def add_outcome(self, command_id: str, event: CommandEvent, *, why: str, claim: int) -> CommandOutcome[S, E]:
        """Move the command by an event of its lifecycle, if this claim still holds. Raises ValueError."""
        with self._kept.lock:
            command = self._command(command_id)
            moved = apply_event(command, event, why=why, claim=claim)
            if moved is not command:
                moved = replace(moved, hold=None if COMMAND.is_final(moved.state) else self._hold())
                self._enter(moved, event, why)
            return CommandOutcome(self._kept.record, moved)

    def _hold(self) -> Hold:
        store = self._kept.store
        return Hold(self._worker, None if store.lease is None else store.clock() + store.lease)

    def _command(self, command_id: str) -> CommandRecord[S, E]:
        try:
            return self._kept.commands[command_id]
        except KeyError:
            raise ValueError(f"the task has no command {command_id!r}") from None

    def _enter(self, command: CommandRecord[S, E], event: CommandEvent | None, why: str) -> None:
        kept = self._kept
        kept.entries.append(CommandEntry(command, event, why))
        kept.record = apply_command(kept.record, command)
        self._keep(command)

    def _keep(self, command: CommandRecord[S, E]) -> None:
        kept = self._kept
        kept.commands[command.id] = command
        if kept.record.open_command is not None:
            kept.record = replace(kept.record, open_command=command)
        kept.store.need(kept, is_needed=kept.record.open_command is not None or bool(kept.keys))
