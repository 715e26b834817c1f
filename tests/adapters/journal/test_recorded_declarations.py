"""Each entry is judged by the declaration under which it was recorded, whatever the program declares since."""

from __future__ import annotations

import threading

import pytest
import sqlalchemy as sa

from lifecycle import (
    Audience,
    Event,
    Lifecycle,
    Origin,
    State,
    Transition,
    UnreadableRecord,
    diff,
)
from lifecycle.journal import CommandRecord, Report, TaskReport
from lifecycle.scope import scoped
from lifecycle_adapters.journal import DamageCode, RecordedReport, SqlJournal
from lifecycle_adapters.journal.schema import declarations
from tests.adapters.journal.acting import at
from tests.adapters.journal.conftest import OpenJournal

Declared = Lifecycle[str, str]


def job(*rows: tuple[str, str, str], states: str = "waiting printing done") -> Declared:
    """Return the lifecycle of these rows; the last state is final, and `cancel` is the only command."""
    *going, end = states.split()
    return Lifecycle(
        name="job",
        citation="of these tests",
        states=[*(State(each, initial=each == going[0]) for each in going), State(end, final=True)],
        events=[
            Event(each, Origin.CALLER if each == "cancel" else Origin.REMOTE)
            for each in dict.fromkeys(event for _, event, _ in rows)
        ],
        transitions=[Transition(*row) for row in rows],
    )


ROWS = [("waiting", "begin", "printing"), ("printing", "finish", "done"), ("waiting", "cancel", "done")]
OLD = job(*ROWS)
AGAIN = job(*ROWS, ("printing", "requeue", "waiting"))  # `waiting` is no longer a late report
JAMMED = job(
    *ROWS, ("printing", "jam", "jammed"), ("jammed", "clear", "printing"), states="waiting printing jammed done"
)


def report(journal: SqlJournal, lifecycle: Declared, *statuses: str, task: str = "7", second: int = 0) -> None:
    log = journal.task(lifecycle, task)
    for later, status in enumerate(statuses):
        log.add_report(Report(status, at(second + later)))


def test_a_history_is_judged_by_the_declarations_it_was_recorded_under(journal: SqlJournal) -> None:
    report(journal, OLD, "waiting", "printing", "waiting")
    report(journal, AGAIN, "waiting", "printing", second=3)
    report(journal, JAMMED, "jammed", second=5)

    entries = [each for each in journal.history("7") if isinstance(each, RecordedReport)]
    assert [each.kind for each in entries] == [None, "step", "stale", "step", "step", "step"]
    assert list(journal.check()) == []


def test_tasks_recorded_under_another_declaration_are_listed(journal: SqlJournal) -> None:
    report(journal, OLD, "waiting")
    report(journal, OLD, "waiting", "printing", task="8")
    assert (journal.recorded_otherwise(OLD), journal.recorded_otherwise(JAMMED)) == ([], ["7", "8"])

    report(journal, JAMMED, "jammed", task="8", second=9)

    assert (journal.recorded_otherwise(OLD), journal.recorded_otherwise(JAMMED)) == (["8"], ["7"])
    assert [row.declaration for row in journal.tasks().tasks] == [OLD.digest, JAMMED.digest]
    kept = journal.declarations()
    assert [(each.lifecycle, each.digest, each.tasks) for each in kept] == [
        ("job", OLD.digest, 1),
        ("job", JAMMED.digest, 1),
    ]
    assert [Lifecycle.from_json(each.text) for each in kept] == [OLD, JAMMED]


def rows(journal: SqlJournal) -> list[tuple[str, str]]:
    with journal.database.transaction() as connection:
        return [(digest, text) for _, digest, text in connection.execute(sa.select(declarations))]


def test_equivalent_declarations_are_stored_once(open_journal: OpenJournal) -> None:
    turned = OLD.replace(citation="another", transitions=[*reversed(OLD.transitions)])
    for lifecycle in (OLD, turned, scoped(OLD, ["acme"]), scoped(OLD, ["other"])):
        report(open_journal(), lifecycle, "waiting")

    [(digest, text)] = rows(open_journal())
    assert (digest, Lifecycle.from_json(text)) == (OLD.digest, OLD)


def test_stored_declaration_does_not_contain_the_scope(journal: SqlJournal) -> None:
    report(journal, scoped(OLD, ["acme"]), "waiting")
    [(_, text)] = rows(journal)
    assert Lifecycle.from_json(text) == OLD


def test_a_declaration_that_several_workers_store_at_once_is_stored_once(open_journal: OpenJournal) -> None:
    journals = [open_journal(worker=f"w{number}") for number in range(4)]
    together = threading.Barrier(len(journals))

    def record(journal: SqlJournal) -> None:
        together.wait(timeout=60)
        journal.add_reports([TaskReport(each, "7", Report("waiting", at(0))) for each in (OLD, JAMMED)])

    workers = [threading.Thread(target=record, args=(each,)) for each in journals]
    for each in workers:
        each.start()
    for each in workers:
        each.join()

    assert sorted(digest for digest, _ in rows(journals[0])) == sorted([OLD.digest, JAMMED.digest])
    assert list(journals[0].check()) == []


def test_other_order_of_equally_short_paths_is_no_damage(journal: SqlJournal) -> None:
    names = "waiting left right done"
    ways = [("waiting", "go_left", "left"), ("waiting", "go_right", "right")]
    ends = [("left", "finish", "done"), ("right", "finish", "done")]
    first, second = job(*ways, *ends, states=names), job(*reversed(ways), *ends, states=names)
    assert first.digest == second.digest
    assert first.path("waiting", "done") != second.path("waiting", "done")

    report(journal, first, "waiting", "done", task="1")
    report(journal, second, "waiting", "done", task="2")

    assert list(journal.check()) == []


DAMAGES = {
    "a text that declares nothing": ("UPDATE lifecycle_declarations SET text = '{}'", "it is not a declaration"),
    "a text that means something else": (
        "UPDATE lifecycle_declarations SET text = replace(text, 'printing', 'drying')", "its digest is"),
    "a text that is gone": ("DELETE FROM lifecycle_declarations", "declaration 1 is missing"),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_declaration_that_cannot_be_used_is_damage(journal: SqlJournal, damage: str) -> None:
    report(journal, OLD, "waiting", "printing", "done")
    statement, message = DAMAGES[damage]
    with journal.database.transaction() as connection:
        connection.exec_driver_sql(statement)

    found = [(each.code, message in each.message) for each in journal.check()]
    assert found == [(DamageCode.WRONG_DECLARATION, True)]
    assert journal.prune(at(100_000)) == 0


PAIRS = {
    "an extension": (OLD, JAMMED),
    "a state that is gone": (JAMMED, OLD),
    "a command that is gone": (OLD, job(*ROWS[:2])),
    "another path": (OLD, AGAIN),
    "a command of another name": (OLD, job(*ROWS[:2], ("waiting", "abort", "done"))),
}


@pytest.mark.parametrize("pair", PAIRS)
def test_compatible_declarations_read_the_same_journal(journal: SqlJournal, pair: str) -> None:
    before, after = PAIRS[pair]
    for state in before.states:
        report(journal, before, state.name, task=state.name)
        for command in before.allowed(state.name, origin="caller"):
            log = journal.task(before, f"{state.name} {command}")
            record = log.add_report(Report(state.name, at(0)))
            opened = log.add_intent(command, source=record.state, version=record.version, fields={})
            assert isinstance(opened, CommandRecord)

    unread: list[str] = []
    for row in journal.tasks().tasks:
        try:
            journal.task(after, row.task_id).load()
        except UnreadableRecord:
            unread.append(row.task_id)

    assert (unread == []) == (Audience.JOURNALS not in diff(before, after).broken)
