"""Creates in every journal: their records, claims and keys, and what is forgotten."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from lifecycle import CommandEvent, CommandState, Lifecycle, UnreadableCreate, get
from lifecycle.journal import CreatedTask, CreateRecord, Creates, Lease, Report, RequestContext
from lifecycle.memory import MemoryJournal
from lifecycle_adapters.journal import DamageCode, RecordedCreate, RecordedReport, RecordedUnreadable, SqlJournal
from tests.adapters.journal.acting import START, Time, at, told
from tests.adapters.journal.conftest import KINDS, OpenJournal, sqlite_url

V1: Lifecycle[str, str] = get("v1-full")
V2: Lifecycle[str, str] = get("v2-full")
FIELDS = {"task": "buy milk", "times": [1, None]}
LABELS = {"order": "5", "nul": "\0"}
KEY = RequestContext("order 5", "a shop", "it is sold out")
LEASE_S = 60.0

Join = Callable[..., Creates]


@pytest.fixture(params=["memory", *KINDS])
def join(request: pytest.FixtureRequest, tmp_path: Path, time: Time) -> Iterator[Join]:
    """Open the creates of a lifecycle in one journal, as a worker of that name."""
    if request.param == "memory":
        memory = MemoryJournal(clock=time, lease_s=LEASE_S)

        def join_memory(worker: str, lifecycle: Lifecycle[str, str] = V1) -> Creates:
            return memory.join(worker).creates(lifecycle)

        yield join_memory
        return
    url = sqlite_url(tmp_path) if request.param == "sqlite" else request.getfixturevalue("postgres_journal_url")
    with ExitStack() as opened:

        def join(worker: str, lifecycle: Lifecycle[str, str] = V1) -> Creates:
            journal = SqlJournal(url, worker=worker, lease_s=LEASE_S, clock=time)
            return opened.enter_context(journal).creates(lifecycle)

        yield join


def added(creates: Creates, context: RequestContext = KEY) -> CreateRecord:
    record = creates.add(FIELDS, labels=LABELS, context=context)
    assert record is not None
    return record


def done(creates: Creates, task: str = "task-1", *, report: Report | None = None, key: str | None = None) -> str:
    record = added(creates, RequestContext(key))
    assert creates.add_attempt(record.id, number=1, claim=1)
    made = CreatedTask(task, report)
    after = creates.add_outcome(record.id, CommandEvent.CONFIRM, why="created", claim=1, task=made)
    assert after.state is CommandState.DONE
    return record.id


# --- alike in every journal -------------------------------------------------------------------------


def test_an_intent_is_kept_as_it_was_given(join: Join, time: Time) -> None:
    one = join("one")

    record = added(one)

    until = time.now + timedelta(seconds=LEASE_S)
    assert record == CreateRecord(
        "1", FIELDS, LABELS, time.now, CommandState.RECORDED, context=KEY, lease=Lease("one", until)
    )
    assert one.load("1") == one.find("order 5") == record
    assert one.unfinished() == join("two").unfinished() == [record]


def test_a_key_is_taken_while_a_task_may_have_been_made(join: Join) -> None:
    one, two = join("one"), join("two")
    added(one)

    assert two.add(FIELDS, labels={}, context=KEY) is None
    assert two.add(FIELDS, labels={}) is not None
    one.add_outcome("1", CommandEvent.REFUSE, why="no", claim=1)

    assert one.find("order 5") is None
    again = two.add(FIELDS, labels={}, context=KEY)
    assert again is not None
    two.add_outcome(again.id, CommandEvent.CONFIRM, why="", claim=1, task=CreatedTask("task-1"))
    assert one.add(FIELDS, labels={}, context=KEY) is None
    found = one.find("order 5")
    assert found is not None
    assert (found.id, found.task_id, one.find_maker("task-1")) == (again.id, "task-1", again.id)


def test_a_create_of_another_worker_is_claimed_once_its_lease_is_over(join: Join, time: Time) -> None:
    one, two = join("one"), join("two")
    added(one)

    assert two.claim("1") is None
    time.go(LEASE_S + 1)
    claimed = two.claim("1")

    assert claimed is not None
    assert claimed.lease is not None
    assert (claimed.claim, claimed.lease.worker) == (2, "two")
    assert one.claim("1") is None


def test_each_attempt_renews_a_lease(join: Join, time: Time) -> None:
    one, two = join("one"), join("two")
    added(one)
    time.go(LEASE_S - 1)

    assert one.add_attempt("1", number=1, claim=1)
    time.go(LEASE_S - 1)

    assert two.claim("1") is None


def test_a_create_of_a_dead_worker_or_a_released_one_is_claimed_at_once(join: Join) -> None:
    one, two = join("one"), join("two")
    added(one)

    assert two.claim("1", dead={"one"}) is not None
    two.release("1", claim=2)

    assert one.load("1").lease is None
    assert one.claim("1") is not None


def test_a_worker_that_has_lost_its_claim_changes_nothing(join: Join) -> None:
    one, two = join("one"), join("two")
    added(one)
    claimed = two.claim("1", dead={"one"})

    assert not one.add_attempt("1", number=1, claim=1)
    for event in (CommandEvent.LOSE, CommandEvent.ABANDON):
        assert one.add_outcome("1", event, why="", claim=1) == claimed
    one.release("1", claim=1)

    assert two.load("1") == claimed


@pytest.mark.parametrize("is_uncertain", [False, True])
def test_response_settles_a_create_that_another_worker_has_claimed(join: Join, is_uncertain: bool) -> None:
    one, two = join("one"), join("two")
    added(one)
    assert one.add_attempt("1", number=1, claim=1)
    assert two.claim("1", dead={"one"}) is not None
    if is_uncertain:
        two.add_outcome("1", CommandEvent.LOSE, why="no response was recorded", claim=2)
        two.release("1", claim=2)

    after = one.add_outcome("1", CommandEvent.CONFIRM, why="created", claim=1, task=CreatedTask("task-1"))

    assert (after.state, after.task_id, after.claim, after.lease) == (CommandState.DONE, "task-1", 2, None)
    assert two.load("1") == one.find("order 5") == after
    assert two.find_maker("task-1") == "1"
    assert two.unfinished() == []
    assert two.add_outcome("1", CommandEvent.ABANDON, why="given up", claim=2) == after


def test_refusal_settles_a_create_that_another_worker_has_claimed(join: Join) -> None:
    one, two = join("one"), join("two")
    added(one)
    assert two.claim("1", dead={"one"}) is not None

    after = one.add_outcome("1", CommandEvent.REFUSE, why="no", claim=1)

    assert (after.state, after.why, after.lease) == (CommandState.REFUSED, "no", None)
    assert two.find("order 5") is None


def test_response_does_not_change_an_outcome_that_another_worker_has_recorded(join: Join) -> None:
    one, two = join("one"), join("two")
    added(one)
    assert two.claim("1", dead={"one"}) is not None
    ended = two.add_outcome("1", CommandEvent.ABANDON, why="given up", claim=2)

    assert one.add_outcome("1", CommandEvent.CONFIRM, why="", claim=1, task=CreatedTask("task-1")) == ended
    assert one.find_maker("task-1") is None


def test_each_attempt_is_made_once(join: Join) -> None:
    one = join("one")
    added(one)

    assert [one.add_attempt("1", number=number, claim=1) for number in (1, 1, 3, 2)] == [True, False, False, True]
    assert (one.load("1").attempts, one.load("1").why) == (2, "no response was recorded")


def test_a_create_has_one_outcome(join: Join) -> None:
    one = join("one")
    added(one)
    lost = one.add_outcome("1", CommandEvent.LOSE, why="it was lost", claim=1)
    ended = one.add_outcome("1", CommandEvent.CONFIRM, why="created", claim=1, task=CreatedTask("task-1"))

    again = one.add_outcome("1", CommandEvent.ABANDON, why="given up", claim=1)

    assert (lost.state, lost.why, lost.is_open) == (CommandState.UNCERTAIN, "it was lost", True)
    assert again == ended
    assert (ended.state, ended.task_id, ended.lease) == (CommandState.DONE, "task-1", None)
    assert one.claim("1") is None
    assert one.unfinished() == []


@pytest.mark.parametrize("create_id", ["2", "0", "-1", "x", "", "9" * 40, "\uff11"])
def test_a_create_that_does_not_exist_is_not_found(join: Join, create_id: str) -> None:
    one = join("one")
    added(one)

    with pytest.raises(ValueError, match=r"there is no create .* of v1-full; without an outcome: 1$"):
        one.load(create_id)
    assert one.claim(create_id) is None


def test_a_create_of_another_lifecycle_is_neither_found_nor_claimed(join: Join) -> None:
    one, other = join("one"), join("two", V2)
    added(one)

    with pytest.raises(ValueError, match=r"^create 1 is of v1-full, not of v2-full: it is recorded$"):
        other.load("1")
    assert other.claim("1", dead={"one"}) is None
    assert one.load("1").claim == 1


def test_tasks_that_a_create_cannot_have_made(join: Join, time: Time) -> None:
    one = join("one")
    done(one, "made before", report=Report("running", time.now))
    time.go(10)
    record = added(one)
    time.go(10)
    done(one, "made after", report=Report("running", time.now))

    named = ["made before", "made after", "new"]

    assert one.excluded(record.id, named) == {"made before", "made after"}
    assert one.excluded(record.id, []) == set()


def test_create_that_was_taken_for_lost_is_in_the_history_of_its_task(journal: SqlJournal) -> None:
    creates = journal.creates(V1)
    added(creates)
    assert creates.claim("1", dead={"one"}) is not None
    creates.add_outcome("1", CommandEvent.LOSE, why="", claim=2)

    creates.add_outcome("1", CommandEvent.CONFIRM, why="", claim=1, task=CreatedTask("t", Report("running", START)))

    assert [type(each) for each in journal.history("t")] == [RecordedCreate, RecordedReport]
    assert list(journal.check()) == []


# --- in a database ----------------------------------------------------------------------------------


def test_a_restarted_worker_claims_its_creates(open_journal: OpenJournal) -> None:
    added(open_journal().creates(V1))

    assert open_journal().creates(V1).claim("1") is not None


def test_a_task_is_known_with_its_create(journal: SqlJournal, time: Time) -> None:
    number = done(journal.creates(V1), report=Report("created", START))

    first, report = journal.history("task-1")

    assert isinstance(first, RecordedCreate)
    assert (first.id, first.at, first.worker, first.attempts) == (number, time.now, "one", 1)
    assert (first.fields, first.labels, first.why) == (FIELDS, LABELS, "created")
    assert isinstance(report, RecordedReport)
    assert report.state == "created"
    assert [type(each) for each in journal.changes().entries] == [RecordedReport]
    assert list(journal.check()) == []


def test_task_without_a_status_is_recorded(journal: SqlJournal) -> None:
    done(journal.creates(V1))

    assert [row.task_id for row in journal.tasks().tasks] == ["task-1"]
    assert [type(each) for each in journal.history("task-1")] == [RecordedCreate]
    journal.add_reports([told("task-2", "started", lifecycle="v2-full")])
    assert [type(each) for each in journal.history("task-1", "v2-full")] == []


def test_a_create_that_fails_to_record_its_task_stays_open(journal: SqlJournal) -> None:
    journal.add_reports([told("task-1", "running")])
    with journal.database.transaction() as connection:
        connection.exec_driver_sql("UPDATE lifecycle_tasks SET state = 'walking'")
    creates = journal.creates(V1)
    added(creates)

    with pytest.raises(Exception, match="'walking'"):
        creates.add_outcome(
            "1", CommandEvent.CONFIRM, why="", claim=1, task=CreatedTask("task-1", Report("running", at(1)))
        )

    assert creates.load("1").is_open


def test_more_tasks_are_excluded_than_a_statement_has_parameters(journal: SqlJournal) -> None:
    creates = journal.creates(V1)
    others = {f"task-{number}" for number in (0, 29_999, 30_000, 69_999)}
    for task_id in sorted(others):
        done(creates, task_id)
    record = added(creates)

    assert creates.excluded(record.id, [f"task-{number}" for number in range(70_000)]) == others


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ("state = 'ended_first'", "'ended_first' is not a state of a create"),
        ("state = 'recorded'", "it is 'recorded' with the task 'task-1'"),
        ("may_have_made = FALSE", "it is 'done', but its columns is_open and may_have_made are (False, False)"),
        ("task_id = NULL", "it is 'done' with the task None"),
        ("task_id = ''", "it is 'done' with the task ''"),
        ("task_id = 'task-2'", "its task 'task-2' is not known"),
        ("claimed_at = 1", "it has ended, but a worker has claimed it"),
        ("recorded_at = 9000000000000000000", "9000000000000000000 is not a time"),
    ],
)
def test_a_check_finds_an_inconsistent_create(journal: SqlJournal, change: str, code: str) -> None:
    done(journal.creates(V1))
    done(journal.creates(V1), "other")
    assert list(journal.check()) == []
    with journal.database.transaction() as connection:
        connection.exec_driver_sql(f"UPDATE lifecycle_creates SET {change} WHERE id = 1")

    [damage] = journal.check()

    assert (damage.code, damage.lifecycle, damage.entry) == (DamageCode.WRONG_CREATE, "v1-full", None)
    assert damage.message == f"create 1: {code}"


def test_a_create_that_cannot_be_read_is_in_the_history(journal: SqlJournal) -> None:
    done(journal.creates(V1), report=Report("running", START))
    with journal.database.transaction() as connection:
        connection.exec_driver_sql("UPDATE lifecycle_creates SET recorded_at = 9000000000000000000")

    assert [type(each) for each in journal.history("task-1")] == [RecordedUnreadable, RecordedReport]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("fields = '[1]'", "its fields are not a JSON object"),
        ("fields = 'null'", "its fields are not a JSON object"),
        ("labels = '\"sold out\"'", "its labels are not a JSON object"),
        ('labels = \'{"order": "5", "count": 5}\'', "its label 'count' is not a text"),
        ("fields = '[oops'", "'[oops' is not JSON: Expecting value: line 1 column 2 (char 1)"),
    ],
)
def test_a_create_whose_fields_or_labels_cannot_be_read_is_unreadable(
    journal: SqlJournal, change: str, why: str
) -> None:
    if "oops" in change and journal.database.dialect.name != "sqlite":
        pytest.skip("the column's type forbids it")
    creates = journal.creates(V1)
    done(creates, key="order 5")
    added(creates, RequestContext())
    with journal.database.transaction() as connection:
        connection.exec_driver_sql(f"UPDATE lifecycle_creates SET {change}")

    for error in (raised(lambda: creates.find("order 5")), raised(lambda: creates.load("1"))):
        assert (error.create_id, error.why) == ("1", why)
    [left] = creates.unfinished()
    assert isinstance(left, UnreadableCreate)
    assert (left.create_id, left.why) == ("2", why)
    [told] = journal.history("task-1")
    assert isinstance(told, RecordedUnreadable)
    assert told.why == why
    found = [(each.code, each.message) for each in journal.check()]
    assert found == [(DamageCode.WRONG_CREATE, f"create {number}: {why}") for number in (1, 2)]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("task_id = ''", "it is 'done' with the task ''"),
        ("task_id = NULL", "it is 'done' with the task None"),
        ("state = 'refused'", "it is 'refused' with the task 'task-1'"),
        ("state = 'oops'", "'oops' is not a state of a create"),
    ],
)
def test_a_create_whose_state_and_task_do_not_fit_is_unreadable(journal: SqlJournal, change: str, why: str) -> None:
    creates = journal.creates(V1)
    done(creates, key="order 5")
    with journal.database.transaction() as connection:
        connection.exec_driver_sql(f"UPDATE lifecycle_creates SET {change}")

    assert raised(lambda: creates.find("order 5")).why == why


def raised(call: Callable[[], object]) -> UnreadableCreate:
    with pytest.raises(UnreadableCreate) as info:
        call()
    return info.value


@pytest.mark.parametrize("column", ["lifecycle", "task_id"])
def test_check_reports_a_name_that_is_not_text(journal: SqlJournal, column: str) -> None:
    if journal.database.dialect.name != "sqlite":
        pytest.skip("the column's type forbids it")
    done(journal.creates(V1))
    with journal.database.transaction() as connection:
        for name in ("creates", "tasks"):
            connection.exec_driver_sql(f"UPDATE lifecycle_{name} SET {column} = x'ff'")

    of_create, of_task = list(journal.check())[-2:]

    assert getattr(of_create, column) == getattr(of_task, column) == "b'\\xff' is not a text"


def test_a_create_that_cannot_be_recorded_is_not_sent(journal: SqlJournal) -> None:
    creates = journal.creates(V1)

    with pytest.raises(TypeError, match="not JSON"):
        creates.add({"a": float("nan")}, labels={})
    with pytest.raises(ValueError, match="the idempotency key has 1,001 bytes"):
        creates.add({}, labels={}, context=RequestContext("x" * 1001))
    assert creates.unfinished() == []


def rows(journal: SqlJournal) -> list[Any]:
    with journal.database.transaction() as connection:
        return list(connection.exec_driver_sql("SELECT id FROM lifecycle_creates ORDER BY id").scalars())


def test_a_create_is_forgotten_with_its_task(journal: SqlJournal) -> None:
    creates = journal.creates(V1)
    done(creates, "task-1", key="one")
    done(creates, "task-10", key="two")

    assert journal.forget("task-1") == 1

    assert rows(journal) == [2]
    assert creates.find("one") is None


def test_creates_are_pruned_with_their_tasks_and_never_while_they_are_open(journal: SqlJournal, time: Time) -> None:
    creates = journal.creates(V1)
    done(creates, "over", report=Report("finished", START))
    done(creates, "working", report=Report("running", START))
    for event in (CommandEvent.REFUSE, CommandEvent.ABANDON, CommandEvent.LOSE):
        creates.add_outcome(added(creates, RequestContext()).id, event, why="", claim=1)
    added(creates, RequestContext())
    time.go(10)
    young = added(creates, RequestContext())
    creates.add_outcome(young.id, CommandEvent.ABANDON, why="", claim=1)

    assert journal.prune(time.now) == 1

    assert rows(journal) == [2, 5, 6, int(young.id)]
    assert list(journal.check()) == []
