"""Storage that outlives workers: journals on simulated time, and a view of their records for checks.

`Memory` keeps the records in memory, `Sql` in a database; a simulation runs on either.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from lifecycle import CommandState
from lifecycle.journal import CommandEntry, CommandRecord, Journal, ReportEntry, RequestContext, TaskJournal
from lifecycle.memory import MemoryJournal, MemoryTaskJournal
from lifecycle_adapters.journal import Recorded, RecordedCommand, RecordedReport, SqlJournal
from tests.lifecycle.drivers import Declared

LEASE = timedelta(seconds=60)

Clock = Callable[[], datetime]
Commands = dict[str, CommandRecord[str, str]]


class Storage(Protocol):
    """A journal's tables or files, which outlive its workers."""

    def join(self, worker: str) -> Journal:
        """Open the journal for a new worker, or for one that restarts under its name."""
        ...

    def log(self, lifecycle: Declared, task_id: str) -> TaskJournal[str, str]:
        """Return a task's journal, for reading."""
        ...

    def commands(self, lifecycle: Declared, task_id: str) -> Commands:
        """Return a task's commands in their present states, by their ids, oldest first."""
        ...

    def reports(self, lifecycle: Declared, task_id: str) -> int:
        """Return the number of recorded reports of a task."""
        ...

    def close(self) -> None:
        """Close every open journal."""
        ...


# --- in memory --------------------------------------------------------------------------------------


@dataclass(eq=False)
class Memory:
    """A journal in memory for several workers, of this class."""

    clock: Clock
    journal_type: type[MemoryJournal] = MemoryJournal

    def __post_init__(self) -> None:
        self._journal = self.journal_type(worker="reader", lease_s=LEASE.total_seconds(), clock=self.clock)
        self._logs: dict[tuple[str, str], MemoryTaskJournal[str, str]] = {}  # keeps the journals alive

    def join(self, worker: str) -> Journal:
        return self._journal.join(worker)

    def log(self, lifecycle: Declared, task_id: str) -> MemoryTaskJournal[str, str]:
        name = (lifecycle.name, task_id)
        if name not in self._logs:
            self._logs[name] = MemoryJournal.task(self._journal, lifecycle, task_id)
        return self._logs[name]

    def commands(self, lifecycle: Declared, task_id: str) -> Commands:
        entries = self.log(lifecycle, task_id).entries
        return {entry.record.id: entry.record for entry in entries if isinstance(entry, CommandEntry)}

    def reports(self, lifecycle: Declared, task_id: str) -> int:
        entries = self.log(lifecycle, task_id).entries
        return sum(entry.times for entry in entries if isinstance(entry, ReportEntry))

    def close(self) -> None:
        """Do nothing, because nothing is open."""


# --- in a database ----------------------------------------------------------------------------------------


@dataclass(eq=False)
class Sql:
    """The durable journal in a database; simulations may share it, because each has its own ids."""

    clock: Clock
    url: str

    def __post_init__(self) -> None:
        self._opened = ExitStack()
        self._reader = self._open("reader")

    def join(self, worker: str) -> Journal:
        return self._open(worker)

    def log(self, lifecycle: Declared, task_id: str) -> TaskJournal[str, str]:
        return self._reader.task(lifecycle, task_id)

    def commands(self, lifecycle: Declared, task_id: str) -> Commands:
        entries = self._history(lifecycle, task_id)
        return {entry.id: _command(entry) for entry in entries if isinstance(entry, RecordedCommand)}

    def reports(self, lifecycle: Declared, task_id: str) -> int:
        entries = self._history(lifecycle, task_id)
        return sum(entry.times or 0 for entry in entries if isinstance(entry, RecordedReport))

    def _history(self, lifecycle: Declared, task_id: str) -> list[Recorded]:
        return [each for each in self._reader.history(task_id) if each.lifecycle == lifecycle.name]

    def close(self) -> None:
        self._opened.close()

    def _open(self, worker: str) -> SqlJournal:
        journal = SqlJournal(self.url, worker=worker, lease_s=LEASE.total_seconds(), clock=self.clock)
        return self._opened.enter_context(journal)


def _command(entry: RecordedCommand) -> CommandRecord[str, str]:
    context = RequestContext(entry.idempotency_key, entry.origin, entry.reason)
    state = CommandState(entry.state)
    return CommandRecord(
        entry.id, entry.command, entry.source, state, entry.fields, entry.attempts, context=context, why=entry.why
    )
