"""The real journal in memory as an automaton: each content that it can have is one node.

A node remembers the effects that lead to it. The first time that an effect reaches it, they are carried
out again on a new journal, and then that effect: each edge is run once only.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from lifecycle.effects import Effect, RecordIntent, RecordReport, carry_out
from lifecycle.journal import CommandEntry, CommandRecord, Report, TaskRecord
from lifecycle.memory import MemoryJournal, MemoryLog
from tests.lifecycle.drivers import TASK, Declared
from tests.proofs.exploration.canonical import EPOCH_AT, Form

LEASE_S = 60.0
_STARTS_AT = EPOCH_AT + timedelta(days=1)  # by the journal's clock: after every report
HAS_CLAIMS = "lease_s" in inspect.signature(MemoryJournal).parameters


class Kept(NamedTuple):
    """A command as the journal has it."""

    command: str
    state: str
    attempts: int
    holder: str | None


class Timing(NamedTuple):
    """What an effect's tokens stand for, and when it takes place."""

    is_fresh: bool = True  # the version handed back is the journal's
    is_newer: bool = True  # the report handed back is newer than the last that was believed
    has_lapsed: bool = False  # the lease of the worker that holds the command is over


@dataclass(frozen=True, slots=True, eq=False)
class Content:
    """What a journal holds. `commands` are all of the task's, oldest first."""

    number: int
    history: tuple[tuple[str, Effect, bool], ...]
    commands: tuple[Kept, ...]
    state: str | None


class Written(NamedTuple):
    """What came of an effect: its result with the result's form, and what it changed."""

    content: Content
    result: Any
    form: Hashable
    is_new_version: bool
    is_believed: bool


class _Clock:
    def __init__(self) -> None:
        self.now = _STARTS_AT

    def __call__(self) -> datetime:
        return self.now


Make = Callable[..., MemoryJournal]


class Journal:
    """The journal of one task with several workers, as an automaton that is built as it is explored.

    Args:
        lifecycle: of the task.
        workers: their names.
        make: makes a journal in memory; another class than the real one is a mutant.
    """

    def __init__(self, lifecycle: Declared, workers: tuple[str, ...], make: Make = MemoryJournal) -> None:
        self._lifecycle = lifecycle
        self._workers = workers
        self._make = make
        self._contents: dict[Hashable, Content] = {}
        self._edges: dict[tuple[int, str, Hashable, Timing], Written] = {}

    def __len__(self) -> int:
        return len(self._contents)

    def knowing(self, state: str | None) -> Content:
        """Return the content of a journal to which that state was reported, or nothing."""
        history: tuple[tuple[str, Effect, bool], ...] = ()
        if state is not None:
            history = ((self._workers[0], RecordReport(Report(state, EPOCH_AT)), False),)
        logs = self._again(history)
        return self._content(history, logs[self._workers[0]])

    def carry_out(self, content: Content, worker: str, effect: Effect, form: Hashable, timing: Timing) -> Written:
        """Carry an effect out. `form` is the effect's canonical form."""
        edge = (content.number, worker, form, timing)
        written = self._edges.get(edge)
        if written is None:
            written = self._edges[edge] = self._write(content, worker, effect, timing)
        return written

    def _write(self, content: Content, worker: str, effect: Effect, timing: Timing) -> Written:
        logs = self._again((*content.history, ("", effect, True)) if timing.has_lapsed else content.history)
        log = logs[worker]
        before = log.load()
        if isinstance(effect, RecordIntent):
            effect = replace(effect, version=before.version - (not timing.is_fresh))
        elif isinstance(effect, RecordReport):
            last_at = before.as_of or EPOCH_AT
            as_of = last_at + timedelta(seconds=1) if timing.is_newer else last_at - timedelta(seconds=1)
            effect = RecordReport(replace(effect.report, as_of=as_of))
        result = carry_out(effect, log)
        after = log.load()
        history = (*content.history, (worker, effect, timing.has_lapsed))
        return Written(
            self._content(history, log),
            result,
            Form().of(result),
            after.version != before.version,
            after.as_of != before.as_of,
        )

    def _again(self, history: tuple[tuple[str, Effect, bool], ...]) -> dict[str, MemoryLog[str, str]]:
        clock = _Clock()
        logs = self._logs(clock)
        for worker, effect, has_lapsed in history:
            if has_lapsed:
                clock.now += timedelta(seconds=LEASE_S + 1)
            if worker:
                carry_out(effect, logs[worker])
        return logs

    def _logs(self, clock: _Clock) -> dict[str, MemoryLog[str, str]]:
        first, *others = self._workers
        if not HAS_CLAIMS:
            journal = self._make()
            return dict.fromkeys(self._workers, journal.task(self._lifecycle, TASK))
        journal = self._make(worker=first, lease_s=LEASE_S, clock=clock)
        joined: Any = journal
        journals = {first: journal, **{name: joined.join(name) for name in others}}
        return {name: each.task(self._lifecycle, TASK) for name, each in journals.items()}

    def _content(self, history: tuple[tuple[str, Effect, bool], ...], log: MemoryLog[str, str]) -> Content:
        record = log.load()
        commands = _commands(log, record)
        form = Form().of((record, list(commands.values())))
        content = self._contents.get(form)
        if content is None:
            kept = tuple(
                Kept(str(each.command), str(each.state), each.attempts, _holder(each)) for each in commands.values()
            )
            content = self._contents[form] = Content(len(self._contents), history, kept, record.state)
        return content


def _commands(log: MemoryLog[str, str], record: TaskRecord[str, str]) -> dict[str, CommandRecord[str, str]]:
    found = {entry.record.id: entry.record for entry in log.entries if isinstance(entry, CommandEntry)}
    opened = record.open_command
    if opened is not None:  # a release changes it without an entry
        found[opened.id] = opened
    return found


def _holder(record: CommandRecord[str, str]) -> str | None:
    hold: Any = getattr(record, "hold", None)
    return None if hold is None else str(hold.worker)
