"""A durable journal equals the one in memory: the same operations give the same results and the same records."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any, NamedTuple, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lifecycle import CATALOG, Channel, CommandEvent, CommandState, Lifecycle
from lifecycle.journal import (
    CommandEntry,
    CommandRecord,
    Delivery,
    Entry,
    Report,
    ReportEntry,
    RequestContext,
    TaskRecord,
    TaskReport,
)
from lifecycle.memory import MemoryJournal, MemoryTaskJournal
from lifecycle_adapters.journal import Recorded, RecordedCommand, RecordedReport, SqlJournal
from tests.adapters.journal.acting import Time, at, recorded
from tests.adapters.journal.conftest import OpenJournal
from tests.support.profiles import examples

Declared = Lifecycle[str, str]
Command = CommandRecord[str, str]
Record = TaskRecord[str, str]
Row = tuple[Any, ...]

TASKS = ("one", "other")

# --- what can be done to a journal ----------------------------------------------------------------


class Tell(NamedTuple):
    task: str
    report: Report


class TellTogether(NamedTuple):
    told: tuple[Tell, ...]


class Deliver(NamedTuple):
    id: str
    told: tuple[Tell, ...]


class Intend(NamedTuple):
    task: str
    command: str
    key: str | None
    is_behind: bool  # the task has changed since it was read


class Attempt(NamedTuple):
    command: int  # of those opened, from the newest
    behind: int  # how many claims the worker is behind
    skipped: int


class End(NamedTuple):
    command: int
    behind: int
    event: CommandEvent


class Claim(NamedTuple):
    command: int
    dead: tuple[str, ...]


class Release(NamedTuple):
    command: int
    behind: int


class Find(NamedTuple):
    task: str
    key: str


Operation = Tell | TellTogether | Deliver | Intend | Attempt | End | Claim | Release | Find

KEYS = ("key-1", "key-2")
WORKER = "one"


def telling(lifecycle: Declared) -> st.SearchStrategy[Tell]:
    """Any status of any channel at any time, so that many are late or inside a cycle."""
    words = [*(state.name for state in lifecycle.states), *(alias.status for alias in lifecycle.aliases), "zombie"]
    reports = st.builds(Report, st.sampled_from(words), st.integers(0, 9).map(at), st.sampled_from(Channel))
    return st.builds(Tell, st.sampled_from(TASKS), reports)


def operations(lifecycle: Declared) -> st.SearchStrategy[list[Operation]]:
    tell, recent = telling(lifecycle), st.integers(0, 1)
    together = st.lists(tell, min_size=1, max_size=5).map(tuple)
    kinds: list[st.SearchStrategy[Any]] = [
        tell,
        tell,
        st.builds(TellTogether, together),
        st.builds(Deliver, st.sampled_from(("d-1", "d-2")), together),
        st.builds(Attempt, recent, recent, recent),
        st.builds(End, recent, recent, st.sampled_from(CommandEvent)),
        st.builds(Claim, recent, st.sampled_from([(), (WORKER,)])),
        st.builds(Release, recent, recent),
        st.builds(Find, st.sampled_from(TASKS), st.sampled_from(KEYS)),
    ]
    if lifecycle.commands:
        keys = st.none() | st.sampled_from(KEYS)
        intend = st.builds(Intend, st.sampled_from(TASKS), st.sampled_from(lifecycle.commands), keys, st.booleans())
        kinds += [intend, intend]
    return st.lists(st.one_of(kinds), max_size=25)


# --- doing it --------------------------------------------------------------------------------------


@dataclass
class Worker:
    """Applies operations to a journal; names commands by the order in which it opened them."""

    journal: MemoryJournal | SqlJournal
    lifecycle: Declared
    prefix: str = ""  # of what it calls tasks and deliveries
    opened: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])

    def __post_init__(self) -> None:
        # Referenced here, because the journal in memory forgets tasks without a reference.
        self.logs = {task: self.journal.task(self.lifecycle, self.prefix + task) for task in TASKS}

    def do(self, operation: Operation) -> Any:
        """Return the outcome, also if it is a refusal."""
        match operation:
            case Tell(task, report):
                return self.known(task, self.logs[task].add_report(report))
            case TellTogether(told):
                return self.journal.add_reports(self.reports(told))
            case Deliver(name, told):
                return self.journal.receive(Delivery(self.prefix + name, "status", at(0), "{}"), self.reports(told))
            case Intend():
                return self.intend(operation)
            case Find(task, key):
                return self.named(task, self.logs[task].find_command(key))
            case _ if operation.command < len(self.opened):
                return self.go_on(operation, *self.opened[-1 - operation.command])
            case _:
                return None

    def intend(self, intend: Intend) -> Record | Command | None:
        log = self.logs[intend.task]
        record = log.load()
        found = log.add_intent(
            intend.command,
            source=record.state or self.lifecycle.initial,
            version=record.version - intend.is_behind,
            fields={"task": "look", "times": [1, None]},
            context=RequestContext(intend.key, "a policy", "it is time"),
        )
        if isinstance(found, TaskRecord):
            return self.known(intend.task, found)
        self.opened.append((intend.task, found.id))
        return self.named(intend.task, found)

    def go_on(self, operation: Attempt | End | Claim | Release, task: str, number: str) -> Any:
        log = self.logs[task]
        command = log.load_command(number)
        match operation:
            case Attempt(_, behind, skipped):
                return log.add_attempt(number, number=skipped + 1 + command.attempts, claim=command.claim - behind)
            case End(_, behind, event):
                outcome = log.add_outcome(number, event, why="so it was", claim=command.claim - behind)
                return self.known(task, outcome.task), self.named(task, outcome.command)
            case Claim(_, dead):
                return self.named(task, log.claim(number, dead=dead))
            case Release(_, behind):
                return log.release(number, claim=command.claim - behind)

    def reports(self, told: Iterable[Tell]) -> list[TaskReport]:
        return [TaskReport(self.lifecycle, self.prefix + task, report) for task, report in told]

    def known(self, task: str, record: Record) -> Record:
        return replace(record, open_command=self.named(task, record.open_command))

    def named(self, task: str, command: Command | None) -> Command | None:
        return None if command is None else replace(command, id=self.name(task, command.id))

    def name(self, task: str, number: str) -> str:
        return str(self.opened.index((task, number)) if (task, number) in self.opened else len(self.opened))

    def records(self) -> list[Record]:
        return [self.known(task, log.load()) for task, log in self.logs.items()]

    def entries(self) -> list[list[Row]]:
        """Return every task's entries, in a form that is the same for each kind of journal."""
        return [list(self.rows(task)) for task in TASKS]

    def rows(self, task: str) -> Iterator[Row]:
        if isinstance(self.journal, SqlJournal):
            recorded = self.journal.history(self.prefix + task, self.lifecycle.name)
            return (self.recorded(task, entry) for entry in recorded)
        log = cast("MemoryTaskJournal[str, str]", self.logs[task])
        return (self.remembered(task, entry) for entry in log.entries)

    def remembered(self, task: str, entry: Entry[str, str]) -> Row:
        match entry:
            case ReportEntry(report, state, seen):
                found = (None, None, ()) if seen is None else (seen.known, seen.kind, seen.path)
                return "report", entry.times, report, *found, state, entry.late, entry.unconfirmed
            case CommandEntry(record, event, why):
                # What is said of a command last is said by the entry.
                # Who held it and how often it was claimed, an entry does not say.
                return "command", event, replace(record, id=self.name(task, record.id), why=why, claim=1, lease=None)

    def recorded(self, task: str, entry: Recorded) -> Row:
        if isinstance(entry, RecordedReport):
            report, found = Report(entry.status, entry.as_of, entry.channel), (entry.before, entry.kind, entry.path)
            return "report", entry.times, report, *found, entry.state, entry.late, entry.unconfirmed
        assert isinstance(entry, RecordedCommand)
        context = RequestContext(entry.idempotency_key, entry.origin, entry.reason)
        record: Command = CommandRecord(
            self.name(task, entry.id), entry.command, entry.source, CommandState(entry.state), entry.fields,
            entry.attempts, context, entry.why,
        )  # fmt: skip
        return "command", entry.event, record


# --- the same of each ------------------------------------------------------------------------------

SHARED = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])  # each example has tasks of its own
NAMES = count()


@pytest.mark.hypothesis
@pytest.mark.parametrize("name", CATALOG)
def test_a_durable_journal_does_what_the_one_in_memory_does(name: str, open_journal: OpenJournal, time: Time) -> None:
    durable, reader = open_journal(), open_journal(worker="another", read_only=True)
    number = examples(5 if durable.database.dialect.name == "postgresql" else 25)

    @settings(SHARED, max_examples=number)
    @given(st.data())
    def agree(data: st.DataObject) -> None:
        lifecycle, prefix = CATALOG[name], f"{next(NAMES)}-"
        kept = MemoryJournal(worker=WORKER, lease_s=durable.lease.total_seconds(), clock=time)
        memory, sql = Worker(kept, lifecycle), Worker(durable, lifecycle, prefix)

        for operation in data.draw(operations(lifecycle)):
            assert sql.do(operation) == memory.do(operation)

        for one in (sql, Worker(reader, lifecycle, prefix, sql.opened)):
            assert one.records() == memory.records()
            assert one.entries() == memory.entries()

    agree()
    assert list(reader.check()) == []


@given(st.data())
@settings(SHARED, max_examples=examples(10))
def test_reports_in_one_batch_are_those_reports_one_by_one(journal: SqlJournal, data: st.DataObject) -> None:
    told = [
        (CATALOG[name], tell)
        for name in data.draw(st.lists(st.sampled_from(("v1-full", "v3-full", "v4")), max_size=12))
        for tell in [data.draw(telling(CATALOG[name]))]
    ]
    single, batch = (f"{next(NAMES)}-" for _ in range(2))

    entries = recorded(journal, [TaskReport(one, batch + tell.task, tell.report) for one, tell in told])
    for one, tell in told:
        journal.task(one, single + tell.task).add_report(tell.report)

    for lifecycle in {one.name: one for one, _ in told}.values():
        of_batch, of_single = Worker(journal, lifecycle, batch), Worker(journal, lifecycle, single)
        assert of_batch.records() == of_single.records()
        assert of_batch.entries() == of_single.entries()
    assert [entry.report for entry in entries] == [tell.report for _, tell in told]
