"""The record that commands are executed against: its interface, and the one in memory.

A journal holds, for each task, every report, every command and every outcome. It decides
nothing about legality itself: reports are judged by the task's lifecycle, commands by the
lifecycle `command`. Durable journals implement the same two protocols elsewhere.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import count
from typing import Any, Generic, Protocol
from weakref import WeakValueDictionary

from lifecycle.catalog import COMMAND, CommandEvent, CommandState
from lifecycle.definition import Lifecycle
from lifecycle.history import Channel, Observation, ObservationKind
from lifecycle.table import E, S


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
class CommandRecord(Generic[S, E]):
    """A command with its life so far.

    `source` is the state it was judged in, `fields` are what it is sent with, `attempts` counts its
    sends.
    """

    id: str
    command: E
    source: S
    state: CommandState
    fields: Mapping[str, Any]
    attempts: int = 0


@dataclass(frozen=True, slots=True)
class TaskRecord(Generic[S, E]):
    """What is known of a task.

    `state` is None until it was reported once; `version` grows with every move and every command
    opened or ended; `open_command` is the one in flight.
    """

    version: int = 0
    state: S | None = None
    as_of: datetime | None = None
    open_command: CommandRecord[S, E] | None = None


@dataclass(frozen=True, slots=True)
class ReportEntry(Generic[S, E]):
    """A recorded report: what it was found to be, and the state kept after it.

    `observation` is None for the first report. `late` marks one that is older than the last
    applied and was therefore not applied. `times` counts equal reports in a row, of which this
    was the first.
    """

    report: Report
    state: S | None
    observation: Observation[S, E] | None
    late: bool = False
    times: int = 1


@dataclass(frozen=True, slots=True)
class CommandEntry(Generic[S, E]):
    """A command as it was after one event of its life. `event` is None for its intent and for an attempt."""

    record: CommandRecord[S, E]
    event: CommandEvent | None
    why: str


Entry = ReportEntry[S, E] | CommandEntry[S, E]


class TaskLog(Protocol[S, E]):
    """One task's part of a journal. Every method is atomic and durable before it returns."""

    def load(self) -> TaskRecord[S, E]:
        """Return what is known of the task."""
        ...

    def add_report(self, report: Report) -> TaskRecord[S, E]:
        """Record a report as what it is and move the task if the move is lawful and the report not late."""
        ...

    def add_intent(
        self, command: E, *, source: S, version: int, fields: Mapping[str, Any]
    ) -> CommandRecord[S, E] | TaskRecord[S, E]:
        """Open a command, only if the task is still at `version` and no command is open.

        Returns the opened command, or the task's present record where it could not be opened.
        """
        ...

    def add_attempt(self, command_id: str, *, number: int) -> bool:
        """Record that the command is about to be sent for the `number`-th time, counted from 1.

        Returns False, and records nothing, where it is no longer open or another worker has made
        that attempt: of several workers one alone may send.
        """
        ...

    def add_outcome(self, command_id: str, event: CommandEvent, *, why: str) -> TaskRecord[S, E]:
        """Move the command by an event of its lifecycle.

        Raises:
            IllegalTransition: the lifecycle `command` refuses the move (another worker was first).
            ValueError: the task has no such command.
        """
        ...


class Journal(Protocol):
    """The record of all tasks."""

    def task(self, lifecycle: Lifecycle[S, E], task_id: str) -> TaskLog[S, E]:
        """Return the log of one task; the same record for the same lifecycle and id."""
        ...


class MemoryJournal:
    """The default journal: in memory, for one process, safe to share between threads.

    A task's log lives as long as somebody holds it (a client's handle does), so that following
    many tasks does not fill the memory with the histories of those that are done.
    """

    def __init__(self) -> None:
        self._logs: WeakValueDictionary[tuple[str, str], MemoryLog[Any, Any]] = WeakValueDictionary()
        self._lock = threading.Lock()

    def task(self, lifecycle: Lifecycle[S, E], task_id: str) -> MemoryLog[S, E]:
        """Return the log of one task; the same object while somebody holds it."""
        with self._lock:
            log = self._logs.get((lifecycle.name, task_id))
            if log is None:
                log = self._logs[lifecycle.name, task_id] = MemoryLog(lifecycle)
            return log


@dataclass(eq=False)
class MemoryLog(Generic[S, E]):
    """One task's record in memory, as `TaskLog` describes. `entries` holds its history, oldest first."""

    lifecycle: Lifecycle[S, E]
    entries: list[Entry[S, E]] = field(default_factory=list["Entry[S, E]"], init=False)
    # Not TaskRecord[S, E]: Python 3.11 cannot call the alias of a frozen dataclass with slots.
    _record: TaskRecord[S, E] = field(default_factory=lambda: TaskRecord(), init=False)  # noqa: PLW0108
    _ids: count[int] = field(default_factory=lambda: count(1), init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def load(self) -> TaskRecord[S, E]:
        """Return what is known of the task."""
        return self._record

    def add_report(self, report: Report) -> TaskRecord[S, E]:
        """Record a report as what it is. Raises UnknownName for a channel that is not declared."""
        with self._lock:
            entry = self._judge(report)
            if not self._coalesced(entry):
                self.entries.append(entry)
            record = self._record
            if entry.late:
                return record
            moved = entry.state != record.state
            self._record = replace(
                record, version=record.version + moved, state=entry.state, as_of=self._newest(report, entry)
            )
            return self._record

    def add_intent(
        self, command: E, *, source: S, version: int, fields: Mapping[str, Any]
    ) -> CommandRecord[S, E] | TaskRecord[S, E]:
        """Open a command, or return the task's record where it has changed or a command is open."""
        with self._lock:
            record = self._record
            if record.version != version or record.open_command is not None:
                return record
            opened = CommandRecord(str(next(self._ids)), command, source, COMMAND.initial, dict(fields))
            self._enter(opened, None, "intended")
            return opened

    def add_attempt(self, command_id: str, *, number: int) -> bool:
        """Record that the command is about to be sent. False where that is another's to do, or nobody's."""
        with self._lock:
            command = self._command(command_id)
            is_next = not COMMAND.is_final(command.state) and command.attempts + 1 == number
            if is_next:
                self._enter(replace(command, attempts=number), None, "sent")
            return is_next

    def add_outcome(self, command_id: str, event: CommandEvent, *, why: str) -> TaskRecord[S, E]:
        """Move the command by an event of its lifecycle. Raises IllegalTransition, ValueError."""
        with self._lock:
            command = self._command(command_id)
            self._enter(replace(command, state=COMMAND.step(command.state, event)), event, why)
            return self._record

    def _judge(self, report: Report) -> ReportEntry[S, E]:
        known, as_of = self._record.state, self._record.as_of
        if known is None:
            return ReportEntry(report, self.lifecycle.state_of(report.status, channel=report.channel), None)
        observation = self.lifecycle.observe(known, report.status, channel=report.channel)
        late = as_of is not None and report.as_of < as_of
        return ReportEntry(report, known if late else observation.state, observation, late)

    def _newest(self, report: Report, entry: ReportEntry[S, E]) -> datetime | None:
        """The time of the last report that was applied; one that was not believed does not count."""
        kind = None if entry.observation is None else entry.observation.kind
        believed = entry.state is not None and kind not in _NOT_BELIEVED
        return report.as_of if believed else self._record.as_of

    def _coalesced(self, entry: ReportEntry[S, E]) -> bool:
        """Count an equal report in a row instead of keeping it: polling must not fill the memory."""
        last = self.entries[-1] if self.entries else None
        if not isinstance(last, ReportEntry) or entry.late or last.late:
            return False
        same = (entry.report.status, entry.report.channel) == (last.report.status, last.report.channel)
        if same:  # and therefore no move: the first of them has made it
            self.entries[-1] = replace(last, times=last.times + 1)
        return same

    def _command(self, command_id: str) -> CommandRecord[S, E]:
        """The command as it is now, open or ended."""
        commands = (entry.record for entry in reversed(self.entries) if isinstance(entry, CommandEntry))
        command = next((each for each in commands if each.id == command_id), None)
        if command is None:
            raise ValueError(f"there is no command {command_id!r}")
        return command

    def _enter(self, record: CommandRecord[S, E], event: CommandEvent | None, why: str) -> None:
        self.entries.append(CommandEntry(record, event, why))
        still_open = None if COMMAND.is_final(record.state) else record
        self._record = replace(self._record, version=self._record.version + 1, open_command=still_open)


_NOT_BELIEVED = frozenset({ObservationKind.STALE, ObservationKind.CONFLICT, ObservationKind.UNKNOWN})
