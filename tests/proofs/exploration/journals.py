"""The real journal in memory as an automaton: each content that it can have is one node.

A node stores the effects that lead to it. The first time that an effect reaches it, these effects are performed again
on a new journal, and then the new effect: each edge runs only once.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from lifecycle.effects import Effect, RecordIntent, RecordReport, Track, apply_journal_effect
from lifecycle.journal import CommandEntry, CommandRecord, Entry, Report, TaskJournal, TaskRecord
from lifecycle.memory import MemoryJournal
from tests.lifecycle.drivers import TASK, Declared
from tests.proofs.exploration.canonical import EPOCH_AT, Form

LEASE_S = 60.0
_STARTS_AT = EPOCH_AT + timedelta(days=1)  # by the journal's clock: after every report


class Shared(NamedTuple):
    """One task's journal: what each worker does with it, and a function that returns its history."""

    logs: dict[str, TaskJournal[str, str]]
    entries: Callable[[], list[Entry[str, str]]]


Joined = Callable[[Declared, tuple[str, ...], Callable[[], datetime]], Shared]


def join_memory(lifecycle: Declared, workers: tuple[str, ...], clock: Callable[[], datetime]) -> Shared:
    """Return the project's journal in memory with these workers."""
    journal = MemoryJournal(worker=workers[0], lease_s=LEASE_S, clock=clock)
    logs = {worker: journal.join(worker).task(lifecycle, TASK) for worker in workers}
    return Shared({**logs}, lambda: logs[workers[0]].entries)


class Kept(NamedTuple):
    """A command's record in the journal."""

    command: str
    state: str
    attempts: int
    claimed_by: str | None


class Timing(NamedTuple):
    """The meaning of an effect's tokens, and the time of the effect."""

    is_fresh: bool = True  # the returned version is the journal's
    is_newer: bool = True  # the returned report is newer than the last applied one
    has_lapsed: bool = False  # the lease of the command's claim has ended


class Past(NamedTuple):
    """One effect that a journal has performed for a worker."""

    worker: str
    effect: Effect
    has_lapsed: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Content:
    """The contents of a journal. `commands` are all commands of the task, oldest first."""

    number: int
    history: tuple[Past, ...]
    commands: tuple[Kept, ...]


class Written(NamedTuple):
    """The outcome of an effect: its result with the result's form, and its changes."""

    content: Content
    result: Any
    form: Hashable
    is_new_version: bool
    is_believed: bool


@dataclass
class _Clock:
    now: datetime = _STARTS_AT

    def __call__(self) -> datetime:
        return self.now

    def lapse(self, *, is_due: bool) -> None:
        """Let every lease lapse, if that is due."""
        if is_due:
            self.now += timedelta(seconds=LEASE_S + 1)


class Journal:
    """The journal of one task with several workers, as an automaton that grows during the exploration.

    Args:
        lifecycle: the task's lifecycle.
        workers: the workers' names.
        join: returns a journal in memory, which is the project's own or a mutant.
    """

    def __init__(self, lifecycle: Declared, workers: tuple[str, ...], join: Joined) -> None:
        self._lifecycle = lifecycle
        self._workers = workers
        self._join = join
        self._contents: dict[Hashable, Content] = {}
        self._edges: dict[tuple[int, str, Hashable, Timing], Written] = {}

    def __len__(self) -> int:
        return len(self._contents)

    def knowing(self, state: str | None, *, was_created: bool = False) -> Content:
        """Return the content of a journal with this state recorded, or (None) none, with or without the creation."""
        effects: list[Effect] = [Track(created=True)] if was_created else []
        if state is not None:
            effects.append(RecordReport(Report(state, EPOCH_AT)))
        history = tuple(Past(self._workers[0], effect) for effect in effects)
        return self._content(history, self._again(history)[0])

    def carry_out(self, content: Content, worker: str, effect: Effect, form: Hashable, timing: Timing) -> Written:
        """Perform an effect. `form` is the effect's canonical form."""
        edge = (content.number, worker, form, timing)
        written = self._edges.get(edge)
        if written is None:
            written = self._edges[edge] = self._write(content, worker, effect, timing)
        return written

    def _write(self, content: Content, worker: str, effect: Effect, timing: Timing) -> Written:
        shared, clock = self._again(content.history)
        log = shared.logs[worker]
        before = log.load()
        if isinstance(effect, RecordIntent):
            effect = replace(effect, version=before.version - (not timing.is_fresh))
        elif isinstance(effect, RecordReport):
            second = timedelta(seconds=1 if timing.is_newer else -1)
            effect = RecordReport(replace(effect.report, as_of=(before.as_of or EPOCH_AT) + second))
        clock.lapse(is_due=timing.has_lapsed)
        result = apply_journal_effect(effect, log)
        after = log.load()
        return Written(
            self._content((*content.history, Past(worker, effect, timing.has_lapsed)), shared),
            result,
            Form().of(result),
            after.version != before.version,
            after.as_of != before.as_of,
        )

    def _again(self, history: tuple[Past, ...]) -> tuple[Shared, _Clock]:
        clock = _Clock()
        shared = self._join(self._lifecycle, self._workers, clock)
        for past in history:
            clock.lapse(is_due=past.has_lapsed)
            apply_journal_effect(past.effect, shared.logs[past.worker])
        return shared, clock

    def _content(self, history: tuple[Past, ...], shared: Shared) -> Content:
        record = shared.logs[self._workers[0]].load()
        commands = _commands(shared.entries(), record)
        form = Form().of((record, commands))
        content = self._contents.get(form)
        if content is None:
            kept = tuple(_kept(each) for each in commands)
            content = self._contents[form] = Content(len(self._contents), history, kept)
        return content


def _commands(entries: list[Entry[str, str]], record: TaskRecord[str, str]) -> list[CommandRecord[str, str]]:
    found = {entry.record.id: entry.record for entry in entries if isinstance(entry, CommandEntry)}
    opened = record.open_command
    if opened is not None:  # a release changes it without an entry
        found[opened.id] = opened
    return list(found.values())


def _kept(record: CommandRecord[str, str]) -> Kept:
    claimed_by = None if record.lease is None else record.lease.worker
    return Kept(str(record.command), str(record.state), record.attempts, claimed_by)
