"""A checker that compares a journal with the service's calls, call by call and outcome by outcome.

Every request names its recorded attempt (witness.py), so that the checker needs no guess.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from lifecycle import COMMAND, Lifecycle
from lifecycle_adapters.emulator import RecordedCall
from lifecycle_adapters.journal import RecordedCommand, SqlJournal, TaskRow
from lifecycle_adapters.services.registry import service
from tests.proofs.witness import APIS, ATTEMPT

LIFECYCLES: dict[str, Lifecycle[Any, Any]] = {service(api).lifecycle.name: service(api).lifecycle for api in APIS}
API_OF = {service(api).lifecycle.name: api for api in APIS}


@dataclass(frozen=True, slots=True)
class Attempt:
    """A recorded attempt, and its command's record at that time."""

    api: str
    task: str
    number: int
    command: RecordedCommand


class Recorded:
    """The contents of a journal, read once."""

    def __init__(self, journal: SqlJournal) -> None:
        self.damages = list(journal.check())
        self.tasks = list(all_tasks(journal))
        self.commands: dict[str, RecordedCommand] = {}
        self.attempts: dict[str, Attempt] = {}
        for row in self.tasks:
            self._read(row, journal.history(row.task_id, row.lifecycle))

    def _read(self, row: TaskRow, history: Sequence[object]) -> None:
        for entry in history:
            if isinstance(entry, RecordedCommand):
                before = self.commands.get(entry.id)
                self.commands[entry.id] = entry
                if entry.attempts > (before.attempts if before else 0):
                    attempt = Attempt(API_OF[row.lifecycle], row.task_id, entry.attempts, entry)
                    self.attempts[f"{entry.id}.{entry.attempts}"] = attempt

    def open_commands(self) -> list[RecordedCommand]:
        return [each for each in self.commands.values() if not COMMAND.is_final(each.state)]  # type: ignore[arg-type]


def all_tasks(journal: SqlJournal) -> Iterator[TaskRow]:
    """Return every task, read page by page."""
    after: int | None = 0
    while after is not None:
        page = journal.tasks(after=after)
        yield from page.tasks
        after = page.after


def disagreements(recorded: Recorded, calls: Iterable[RecordedCall]) -> Iterator[str]:
    """Return the disagreements that are wrong at any time, even right after a worker's death."""
    yield from map(str, recorded.damages)
    seen: dict[str, RecordedCall] = {}
    for call in calls:
        if call.command is not None:
            name = _attempt_of(call)
            yield from _call_disagrees(call, recorded.attempts.get(name))
            if name in seen:
                yield f"calls {seen[name].number} and {call.number} are both attempt {name}"
            seen[name] = call
    yield from _outcomes_disagree(recorded, seen)
    keys = [
        (each.lifecycle, each.task_id, each.idempotency_key)
        for each in recorded.commands.values()
        if each.idempotency_key is not None
    ]
    yield from (f"two commands under one key: {key}" for key in set(keys) if keys.count(key) > 1)


def _attempt_of(call: RecordedCall) -> str:
    return parse_qs(call.query).get(ATTEMPT, ["none"])[-1]


def _call_disagrees(call: RecordedCall, attempt: Attempt | None) -> Iterator[str]:
    what = f"call {call.number}, {call.command} of {call.api} {call.task} as attempt {_attempt_of(call)}"
    if attempt is None:
        yield f"{what}: no such attempt is recorded"
        return
    recorded = (attempt.api, attempt.task, attempt.command.command, attempt.command.fields.get("task"))
    work = call.body["task"] if call.command == "dispatch" else None
    if recorded != (call.api, call.task, call.command, work):
        yield f"{what}: recorded is {recorded}"


def _outcomes_disagree(recorded: Recorded, seen: dict[str, RecordedCall]) -> Iterator[str]:
    """Compare a command's record with the effects of its calls."""
    calls: dict[str, list[RecordedCall]] = {}
    for name, call in seen.items():
        calls.setdefault(name.partition(".")[0], []).append(call)
    moved = {(call.task, call.command) for call in seen.values() if call.applied}
    for number, command in recorded.commands.items():
        applied = sum(call.applied for call in calls.get(number, ()))
        what = f"command {number}, {command.command} of {command.task_id}, is {command.state}"
        if applied and (command.state in ("refused", "ended_first") or _was_never_sent(command)):
            yield f"{what}, and took effect"
        if command.state == "moot" and command.attempts == 0:
            yield f"{what}, and was never sent"
        if command.state == "done" and (command.task_id, command.command) not in moved and _must_be_sent(command):
            yield f"{what}, and nothing did that"
        if applied > 1 and not LIFECYCLES[command.lifecycle].event(command.command).idempotent:
            yield f"{what}, and took effect {applied} times"


def _was_never_sent(command: RecordedCommand) -> bool:
    """Return whether the procedure abandoned the command because it was never sent; a stop may abandon any."""
    return command.state == "abandoned" and not command.why.startswith("abandoned for")


def _must_be_sent(command: RecordedCommand) -> bool:
    """Return whether only the command can have led its task from its source state to the command's target."""
    lifecycle = LIFECYCLES[command.lifecycle]
    target = lifecycle.target(command.source, command.command)
    return target is not None and target not in lifecycle.reachable_by_remote(command.source)
