"""What is kept while workers come, die and come back: journals on simulated time, and a view for those who check.

`Leased` is a journal in memory whose claims are leases, as a durable journal's are; `Sql` is the
durable one. To a simulation they are alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from typing import Any, NamedTuple, Protocol

from adapters.journal import RecordedCommand, RecordedReport, SqlJournal
from lifecycle import CommandEvent, CommandState
from lifecycle.journal import (
    UNSTATED,
    CommandEntry,
    CommandRecord,
    Creates,
    Delivery,
    Journal,
    Purpose,
    Report,
    ReportEntry,
    TaskLog,
    TaskRecord,
    TaskReport,
)
from lifecycle.memory import MemoryJournal, MemoryLog
from tests.lifecycle.drivers import Declared

LEASE = timedelta(seconds=60)

Clock = Callable[[], datetime]
Commands = dict[str, CommandRecord[str, str]]


class Storage(Protocol):
    """A journal's tables or files, which outlive its workers."""

    def join(self, worker: str) -> Journal:
        """Open the journal as a worker that begins, or comes back under its name."""
        ...

    def log(self, lifecycle: Declared, task_id: str) -> TaskLog[str, str]:
        """Return a task's record, to be looked at."""
        ...

    def commands(self, lifecycle: Declared, task_id: str) -> Commands:
        """Return a task's commands as they are now, by their ids, oldest first."""
        ...

    def reports(self, lifecycle: Declared, task_id: str) -> int:
        """Return how many reports of a task were recorded."""
        ...

    def close(self) -> None:
        """Close whatever is open."""
        ...


# --- in memory, with leases -------------------------------------------------------------------------


class Holder(NamedTuple):
    """Who holds a command, and since when."""

    worker: str
    session: int
    at: datetime


@dataclass(eq=False)
class LeasedLog:
    """One worker's view of a task's log: what it opens or moves it holds, until its lease is over."""

    memory: MemoryLog[str, str]
    holders: dict[str, Holder]
    worker: str
    session: int
    clock: Clock

    @property
    def blocking(self) -> bool:
        return False

    def load(self) -> TaskRecord[str, str]:
        return self.memory.load()

    def add_report(self, report: Report) -> TaskRecord[str, str]:
        return self.memory.add_report(report)

    def add_intent(
        self, command: str, *, source: str, version: int, fields: Mapping[str, Any], purpose: Purpose = UNSTATED
    ) -> CommandRecord[str, str] | TaskRecord[str, str]:
        opened = self.memory.add_intent(command, source=source, version=version, fields=fields, purpose=purpose)
        if isinstance(opened, CommandRecord):
            self._hold(opened.id)
        return opened

    def find_command(self, key: str) -> CommandRecord[str, str] | None:
        return self.memory.find_command(key)

    def claim(self, command_id: str) -> CommandRecord[str, str] | None:
        holder = self.holders.get(command_id)
        if holder is not None and self._may_live(holder):
            return None
        claimed = self.memory.claim(command_id)
        if claimed is not None:
            self._hold(command_id)
        return claimed

    def release(self, command_id: str) -> None:
        holder = self.holders.get(command_id)
        if holder is not None and holder.session == self.session:
            del self.holders[command_id]

    def add_attempt(self, command_id: str, *, number: int) -> bool:
        is_ours = self.memory.add_attempt(command_id, number=number)
        if is_ours:
            self._hold(command_id)
        return is_ours

    def add_outcome(self, command_id: str, event: CommandEvent, *, why: str) -> TaskRecord[str, str]:
        record = self.memory.add_outcome(command_id, event, why=why)
        self._hold(command_id)
        return record

    def _hold(self, command_id: str) -> None:
        self.holders[command_id] = Holder(self.worker, self.session, self.clock())

    def _may_live(self, holder: Holder) -> bool:
        has_come_back = holder.worker == self.worker and holder.session != self.session
        return not has_come_back and self.clock() - holder.at <= LEASE


class LeasedJournal(NamedTuple):
    """One worker's view of a journal."""

    storage: Leased
    worker: str
    session: int

    def task(self, lifecycle: Any, task_id: str) -> Any:
        return self.storage.view(lifecycle, task_id, self.worker, self.session)

    def creates(self, lifecycle: Any) -> Creates:
        return self.storage.memory.creates(lifecycle)

    def open_tasks(self, lifecycle: Declared) -> list[str]:
        return self.storage.memory.open_tasks(lifecycle)

    def add_reports(self, reports: Sequence[TaskReport]) -> list[ReportEntry[Any, Any]]:
        return self.storage.memory.add_reports(reports)

    def receive(self, delivery: Delivery, reports: Sequence[TaskReport] = ()) -> list[ReportEntry[Any, Any]] | None:
        return self.storage.memory.receive(delivery, reports)


@dataclass(eq=False)
class Leased:
    """A journal in memory for several workers, of logs and views of these classes."""

    clock: Clock
    log_type: type[LeasedLog] = LeasedLog
    view_type: type[LeasedJournal] = LeasedJournal
    memory: MemoryJournal = field(default_factory=MemoryJournal, init=False)

    def __post_init__(self) -> None:
        self._sessions = count(1)
        self._logs: dict[tuple[str, str], tuple[MemoryLog[str, str], dict[str, Holder]]] = {}

    def join(self, worker: str) -> Journal:
        return self.view_type(self, worker, next(self._sessions))

    def view(self, lifecycle: Declared, task_id: str, worker: str, session: int) -> LeasedLog:
        memory, holders = self._kept(lifecycle, task_id)
        return self.log_type(memory, holders, worker, session, self.clock)

    def log(self, lifecycle: Declared, task_id: str) -> TaskLog[str, str]:
        return self._kept(lifecycle, task_id)[0]

    def commands(self, lifecycle: Declared, task_id: str) -> Commands:
        entries = self._kept(lifecycle, task_id)[0].entries
        return {entry.record.id: entry.record for entry in entries if isinstance(entry, CommandEntry)}

    def reports(self, lifecycle: Declared, task_id: str) -> int:
        entries = self._kept(lifecycle, task_id)[0].entries
        return sum(entry.times for entry in entries if isinstance(entry, ReportEntry))

    def _kept(self, lifecycle: Declared, task_id: str) -> tuple[MemoryLog[str, str], dict[str, Holder]]:
        name = (lifecycle.name, task_id)
        if name not in self._logs:
            self._logs[name] = self.memory.task(lifecycle, task_id), {}
        return self._logs[name]

    def close(self) -> None:
        """There is nothing to close."""


# --- in a database ----------------------------------------------------------------------------------------


@dataclass(eq=False)
class Sql:
    """The durable journal in a database, which any number of simulations may share: each has ids of its own."""

    clock: Clock
    url: str

    def __post_init__(self) -> None:
        self._opened = ExitStack()
        self._reader = self._open("reader")

    def join(self, worker: str) -> Journal:
        return self._open(worker)

    def log(self, lifecycle: Declared, task_id: str) -> TaskLog[str, str]:
        return self._reader.task(lifecycle, task_id)

    def commands(self, lifecycle: Declared, task_id: str) -> Commands:
        entries = self._reader.history(task_id, lifecycle.name)
        return {entry.id: _command(entry) for entry in entries if isinstance(entry, RecordedCommand)}

    def reports(self, lifecycle: Declared, task_id: str) -> int:
        entries = self._reader.history(task_id, lifecycle.name)
        return sum(entry.times or 0 for entry in entries if isinstance(entry, RecordedReport))

    def close(self) -> None:
        self._opened.close()

    def _open(self, worker: str) -> SqlJournal:
        journal = SqlJournal(self.url, worker=worker, lease_s=LEASE.total_seconds(), clock=self.clock)
        return self._opened.enter_context(journal)


def _command(entry: RecordedCommand) -> CommandRecord[str, str]:
    purpose = Purpose(entry.key, entry.origin, entry.reason)
    state = CommandState(entry.state)
    return CommandRecord(
        entry.id, entry.command, entry.source, state, entry.fields, entry.attempts, purpose=purpose, why=entry.why
    )
