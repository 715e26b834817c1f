"""Queries of a journal: tasks by state and page, a task's history, rows for logs; and that indexes are used."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from lifecycle import V1_FULL, V4, V4_MESSAGE, CommandEvent, Lifecycle, UnknownName, get
from lifecycle.journal import Report, RequestContext, TaskReport
from lifecycle_adapters.journal import RecordedCommand, RecordedReport, SqlJournal, TaskRow
from lifecycle_adapters.journal.database import TransactionMode
from tests.adapters.cli.commands import call_json
from tests.adapters.journal.acting import Time, at, hearing, knowing, opened, told
from tests.adapters.journal.conftest import OpenJournal

# --- tasks -----------------------------------------------------------------------------------------


def test_task_row_has_the_current_state(journal: SqlJournal, time: Time) -> None:
    log = knowing(journal, "running", "running")
    command = opened(log)
    time.go(5)
    log.add_attempt(command.id, number=1, claim=1)

    assert journal.tasks().tasks == (
        TaskRow(
            lifecycle="v1-full",
            task_id="task-1",
            state="running",
            version=3,
            as_of=at(1),
            since=at(0),
            first_at=at(0),
            changed_at=time.now,
            command="pause",
            command_state="recorded",
            claimed_by="one",
            declaration=V1_FULL.digest,
        ),
    )


def test_the_worker_that_has_claimed_the_open_command(journal: SqlJournal) -> None:
    log = knowing(journal, "running")
    command = opened(log)

    log.release(command.id, claim=1)
    [let_go] = journal.tasks().tasks
    log.add_outcome(command.id, CommandEvent.ABANDON, why="", claim=1)
    [ended] = journal.tasks().tasks

    assert (let_go.command, let_go.claimed_by) == ("pause", None)
    assert (ended.command, ended.command_state, ended.claimed_by) == (None, None, None)


@pytest.mark.parametrize("limit", [1, 3, 9, 10, 11])
def test_pages_have_every_task_once_in_the_order_they_became_known(journal: SqlJournal, limit: int) -> None:
    names = [f"task-{number}" for number in (3, 1, 4, 0, 5, 9, 2, 6, 8, 7)]
    for name in names:
        knowing(journal, "running", task=name)
    seen: list[str] = []
    after: int | None = 0

    while after is not None:
        page = journal.tasks(after=after, limit=limit)
        assert len(page.tasks) <= limit
        seen += [task.task_id for task in page.tasks]
        after = page.after

    assert seen == names


def test_tasks_that_are_added_while_pages_are_read_are_on_the_last(journal: SqlJournal) -> None:
    for name in ("a", "b", "c"):
        knowing(journal, "running", task=name)
    first = journal.tasks(limit=2)
    knowing(journal, "running", task="0")
    assert first.after is not None

    assert [task.task_id for task in journal.tasks(after=first.after, limit=2).tasks] == ["c", "0"]


def test_tasks_of_a_lifecycle_and_in_a_state(journal: SqlJournal) -> None:
    knowing(journal, "running", task="a")
    knowing(journal, "running", "stopped", task="b")
    knowing(journal, "running", task="c", lifecycle="v3-full")
    knowing(journal, "zombie", task="d")

    def found(*query: str | None) -> list[str]:
        return [task.task_id for task in journal.tasks(*query).tasks]

    assert found("v1-full") == ["a", "b", "d"]
    assert found("v1-full", "running") == ["a"]
    assert found(None, "running") == ["a", "c"]
    assert found("v1-full", "paused") == [], "declared, and no task is in it"


def test_state_of_an_own_lifecycle_is_known_from_its_declaration(journal: SqlJournal) -> None:
    own = Lifecycle.from_yaml(
        "{name: queue, citation: a queue, states: [{name: in line, initial: true}, {name: served, final: true}],"
        " events: [{name: serve, origin: remote}], transitions: [{source: in line, event: serve, target: served}]}"
    )
    journal.task(own, "1").add_report(Report("in line", datetime.now(UTC)))

    assert journal.tasks(own, "served").tasks == ()
    assert [each.task_id for each in journal.tasks(own, "in line").tasks] == ["1"]
    with pytest.raises(UnknownName, match="unknown state 'severed'; did you mean 'served'"):
        journal.tasks(own, "severed")


def test_a_name_that_was_never_recorded_is_an_error(journal: SqlJournal) -> None:
    knowing(journal, "running", task="a")
    knowing(journal, "asleep", task="b", lifecycle="v3-full")
    recorded = r"\(known: v1-full, v3-full\)"

    for ask in (
        lambda: journal.tasks("v1"),
        lambda: journal.history("a", "v1"),
        lambda: journal.forget("a", "v1"),
        lambda: list(journal.reports(get("v1"))),
    ):
        with pytest.raises(
            UnknownName, match=rf"the journal: unknown lifecycle 'v1'; did you mean 'v1-full'\? {recorded}"
        ):
            ask()
    with pytest.raises(UnknownName, match=r"v1-full: unknown state 'runing'; did you mean 'running'\?"):
        journal.tasks("v1-full", "runing")
    with pytest.raises(UnknownName, match="unknown state 'paused'"):
        journal.tasks("v3-full", "paused")
    with pytest.raises(UnknownName, match=r"unknown state \"' OR '1'='1\""):
        journal.tasks(None, "' OR '1'='1")
    assert journal.tasks(None, "paused").tasks == ()
    assert journal.history("c") == journal.history("c", "v1-full") == []
    assert journal.forget("c") == journal.forget("a", "v3-full") == 0
    assert journal.lifecycles() == ("v1-full", "v3-full")


def test_own_lifecycle_has_the_states_of_its_recorded_declaration(journal: SqlJournal) -> None:
    own = get("v1").replace(name="job")
    journal.task(own, "7").add_report(Report("running", at(0)))

    assert [task.task_id for task in journal.tasks("job", "running").tasks] == ["7"]
    assert journal.tasks("job", "paused").tasks == (), "declared, and no task is in it"
    with pytest.raises(UnknownName, match=r"job: unknown state 'finished' \(known: running, paused, stopped\)"):
        journal.tasks("job", "finished")


def test_a_journal_in_which_nothing_is_recorded_accepts_the_names_that_are_declared(journal: SqlJournal) -> None:
    own = get("v1").replace(name="job")

    for known in (None, "v1", "v1-full", "v4-message[s1]", own):
        assert journal.tasks(known).tasks == ()
        assert journal.history("a", known) == []
        assert journal.forget("a", known) == 0
    for named in (None, "v1", own):
        assert journal.tasks(named, "paused").tasks == ()
    assert list(journal.reports(own)) == []
    assert journal.lifecycles() == ()


def test_a_journal_in_which_nothing_is_recorded_refuses_names_that_nobody_declares(journal: SqlJournal) -> None:
    for ask in (
        lambda: journal.tasks("v1-ful"),
        lambda: journal.history("a", "v1-ful"),
        lambda: journal.forget("a", "v1-ful"),
    ):
        with pytest.raises(UnknownName, match=r"the journal, which is empty: unknown lifecycle 'v1-ful'; did you mean"):
            ask()
    for lifecycle in ("v1", get("v1"), get("v1").replace(name="job")):
        with pytest.raises(UnknownName, match=r"unknown state 'pausd'; did you mean 'paused'\?"):
            journal.tasks(lifecycle, "pausd")
    with pytest.raises(
        UnknownName, match=r"the journal, which is empty: unknown state 'pausd'; did you mean 'paused'\?"
    ):
        journal.tasks(None, "pausd")


def test_an_emptied_journal_knows_what_it_recorded(journal: SqlJournal) -> None:
    own = Lifecycle.from_yaml(OWN)
    journal.task(own, "7").add_report(Report("waiting", at(0)))
    journal.forget("7")

    assert journal.tasks("job").tasks == journal.tasks("job", "printed").tasks == journal.tasks(None, "printed").tasks
    with pytest.raises(UnknownName, match="unknown state 'finished'"):
        journal.tasks("job", "finished")


OWN = """
name: job
citation: c
states: [{name: waiting, initial: true}, {name: printed, final: true}]
events: [{name: print, origin: remote}]
transitions: [{source: waiting, event: print, target: printed}]
"""


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_must_be_positive(journal: SqlJournal, limit: int) -> None:
    with pytest.raises(ValueError, match=f"limit must be at least 1, not {limit}"):
        journal.tasks(limit=limit)
    with pytest.raises(ValueError, match=f"limit must be at least 1, not {limit}"):
        journal.changes(limit=limit)


def test_tasks_with_an_open_command(open_journal: OpenJournal) -> None:
    journal = open_journal()
    first = opened(knowing(journal, "running", task="a"))
    opened(knowing(journal, "running", task="b"))
    opened(knowing(journal, "running", task="c", lifecycle="v1"))
    knowing(journal, "running", task="d")
    knowing(journal, task="a").add_outcome(first.id, CommandEvent.REFUSE, why="", claim=1)

    assert open_journal().open_tasks(get("v1-full")) == ["b"]
    assert open_journal().open_lifecycles() == ["v1", "v1-full"]
    assert journal.open_tasks(get("v1")) == ["c"]
    assert journal.open_tasks(get("v4")) == []


# --- one task --------------------------------------------------------------------------------------


def test_a_history_has_the_worker_and_the_time_of_each_entry(open_journal: OpenJournal, time: Time) -> None:
    one, two = open_journal(), open_journal(worker="two")
    begun_at = time.now
    log = knowing(one, "running")
    command = opened(log, context=RequestContext("key-1", "policy", "it costs too much"), note="x")
    time.go(1)
    knowing(two).add_report(Report("paused", at(1)))
    time.go(1)
    knowing(two).add_outcome(command.id, CommandEvent.CONFIRM, why="it is paused", claim=1)

    first, intent, report, outcome = one.history("task-1", "v1-full")

    common = {"lifecycle": "v1-full", "task_id": "task-1"}
    assert first == RecordedReport(
        **common, at=begun_at, worker="one", status="running", channel="api", as_of=at(0), before=None, kind=None,
        path=(), state="running", late=False, unconfirmed=False, times=1,
    )  # fmt: skip
    assert (report.worker, report.at) == ("two", at(100_001))
    assert isinstance(report, RecordedReport)
    assert (report.before, report.kind, report.path, report.state) == ("running", "step", ("pause",), "paused")
    given: dict[str, Any] = {
        **common, "id": command.id, "command": "pause", "source": "running", "fields": {"note": "x"}, "attempts": 0,
        "idempotency_key": "key-1", "origin": "policy", "reason": "it costs too much",
    }  # fmt: skip
    assert intent == RecordedCommand(**given, at=begun_at, worker="one", event=None, state="recorded", why="intended")
    assert outcome == RecordedCommand(
        **given, at=at(100_002), worker="two", event="confirm", state="done", why="it is paused"
    )


def test_equal_reports_are_counted(journal: SqlJournal) -> None:
    log = knowing(journal, *["running"] * 3, "paused", "paused")
    command = opened(log, "resume")
    for second in (5, 6):
        log.add_report(Report("paused", at(second)))
    log.add_outcome(command.id, CommandEvent.ABANDON, why="", claim=1)
    log.add_report(Report("paused", at(7)))

    reports = [each for each in journal.history("task-1") if isinstance(each, RecordedReport)]
    assert [(each.status, each.times) for each in reports] == [
        ("running", 3),
        ("paused", 2),
        ("paused", 2),
        ("paused", 1),
    ]


def test_a_history_is_of_one_lifecycle_or_of_all(journal: SqlJournal) -> None:
    knowing(journal, "running", "running")
    knowing(journal, "running", lifecycle="v3-full")

    assert [each.lifecycle for each in journal.history("task-1")] == ["v1-full", "v3-full"]
    assert [getattr(each, "times", 0) for each in journal.history("task-1")] == [2, 1]
    assert [each.lifecycle for each in journal.history("task-1", "v3-full")] == ["v3-full"]


def test_an_unknown_task_has_no_history(journal: SqlJournal) -> None:
    knowing(journal, "running")

    assert journal.history("task-2") == []
    assert knowing(journal, task="task-2").find_command("key-1") is None


def test_a_task_that_is_only_tracked_has_no_history(journal: SqlJournal) -> None:
    log = knowing(journal)

    log.track()
    log.track()

    assert [(task.task_id, task.state) for task in journal.tasks().tasks] == [("task-1", None)]
    assert journal.history("task-1") == []
    assert list(journal.check()) == []


# --- a clock that is set back ----------------------------------------------------------------------


def test_after_a_clock_was_set_back_reports_are_not_late(journal: SqlJournal, time: Time) -> None:
    log = knowing(journal, "running")
    log.add_report(Report("paused", at(99_000)))
    time.go(-2_000)

    moved = log.add_report(Report("running", at(98_000)))

    assert (moved.state, moved.as_of) == ("running", at(98_000))


def test_report_time_is_at_most_now(journal: SqlJournal, time: Time) -> None:
    record = knowing(journal).add_report(Report("running", at(900_000)))

    assert (record.as_of, record.since) == (time.now, time.now)
    [entry] = journal.history("task-1")
    assert isinstance(entry, RecordedReport)
    assert entry.as_of == at(900_000)


# --- scopes ----------------------------------------------------------------------------------------

SCOPES: dict[str, Lifecycle[Any, Any]] = {
    "a": V4.replace(name="v4[acme/web]"),
    "b": V4.replace(name="v4[acme/docs]"),
    "c": V4_MESSAGE.replace(name="v4-message[s1]"),
}


@pytest.fixture
def scopes(journal: SqlJournal) -> SqlJournal:
    """A journal with one task in each scope."""
    journal.add_reports([TaskReport(scope, task, Report("cancelled", at(0))) for task, scope in SCOPES.items()])
    return journal


@pytest.mark.parametrize(("lifecycle", "found"), [(V4, {"a", "b"}), (SCOPES["a"], {"a"}), (V4_MESSAGE, {"c"})])
def test_the_name_of_a_lifecycle_means_all_of_its_scopes(
    scopes: SqlJournal, lifecycle: Lifecycle[Any, Any], found: set[str]
) -> None:
    for named in (lifecycle, lifecycle.name):
        assert {task.task_id for task in scopes.tasks(named).tasks} == found
        assert {task.task_id for task in scopes.tasks(named, "cancelled").tasks} == found
        assert {task for task in "abc" if scopes.history(task, named)} == found
    assert {row["task_id"] for row in scopes.reports(lifecycle)} == found
    assert sum(scopes.forget(task, lifecycle.name) for task in found) == len(found)
    assert {task.task_id for task in scopes.tasks().tasks} == {*"abc"} - found


def test_a_name_that_is_itself_recorded_means_no_scope(scopes: SqlJournal) -> None:
    scopes.add_reports([told("a", "running", lifecycle="v4")])

    assert [task.lifecycle for task in scopes.tasks("v4").tasks] == ["v4"]
    assert [row["status"] for row in scopes.reports(V4)] == ["running"]


@pytest.mark.parametrize("name", ["v", "v4[acme]", "v4[acme/we", "v4[acme/web]x", "V4", "v%", "v_"])
def test_part_of_a_name_means_nothing(scopes: SqlJournal, name: str) -> None:
    with pytest.raises(UnknownName, match="known: v4-message"):
        scopes.tasks(name)


def test_reports_of_all_scopes_need_different_ids(scopes: SqlJournal) -> None:
    scopes.add_reports([TaskReport(SCOPES["a"], "b", Report("running", at(0)))])

    with pytest.raises(ValueError, match=re.escape("'b' in several scopes, such as v4[acme/docs] and v4[acme/web]; ")):
        list(scopes.reports(V4))
    assert len(list(scopes.reports(SCOPES["b"]))) == 1


# --- rows for logs ---------------------------------------------------------------------------------


def test_reports_are_rows_that_checkers_of_logs_read(journal: SqlJournal, tmp_path: Path) -> None:
    journal.add_reports(
        [
            told("a", "created"),
            told("a", "started", 2, channel="webhook"),
            told("b", "running", 1),
            told("a", "paused", 3),
            told("a", "zombie", 9),
            told("b", "paused", 2, lifecycle="v1"),
            told("a", "initializing", 1, channel="webhook"),
        ]
    )
    path = tmp_path / "log.jsonl"

    rows = [{**row, "at": row["at"].isoformat()} for row in journal.reports(get("v1-full"))]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))

    in_time = sorted(rows, key=lambda row: (row["task_id"], row["at"]))
    assert [row["status"] for row in in_time] == ["created", "created", "running", "paused", "zombie", "running"]
    document = call_json("check", "v1-full", str(path), "--notes")
    assert (document["tasks"], document["rows"], document["unreadable_rows"]) == (2, 6, 0)
    assert [(each["task"], each["code"], each["status"]) for each in document["findings"]] == [
        ("a", "duplicate", "created"),
        ("a", "unknown_status", "zombie"),
        ("b", "wrong_start", "running"),
    ]


# --- indexes ---------------------------------------------------------------------------------------


@contextmanager
def explaining(journal: SqlJournal) -> Generator[list[str]]:
    """Collect how the database would execute what the journal asks it for, had it more rows than it has."""
    plans: list[str] = []
    is_sqlite = journal.database.dialect.name == "sqlite"

    def told_of(_: Any, cursor: Any, statement: str, parameters: Any, *__: Any) -> None:
        if statement.startswith("BEGIN"):
            return
        if not is_sqlite:
            cursor.execute("SET enable_seqscan = off")
        cursor.execute(f"EXPLAIN {'QUERY PLAN' if is_sqlite else ''} {statement}", parameters)
        plans.append("\n".join(str(row[-1]) for row in cursor.fetchall()))

    with hearing("before_cursor_execute", journal, told_of):
        yield plans


COMMANDS = """
    INSERT INTO lifecycle_commands (task, command, source, state, is_open, fields, attempts, idempotency_key, origin,
                                    reason, why, worker, session)
    SELECT id, 'stop', 'running', 'done', id = 100, '{}', 1, task_id, '', '', '', '', '' FROM lifecycle_tasks
"""


@pytest.fixture
def crowded(journal: SqlJournal) -> SqlJournal:
    """A journal with so many tasks and commands that it matters which index a database uses."""
    names = [f"task-{number}" for number in range(1_000)]
    journal.add_reports([told(name, "paused" if name.endswith("77") else "running") for name in names])
    with journal.database.transaction() as connection:
        connection.exec_driver_sql(COMMANDS)
        connection.exec_driver_sql("ANALYZE")
    return journal


Ask = Callable[[SqlJournal], object]
LOOK_UPS: list[tuple[str, Ask]] = [
    ("lifecycle_tasks_by_name", lambda journal: journal.task(V1_FULL, "task-7").load()),
    ("lifecycle_tasks_by_name", lambda journal: journal.history("task-7")),
    ("lifecycle_entries_by_task", lambda journal: journal.history("task-7")),
    ("lifecycle_tasks_by_state", lambda journal: journal.tasks("v1-full", "paused", limit=10)),
    ("lifecycle_entries_by_xact", lambda journal: journal.changes("0:1", limit=10)),
    ("lifecycle_commands_open", lambda journal: journal.open_tasks(V1_FULL)),
]


@pytest.mark.parametrize(("index", "ask"), LOOK_UPS)
def test_frequent_queries_use_an_index(crowded: SqlJournal, index: str, ask: Ask) -> None:
    with explaining(crowded) as plans:
        ask(crowded)

    if crowded.database.dialect.name == "sqlite":  # which names what makes a constraint itself
        index = re.sub(r"lifecycle_(\w+)_by_name", r"sqlite_autoindex_lifecycle_\1_1", index)
    assert index in plans[-1]
    assert "SCAN lifecycle_tasks" not in plans[-1]


def test_snapshot_transaction_does_not_see_later_writes(open_journal: OpenJournal) -> None:
    journal, other = open_journal(), open_journal()
    knowing(journal, "running")

    with journal.database.transaction(TransactionMode.SNAPSHOT) as connection:
        count = sa.text("SELECT count(*) FROM lifecycle_entries")
        before = connection.scalar(count)
        knowing(other).add_report(Report("paused", at(1)))

        assert connection.scalar(count) == before
