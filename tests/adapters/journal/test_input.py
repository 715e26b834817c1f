"""Bad input: foreign ids and statuses are kept unchanged, or refused before anything is written."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime
from math import inf, nan
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lifecycle import CommandEvent, UnknownName, get
from lifecycle.journal import LONGEST_NAME_BYTES, CommandRecord, Delivery, Report, RequestContext
from lifecycle_adapters.journal import RecordedCommand, RecordedReport, SqlJournal
from tests.adapters.journal.acting import at, knowing, opened, told
from tests.support.profiles import examples

STRANGE = [
    'it\'s "quoted"',
    "'; DROP TABLE lifecycle_tasks; --",
    "nul\0nul",
    "line\r\nline",
    "\\0000 \\ \\\\",
    "lone \ud800 and \udfff",
    "pair \U0001f600",
    "%s %(name)s :name ? $1",
    "",
    " ",
    "é vs e\u0301",
    "\u202eright to left",
]
TEXTS = st.text(st.characters(codec=None, exclude_categories=[]), max_size=40) | st.sampled_from(STRANGE)


@pytest.mark.parametrize("text", STRANGE)
def test_every_text_is_stored_unchanged(journal: SqlJournal, text: str) -> None:
    knowing(journal, "running", text, text, task=text)
    log = knowing(journal, "running", task=f"{text}2")
    command = opened(log, context=RequestContext(text, text, text), task=text)
    log.add_outcome(command.id, CommandEvent.LOSE, why=text, claim=1)
    journal.receive(Delivery(text, text, at(0), text))

    _, unknown = journal.history(text)
    assert isinstance(unknown, RecordedReport)
    assert (unknown.task_id, unknown.status, unknown.kind, unknown.times) == (text, text, "unknown", 2)
    last = journal.history(f"{text}2")[-1]
    assert isinstance(last, RecordedCommand)
    assert (last.idempotency_key, last.origin, last.reason, last.why, last.fields) == (
        text,
        text,
        text,
        text,
        {"task": text},
    )
    assert log.find_command(text) == log.load().open_command
    assert [task.task_id for task in journal.tasks().tasks] == [text, f"{text}2"]
    assert {row["task_id"] for row in journal.reports(get("v1-full"))} == {text, f"{text}2"}
    assert journal.open_tasks(get("v1-full")) == [f"{text}2"]
    assert journal.receive(Delivery(text, "", at(0), "")) is None
    assert list(journal.check()) == []
    assert journal.forget(text) == 1


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=examples(30))
@given(names=st.sets(TEXTS, min_size=2, max_size=5), word=TEXTS)
def test_names_that_differ_are_different_tasks(journal: SqlJournal, names: set[str], word: str) -> None:
    for name in names:
        journal.forget(name)

    journal.add_reports([told(name, word) for name in names])

    for name in names:
        [entry] = journal.history(name)
        assert isinstance(entry, RecordedReport)
        assert (entry.task_id, entry.status) == (name, word)


@pytest.mark.parametrize("worker", ["'; --", "nul\0", "\ud800"])
def test_worker_name_may_be_any_text(open_journal: Any, worker: str) -> None:
    journal = open_journal(worker=worker)
    knowing(journal, "running")

    assert [entry.worker for entry in journal.history("task-1")] == [worker]


# --- long texts ------------------------------------------------------------------------------------

LONG = "x" * 10_000


def test_an_id_that_no_index_takes_is_refused(journal: SqlJournal) -> None:
    log = knowing(journal, "running")
    delivery = Delivery("d-1", "status", at(0), "{}")
    refused: list[Callable[[], Any]] = [
        lambda: journal.task(get("v1"), LONG),
        lambda: journal.add_reports([told("task-2", "running"), told(LONG, "running")]),
        lambda: journal.receive(delivery, [told("task-2", "running"), told(LONG, "running")]),
        lambda: journal.receive(Delivery(LONG, "status", at(0), "{}"), [told("task-2", "running")]),
        lambda: opened(log, context=RequestContext(LONG)),
    ]

    for act in refused:
        with pytest.raises(ValueError, match=r"has 10,000 bytes; a journal accepts 1,000"):
            act()

    assert [task.task_id for task in journal.tasks().tasks] == ["task-1"]
    assert log.load().open_command is None
    assert journal.receive(delivery) == []
    assert log.find_command(LONG) is None
    assert journal.history(LONG) == []


@pytest.mark.parametrize("alphabet", ["x", "é", "\0\\", "\ud800\udfff\\", "".join(map(chr, range(1, 128)))])
def test_the_longest_id_that_is_taken_fits_an_index(journal: SqlJournal, alphabet: str) -> None:
    one = random.Random(7).choices(alphabet, k=LONGEST_NAME_BYTES)
    width = len(alphabet[0].encode("utf-8", "surrogatepass"))
    name = "".join(one)[: LONGEST_NAME_BYTES // width]

    log = knowing(journal, "running", task=name)
    command = opened(log, context=RequestContext(name))
    journal.receive(Delivery(name, "status", at(0), "{}"))

    assert log.find_command(name) == command
    assert [entry.task_id for entry in journal.history(name)] == [name, name]


def test_long_statuses_are_kept(journal: SqlJournal) -> None:
    word = "zombie" * 200_000
    log = knowing(journal, "running", word, word)
    command = opened(log, context=RequestContext(reason=word), task=word)
    log.add_outcome(command.id, CommandEvent.LOSE, why=word, claim=1)
    journal.receive(Delivery("d-1", "status", at(0), word))

    _, report, _, outcome = journal.history("task-1")

    assert isinstance(report, RecordedReport)
    assert (report.status, report.times) == (word, 2)
    assert isinstance(outcome, RecordedCommand)
    assert (outcome.reason, outcome.why, outcome.fields) == (word, word, {"task": word})


@pytest.mark.heavy
def test_a_batch_of_more_tasks_than_a_statement_has_parameters(journal: SqlJournal) -> None:
    reports = [told(f"task-{number}", "running") for number in range(70_000)]

    assert len(journal.add_reports(reports)) == len(journal.tasks(limit=100_000).tasks) == 70_000


# --- what is no JSON, no channel, no time ----------------------------------------------------------


def circular() -> list[Any]:
    endless: list[Any] = []
    endless.append(endless)
    return endless


@pytest.mark.parametrize(
    "value", [object(), {1, 2}, b"bytes", at(0), nan, inf, [{"deep": -inf}], circular(), {("a", "b"): 1}]
)
def test_fields_that_are_not_json_are_refused(journal: SqlJournal, value: Any) -> None:
    log = knowing(journal, "running")
    before = log.load()

    with pytest.raises(TypeError):
        opened(log, value=value)

    assert log.load() == before
    assert len(journal.history("task-1")) == 1


@pytest.mark.parametrize("value", [None, True, 10**400, -0.0, 1e300, [], {}, {"": [None, "\0\ud800"]}])
def test_fields_that_are_json_are_kept(journal: SqlJournal, value: Any) -> None:
    log = knowing(journal, "running")

    command = opened(log, value=value)

    assert command.fields == {"value": value}
    assert log.load().open_command == command


def test_a_channel_that_is_not_declared_leaves_nothing_half_written(journal: SqlJournal) -> None:
    reports = [told("task-1", "running"), told("task-1", "running", channel="mail")]
    delivery = Delivery("d-1", "status", at(0), "{}")

    with pytest.raises(UnknownName, match="unknown channel 'mail'"):
        journal.add_reports(reports)
    with pytest.raises(UnknownName):
        journal.receive(delivery, reports)

    assert journal.tasks().tasks == ()
    assert journal.receive(delivery) == []


def test_a_command_that_is_not_declared(journal: SqlJournal) -> None:
    log = knowing(journal, "running")

    for command, source in (("fly", "running"), ("pause", "flying")):
        with pytest.raises(UnknownName):
            log.add_intent(command, source=source, version=1, fields={})
    assert log.load().open_command is None


@pytest.mark.parametrize("version", [-1, 10**40])
def test_intent_at_an_unknown_version_is_not_opened(journal: SqlJournal, version: int) -> None:
    log = knowing(journal, "running")

    assert log.add_intent("pause", source="running", version=version, fields={}) == log.load()


def test_times_without_a_zone_are_refused(journal: SqlJournal) -> None:
    knowing(journal, "running")
    naive = datetime(2026, 1, 1)  # noqa: DTZ001

    with pytest.raises(ValueError, match="sent_at must have a time zone"):
        journal.receive(Delivery("d-1", "status", naive, "{}"))

    assert journal.receive(Delivery("d-1", "status", at(0), "{}")) == []
    assert len(journal.history("task-1")) == 1


@pytest.mark.parametrize("as_of", [datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)])
def test_every_time_is_kept(journal: SqlJournal, as_of: datetime) -> None:
    knowing(journal).add_report(Report("running", as_of))

    [entry] = journal.history("task-1")
    assert isinstance(entry, RecordedReport)
    assert entry.as_of == as_of


def test_empty_batch_records_nothing(journal: SqlJournal) -> None:
    assert journal.add_reports([]) == []
    assert journal.tasks().tasks == ()
    assert isinstance(opened(knowing(journal, "running")), CommandRecord)
