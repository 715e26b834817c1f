"""Whether a record is linearizable: a checker, after Wing and Gong (1993), guided by the recorded order.

Each worker kept what it asked of a task's log, what it was told, and when (witness.py). The checker
looks for one order of all these operations in which

- each is told what lifecycle.journal says of the log as the operations before it left it,
- each that enters something enters what the record has next, and the record has nothing else,
- none stands before one that had returned when it was invoked.

What changes nothing is taken as early as possible, which is never wrong; of the rest the record
tells the order, but for what leaves no entry of its own (a release, a repeated report): that is
tried out.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from lifecycle import COMMAND, CommandEvent, Lifecycle
from lifecycle.journal import (
    CommandOutcome,
    CommandRecord,
    Hold,
    Report,
    ReportEntry,
    TaskRecord,
    apply_command,
    apply_report,
    classify_report,
    is_repeat,
    may_attempt,
)
from lifecycle_adapters.journal import Recorded, RecordedCommand, RecordedReport
from tests.proofs.witness import Operation

Command = CommandRecord[Any, Any]
Entered = tuple[Any, ...]  # what an entry says


class Effect(NamedTuple):
    """What an operation is told, the log after it, and what it enters, if anything."""

    told: Any
    after: Log
    entered: Entered | None = None


@dataclass(frozen=True, slots=True)
class Log:
    """What the specification knows of one task's log: a value, so that several courses can be tried.

    `entries` counts those made, `last` is the last entry if it is a report, and `times` how often that
    was made in a row. When a lease ends is left out: it never does here.
    """

    lifecycle: Lifecycle[Any, Any]
    record: TaskRecord[Any, Any] = field(default_factory=lambda: TaskRecord())  # noqa: PLW0108
    commands: Mapping[str, Command] = field(default_factory=dict[str, Command])
    last: ReportEntry[Any, Any] | None = None
    times: int = 0
    entries: int = 0

    def effect(self, operation: Operation) -> Effect:
        """What the operation does here."""
        does: Callable[..., Effect] = getattr(self, f"_{operation.name}")
        return does(operation, *operation.arguments)

    def _load(self, _: Operation) -> Effect:
        return Effect(self.record, self)

    def _find_command(self, _: Operation, key: str) -> Effect:
        return Effect(self._under(key), self)

    def _load_command(self, _: Operation, number: str) -> Effect:
        return Effect(self.commands[number], self)

    def _add_report(self, _: Operation, report: Report) -> Effect:
        entry = classify_report(self.lifecycle, self.record, report)
        after = replace(self, record=apply_report(self.record, entry))
        if is_repeat(entry, self.last):
            return Effect(after.record, replace(after, times=self.times + 1))
        after = replace(after, last=entry, times=1, entries=self.entries + 1)
        return Effect(after.record, after, report_entered(self.record.state, entry))

    def _add_intent(self, operation: Operation, *arguments: Any) -> Effect:
        command, source, version, fields, context = arguments
        is_used = context.idempotency_key is not None and self._under(context.idempotency_key) is not None
        if self.record.version != version or self.record.open_command is not None or is_used:
            return Effect(self.record, self)
        number = getattr(operation.result, "id", "")
        if number in self.commands:
            return Effect(None, self)
        opened: Command = CommandRecord(number, command, source, COMMAND.initial, fields, context=context)
        return self._moved(operation, opened, None, "intended")

    def _claim(self, operation: Operation, number: str, dead: Collection[str]) -> Effect:
        command = self.commands[number]
        if COMMAND.is_final(command.state) or (command.hold is not None and command.hold.worker not in dead):
            return Effect(None, self)
        return self._moved(operation, replace(command, claim=command.claim + 1), None, "claimed")

    def _release(self, operation: Operation, number: str, claim: int) -> Effect:
        command = self.commands[number]
        if COMMAND.is_final(command.state) or command.claim != claim or command.hold != (operation.worker, None):
            return Effect(None, self)
        released = replace(command, hold=None)
        record = replace(self.record, open_command=released)
        return Effect(None, replace(self, record=record, commands={**self.commands, number: released}))

    def _add_attempt(self, operation: Operation, number: str, attempt: int, claim: int) -> Effect:
        if not may_attempt(self.lifecycle, self.record, number, number=attempt, claim=claim):
            return Effect(False, self)
        sent = self._moved(operation, replace(self.commands[number], attempts=attempt), None, "sent")
        return sent._replace(told=True)

    def _add_outcome(self, operation: Operation, number: str, event: CommandEvent, why: str, claim: int) -> Effect:
        command = self.commands[number]
        state = COMMAND.target(command.state, event)
        if state is None or command.claim != claim:
            return Effect(CommandOutcome(self.record, command), self)
        moved = self._moved(operation, replace(command, state=state, why=why), event, why)
        return moved._replace(told=CommandOutcome(moved.after.record, moved.told))

    def _moved(self, operation: Operation, command: Command, event: str | None, why: str) -> Effect:
        """Enter how a command is now, which the operation is told; its worker holds it as long as it is open."""
        command = replace(command, hold=None if COMMAND.is_final(command.state) else Hold(operation.worker, None))
        after = replace(
            self,
            record=apply_command(self.record, command),
            commands={**self.commands, command.id: command},
            last=None,
            entries=self.entries + 1,
        )
        return Effect(command, after, command_entered(command, event, why))

    def _under(self, key: str) -> Command | None:
        return next((each for each in self.commands.values() if each.context.idempotency_key == key), None)


def report_entered(before: Any, entry: ReportEntry[Any, Any]) -> Entered:
    seen = entry.observation
    kind, path = (None, ()) if seen is None else (seen.kind, tuple(seen.path))
    report = entry.report
    return (report.status, report.as_of, before, kind, path, entry.state, entry.late, entry.unconfirmed)


def command_entered(command: Command, event: str | None, why: str) -> Entered:
    context = (command.context.idempotency_key, command.context.origin, command.context.reason)
    return (command.id, command.command, command.source, event, command.state, command.attempts, why, *context)


def entered(recorded: Recorded) -> Entered:
    """What a recorded entry says, as the specification says it."""
    match recorded:
        case RecordedReport() as report:
            found = (report.before, report.kind, report.path, report.state, report.late, report.unconfirmed)
            return (report.status, report.as_of, *found)
        case RecordedCommand() as command:
            life = (command.event, command.state, command.attempts, command.why)
            context = (command.idempotency_key, command.origin, command.reason)
            return (command.id, command.command, command.source, *life, *context)
        case _:
            raise TypeError(f"not an entry: {recorded}")


# --- the search -----------------------------------------------------------------------------------

Places = tuple[int, ...]  # for each worker, how many of its operations have been taken


class Search:
    """The search for an order of one task's operations."""

    def __init__(
        self, lifecycle: Lifecycle[Any, Any], recorded: Sequence[Recorded], operations: Sequence[Operation]
    ) -> None:
        self._recorded = recorded
        by_worker: dict[str, list[Operation]] = {}
        for operation in sorted(operations, key=lambda each: each.invoked_ns):
            by_worker.setdefault(operation.worker, []).append(operation)
        self._queues = list(by_worker.values())
        self._log = Log(lifecycle)
        self._furthest: tuple[Places, Log] = ((0,) * len(self._queues), self._log)

    def failure(self) -> str | None:
        """None where there is an order; else where the search for one got stuck."""
        begin = self._furthest
        courses = [begin]
        tried: set[tuple[Places, int, Hold | None, object]] = set()
        while courses:
            places, log = courses.pop()
            opened = log.record.open_command
            mark = (places, log.entries, None if opened is None else opened.hold, log.record.as_of)
            if mark in tried:
                continue
            tried.add(mark)
            if sum(places) >= sum(self._furthest[0]):
                self._furthest = places, log
            if all(place == len(queue) for place, queue in zip(places, self._queues, strict=True)):
                if log.entries == len(self._recorded) and self._is_counted(log):
                    return None
                continue
            courses += self._ways_on(places, log)
        return self._stuck(*self._furthest)

    def _ways_on(self, places: Places, log: Log) -> list[tuple[Places, Log]]:
        ways: list[tuple[Places, Log]] = []
        for worker, operation in self._next(places):
            after = self._after(log, operation)
            if after is None:
                continue
            step = (*places[:worker], places[worker] + 1, *places[worker + 1 :])
            if after is log:
                return [(step, log)]
            ways.append((step, after))
        return ways

    def _next(self, places: Places) -> Iterator[tuple[int, Operation]]:
        """The operations that may come next: no other that is to come had returned when they were invoked."""
        waiting = [
            (worker, queue[place])
            for worker, (place, queue) in enumerate(zip(places, self._queues, strict=True))
            if place < len(queue)
        ]
        first_return_ns = min(operation.returned_ns for _, operation in waiting)
        return ((worker, operation) for worker, operation in waiting if operation.invoked_ns <= first_return_ns)

    def _after(self, log: Log, operation: Operation) -> Log | None:
        """The log after an operation; None where it was told something else, or the record goes on otherwise."""
        told, after, new = log.effect(operation)
        if told != operation.result:
            return None
        if new is None:
            return after
        following = self._recorded[log.entries] if log.entries < len(self._recorded) else None
        if following is None or (entered(following), following.worker) != (new, operation.worker):
            return None
        return after if self._is_counted(log) else None

    def _is_counted(self, log: Log) -> bool:
        """Whether the last entry, where it is a report, was recorded to have been made as often as it was."""
        last = self._recorded[log.entries - 1] if log.entries else None
        return not isinstance(last, RecordedReport) or last.times == log.times

    def _stuck(self, places: Places, log: Log) -> str:
        following = self._recorded[log.entries] if log.entries < len(self._recorded) else "nothing"
        lines = [
            f"no order of the operations is right; the furthest ends after {log.entries} entries, next: {following}"
        ]
        if sum(places) < sum(map(len, self._queues)):
            lines += [
                f"  {operation}\n    would be told {log.effect(operation).told}" for _, operation in self._next(places)
            ]
        return "\n".join(lines)


def disorder(
    lifecycle: Lifecycle[Any, Any], recorded: Sequence[Recorded], operations: Sequence[Operation]
) -> str | None:
    """Why a task's record is not linearizable; None where it is.

    Args:
        lifecycle: the task's.
        recorded: all that was recorded of it, oldest first.
        operations: all that anybody did with its log, in any order.
    """
    return Search(lifecycle, recorded, operations).failure()
