"""The journal in memory: what it keeps of reports, commands and deliveries, and threads that contend."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import FrozenInstanceError, dataclass, fields
from datetime import UTC, datetime, timedelta
from itertools import pairwise, product
from threading import Barrier
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifecycle import (
    CATALOG,
    COMMAND,
    V1,
    V1_FULL,
    Channel,
    CommandEvent,
    CommandState,
    Lifecycle,
    OtherServer,
    RecordMissing,
    UnknownName,
    V1State,
    get,
)
from lifecycle.journal import (
    CommandEntry,
    CommandOutcome,
    CommandRecord,
    CreatedTask,
    Delivery,
    Lease,
    Report,
    ReportEntry,
    RequestContext,
    Server,
    TaskRecord,
    TaskReport,
)
from lifecycle.memory import MemoryJournal
from lifecycle.scope import scoped
from tests.lifecycle.drivers import TASK, Log, clock, last_command, lives, reports

START = next(clock())


def at(second: float) -> datetime:
    return START + timedelta(seconds=second)


def log_of(name: str, *statuses: str) -> Log:
    """The journal of a task with these reports, a second apart, beginning at second 0."""
    log = MemoryJournal().task(get(name), TASK)
    for second, status in enumerate(statuses):
        log.add_report(Report(status, at(second)))
    return log


def kinds(log: Log) -> list[str]:
    """Return the classification of each recorded report, with the number of repeats."""
    found: list[str] = []
    for entry in reports(log):
        kind = "first" if entry.observation is None else str(entry.observation.kind)
        found.append(f"{'late ' if entry.late else ''}{kind}{f' x{entry.times}' if entry.times > 1 else ''}")
    return found


def opened(log: Log, command: str = "pause") -> CommandRecord[str, str]:
    record = log.load()
    assert record.state is not None
    intent = log.add_intent(command, source=record.state, version=record.version, fields={})
    assert isinstance(intent, CommandRecord)
    return intent


# --- reports ------------------------------------------------------------------------------------------


def test_unreported_task_is_unknown() -> None:
    assert log_of("v1").load() == TaskRecord(version=0, state=None, as_of=None, open_command=None)


@pytest.mark.parametrize(
    ("name", "statuses", "found", "state"),
    [
        ("v1", "running", ["first"], "running"),
        ("v1", "running paused", ["first", "step"], "paused"),
        ("v1", "running running", ["first x2"], "running"),
        ("v1-full", "created finished", ["first", "jump"], "finished"),
        ("v1-full", "paused created", ["first", "stale"], "paused"),
        ("v1-full", "finished stopped", ["first", "conflict"], "finished"),
        ("v1", "running zombie", ["first", "unknown"], "running"),
        ("v1", "zombie", ["first"], None),
        ("v1", "zombie running", ["first", "first"], "running"),
    ],
)
def test_a_report_is_classified_and_recorded(name: str, statuses: str, found: list[str], state: str | None) -> None:
    log = log_of(name, *statuses.split())

    assert kinds(log) == found
    assert log.load().state == state
    assert reports(log)[-1].state == state


def test_an_id_or_key_of_more_than_1000_bytes_is_refused_before_anything_is_recorded() -> None:
    journal, long = MemoryJournal(), "é" * 501
    log = journal.task(get("v1"), "x" * 1000)
    log.add_report(Report("running", at(0)))
    report = Report("running", at(1))
    record, context = log.load(), RequestContext(long)
    refused: list[Callable[[], Any]] = [
        lambda: journal.task(get("v1"), long),
        lambda: journal.add_reports([TaskReport(get("v1"), log_id, report) for log_id in ("x" * 1000, long)]),
        lambda: journal.receive(Delivery("d", "status", at(1), "{}"), [TaskReport(get("v1"), long, report)]),
        lambda: journal.receive(Delivery(long, "status", at(1), "{}")),
        lambda: log.add_intent("pause", source="running", version=record.version, fields={}, context=context),
        lambda: journal.creates(get("v1")).add({}, labels={}, context=context),
    ]

    for act in refused:
        with pytest.raises(ValueError, match="has 1,002 bytes; a journal accepts 1,000"):
            act()

    assert log.load() == record
    assert journal.receive(Delivery("d", "status", at(1), "{}")) == []
    assert list(journal.creates(get("v1")).unfinished()) == []
    created = journal.creates(get("v1")).add({}, labels={})
    assert created is not None
    assert journal.creates(get("v1")).excluded(created.id, [long]) == set()


def test_as_of_is_the_time_of_the_last_applied_report() -> None:
    log = log_of("v1-full", "running", "running", "created", "zombie")

    assert log.load().as_of == at(1)
    assert log.add_report(Report("finished", at(1))).as_of == at(1)


def test_a_report_older_than_the_last_applied_is_late() -> None:
    log = log_of("v1", "running", "paused")

    before = log.load()
    after = log.add_report(Report("running", at(0.5)))

    assert after == before
    assert kinds(log) == ["first", "step", "late step"]
    assert reports(log)[-1].state == "paused"


def test_a_late_report_of_a_final_state_is_not_applied() -> None:
    log = log_of("v1", "running", "paused")

    assert log.add_report(Report("stopped", at(0.5))).state == "paused"
    assert log.add_report(Report("stopped", at(1))).state == "stopped"


def test_the_first_report_is_never_late() -> None:
    log = log_of("v1", "zombie")

    assert log.add_report(Report("running", at(-60))) == TaskRecord(
        version=1, state="running", as_of=at(-60), since=at(-60), first_at=at(0)
    )


def test_each_channel_has_its_own_statuses() -> None:
    log = log_of("v1-full")

    log.add_report(Report("initializing", at(0), Channel.WEBHOOK))
    assert log.add_report(Report("started", at(1), Channel.WEBHOOK)).state == "running"
    assert kinds(log) == ["first", "step"]
    with pytest.raises(UnknownName, match="unknown channel 'mail'"):
        log.add_report(Report("started", at(2), "mail"))
    assert len(log.entries) == 2


def test_states_are_kept_as_members() -> None:
    log = MemoryJournal().task(V1, TASK)

    assert log.add_report(Report("paused", at(0))).state is V1State.PAUSED


# --- equal reports in a row ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statuses", "found"),
    [
        ("running running paused paused paused running", ["first x2", "step x3", "step"]),
        ("running zombie zombie running", ["first", "unknown x2", "same"]),
        ("running created created running running", ["first", "stale x2", "same x2"]),
        ("finished stopped stopped finished", ["first", "conflict x2", "same"]),
        ("zombie zombie ghost running", ["first x2", "first", "first"]),
        ("running zombie ghost", ["first", "unknown", "unknown"]),
    ],
)
def test_equal_reports_in_a_row_are_counted(statuses: str, found: list[str]) -> None:
    log = log_of("v1-full", *statuses.split())

    assert kinds(log) == found
    assert sum(entry.times for entry in reports(log)) == len(statuses.split())


def test_a_counted_report_is_the_first_of_them() -> None:
    log = log_of("v1", "running", "running", "running")

    assert reports(log) == [ReportEntry(Report("running", at(0)), "running", None, times=3)]
    assert log.load().as_of == at(2)


def test_reports_of_different_channels_are_not_equal() -> None:
    log = log_of("v1-full", "running")

    log.add_report(Report("started", at(1), Channel.WEBHOOK))
    log.add_report(Report("running", at(2), Channel.WEBHOOK))

    assert kinds(log) == ["first", "same", "same"]


def test_equal_reports_with_an_entry_between_are_two_entries() -> None:
    log = log_of("v1", "running")
    opened(log)
    log.add_report(Report("running", at(1)))
    log.add_report(Report("running", at(0)))  # late
    log.add_report(Report("running", at(2)))

    assert kinds(log) == ["first", "same", "late same", "same"]


# --- histories ----------------------------------------------------------------------------------------


@given(st.data())
def test_history_of_any_reports_replays(data: st.DataObject) -> None:
    """Jumps are recorded with a path, and what is not believed with none."""
    lifecycle: Lifecycle[str, str] = data.draw(st.sampled_from([*CATALOG.values()]))
    words = st.sampled_from([*(state.name for state in lifecycle.states), "zombie"])
    log = MemoryJournal().task(lifecycle, TASK)
    times: list[datetime] = []

    for word, second in data.draw(st.lists(st.tuples(words, st.integers(0, 9)), max_size=12)):
        before = log.load()
        after = log.add_report(Report(word, at(second)))
        times += [after.as_of] if after.as_of else []
        moved = (after.state, after.doubt) != (before.state, before.doubt)
        assert after.version - before.version == moved

    assert times == sorted(times)
    assert replayed(lifecycle, reports(log)) == log.load().state


def replayed(lifecycle: Lifecycle[str, str], entries: list[ReportEntry[str, str]]) -> str | None:
    state: str | None = None
    for entry in entries:
        if entry.observation is None:
            state = entry.state
        elif not entry.late:
            assert state is not None
            state = lifecycle.replay(entry.observation.path, start=state)
        assert entry.state == state
    return state


# --- commands -----------------------------------------------------------------------------------------


def test_an_intent_opens_a_command() -> None:
    log = log_of("v3", "idle")
    fields = {"task": "look"}

    intent = log.add_intent("dispatch", source="idle", version=1, fields=fields)
    fields["task"] = "changed by the caller afterwards"

    assert intent == CommandRecord(
        "1", "dispatch", "idle", CommandState.RECORDED, {"task": "look"}, claim=1, lease=Lease("this process", None)
    )
    assert log.load().open_command == intent


def test_an_intent_needs_the_version_that_was_read() -> None:
    log = log_of("v1", "running")
    read = log.load()
    now = log.add_report(Report("paused", at(1)))

    assert log.add_intent("pause", source="running", version=read.version, fields={}) == now
    assert now.open_command is None
    assert not lives(log)


def test_intent_is_refused_after_a_task_left_its_state_and_returned() -> None:
    log = log_of("v1", "running")
    read = log.load()
    log.add_report(Report("paused", at(1)))
    now = log.add_report(Report("running", at(2)))

    assert now.state == read.state
    assert log.add_intent("pause", source="running", version=read.version, fields={}) == now


def test_a_report_that_is_not_applied_does_not_change_the_record() -> None:
    log = log_of("v1-full", "running", "running", "created", "zombie")
    log.add_report(Report("stopped", at(-1)))

    assert log.load().version == 1
    assert isinstance(log.add_intent("pause", source="running", version=1, fields={}), CommandRecord)


def test_one_command_is_open_at_a_time() -> None:
    log = log_of("v1", "running")
    first = opened(log)
    now = log.load()

    assert log.add_intent("stop", source="running", version=now.version, fields={}) == now
    log.add_outcome(first.id, CommandEvent.REFUSE, why="no", claim=1)
    assert opened(log, "stop").id != first.id


def test_every_attempt_is_counted_once() -> None:
    log = log_of("v1", "running")
    command = opened(log)

    assert log.add_attempt(command.id, number=1, claim=1) is True
    assert log.add_attempt(command.id, number=1, claim=1) is False
    assert log.add_attempt(command.id, number=3, claim=1) is False
    log.add_outcome(command.id, CommandEvent.LOSE, why="silence", claim=1)
    assert log.add_attempt(command.id, number=2, claim=1) is True
    log.add_outcome(command.id, CommandEvent.CONFIRM, why="paused", claim=1)
    before = list(log.entries)
    assert log.add_attempt(command.id, number=3, claim=1) is False

    assert log.entries == before
    course = [entry for entry in before if isinstance(entry, CommandEntry)]
    assert [(entry.record.state, entry.record.attempts, entry.event) for entry in course] == [
        ("recorded", 0, None),
        ("recorded", 1, None),
        ("uncertain", 1, CommandEvent.LOSE),
        ("uncertain", 2, None),
        ("done", 2, CommandEvent.CONFIRM),
    ]


@pytest.mark.parametrize("state", [state.name for state in COMMAND.states])
def test_command_states_follow_the_declared_lifecycle(state: CommandState) -> None:
    """Every event in every state, ended commands included; an impossible one changes nothing."""
    for event in (event.name for event in COMMAND.events):
        log = log_of("v1", "running")
        command = opened(log)
        for before in COMMAND.path(COMMAND.initial, state) or ():
            log.add_outcome(command.id, before, why="", claim=1)
        now, entries = log.load(), list(log.entries)
        target = COMMAND.target(state, event)

        outcome = log.add_outcome(command.id, event, why="because", claim=1)

        assert outcome == CommandOutcome(log.load(), log.load_command(command.id))
        if target is None:
            assert (log.load(), log.entries) == (now, entries)
        else:
            assert outcome.task.version > now.version
            assert (outcome.task.open_command is None) == COMMAND.is_final(target)
            last = log.entries[-1]
            assert isinstance(last, CommandEntry)
            assert (last.record.state, last.event, last.why) == (target, event, "because")
            assert (outcome.command.why, outcome.command.lease is None) == ("because", COMMAND.is_final(target))


MISUSE: dict[str, Callable[[Log], object]] = {
    "outcome": lambda log: log.add_outcome("2", CommandEvent.CONFIRM, why="", claim=1),
    "attempt": lambda log: log.add_attempt("2", number=1, claim=1),
    "claim": lambda log: log.claim("2"),
    "release": lambda log: log.release("2", claim=1),
    "load": lambda log: log.load_command("2"),
}


@pytest.mark.parametrize("misuse", MISUSE.values(), ids=tuple(MISUSE))
def test_a_command_that_was_never_opened_is_missing(misuse: Callable[[Log], object]) -> None:
    log = log_of("v1", "running")
    opened(log)

    with pytest.raises(RecordMissing, match="v1 task task-1: the journal has no command '2'"):
        misuse(log)


@pytest.mark.parametrize("times", [1, 2])
def test_a_task_that_was_created_now_keeps_its_time(times: int) -> None:
    now = [at(0)] + [at(second) for second in range(9)]  # the first is read by the constructor
    log = MemoryJournal(clock=lambda: now.pop(0)).task(get("v1"), TASK)

    log.track()
    assert log.load().created_at is None
    for _ in range(times):
        log.track(created=True)

    assert log.load() == TaskRecord(created_at=at(0))


@pytest.mark.parametrize("ahead_s", [0.001, 3600.0])
def test_a_report_by_a_clock_that_is_ahead_makes_no_later_report_late(ahead_s: float) -> None:
    now = [at(0), at(10), at(20)]  # the first is read by the constructor
    log = MemoryJournal(clock=lambda: now.pop(0)).task(get("v1"), TASK)

    first = log.add_report(Report("running", at(10 + ahead_s)))
    moved = log.add_report(Report("stopped", at(20)))

    assert (first.as_of, first.since) == (at(10), at(10))
    assert (moved.state, moved.as_of) == ("stopped", at(20))
    assert [entry.report.as_of for entry in reports(log)] == [at(10 + ahead_s), at(20)]


def test_after_a_clock_was_set_back_reports_are_not_late() -> None:
    now = [at(0), at(3600), at(10)]
    log = MemoryJournal(clock=lambda: now.pop(0)).task(get("v1"), TASK)
    log.add_report(Report("running", at(3600)))

    assert log.add_report(Report("stopped", at(10))).state == "stopped"


def test_reports_and_commands_do_not_disturb_each_other() -> None:
    log = log_of("v1", "running")
    command = opened(log)

    moved = log.add_report(Report("stopped", at(1)))
    ended = log.add_outcome(command.id, CommandEvent.END, why="stopped", claim=1).task

    assert moved.open_command == command
    assert (ended.state, ended.as_of, ended.open_command) == ("stopped", at(1), None)


# --- keys and claims ------------------------------------------------------------------------------------


def keyed(log: Log, key: str | None) -> CommandRecord[str, str] | TaskRecord[str, str]:
    record = log.load()
    return log.add_intent("pause", source="running", version=record.version, fields={}, context=RequestContext(key))


def test_a_command_is_found_by_its_key_open_or_ended() -> None:
    log = log_of("v1", "running")
    command = keyed(log, "key-7")
    assert isinstance(command, CommandRecord)

    assert log.find_command("key-7") == command
    log.add_attempt(command.id, number=1, claim=1)
    log.add_outcome(command.id, CommandEvent.CONFIRM, why="the task is paused", claim=1)
    found = log.find_command("key-7")

    assert found is not None
    assert (found.attempts, found.state, found.why) == (1, CommandState.DONE, "the task is paused")
    assert log.find_command("key-8") is None


def test_a_key_opens_one_command() -> None:
    log = log_of("v1", "running")
    command = keyed(log, "key-7")
    assert isinstance(command, CommandRecord)
    log.add_outcome(command.id, CommandEvent.REFUSE, why="", claim=1)

    assert keyed(log, "key-7") == log.load()
    assert isinstance(keyed(log, "key-8"), CommandRecord)


def test_commands_without_a_key_are_distinct() -> None:
    log = log_of("v1", "running")
    command = keyed(log, None)
    assert isinstance(command, CommandRecord)
    log.add_outcome(command.id, CommandEvent.REFUSE, why="", claim=1)

    assert isinstance(keyed(log, None), CommandRecord)


def test_memory_journal_does_not_block() -> None:
    assert not log_of("v1").blocking


# --- claims -----------------------------------------------------------------------------------------------

LEASE_S = 60.0


@dataclass(eq=False)
class Workers:
    """Two workers with journals of their own on one task, and the time. A has opened a command."""

    lease_s: float | None = LEASE_S

    def __post_init__(self) -> None:
        self.now = START
        journal = MemoryJournal(worker="A", lease_s=self.lease_s, clock=lambda: self.now)
        self.a = journal.task(get("v1"), TASK)
        self.b = journal.join("B").task(get("v1"), TASK)
        self.a.add_report(Report("running", START))
        self.id = opened(self.a).id

    def lease(self) -> Lease | None:
        return self.b.load_command(self.id).lease


def test_workers_of_a_journal_see_the_same_records() -> None:
    workers = Workers()

    assert workers.a.load() == workers.b.load()
    assert workers.a.entries is workers.b.entries
    assert workers.a.lifecycle is workers.b.lifecycle is get("v1")


def test_a_claimed_command_cannot_be_claimed_by_another_worker() -> None:
    workers = Workers()

    assert workers.b.claim(workers.id) is None
    assert workers.b.claim(workers.id, dead=["C"]) is None
    assert workers.lease() == Lease("A", at(LEASE_S))


def test_a_released_command_can_be_claimed_once() -> None:
    workers = Workers()
    workers.a.release(workers.id, claim=1)
    assert workers.lease() is None

    claimed = workers.b.claim(workers.id)

    assert claimed == workers.a.load().open_command
    assert claimed is not None
    assert (claimed.claim, claimed.lease) == (2, Lease("B", at(LEASE_S)))
    assert workers.a.claim(workers.id) is None


@pytest.mark.parametrize(("seconds", "is_over"), [(LEASE_S - 1, False), (LEASE_S, False), (LEASE_S + 1, True)])
def test_a_lease_ends(seconds: float, is_over: bool) -> None:
    workers = Workers()
    workers.now += timedelta(seconds=seconds)

    assert (workers.b.claim(workers.id) is not None) is is_over


def test_without_a_lease_a_claim_has_no_end() -> None:
    workers = Workers(lease_s=None)
    workers.now += timedelta(days=365)

    assert workers.lease() == Lease("A", None)
    assert workers.b.claim(workers.id) is None
    assert workers.b.claim(workers.id, dead={"A"}) is not None


PROLONG: dict[str, Callable[[Workers], object]] = {
    "an attempt": lambda workers: workers.a.add_attempt(workers.id, number=1, claim=1),
    "an event that leaves it open": lambda workers: workers.a.add_outcome(
        workers.id, CommandEvent.LOSE, why="", claim=1
    ),
}


@pytest.mark.parametrize("prolong", PROLONG.values(), ids=tuple(PROLONG))
def test_every_write_about_a_command_renews_its_lease(prolong: Callable[[Workers], object]) -> None:
    workers = Workers()
    workers.now += timedelta(seconds=50)

    prolong(workers)

    assert workers.lease() == Lease("A", at(50 + LEASE_S))


WRITES: dict[str, Callable[[Workers, int], object]] = {
    "an attempt": lambda workers, claim: workers.a.add_attempt(workers.id, number=1, claim=claim),
    "a loss": lambda workers, claim: workers.a.add_outcome(workers.id, CommandEvent.LOSE, why="", claim=claim),
    "an outcome": lambda workers, claim: workers.a.add_outcome(workers.id, CommandEvent.CONFIRM, why="", claim=claim),
    "a release": lambda workers, claim: workers.a.release(workers.id, claim=claim),
}


@pytest.mark.parametrize("claim", [0, 1, 3])
@pytest.mark.parametrize("write", WRITES.values(), ids=tuple(WRITES))
def test_a_write_under_an_earlier_claim_changes_nothing(write: Callable[[Workers, int], object], claim: int) -> None:
    """A's lease is over, and B has claimed its command; A wakes."""
    workers = Workers()
    workers.now += timedelta(seconds=LEASE_S + 1)
    claimed = workers.b.claim(workers.id)
    assert claimed is not None
    before, entries = workers.b.load(), list(workers.b.entries)

    result = write(workers, claim)

    assert workers.b.load_command(workers.id) == claimed
    assert (workers.b.load(), workers.b.entries) == (before, entries)
    assert result in (False, None, CommandOutcome(before, claimed))


@pytest.mark.parametrize("write", WRITES.values(), ids=tuple(WRITES))
def test_a_write_under_the_last_claim_counts(write: Callable[[Workers, int], object]) -> None:
    workers = Workers()
    before = workers.a.load_command(workers.id)

    write(workers, 1)

    assert workers.b.load_command(workers.id) != before


def test_an_ended_command_is_neither_claimed_nor_released() -> None:
    workers = Workers()
    ended = workers.a.add_outcome(workers.id, CommandEvent.CONFIRM, why="", claim=1)

    assert workers.b.claim(workers.id, dead={"A"}) is None
    workers.a.release(workers.id, claim=1)

    assert workers.b.load_command(workers.id) == ended.command
    assert workers.lease() is None


def test_a_release_is_not_an_entry() -> None:
    workers = Workers()
    before = list(workers.a.entries), workers.a.load().version

    workers.a.release(workers.id, claim=1)

    assert (workers.a.entries, workers.a.load().version) == before
    assert workers.a.load().open_command == workers.a.load_command(workers.id)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"lease_s": True}, TypeError, "lease_s must be a number, not True"),
        ({"lease_s": "5"}, TypeError, "lease_s must be a number, not '5'"),
        ({"lease_s": 0}, ValueError, "lease_s must be more than 0"),
        ({"lease_s": float("nan")}, ValueError, "lease_s must be more than 0"),
        ({"lease_s": float("inf")}, ValueError, "at most 3.1536e.07, not inf"),
        ({"worker": None}, TypeError, "worker must be text, not None"),
        ({"worker": ""}, ValueError, "worker must not be empty"),
        ({"on_report": 3}, TypeError, "on_report must be called with reports, and 3 cannot be called"),
    ],
)
def test_settings_of_the_wrong_kind_are_refused(given: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        MemoryJournal(**given)


def test_worker_that_joins_is_named_by_a_text() -> None:
    name: Any = b"w"
    with pytest.raises(TypeError, match="worker must be text"):
        MemoryJournal().join(name)


MADE: Any = TaskReport  # of what no type checker accepts
ARGUMENTS: dict[str, tuple[Callable[[Any], object], str]] = {
    "task": (lambda journal: journal.task("v1", "x"), "lifecycle must be a Lifecycle.*not 'v1'"),
    "task id": (lambda journal: journal.task(V1, 5), "task_id must be a text, not 5"),
    "id of a class": (lambda journal: journal.task(V1, Report), "task_id must be a text, not the class Report"),
    "id in bytes": (lambda journal: journal.task(V1, b"7"), "task_id must be a text, not bytes"),
    "creates": (lambda journal: journal.creates("v1"), "lifecycle must be a Lifecycle.*not 'v1'"),
    "open tasks": (lambda journal: journal.open_tasks("v1"), "lifecycle must be a Lifecycle.*not 'v1'"),
    "otherwise": (lambda journal: journal.recorded_otherwise("v1"), "lifecycle must be a Lifecycle.*not 'v1'"),
    "reports": (lambda journal: journal.add_reports(5), "reports must be a list or another iterable, not 5"),
    "a report": (lambda journal: journal.add_reports(["abc"]), "each of the reports must be a TaskReport"),
    "its lifecycle": (lambda journal: journal.add_reports([MADE("v1", "x", None)]), "the lifecycle of a TaskReport"),
    "its id": (lambda journal: journal.add_reports([MADE(V1, 5, None)]), "the task_id of a TaskReport must be a text"),
    "its body": (lambda journal: journal.add_reports([MADE(V1, "x", 5)]), "must be a Report, not 5"),
    "receive": (lambda journal: journal.receive(None), "delivery must be a Delivery, not None"),
    "delivery": (lambda journal: journal.receive(Delivery(5, "", START, "")), "the id of a Delivery must be a text"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize(("call", "message"), ARGUMENTS.values(), ids=ARGUMENTS)
def test_misuse_names_the_argument(call: Callable[[Any], object], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        call(MemoryJournal())


def test_the_clock_is_the_present_in_utc() -> None:
    log = MemoryJournal(lease_s=60).task(get("v1"), TASK)
    log.add_report(Report("running", START))
    before = datetime.now(UTC)

    lease = opened(log).lease

    assert lease is not None
    assert lease.until is not None
    assert before <= lease.until - timedelta(seconds=60) <= datetime.now(UTC)


# --- the journal of all tasks ---------------------------------------------------------------------------


def test_tasks_with_an_open_command_are_found() -> None:
    journal = MemoryJournal()
    v1 = {name: journal.task(get("v1"), name) for name in ("open", "ended", "quiet")}
    other = journal.task(get("v1-full"), "elsewhere")
    for log in (*v1.values(), other):
        log.add_report(Report("running", at(0)))
    opened(v1["open"])
    opened(other)
    v1["ended"].add_outcome(opened(v1["ended"]).id, CommandEvent.CONFIRM, why="", claim=1)

    assert journal.open_tasks(get("v1")) == ["open"]
    assert journal.open_tasks(get("v1-full")) == ["elsewhere"]
    assert journal.open_tasks(get("v4")) == []
    ended = journal.creates(get("v3")).add({}, labels={})
    assert ended is not None
    journal.creates(get("v3")).add_outcome(ended.id, CommandEvent.REFUSE, why="", claim=1)
    assert journal.creates(get("v2")).add({}, labels={}) is not None
    assert journal.open_lifecycles() == ["v1", "v1-full", "v2"]


def test_reports_of_many_tasks_are_recorded_in_their_order() -> None:
    journal = MemoryJournal()
    one, other = journal.task(get("v1"), "one"), journal.task(get("v4"), "other")

    entries = journal.add_reports(
        [
            TaskReport(get("v1"), "one", Report("running", at(0))),
            TaskReport(get("v4"), "other", Report("queued", at(1))),
            TaskReport(get("v1"), "one", Report("paused", at(2))),
            TaskReport(get("v1"), "one", Report("running", at(1))),
        ]
    )

    assert [(entry.state, entry.late) for entry in entries] == [
        ("running", False),
        ("queued", False),
        ("paused", False),
        ("paused", True),
    ]
    assert (one.load().state, other.load().state) == ("paused", "queued")


def test_batch_with_an_undeclared_channel_records_nothing() -> None:
    journal = MemoryJournal()
    log = journal.task(get("v1"), TASK)
    reports_ = [TaskReport(get("v1"), TASK, Report("running", at(0), channel)) for channel in (Channel.API, "mail")]

    with pytest.raises(UnknownName, match="unknown channel 'mail'"):
        journal.add_reports(reports_)
    with pytest.raises(UnknownName):
        journal.receive(delivery("d-1"), reports_)

    assert not log.entries
    assert journal.receive(delivery("d-1"), reports_[:1]) is not None, "a delivery that was not recorded may come again"


def delivery(name: str, second: float = 0) -> Delivery:
    return Delivery(name, "agent.task.status_update", at(second), "{}")


def test_a_delivery_is_received_once() -> None:
    journal = MemoryJournal()
    log = journal.task(get("v1"), TASK)
    told = [TaskReport(get("v1"), TASK, Report("running", at(0), Channel.WEBHOOK))]

    first = journal.receive(delivery("d-1"), told)
    again = journal.receive(delivery("d-1"), told)
    other = journal.receive(delivery("d-2"))

    assert [entry.state for entry in first or ()] == ["running"]
    assert again is None
    assert other == []
    assert [entry.times for entry in reports(log)] == [1]


def test_a_delivery_is_remembered_for_an_hour() -> None:
    journal = MemoryJournal()

    for second in (0, 1, 3600):
        assert journal.receive(delivery(f"d-{second}", second)) == []
    assert journal.receive(delivery("d-0")) is None
    assert journal.receive(delivery("d-3601", 3601)) == []

    assert journal.receive(delivery("d-1", 1)) is None
    assert journal.receive(delivery("d-0")) == []


# --- threads ------------------------------------------------------------------------------------------

THREADS = 8


@pytest.mark.parametrize("_", range(20))
def test_one_of_many_threads_records_the_intent(_: int) -> None:
    log = log_of("v1", "running")
    version = log.load().version
    barrier = Barrier(THREADS)

    def contend(number: int) -> CommandRecord[str, str] | TaskRecord[str, str]:
        barrier.wait()
        return log.add_intent("pause", source="running", version=version, fields={"number": number})

    with ThreadPoolExecutor(THREADS) as pool:
        found = list(pool.map(contend, range(THREADS)))

    won = [each for each in found if isinstance(each, CommandRecord)]
    assert len(won) == 1
    assert log.load().open_command == won[0]
    assert [each.open_command for each in found if isinstance(each, TaskRecord)] == won * (THREADS - 1)


def test_one_of_many_threads_records_the_attempt() -> None:
    log = log_of("v1", "running")
    command = opened(log)
    barrier = Barrier(THREADS)

    def contend(_: int) -> bool:
        barrier.wait()
        return log.add_attempt(command.id, number=1, claim=1)

    with ThreadPoolExecutor(THREADS) as pool:
        assert sum(pool.map(contend, range(THREADS))) == 1


def test_one_of_many_threads_records_the_outcome_and_all_return_it() -> None:
    log = log_of("v1", "running")
    command = opened(log)
    events = [event.name for event in COMMAND.events if event.name is not CommandEvent.LOSE]
    barrier = Barrier(len(events))

    def contend(event: CommandEvent) -> CommandOutcome[str, str]:
        barrier.wait()
        return log.add_outcome(command.id, event, why=event, claim=1)

    with ThreadPoolExecutor(len(events)) as pool:
        told = list(pool.map(contend, events))

    assert set(told_once := [outcome.command.why for outcome in told]) == {log.load_command(command.id).why}
    assert len(told_once) == len(events)
    assert len(lives(log)[command.id]) == 1


def test_one_of_many_threads_claims_the_command() -> None:
    journal = MemoryJournal()
    log = journal.task(get("v1"), TASK)
    log.add_report(Report("running", at(0)))
    command = opened(log)
    log.release(command.id, claim=1)
    barrier = Barrier(THREADS)

    def contend(number: int) -> CommandRecord[str, str] | None:
        other = journal.join(f"worker-{number}").task(get("v1"), TASK)
        barrier.wait()
        return other.claim(command.id)

    with ThreadPoolExecutor(THREADS) as pool:
        claims = [claim for claim in pool.map(contend, range(THREADS)) if claim is not None]

    assert claims == [log.load().open_command]


def test_no_report_of_any_thread_is_lost() -> None:
    log = log_of("v1", "running")
    barrier = Barrier(THREADS)

    def tell(_: int) -> None:
        barrier.wait()
        for status in ("running", "paused") * 200:
            log.add_report(Report(status, at(0)))

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(tell, range(THREADS)))

    recorded = reports(log)
    moves = sum(one.state != other.state for one, other in pairwise(recorded))
    assert sum(entry.times for entry in recorded) == 1 + THREADS * 400
    assert replayed(get("v1"), recorded) == log.load().state
    assert log.load().version == 1 + moves


def test_threads_get_the_same_record_for_one_task() -> None:
    journal = MemoryJournal()
    barrier = Barrier(THREADS)

    def ask(_: int) -> Log:
        barrier.wait()
        return journal.task(get("v1"), TASK)

    with ThreadPoolExecutor(THREADS) as pool:
        logs = list(pool.map(ask, range(THREADS)))

    assert all(log.entries is logs[0].entries for log in logs)


# --- task journals --------------------------------------------------------------------------------------


def test_a_task_has_one_record_for_its_lifecycle_and_id() -> None:
    journal = MemoryJournal()
    keys = list(product(("v1", "v1-full"), ("a", "b")))

    logs = {(name, task): journal.task(get(name), task) for name, task in keys}

    assert len({id(log.entries) for log in logs.values()}) == len(keys)
    assert all(journal.task(get(name), task).entries is log.entries for (name, task), log in logs.items())


def test_a_record_is_kept_as_long_as_its_task_journal_is_referenced() -> None:
    journal = MemoryJournal()
    held, dropped = journal.task(get("v1"), "held"), journal.task(get("v1"), "dropped")
    for log in (held, dropped):
        log.add_report(Report("running", at(0)))
    reference = weakref.ref(dropped)
    del dropped, log

    gc.collect()

    assert reference() is None
    assert journal.task(get("v1"), "held").load().state == "running"
    assert journal.task(get("v1"), "dropped").load().state is None


@pytest.mark.parametrize("key", [None, "order-5"])
def test_a_task_that_a_create_made_is_known_without_a_reference(key: str | None) -> None:
    journal = MemoryJournal(clock=lambda: at(7))
    creates = journal.creates(get("v1"))
    create = creates.add({}, labels={}, context=RequestContext(idempotency_key=key))
    assert create is not None
    task = CreatedTask("made", Report("running", at(0)))
    creates.add_outcome(create.id, CommandEvent.CONFIRM, why="", claim=1, task=task)

    gc.collect()

    assert journal.task(get("v1"), "made").load() == TaskRecord(created_at=at(7))
    assert journal.task(get("v2"), "made").load() == TaskRecord()
    assert journal.task(get("v1"), "other").load() == TaskRecord()


@pytest.mark.parametrize(
    ("key", "event", "is_kept"),
    [
        (None, None, True),  # open
        (None, CommandEvent.LOSE, True),
        (None, CommandEvent.CONFIRM, False),
        (None, CommandEvent.ABANDON, False),
        ("key-7", None, True),
        ("key-7", CommandEvent.CONFIRM, True),  # its key keeps its outcome
        ("key-7", CommandEvent.ABANDON, True),
    ],
)
@pytest.mark.parametrize("worker", ["A", "B"])
def test_a_task_with_an_open_command_is_kept_without_a_reference(
    worker: str, key: str | None, event: CommandEvent | None, is_kept: bool
) -> None:
    journal = MemoryJournal(worker="A")
    log = journal.join(worker).task(get("v1"), TASK)
    log.add_report(Report("running", at(0)))
    command = keyed(log, key)
    assert isinstance(command, CommandRecord)
    if event is not None:
        log.add_outcome(command.id, event, why="", claim=1)
    before = log.load()
    del log

    gc.collect()

    assert journal.open_tasks(get("v1")) == ([TASK] if before.open_command else [])
    kept = journal.task(get("v1"), TASK)
    assert kept.load() == (before if is_kept else TaskRecord())
    assert (kept.find_command("key-7") is not None) is (key is not None)


def test_a_task_whose_command_was_never_claimed_again_is_kept() -> None:
    """A released command is kept, because a recovery needs it."""
    journal = MemoryJournal()
    journal_log = journal.task(get("v1"), TASK)
    journal_log.add_report(Report("running", at(0)))
    journal_log.release(opened(journal_log).id, claim=1)
    del journal_log

    gc.collect()

    assert journal.open_tasks(get("v1")) == [TASK]


def test_a_task_is_forgotten_once_its_command_has_ended() -> None:
    """Following many tasks does not fill the memory, also if each of them had a command."""
    journal = MemoryJournal()
    log = journal.task(get("v1"), TASK)
    log.add_report(Report("running", at(0)))
    for _ in range(3):
        log.add_outcome(opened(log).id, CommandEvent.REFUSE, why="", claim=1)
    del log

    gc.collect()

    assert journal.task(get("v1"), TASK).load() == TaskRecord()


def test_task_journal_outlives_its_journal() -> None:
    log = MemoryJournal().task(get("v1"), TASK)

    gc.collect()

    assert log.add_report(Report("running", at(0))) == log.load()


def test_returned_records_cannot_be_changed() -> None:
    log = log_of("v1", "running")
    opened(log)
    report, command = log.entries

    for record in (log.load(), report, command, reports(log)[0].report, last_command(log)):
        assert record is not None
        for part in fields(record):
            with pytest.raises(FrozenInstanceError):
                setattr(record, part.name, None)
    with pytest.raises((AttributeError, TypeError)):  # Python 3.11 to 3.13 say TypeError of what is not a field
        setattr(log.load(), "current", None)  # noqa: B010


def test_callback_that_raises_does_not_stop_the_rest_of_a_batch() -> None:
    told: list[str] = []

    def tell(_: Lifecycle[str, str], entry: ReportEntry[str, str], *__: Any) -> None:
        told.append(entry.report.status)
        if entry.report.status == "paused":
            raise ZeroDivisionError(len(told))

    journal = MemoryJournal(on_report=tell)
    logs = [journal.task(get("v1"), name) for name in ("a", "b", "c", "d")]
    statuses = ["running", "paused", "running", "paused"]

    with pytest.raises(ZeroDivisionError, match="2"):
        journal.add_reports(
            [TaskReport(get("v1"), name, Report(status, at(0))) for name, status in zip("abcd", statuses, strict=True)]
        )

    assert [log.load().state for log in logs] == told == statuses


def test_on_report_gets_the_record_before_and_after_each_report() -> None:
    told: list[tuple[str, ReportEntry[str, str], TaskRecord[str, str], TaskRecord[str, str]]] = []

    def tell(lifecycle: Lifecycle[str, str], *facts: Any) -> None:
        told.append((lifecycle.name, *facts))

    log = MemoryJournal(on_report=tell).task(get("v1"), TASK)
    log.add_report(Report("running", at(0)))
    log.add_report(Report("running", at(1)))
    log.add_report(Report("stopped", at(2)))

    assert [(name, entry.report.status, before.state, after.state) for name, entry, before, after in told] == [
        ("v1", "running", None, "running"),
        ("v1", "running", "running", "running"),
        ("v1", "stopped", "running", "stopped"),
    ]
    assert told[-1][-1] == log.load()


def test_a_task_that_only_reports_name_is_compared_with_its_last_report() -> None:
    journal = MemoryJournal()
    states = [
        journal.add_reports([TaskReport(V1_FULL, TASK, Report(status, at(second)))])[0].state
        for second, status in enumerate(("running", "finished", "paused", "running"))
    ]
    gc.collect()
    assert states == ["running", "finished", "finished", "finished"]


def test_the_tasks_that_only_reports_name_are_bounded() -> None:
    journal = MemoryJournal()
    journal.add_reports([TaskReport(V1_FULL, f"task {number}", Report("running", at(0))) for number in range(10_001)])
    again = [TaskReport(V1_FULL, task_id, Report("created", at(1))) for task_id in ("task 10000", "task 0")]
    assert [entry.state for entry in journal.add_reports(again)] == ["running", "created"]


def test_tasks_recorded_under_another_declaration_are_listed() -> None:
    journal = MemoryJournal()
    log = journal.task(V1, "7")
    other = V1_FULL.replace(name="v1")

    assert (journal.recorded_otherwise(V1), journal.recorded_otherwise(other)) == ([], ["7"])
    assert journal.recorded_otherwise(V1_FULL) == []
    assert journal.task(other, "7").lifecycle.digest == log.lifecycle.digest == V1.digest


URLS = ("http://one", "http://other")
SERVERS = tuple(Server(each, ("v1", "v2-session")) for each in URLS)
USES: dict[str, Callable[[MemoryJournal, Server], object]] = {
    "task": lambda journal, server: journal.task(V1, TASK, server=server),
    "creates": lambda journal, server: journal.creates(V1, server=server),
    "open tasks": lambda journal, server: journal.open_tasks(V1, server=server),
    "reports": lambda journal, server: journal.add_reports([TaskReport(V1, TASK, Report("running", at(0)), server)]),
}


@pytest.mark.parametrize(("first", "then"), [*product(USES.values(), USES.values())])
def test_tasks_are_at_one_server(
    first: Callable[[MemoryJournal, Server], object], then: Callable[[MemoryJournal, Server], object]
) -> None:
    journal = MemoryJournal()
    for _ in range(2):
        first(journal, SERVERS[0])

    with pytest.raises(OtherServer) as info:
        then(journal, SERVERS[1])

    assert (info.value.lifecycle, info.value.server, info.value.recorded) == ("v1", URLS[1], URLS[:1])


def test_no_report_is_recorded_if_one_is_of_another_server() -> None:
    journal = MemoryJournal()
    log = journal.task(V1, TASK, server=SERVERS[0])
    reports = [TaskReport(V1, TASK, Report("running", at(0)), server) for server in SERVERS]

    with pytest.raises(OtherServer):
        journal.add_reports(reports)

    assert log.load().state is None


def test_all_scopes_of_a_lifecycle_are_at_one_server() -> None:
    journal = MemoryJournal()
    journal.task(scoped(V1, ["acme"]), TASK, server=SERVERS[0])

    with pytest.raises(OtherServer, match="the tasks of v1 at http://one"):
        journal.task(scoped(V1, ["other"]), TASK, server=SERVERS[1])
    journal.task(V1_FULL, TASK, server=Server(URLS[1], ("v1-full",)))


@pytest.mark.parametrize(("first", "then"), [*product(("v1", "v2-session"), repeat=2)])
def test_all_lifecycles_of_a_service_are_at_one_server(first: str, then: str) -> None:
    """Whichever of them is recorded first."""
    journal = MemoryJournal()
    journal.creates(get(first), server=SERVERS[0])

    with pytest.raises(OtherServer) as info:
        journal.creates(get(then), server=SERVERS[1])

    assert (info.value.lifecycle, info.value.recorded) == (then, URLS[:1])


def test_nothing_is_recorded_of_a_server_if_one_lifecycle_is_at_another() -> None:
    journal = MemoryJournal()
    journal.task(V1, TASK, server=Server(URLS[0], ("v1",)))

    with pytest.raises(OtherServer, match="the tasks of v1 at http://one"):
        journal.task(V1_FULL, TASK, server=Server(URLS[1], ("v1-full", "v1")))
    journal.task(V1_FULL, TASK, server=Server(URLS[0], ("v1-full", "v1")))


def test_added_server_is_one_of_all_lifecycles_that_are_named() -> None:
    journal = MemoryJournal()
    journal.task(V1, TASK, server=Server("http://one", ("v1",)))
    journal.add_server(Server("http://two", ("v1", "v1-full")))
    journal.add_server(Server("http://two", ("v1",)))

    for lifecycle, url in product((V1, V1_FULL), ("http://one", "http://two")):
        journal.task(lifecycle, TASK, server=Server(url, ("v1", "v1-full")))
    with pytest.raises(OtherServer) as info:
        journal.task(V1_FULL, TASK, server=Server("http://three", ("v1-full",)))
    assert info.value.recorded == ("http://one", "http://two")


def add_server(journal: MemoryJournal, server: Server) -> None:
    journal.add_server(server)


@pytest.mark.parametrize("use", [*USES.values(), add_server])
def test_server_is_of_its_type(use: Callable[[MemoryJournal, Any], object]) -> None:
    with pytest.raises(TypeError, match="server must be a Server"):
        use(MemoryJournal(), "http://one")


@pytest.mark.parametrize("url", ["", "one", "http://", "http:one", "://one", "http://?one", "http://#@one"])
def test_url_of_a_server_has_a_scheme_and_a_host(url: str) -> None:
    with pytest.raises(ValueError, match="must be like 'https://host/path'"):
        Server(url, ("v1",))
    assert repr(Server("http://one", ["v1"])) == "Server('http://one', ('v1',))"  # type: ignore[arg-type]


def test_password_in_the_url_of_a_server_is_not_shown() -> None:
    with pytest.raises(ValueError, match="without a user and a password") as info:
        Server("http://me:letmein@one/", ("v1",))
    made: Any = info.traceback[-1].frame.f_locals["self"]
    assert "letmein" not in f"{info.value} {made!r}"


@pytest.mark.parametrize("given", [(5, ("v1",)), (b"http://one", ("v1",)), ("http://one", "v1"), ("http://one", [V1])])
def test_parts_of_a_server_are_texts(given: tuple[Any, Any]) -> None:
    with pytest.raises(TypeError, match="of a Server must be"):
        Server(*given)
