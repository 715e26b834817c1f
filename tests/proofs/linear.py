"""A checker of linearizability, after Wing and Gong (1993), guided by the recorded order.

Each worker kept its operations on a task's journal, their results, and their times (witness.py). The checker searches
for one order of all these operations in which

- each operation has the result that lifecycle.journal specifies for the journal after the earlier operations,
- each operation that adds an entry adds the next recorded one, and the journal has no other entry,
- no operation is before one that had returned when it was invoked.

An operation without an effect is taken as early as possible, which is never wrong. The journal determines the order of
the others, except for those without an entry of their own (a release, a repeated report): the search tries each place.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from lifecycle import COMMAND, CommandEvent, Lifecycle
from lifecycle.journal import CommandOutcome, CommandRecord, Lease, Report, ReportEntry, TaskRecord
from lifecycle.reducers import apply_command, apply_report, classify_report, is_repeat, may_attempt
from lifecycle_adapters.journal import Recorded, RecordedCommand, RecordedReport
from tests.proofs.witness import Operation

Command = CommandRecord[Any, Any]
Entered = tuple[Any, ...]  # the contents of an entry


class Effect(NamedTuple):
    """The result of an operation, the journal after it, and the entry that it adds, if any."""

    result: Any
    after: Log
    entered: Entered | None = None


@dataclass(frozen=True, slots=True)
class Log:
    """The specification's state of one task's journal: an immutable value, so that the search can try several orders.

    `entries` counts those made, `last` is the last entry if it is a report, and `times` how often that
    was made in a row. The ends of leases are left out: none ends here.
    """

    lifecycle: Lifecycle[Any, Any]
    record: TaskRecord[Any, Any] = field(default_factory=lambda: TaskRecord())  # noqa: PLW0108
    commands: Mapping[str, Command] = field(default_factory=dict[str, Command])
    last: ReportEntry[Any, Any] | None = None
    times: int = 0
    entries: int = 0

    def effect(self, operation: Operation) -> Effect:
        """Return the specified effect of the operation in this state."""
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
        if COMMAND.is_final(command.state) or (command.lease is not None and command.lease.worker not in dead):
            return Effect(None, self)
        return self._moved(operation, replace(command, claim=command.claim + 1), None, "claimed")

    def _release(self, operation: Operation, number: str, claim: int) -> Effect:
        command = self.commands[number]
        if COMMAND.is_final(command.state) or command.claim != claim or command.lease != (operation.worker, None):
            return Effect(None, self)
        released = replace(command, lease=None)
        record = replace(self.record, open_command=released)
        return Effect(None, replace(self, record=record, commands={**self.commands, number: released}))

    def _add_attempt(self, operation: Operation, number: str, attempt: int, claim: int) -> Effect:
        if not may_attempt(self.lifecycle, self.record, number, number=attempt, claim=claim):
            return Effect(False, self)
        sent = self._moved(operation, replace(self.commands[number], attempts=attempt), None, "sent")
        return sent._replace(result=True)

    def _add_outcome(self, operation: Operation, number: str, event: CommandEvent, why: str, claim: int) -> Effect:
        command = self.commands[number]
        state = COMMAND.target(command.state, event)
        if state is None or command.claim != claim:
            return Effect(CommandOutcome(self.record, command), self)
        moved = self._moved(operation, replace(command, state=state, why=why), event, why)
        return moved._replace(result=CommandOutcome(moved.after.record, moved.result))

    def _moved(self, operation: Operation, command: Command, event: str | None, why: str) -> Effect:
        """Add the command's present record, which is the operation's result; its worker claims it while it is open."""
        command = replace(command, lease=None if COMMAND.is_final(command.state) else Lease(operation.worker, None))
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
    """Return a recorded entry's contents in the specification's form."""
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
        """Return None if there is an order, otherwise a description of where the search ended."""
        begin = self._furthest
        branches = [begin]
        tried: set[tuple[Places, int, Lease | None, object]] = set()
        while branches:
            places, log = branches.pop()
            opened = log.record.open_command
            mark = (places, log.entries, None if opened is None else opened.lease, log.record.as_of)
            if mark in tried:
                continue
            tried.add(mark)
            if sum(places) >= sum(self._furthest[0]):
                self._furthest = places, log
            if all(place == len(queue) for place, queue in zip(places, self._queues, strict=True)):
                if log.entries == len(self._recorded) and self._is_counted(log):
                    return None
                continue
            branches += self._next_branches(places, log)
        return self._stuck(*self._furthest)

    def _next_branches(self, places: Places, log: Log) -> list[tuple[Places, Log]]:
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
        """Return the operations that may be next: when they were invoked, no other remaining one had returned."""
        waiting = [
            (worker, queue[place])
            for worker, (place, queue) in enumerate(zip(places, self._queues, strict=True))
            if place < len(queue)
        ]
        first_return_ns = min(operation.returned_ns for _, operation in waiting)
        return ((worker, operation) for worker, operation in waiting if operation.invoked_ns <= first_return_ns)

    def _after(self, log: Log, operation: Operation) -> Log | None:
        """Return the journal after an operation; None if its result or the next entry differs from the recorded one."""
        result, after, new = log.effect(operation)
        if result != operation.result:
            return None
        if new is None:
            return after
        following = self._recorded[log.entries] if log.entries < len(self._recorded) else None
        if following is None or (entered(following), following.worker) != (new, operation.worker):
            return None
        return after if self._is_counted(log) else None

    def _is_counted(self, log: Log) -> bool:
        """Return whether the last entry, if it is a report, has the right repeat count."""
        last = self._recorded[log.entries - 1] if log.entries else None
        return not isinstance(last, RecordedReport) or last.times == log.times

    def _stuck(self, places: Places, log: Log) -> str:
        following = self._recorded[log.entries] if log.entries < len(self._recorded) else "nothing"
        lines = [
            f"no order of the operations is right; the furthest ends after {log.entries} entries, next: {following}"
        ]
        if sum(places) < sum(map(len, self._queues)):
            lines += [
                f"  {operation}\n    would return {log.effect(operation).result}" for _, operation in self._next(places)
            ]
        return "\n".join(lines)


def disorder(
    lifecycle: Lifecycle[Any, Any], recorded: Sequence[Recorded], operations: Sequence[Operation]
) -> str | None:
    """Return why a task's record is not linearizable; None if it is.

    Args:
        lifecycle: the task's.
        recorded: all that was recorded of it, oldest first.
        operations: all operations on its journal, in any order.
    """
    return Search(lifecycle, recorded, operations).failure()
