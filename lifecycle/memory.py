"""The journal in memory: for one process, forgotten with it. What a record means is decided in journal.py."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import count
from typing import Any, Generic
from weakref import WeakValueDictionary

from lifecycle.catalog import COMMAND, CommandEvent
from lifecycle.definition import Lifecycle
from lifecycle.journal import (
    UNSTATED,
    CommandEntry,
    CommandRecord,
    Delivery,
    Entry,
    Purpose,
    Report,
    ReportEntry,
    TaskRecord,
    TaskReport,
    after_command,
    after_report,
    judge_report,
    may_send,
    repeats,
)
from lifecycle.table import E, S

OnReport = Callable[[Lifecycle[Any, Any], ReportEntry[Any, Any], TaskRecord[Any, Any], TaskRecord[Any, Any]], object]


class MemoryJournal:
    """The default journal: in memory, for one process, safe to share between threads.

    A task's log lives as long as somebody holds it (a client's handle does), so that following
    many tasks does not fill the memory with the histories of those that are done.

    Args:
        on_report: told of each report once it is recorded, with what was known of the task before and after it.
    """

    def __init__(self, *, on_report: OnReport | None = None) -> None:
        self._on_report = on_report
        self._logs: WeakValueDictionary[tuple[str, str], MemoryLog[Any, Any]] = WeakValueDictionary()
        self._deliveries: dict[str, Delivery] = {}  # oldest first
        self._lock = threading.Lock()

    def task(self, lifecycle: Lifecycle[S, E], task_id: str) -> MemoryLog[S, E]:
        """Return the log of one task; the same object while somebody holds it."""
        with self._lock:
            log = self._logs.get((lifecycle.name, task_id))
            if log is None:
                log = self._logs[lifecycle.name, task_id] = MemoryLog(lifecycle, self._on_report)
            return log

    def open_tasks(self, lifecycle: Lifecycle[Any, Any]) -> list[str]:
        """Return the ids of the tasks that have an open command."""
        with self._lock:
            logs = list(self._logs.items())
        return [task for (name, task), log in logs if name == lifecycle.name and log.load().open_command]

    def add_reports(self, reports: Sequence[TaskReport]) -> list[ReportEntry[Any, Any]]:
        """Record n reports, in this order. Raises UnknownName before any is recorded."""
        _require_channels(reports)
        return [self.task(lifecycle, task).enter_report(report) for lifecycle, task, report in reports]

    def receive(self, delivery: Delivery, reports: Sequence[TaskReport] = ()) -> list[ReportEntry[Any, Any]] | None:
        """Record a delivery and what it reports; None where it was recorded before, in the last hour."""
        _require_channels(reports)
        with self._lock:
            if delivery.id in self._deliveries:
                return None
            self._deliveries[delivery.id] = delivery
            oldest_at = delivery.sent_at - _REMEMBERED
            while next(iter(self._deliveries.values())).sent_at < oldest_at:
                del self._deliveries[next(iter(self._deliveries))]
        return self.add_reports(reports)


_REMEMBERED = timedelta(hours=1)


def _require_channels(reports: Sequence[TaskReport]) -> None:
    for lifecycle, _, report in reports:
        lifecycle.state_of(report.status, channel=report.channel)


@dataclass(eq=False)
class MemoryLog(Generic[S, E]):
    """One task's record in memory, as `TaskLog` describes. `entries` holds its history, oldest first."""

    lifecycle: Lifecycle[S, E]
    on_report: OnReport | None = None
    entries: list[Entry[S, E]] = field(default_factory=list["Entry[S, E]"], init=False)
    # Not TaskRecord[S, E]: Python 3.11 cannot call the alias of a frozen dataclass with slots.
    _record: TaskRecord[S, E] = field(default_factory=lambda: TaskRecord(), init=False)  # noqa: PLW0108
    _ids: count[int] = field(default_factory=lambda: count(1), init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    @property
    def blocking(self) -> bool:
        """Never: memory is at hand."""
        return False

    def load(self) -> TaskRecord[S, E]:
        """Return what is known of the task."""
        return self._record

    def track(self) -> None:
        """Nothing: a task is known as long as somebody holds its log."""

    def add_report(self, report: Report) -> TaskRecord[S, E]:
        """Record a report as what it is. Raises UnknownName for a channel that is not declared."""
        self.enter_report(report)
        return self._record

    def enter_report(self, report: Report) -> ReportEntry[S, E]:
        """As `add_report`; return what the report was found to be."""
        with self._lock:
            entry = judge_report(self.lifecycle, self._record, report)
            last = self.entries[-1] if self.entries else None
            if isinstance(last, ReportEntry) and repeats(entry, last):  # no move: the first of them has made it
                self.entries[-1] = replace(last, times=last.times + 1)
            else:
                self.entries.append(entry)
            before, self._record = self._record, after_report(self._record, entry)
            after = self._record
        if self.on_report is not None:
            self.on_report(self.lifecycle, entry, before, after)
        return entry

    def add_intent(
        self, command: E, *, source: S, version: int, fields: Mapping[str, Any], purpose: Purpose = UNSTATED
    ) -> CommandRecord[S, E] | TaskRecord[S, E]:
        """Open a command, or return the task's record where it has changed, a command is open, or the key is used."""
        with self._lock:
            record = self._record
            if record.version != version or record.open_command is not None or self._find(purpose.key) is not None:
                return record
            opened = CommandRecord(
                str(next(self._ids)), command, source, COMMAND.initial, dict(fields), purpose=purpose
            )
            self._enter(opened, None, "intended")
            return opened

    def find_command(self, key: str) -> CommandRecord[S, E] | None:
        """Return the command that was opened under that key, open or ended, if there is one."""
        with self._lock:
            return self._find(key)

    def claim(self, command_id: str) -> CommandRecord[S, E] | None:
        """Return the command if it is open: the only worker there is holds it already."""
        with self._lock:
            command = self._command(command_id)
            return None if COMMAND.is_final(command.state) else command

    def release(self, command_id: str) -> None:
        """Nothing: whoever asks may take it up."""

    def add_attempt(self, command_id: str, *, number: int) -> bool:
        """Record that the command is about to be sent. False where that is another's to do, or nobody's."""
        with self._lock:
            command = self._command(command_id)
            is_ours = may_send(self.lifecycle, self._record, command_id, number)
            if is_ours:
                self._enter(replace(command, attempts=number), None, "sent")
            return is_ours

    def add_outcome(self, command_id: str, event: CommandEvent, *, why: str) -> TaskRecord[S, E]:
        """Move the command by an event of its lifecycle. Raises IllegalTransition, ValueError."""
        with self._lock:
            command = self._command(command_id)
            self._enter(replace(command, state=COMMAND.step(command.state, event), why=why), event, why)
            return self._record

    def _commands(self) -> Iterator[CommandRecord[S, E]]:
        """What is known of the commands, the newest first."""
        return (entry.record for entry in reversed(self.entries) if isinstance(entry, CommandEntry))

    def _find(self, key: str | None) -> CommandRecord[S, E] | None:
        return None if key is None else next((each for each in self._commands() if each.purpose.key == key), None)

    def _command(self, command_id: str) -> CommandRecord[S, E]:
        """The command as it is now, open or ended."""
        command = next((each for each in self._commands() if each.id == command_id), None)
        if command is None:
            raise ValueError(f"there is no command {command_id!r}")
        return command

    def _enter(self, record: CommandRecord[S, E], event: CommandEvent | None, why: str) -> None:
        self.entries.append(CommandEntry(record, event, why))
        self._record = after_command(self._record, record)
