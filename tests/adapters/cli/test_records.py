"""`tasks`, `history`, `recover` and `journal`, and the other commands with a journal."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from lifecycle import V1_FULL, V2_FULL, CreateUncertain, Lifecycle, V1Event, V1State
from lifecycle.journal import Report, RequestContext, TaskReport
from lifecycle_adapters.cli import main
from lifecycle_adapters.cli.times import iso
from lifecycle_adapters.emulator import Emulator
from lifecycle_adapters.http import Client
from lifecycle_adapters.journal import SqlJournal
from tests.adapters.cli.commands import KEY, call, call_json, script, scripts

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
HOSTILE = [
    "'; DROP TABLE tasks; --",
    "a\nb\r\t",
    "nul\0x",
    "\x1b[31mred\x1b[0m",
    "[bold]x[/bold]",
    "日本",
    "=1+1",
    '"',
    "x" * 1000,
]


@pytest.fixture
def journal(tmp_path: Path) -> str:
    """The path of a journal that does not exist yet."""
    return str(tmp_path / "journal.db")


@pytest.fixture
def record(journal: str) -> Iterator[SqlJournal]:
    with SqlJournal(journal, worker="w1") as opened:
        yield opened


@pytest.fixture
def server(emulator: Emulator, journal: str) -> dict[str, str]:
    """An environment whose commands record in a journal."""
    return {"BROWSER_USE_API_KEY": KEY, "LIFECYCLE_BASE_URL": emulator.base_url, "LIFECYCLE_JOURNAL": journal}


def live(record: SqlJournal, task_id: str, *statuses: str) -> None:
    """Record these statuses of a v1 task, a second apart."""
    for second, status in enumerate(statuses):
        record.task(V1_FULL, task_id).add_report(Report(status, NOW + timedelta(seconds=second)))


def intend(record: SqlJournal, task_id: str, **context: str) -> None:
    """Leave a command open on a running task, which this worker has claimed."""
    log = record.task(V1_FULL, task_id)
    version = log.load().version
    log.add_intent(V1Event.STOP, source=V1State.RUNNING, version=version, fields={}, context=RequestContext(**context))


def lines(result: Result) -> list[str]:
    assert result.exit_code == 0, result.output
    return result.stdout.splitlines()


# --- tasks ----------------------------------------------------------------------------------------


def test_tasks_lists_states_and_open_commands(record: SqlJournal, journal: str) -> None:
    live(record, "t1", "created", "running")
    intend(record, "t1")
    record.task(V2_FULL, "t2").track()

    first, _, *rows = lines(call("tasks", "--journal", journal))

    assert first.split() == ["Lifecycle", "Task", "State", "Since", "Open", "command"]
    assert [row.split() for row in rows] == [
        ["v1-full", "t1", "running", "2026-01-02", "03:04:06.000", "stop", "recorded,", "claimed", "by", "w1"],
        ["v2-full", "t2", "?"],
    ]


def test_tasks_as_json(record: SqlJournal, journal: str) -> None:
    live(record, "t1", "running")
    intend(record, "t1")

    (task,) = call_json("tasks", "--journal", journal)["tasks"]

    assert (task["lifecycle"], task["task_id"], task["state"]) == ("v1-full", "t1", "running")
    assert (task["since"], task["command"], task["command_state"]) == (iso(NOW), "stop", "recorded")


def test_contradicted_final_state_is_shown_with_what_was_reported_later(
    emulator: Emulator, server: dict[str, str], record: SqlJournal, journal: str
) -> None:
    task = call("create", "--api", "v1", "Buy milk", env=server).stdout.strip()
    emulator.fire(task, "start")
    record.task(V1_FULL, task).add_report(Report("finished", NOW))

    status = call("status", "--api", "v1", task, env=server)
    *_, row = lines(call("tasks", "--journal", journal))
    (listed,) = call_json("tasks", "--journal", journal)["tasks"]

    assert (status.stdout, status.stderr) == ("running\n", "v1-full: accepts pause, stop\n")
    assert "finished, but running was reported later" in row
    assert (listed["state"], listed["doubt"]) == ("finished", "running")


def test_tasks_of_a_lifecycle_and_a_state(record: SqlJournal, journal: str) -> None:
    live(record, "t1", "running")
    live(record, "t2", "running", "finished")
    record.task(V2_FULL, "t3").track()

    def listed(*options: str) -> list[str]:
        return [each["task_id"] for each in call_json("tasks", "--journal", journal, *options)["tasks"]]

    assert listed() == ["t1", "t2", "t3"]
    assert listed("--lifecycle", "v1-full") == ["t1", "t2"]
    assert listed("--lifecycle", "v1-full", "--state", "finished") == ["t2"]
    assert listed("--state", "paused") == []


def test_pages_of_tasks_are_turned_by_their_cursor(record: SqlJournal, journal: str) -> None:
    for number in range(5):
        live(record, f"t{number}", "running")
    after, seen, page = 0, list[str](), dict[str, Any]()

    while after is not None:
        page = call_json("tasks", "--journal", journal, "--limit", "2", "--after", str(after))
        seen += [each["task_id"] for each in page["tasks"]]
        after = page["after"]

    assert seen == [f"t{number}" for number in range(5)]
    assert "there are more: add --after 2" in call("tasks", "--journal", journal, "--limit", "2").stderr
    assert "there are more" not in call("tasks", "--journal", journal, "--limit", "5").stderr


# --- history --------------------------------------------------------------------------------------


def test_a_history_shows_who_did_what_and_why(emulator: Emulator, server: dict[str, str], journal: str) -> None:
    context = ("--idempotency-key", "order 5", "--reason", "sold out", "--label", "shop=north")
    task = call("create", "--api", "v1", "Buy milk", *context, "--worker", "alice", env=server).stdout.strip()
    emulator.fire(task, "start")
    sent = call(
        "send",
        "--api",
        "v1",
        task,
        "stop",
        "--idempotency-key",
        "k1",
        "--reason",
        "too dear",
        "--worker",
        "bob",
        env=server,
    )

    heading, titles, _, *rows = lines(call("history", task, "--journal", journal, env={"COLUMNS": "200"}))

    assert sent.stdout == "stopped\n"
    assert heading == f"v1-full {task}"
    assert titles.split() == ["At", "(UTC)", "What", "Worker"]
    told = ["  ".join(row.split("   ")[1:]).strip() for row in rows]
    assert [" ".join(each.split()[:4]) for each in told] == [
        "create 1 created, by",
        "reported running the first",
        "stop (command 1) intended",
        "stop (command 1) sent,",
        "reported stopped step: stop",
        "stop (command 1) done:",
    ]
    assert "created, by caller, key order 5, because sold out, labels shop=north" in " ".join(told[0].split())
    assert "intended in running, by caller, key k1, because too dear" in " ".join(told[2].split())
    assert [row.split()[-1] for row in rows] == ["alice", *["bob"] * 5]


def test_history_as_json(record: SqlJournal, journal: str) -> None:
    live(record, "t1", "running", "running", "paused")
    record.task(V1_FULL, "t1").add_report(Report("running", NOW))
    intend(record, "t1", reason="why not")

    told = call_json("history", "t1", "--journal", journal)

    assert [each.get("kind", each.get("command")) for each in told] == [None, "step", "step", "stop"]
    assert [each.get("times") for each in told] == [2, 1, 1, None]
    assert [each.get("late") for each in told] == [False, False, True, None]
    assert (told[-1]["reason"], told[-1]["origin"], told[-1]["worker"]) == ("why not", "caller", "w1")
    assert told[0]["as_of"] == iso(NOW)


def test_deviating_reports_are_shown_with_their_kind(record: SqlJournal, journal: str) -> None:
    live(record, "t1", "running", "paused")
    log = record.task(V1_FULL, "t1")
    log.add_report(Report("running", NOW))
    log.add_report(Report("started", NOW + timedelta(seconds=9), "webhook"))
    log.add_report(Report("sleeping", NOW + timedelta(seconds=10)))
    log.add_report(Report("sleeping", NOW + timedelta(seconds=11)))

    wide = {"COLUMNS": "200"}
    told = [" ".join(line.split()) for line in lines(call("history", "t1", "--journal", journal, env=wide))]

    assert "late, not applied (api, 2026-01-02 03:04:05.000)" in told[5]
    assert "may be late, not applied; read the task to be certain (webhook" in told[6]
    assert "reported sleeping unknown (api" in told[7]
    assert ", 2 times)" in told[7]


def test_one_id_in_two_lifecycles_has_two_histories(record: SqlJournal, journal: str) -> None:
    live(record, "t1", "running")
    record.task(V2_FULL, "t1").add_report(Report("started", NOW))

    both = lines(call("history", "t1", "--journal", journal))
    one = lines(call("history", "t1", "--journal", journal, "--lifecycle", "v2-full"))

    assert [line for line in both if line.endswith(" t1")] == ["v1-full t1", "v2-full t1"]
    assert [line for line in one if line.endswith(" t1")] == ["v2-full t1"]


@pytest.mark.parametrize("command", [("history",), ("journal", "forget")])
@pytest.mark.parametrize("task_id", ["nobody", "\x1b[31m", "\udcff", ""])
def test_a_task_that_is_not_recorded_is_bad_input(
    record: SqlJournal, journal: str, command: tuple[str, ...], task_id: str
) -> None:
    live(record, "t1", "running")

    result = call(*command, task_id, "--journal", journal)

    assert result.exit_code == 2
    assert re.match(r"lifecycle: no task '.*' is recorded in this journal$", result.stderr)
    assert "\x1b" not in result.output
    assert record.task(V1_FULL, "t1").load().state == "running"


# --- what is foreign ------------------------------------------------------------------------------


def test_hostile_ids_and_statuses_are_shown_without_terminal_controls(record: SqlJournal, journal: str) -> None:
    for task_id in HOSTILE:
        live(record, task_id, "running", "hiber\x1b[2Jnating", "[red]gone[/red]\n")
        intend(record, task_id, reason="\x1b]0;title\x07", idempotency_key="k\x9b")

    shown = [call("tasks", "--journal", journal), *(call("history", each, "--journal", journal) for each in HOSTILE)]

    for result in shown:
        assert result.exit_code == 0
        assert all(each.isprintable() for each in result.output.replace("\n", ""))
    assert "[bold]x[/bold]" in shown[0].stdout
    assert "\\x1b[31mred" in shown[0].stdout
    assert "reported hiber\\x1b[2Jnating" in shown[1].stdout
    assert "[red]gone[/red]\\n" in shown[1].stdout


def test_hostile_ids_survive_json_output(record: SqlJournal, journal: str) -> None:
    for task_id in HOSTILE:
        live(record, task_id, "running")

    assert [each["task_id"] for each in call_json("tasks", "--journal", journal)["tasks"]] == HOSTILE
    assert {each["task_id"] for each in call_json("history", HOSTILE[1], "--journal", journal)} == {HOSTILE[1]}


def test_closed_pipe_ends_the_command_quietly(record: SqlJournal, journal: str) -> None:
    record.add_reports([TaskReport(V1_FULL, f"t{number}", Report("running", NOW)) for number in range(500)])
    reader, writer = os.pipe()
    os.close(reader)

    with os.fdopen(writer, "w") as pipe:
        cut = scripts(f"tasks --journal {journal}", f"journal export v1-full --journal {journal}", stdout=pipe)

    assert {command: (each.returncode, each.stderr) for command, each in cut.items()} == dict.fromkeys(cut, (141, ""))


# --- a journal under other commands ---------------------------------------------------------------


@pytest.mark.heavy
def test_a_key_is_executed_once_across_processes(emulator: Emulator, server: dict[str, str]) -> None:
    session = call("create", "--api", "v3", env=server).stdout.strip()
    emulator.fire(session, "ready")
    dispatch = ("send", "--api", "v3", session, "dispatch", "--field", "task=x", "--idempotency-key", "k1")

    first, again = script(*dispatch, env=server), call(*dispatch, env=server)
    other = call("send", "--api", "v3", session, "stop", "--idempotency-key", "k1", env=server)

    assert first.stdout == again.stdout == "running\n"
    assert [each.command for each in emulator.calls() if each.command] == ["dispatch"]
    assert other.exit_code == 1
    assert "'stop' cannot have the key 'k1', used for 'dispatch'" in other.stderr


@pytest.mark.parametrize("command", ["status", "wait"])
def test_reads_are_recorded_in_the_journal(
    emulator: Emulator, server: dict[str, str], journal: str, command: str
) -> None:
    unrecorded = {name: text for name, text in server.items() if name != "LIFECYCLE_JOURNAL"}
    task = call("create", "--api", "v2", "x", env=unrecorded).stdout.strip()
    emulator.fire(task, "start")
    emulator.fire(task, "finish")

    assert lines(call(command, "--api", "v2", task, "--journal", journal, "--worker", "w3", env=server))

    (known,) = call_json("tasks", "--journal", journal)["tasks"]
    assert (known["task_id"], known["state"]) == (task, "finished")
    assert {each["worker"] for each in call_json("history", task, "--journal", journal)} == {"w3"}


# --- recover --------------------------------------------------------------------------------------


def test_one_key_prints_one_task(emulator: Emulator, server: dict[str, str]) -> None:
    printed = [
        call("create", "--api", "v1", "Buy milk", "--idempotency-key", "order 5", env=server).stdout for _ in range(2)
    ]

    assert printed[0] == printed[1] != ""
    assert [each.method for each in emulator.calls()] == ["POST"]


def test_label_without_a_name_is_refused(server: dict[str, str]) -> None:
    refused = call("create", "--api", "v1", "Buy milk", "--label", "north", env=server)

    assert (refused.exit_code, "a label is NAME=TEXT" in refused.stderr) == (2, True)


def lose(emulator: Emulator, server: dict[str, str], number: int = 1) -> str:
    """Create a task whose response is lost, as the journal's create of this number, and return the task's id."""
    emulator.fault("drop_after", method="POST")
    lost = call("create", "--api", "v1", "Buy milk", "--label", "shop=north", env=server)
    assert (lost.exit_code, f"(create {number})" in lost.stderr) == (1, True)
    return emulator.tasks()[-1].id


def test_recover_adopts_the_message_of_a_lost_create(tmp_path: Path) -> None:
    with Emulator("v4", manual=True) as emulator, SqlJournal(tmp_path / "j.db") as journal:
        with Client("v4", base_url=emulator.base_url, api_key="k", journal=journal) as client:
            session = client.create("Buy milk").session()
            emulator.fault("drop_after", method="POST")
            with pytest.raises(CreateUncertain):
                session.queue("Buy bread")
        env = {"LIFECYCLE_BASE_URL": emulator.base_url, "BROWSER_USE_API_KEY": "k"}
        options = ("--api", "v4", "--journal", str(tmp_path / "j.db"))
        (create,) = call_json("recover", *options, env=env)["creates"]
        [candidate] = create["candidates"]
        settled = call("recover", *options, "--adopt", f"2={candidate['task']}", env=env)

    assert create["create"] == "2"
    name = f"v4-message[{session.id}]"
    assert settled.stderr == f"{name} create 2: adopted {candidate['task']}\n0 settled, 0 still open\n"


def test_recover_prints_a_lost_create_with_what_to_type(emulator: Emulator, server: dict[str, str]) -> None:
    task = lose(emulator, server)

    told = call("recover", "--api", "v1", env=server)
    document = call_json("recover", "--api", "v1", env=server)
    settled = call("recover", "--api", "v1", "--adopt", f"1={task}", env=server)

    first, *rest = told.stdout.splitlines()
    assert (told.exit_code, told.stderr) == (1, "0 settled, 1 still open\n")
    assert first.startswith("v1-full create 1: v1-full: whether a task was created is not known")
    assert rest == [
        f"  it may have created {task} (created): add --adopt 1={task}",
        "  if it created none of them: add --abandon 1",
    ]
    (create,) = document["creates"]
    assert (create["create"], create["state"], create["labels"]) == ("1", "uncertain", {"shop": "north"})
    assert create["candidates"] == [{"task": task, "status": "created"}]
    assert (settled.exit_code, settled.stdout) == (0, "")
    assert settled.stderr == f"v1-full create 1: adopted {task}\n0 settled, 0 still open\n"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--adopt", "1=a", "--adopt", "1=b"), "--adopt names '1' twice"),
        (("--adopt", "1=a", "--abandon", "1"), "create '1' is in --adopt and in --abandon"),
    ],
)
def test_create_with_two_outcomes_is_bad_input(
    emulator: Emulator, server: dict[str, str], options: tuple[str, ...], said: str
) -> None:
    lose(emulator, server)

    refused = call("recover", "--api", "v1", *options, env=server)

    assert (refused.exit_code, refused.stdout, said in refused.stderr) == (2, "", True)
    (create,) = call_json("recover", "--api", "v1", env=server)["creates"]
    assert create["state"] == "uncertain"


@pytest.mark.parametrize("column", ["fields", "labels"])
def test_a_create_that_cannot_be_read_is_reported(
    emulator: Emulator, server: dict[str, str], journal: str, column: str
) -> None:
    lose(emulator, server)
    with closing(sqlite3.connect(journal)) as database, database:
        database.execute(f"UPDATE lifecycle_creates SET {column} = '[1]'")

    told, told_json = (call("recover", "--api", "v1", *options, env=server) for options in ((), ("--json",)))
    checked = call("journal", "check", env=server)

    error = f"v1-full create 1: its record cannot be read: its {column} are not a JSON object"
    assert (told.exit_code, told.stdout) == (1, f"v1-full: create: {error}\n")
    document = json.loads(told_json.stdout)
    (broken,) = document["recovered"]
    assert (told_json.exit_code, document["creates"]) == (1, [])
    assert (broken["command"], broken["settled"], broken["error"]) == ("create", False, error)
    assert checked.exit_code == 1
    assert checked.stdout == f"v1-full : wrong_create: create 1: its {column} are not a JSON object\n"


def test_recover_abandons_a_create(emulator: Emulator, server: dict[str, str]) -> None:
    lose(emulator, server)
    emulator.reset()

    told = call("recover", "--api", "v1", env=server)
    abandoned = call("recover", "--api", "v1", "--abandon", "1", env=server)
    again = call("recover", "--api", "v1", "--abandon", "1", env=server)

    assert told.stdout.splitlines()[1:] == [
        "  if it created a task that you know: add --adopt 1=TASK",
        "  if it created no task: add --abandon 1",
    ]
    assert (abandoned.exit_code, abandoned.stdout) == (0, "")
    assert (again.exit_code, "create 1 has ended already, and is not changed: it is abandoned" in again.stderr) == (
        2,
        True,
    )


@pytest.mark.parametrize("adoption", ["1", "1=", "=task"])
def test_an_adoption_names_a_create_and_a_task(server: dict[str, str], journal: str, adoption: str) -> None:
    SqlJournal(journal).close()

    refused = call("recover", "--api", "v1", "--adopt", adoption, env=server)

    assert (refused.exit_code, "an adoption is CREATE=TASK" in refused.stderr) == (2, True)


def test_a_create_that_a_living_worker_has_claimed_is_left_to_it(server: dict[str, str], record: SqlJournal) -> None:
    record.creates(V1_FULL).add({"task": "Buy milk"}, labels={})

    told = call("recover", "--api", "v1", env=server)

    assert told.exit_code == 1
    (line,) = told.stdout.splitlines()
    assert line.startswith("v1-full create 1: v1-full: worker 'w1' has claimed create 1 until")


def uncertain(emulator: Emulator, server: dict[str, str]) -> str:
    """A running session with a dispatch whose outcome is unknown."""
    session = call("create", "--api", "v3", env=server).stdout.strip()
    emulator.fire(session, "ready")
    emulator.fault("drop_after", command="dispatch")
    sent = call("send", "--api", "v3", session, "dispatch", "--field", "task=x", env=server)
    assert (sent.exit_code, "is not known" in sent.stderr) == (1, True)
    return session


def test_recover_settles_what_was_left_open(emulator: Emulator, server: dict[str, str]) -> None:
    task = call("create", "--api", "v1", "x", env=server).stdout.strip()
    emulator.fire(task, "start")
    assert call("status", "--api", "v1", task, env=server).stdout == "running\n"
    emulator.fault("drop_after", command="pause")
    emulator.fault("status", method="GET", times=1, status_code=401)
    assert call("send", "--api", "v1", task, "pause", env=server).exit_code == 1

    recovered = call("recover", "--api", "v1", env=server)

    assert (recovered.exit_code, recovered.stdout) == (0, f"v1-full {task}: pause: done, paused\n")
    assert recovered.stderr == "1 settled, 0 still open\n"
    nothing: dict[str, Any] = {"recovered": [], "creates": [], "open": [], "other_lifecycles": []}
    assert call_json("recover", "--api", "v1", env=server) == nothing


def test_unsettled_recovery_exits_with_1(emulator: Emulator, server: dict[str, str]) -> None:
    session = uncertain(emulator, server)

    told, again = call("recover", "--api", "v3", "--json", env=server), call("recover", "--api", "v3", env=server)

    assert (told.exit_code, again.exit_code) == (1, 1)
    document = json.loads(told.stdout)
    (recovered,) = document["recovered"]
    assert (recovered["task"], recovered["command"], recovered["state"]) == (session, "dispatch", None)
    assert "is not known" in recovered["error"]
    assert document["open"] == [{"lifecycle": "v3-full", "task": session}]
    assert not recovered["settled"]
    assert again.stderr == "0 settled, 1 still open\n"


def test_recover_reports_open_commands_of_other_services(emulator: Emulator, server: dict[str, str]) -> None:
    uncertain(emulator, server)

    told, document = call("recover", "--api", "v2", env=server), call_json("recover", "--api", "v2", env=server)

    more = "the journal has more that is open, which is not of this --api: v3-full"
    assert (told.exit_code, told.stderr) == (0, f"0 settled, 0 still open\n{more}\n")
    assert (document["open"], document["other_lifecycles"]) == ([], ["v3-full"])


def test_recover_abandons_a_command(emulator: Emulator, server: dict[str, str]) -> None:
    session = uncertain(emulator, server)
    hint = call("recover", "--api", "v3", env=server).stdout.splitlines()[-1]

    abandoned = call("recover", "--api", "v3", "--abandon-command", session, env=server)
    again = call("recover", "--api", "v3", "--abandon-command", session, env=server)

    assert hint == f"  if its outcome is no longer needed: add --abandon-command {session}"
    assert abandoned.exit_code == 0
    assert abandoned.stderr == f"v3-full {session}: dispatch: abandoned\n0 settled, 0 still open\n"
    assert (again.exit_code, again.stderr) == (2, f"lifecycle: no command of v3-full task '{session}' is open\n")
    assert "abandoned by a caller" in call("history", session, env=server).stdout


def test_recover_with_a_wrong_option_abandons_nothing(emulator: Emulator, server: dict[str, str]) -> None:
    session = uncertain(emulator, server)
    abandon = ("recover", "--api", "v3", "--abandon-command", session)
    wrong = [("--abandon-command", "typo"), ("--abandon", "9"), ("--adopt", f"9={session}")]

    refused = [call(*abandon, *options, env=server) for options in wrong]
    still_open = call_json("recover", "--api", "v3", env=server)["open"]
    twice = call(*abandon, "--abandon-command", session, env=server)

    assert [each.exit_code for each in refused] == [2, 2, 2]
    assert refused[0].stderr == "lifecycle: no command of v3-full task 'typo' is open\n"
    assert {each.stderr for each in refused[1:]} == {
        "lifecycle: there is no create '9' of v3-full; without an outcome: none\n"
    }
    assert still_open == [{"lifecycle": "v3-full", "task": session}]
    assert twice.exit_code == 0
    assert twice.stderr == f"v3-full {session}: dispatch: abandoned\n0 settled, 0 still open\n"


def test_recover_prints_what_it_recorded_before_it_failed(
    emulator: Emulator, server: dict[str, str], record: SqlJournal
) -> None:
    task, claimed = (call("create", "--api", "v1", "x", env=server).stdout.strip() for _ in range(2))
    for each in (task, claimed):
        emulator.fire(each, "start")
        record.task(V1_FULL, each).add_report(Report("running", NOW))
    emulator.fault("drop_after", command="pause")
    emulator.fault("status", method="GET", times=1, status_code=401)
    assert call("send", "--api", "v1", task, "pause", env=server).exit_code == 1
    intend(record, claimed)

    failed = call("recover", "--api", "v1", "--abandon-command", task, "--abandon-command", claimed, env=server)

    first, second = failed.stderr.splitlines()
    assert (failed.exit_code, first) == (1, f"v1-full {task}: pause: abandoned")
    assert "worker 'w1' has claimed it until" in second


def test_recover_adopts_each_create_and_each_task_once(emulator: Emulator, server: dict[str, str]) -> None:
    task, _ = (lose(emulator, server, number) for number in (1, 2))
    adopt, other = ("--adopt", f"1={task}"), ("--adopt", f"2={task}")
    abandon = ("--abandon", "2")

    both = call("recover", "--api", "v1", *adopt, *other, env=server)
    adopted = call("recover", "--api", "v1", *adopt, *adopt, env=server)
    again = call("recover", "--api", "v1", *adopt, env=server)
    second = call("recover", "--api", "v1", *other, env=server)
    abandoned = call("recover", "--api", "v1", *abandon, *abandon, env=server)

    for refused in (both, second):
        said = f"lifecycle: create 2 cannot have made the task '{task}': create 1 did\n"
        assert (refused.exit_code, refused.stderr) == (2, said)
    assert adopted.stderr == f"v1-full create 1: adopted {task}\n0 settled, 1 still open\n"
    kept = f"lifecycle: create 1 has ended already, and is not changed: it is done with the task '{task}'\n"
    assert (again.exit_code, again.stderr) == (2, kept)
    assert abandoned.stderr == "v1-full create 2: abandoned\n0 settled, 0 still open\n"


def test_recover_abandons_no_command_that_a_living_worker_has_claimed(
    emulator: Emulator, server: dict[str, str], record: SqlJournal
) -> None:
    task = call("create", "--api", "v1", "x", env=server).stdout.strip()
    emulator.fire(task, "start")
    record.task(V1_FULL, task).add_report(Report("running", NOW))
    intend(record, task)

    refused = call("recover", "--api", "v1", "--abandon-command", task, env=server)

    assert refused.exit_code == 1
    assert "worker 'w1' has claimed it until" in refused.stderr


def test_command_in_flight_is_json_with_the_claim(emulator: Emulator, server: dict[str, str], journal: str) -> None:
    task = call("create", "--api", "v1", "x", env=server).stdout.strip()
    emulator.fire(task, "start")
    with SqlJournal(journal, worker="alive") as record:
        record.task(V1_FULL, task).add_report(Report("running", NOW))
        intend(record, task)

        result = call("send", "--api", "v1", task, "pause", "--json", env=server)

    told = json.loads(result.stdout)
    assert result.exit_code == 1
    assert (told["task"], told["command"], told["error"]) == (task, "pause", "command_in_flight")
    assert (told["other"], told["claimed_by"]) == ("stop", "alive")
    assert re.fullmatch(r"[\d-]{10}T[\d:.]+Z", told["until"])


@pytest.mark.parametrize("how", [("--worker", "alive"), ("--dead", "alive")])
def test_command_claimed_by_another_worker_is_not_resumed(
    emulator: Emulator, server: dict[str, str], journal: str, how: tuple[str, str]
) -> None:
    task = call("create", "--api", "v1", "x", env=server).stdout.strip()
    emulator.fire(task, "start")
    with SqlJournal(journal, worker="alive") as record:
        record.task(V1_FULL, task).add_report(Report("running", NOW))
        intend(record, task)

        left = call("recover", "--api", "v1", env=server)
        resumed = call("recover", "--api", "v1", *how, env=server)

    assert (left.exit_code, left.stderr) == (1, "0 settled, 1 still open\n")
    assert "'stop' has no outcome yet; worker 'alive' has claimed it until 20" in left.stdout
    assert (resumed.exit_code, resumed.stdout) == (0, f"v1-full {task}: stop: done, stopped\n")


# --- the journal itself ---------------------------------------------------------------------------


def test_a_sound_journal_is_reported_as_sound(record: SqlJournal, journal: str) -> None:
    live(record, "t1", "created", "finished")
    intend(record, "t2")

    result = call("journal", "check", "--journal", journal)

    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "the journal is sound\n")
    assert call_json("journal", "check", "--journal", journal) == []


def test_a_damaged_record_exits_with_1(record: SqlJournal, journal: str) -> None:
    live(record, "t\x1b1", "created", "finished")
    record.close()
    with sqlite3.connect(journal) as database:
        database.execute("UPDATE lifecycle_tasks SET state = 'running'")
    database.close()

    result = call("journal", "check", "--journal", journal)
    told = call("journal", "check", "--journal", journal, "--json")

    assert (result.exit_code, told.exit_code) == (1, 1)
    assert result.stdout == ("v1-full t\\x1b1: wrong_state: 'running' is kept, the history leads to 'finished'\n")
    (damage,) = json.loads(told.stdout)
    assert (damage["code"], damage["task_id"], damage["entry"]) == ("wrong_state", "t\x1b1", None)


OWN = """
name: print-job
citation: the manual, page 7
states: [{name: waiting, initial: true}, {name: printed, final: true}]
events: [{name: print, origin: remote}]
transitions: [{source: waiting, event: print, target: printed}]
"""


def test_own_lifecycle_is_verified_by_its_recorded_declaration(
    record: SqlJournal, journal: str, tmp_path: Path
) -> None:
    log = record.task(Lifecycle.from_yaml(OWN), "7")
    for status in ("waiting", "printed"):
        log.add_report(Report(status, NOW))
    file = tmp_path / "own.yaml"
    file.write_text(OWN)

    other = tmp_path / "other.yaml"
    other.write_text(OWN.replace("printed", "done"))
    sound = call("journal", "check", "--journal", journal)
    same = call("journal", "check", "--journal", journal, "--declaration", str(file))
    changed = call("journal", "check", "--journal", journal, "--declaration", str(other))

    assert (sound.exit_code, sound.stdout, sound.stderr) == (0, "", "the journal is sound\n")
    assert (same.exit_code, same.stderr) == (0, sound.stderr)
    assert changed.exit_code == 0
    digest = Lifecycle.from_yaml(OWN).digest
    assert changed.stderr.splitlines() == [
        f"1 task of print-job: recorded under another declaration, with the digest {digest}",
        "the journal is sound",
    ]
    [row] = call_json("tasks", "--journal", journal, "--lifecycle", "print-job")["tasks"]
    assert row["declaration"] == digest
    twice = call("journal", "check", "--journal", journal, *2 * ("--declaration", str(file)))
    assert (twice.exit_code, twice.stderr) == (
        2,
        "lifecycle: --declaration names 'print-job' twice; give each name once\n",
    )
    later = (datetime.now(UTC) + timedelta(days=1)).isoformat(timespec="seconds").removesuffix("+00:00")
    assert call("journal", "prune", "--journal", journal, "--before", later).stdout == "1\n"


@pytest.mark.parametrize(
    "command",
    [
        ("tasks", "--lifecycle", "v1"),
        ("history", "t1", "--lifecycle", "v1"),
        ("journal", "export", "v1"),
        ("journal", "forget", "t1", "--lifecycle", "v1"),
    ],
)
def test_unrecorded_lifecycle_is_bad_input(record: SqlJournal, journal: str, command: Sequence[str]) -> None:
    live(record, "t1", "created")

    result = call(*command, "--journal", journal)

    assert (result.exit_code, result.stdout) == (2, "")
    assert "unknown lifecycle 'v1'; did you mean 'v1-full'? (known: v1-full)" in result.stderr


def test_unknown_state_is_bad_input(record: SqlJournal, journal: str) -> None:
    live(record, "t1", "created")

    result = call("tasks", "--journal", journal, "--state", "runing")

    assert (result.exit_code, result.stdout) == (2, "")
    assert "unknown state 'runing'; did you mean 'running'?" in result.stderr


@pytest.mark.parametrize("name", ["print-job", "print-job[lab]"])
def test_own_lifecycle_is_exported_by_its_recorded_name(record: SqlJournal, journal: str, name: str) -> None:
    aliases = "aliases: [{channel: webhook, status: pending, state: waiting}]\n"
    earlier, later = (Lifecycle.from_yaml(text).replace(name=name) for text in (OWN, OWN + aliases))
    record.task(earlier, "6").add_report(Report("waiting", NOW))
    record.task(later, "7").add_report(Report("pending", NOW, "webhook"))

    result = call("journal", "export", name, "--journal", journal)

    assert result.exit_code == 0, result.output
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(row["task_id"], row["status"]) for row in rows] == [("6", "waiting"), ("7", "waiting")]


@pytest.mark.usefixtures("record")
def test_export_of_an_unknown_lifecycle_explains_how_to_name_a_file(journal: str) -> None:
    result = call("journal", "export", "print-job", "--journal", journal)
    assert result.exit_code == 2
    assert "catalog: unknown lifecycle 'print-job'" in result.stderr
    assert "; for a lifecycle of your own, give the file that declares it, such as ./mine.json" in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("given", ["print-jb", "print-job"])
def test_export_of_an_unrecorded_name_proposes_the_recorded_ones(
    record: SqlJournal, journal: str, given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("print-job.yaml").write_text(OWN)  # of the name without its suffix the message must say nothing else
    record.task(Lifecycle.from_yaml(OWN).replace(name="print-jobs"), "6").add_report(Report("waiting", NOW))

    result = call("journal", "export", given, "--journal", journal)

    assert result.exit_code == 2
    assert f"journal: unknown lifecycle '{given}'; did you mean 'print-jobs'?" in result.stderr
    assert "(known: print-jobs)" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_export_of_a_file_that_does_not_exist_names_the_file(record: SqlJournal, journal: str) -> None:
    live(record, "6", "created")

    for given in ("missing.yaml", "folder/missing"):
        result = call("journal", "export", given, "--journal", journal)
        assert (result.exit_code, result.stderr) == (2, f"lifecycle: No such file or directory: {given}\n")


def test_exported_log_passes_check(record: SqlJournal, journal: str) -> None:
    for task_id in HOSTILE:
        live(record, task_id, "created", "running", "finished")
    record.task(V1_FULL, "pushed").add_report(Report("initializing", NOW, "webhook"))

    for name in ("jsonl", "csv"):
        exported = call("journal", "export", "v1-full", "--journal", journal, "--format", name)
        judged = call("check", "v1-full", "-", "--input-format", name, typed=exported.stdout_bytes)

        assert judged.exit_code == 0, judged.output
        assert f"{len(HOSTILE) + 1} tasks, {3 * len(HOSTILE) + 1} rows" in judged.output


class Pipe(io.BytesIO):
    def seekable(self) -> bool:
        return False


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "ascii", "utf-16"])
@pytest.mark.parametrize("name", ["jsonl", "csv"])
def test_an_export_has_the_same_bytes_whatever_the_terminal(
    record: SqlJournal, journal: str, name: str, encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for task_id in ("auftrag-ü", "日本", "a,b"):
        live(record, task_id, "created")
    export = ("journal", "export", "v1-full", "--journal", journal, "--format", name)
    stream = Pipe()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(stream, encoding=encoding, newline="\r\n"))  # as on Windows
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    monkeypatch.setattr(sys, "argv", ["lifecycle", *export])

    with pytest.raises(SystemExit) as end:
        main()

    sys.stdout.flush()
    printed = stream.getvalue()
    monkeypatch.undo()
    assert end.value.code == 0
    assert printed == call(*export).stdout_bytes
    assert b"\r\r\n" not in printed
    if name == "csv":
        assert printed.splitlines(keepends=True)[0] == b"task_id,at,status\r\n"
        assert {row["task_id"] for row in csv.DictReader(io.StringIO(printed.decode(), newline=""))} == {
            "auftrag-ü", "日本", "a,b",
        }  # fmt: skip


def test_csv_export_contains_no_formulas_or_control_characters(record: SqlJournal, journal: str) -> None:
    odd = ["=1+1", "\n=1", "a\rb\tc", "\uff1d1", "@x", "\x1b[31mred", "a\x9bb", "\u202ex", "\ud800", "-"]
    for task_id in odd:
        live(record, task_id, "created", "+\x07")

    table = call("journal", "export", "v1-full", "--journal", journal, "--format", "csv").stdout_bytes.decode()
    rows = [*csv.DictReader(io.StringIO(table, newline=""))]
    exact = [json.loads(line) for line in lines(call("journal", "export", "v1-full", "--journal", journal))]

    shown = ["'=1+1", "\\n=1", "a\\rb\\tc", "'\uff1d1", "'@x", "\\x1b[31mred", "a\\x9bb", "\\u202ex", "\\ud800", "-"]
    assert [row["task_id"] for row in rows] == [each for each in shown for _ in range(2)]
    assert {row["status"] for row in rows} == {"created", "'+\\x07"}
    assert [row["task_id"] for row in exact] == [each for each in odd for _ in range(2)]


@pytest.mark.parametrize("name", ["jsonl", "csv"])
def test_an_export_names_the_tasks_whose_reports_it_cannot_read(record: SqlJournal, journal: str, name: str) -> None:
    for task_id in ("good", "b\x1bad", "worse", "nameless"):
        live(record, task_id, "created", "running")
    with closing(sqlite3.connect(journal)) as database, database:
        database.execute("UPDATE lifecycle_entries SET status = x'ff' WHERE id IN (3, 4)")
        database.execute("UPDATE lifecycle_entries SET as_of = 9223372036854775807 WHERE id = 6")
        database.execute("UPDATE lifecycle_tasks SET task_id = x'ff' WHERE task_id = 'nameless'")

    exported = call("journal", "export", "v1-full", "--journal", journal, "--format", name)

    assert exported.exit_code == 1
    found = [line for line in exported.stdout.splitlines() if "task_id,at" not in line]
    assert [("good" in line, "worse" in line) for line in found] == [(True, False), (True, False), (False, True)]
    unread = "'b\\x1bad', 'worse', a task without a readable id"
    assert f": 5 reports cannot be read, of {unread}; run `lifecycle journal check`\n" in exported.stderr


def test_an_export_has_one_row_for_each_report(record: SqlJournal, journal: str) -> None:
    live(record, "t1", "created", "running")
    record.task(V1_FULL, "t1").add_report(Report("started", NOW + timedelta(seconds=2), "webhook"))
    record.task(V2_FULL, "t2").add_report(Report("started", NOW))

    printed = [json.loads(line) for line in lines(call("journal", "export", "v1-full", "--journal", journal))]
    table = call("journal", "export", "v1-full", "--journal", journal, "--format", "csv").stdout

    assert printed == [
        {"task_id": "t1", "at": iso(NOW + timedelta(seconds=second)), "status": status}
        for second, status in enumerate(["created", "running", "running"])
    ]
    assert list(csv.DictReader(io.StringIO(table, newline=""))) == printed


def test_forget_deletes_the_records_of_a_task(record: SqlJournal, journal: str) -> None:
    live(record, "t1", "running")
    live(record, "t2", "running")
    record.task(V2_FULL, "t2").track()

    assert lines(call("journal", "forget", "t2", "--journal", journal, "--lifecycle", "v2-full")) == ["1"]
    assert [each.lifecycle for each in record.tasks().tasks] == ["v1-full", "v1-full"]
    assert lines(call("journal", "forget", "t2", "--journal", journal)) == ["1"]
    assert [each.task_id for each in record.tasks().tasks] == ["t1"]
    assert record.history("t2") == []


def test_command_at_another_server_is_refused_until_that_server_is_added(
    emulator: Emulator, server: dict[str, str]
) -> None:
    task = call("create", "--api", "v1", "x", env=server).stdout.strip()
    moved = {**server, "LIFECYCLE_BASE_URL": emulator.base_url.replace("127.0.0.1", "localhost")}
    add = ("journal", "add-server", "--api", "v1", "--base-url", moved["LIFECYCLE_BASE_URL"])

    refused = call("send", "--api", "v1", task, "stop", env=moved)
    added = call(*add, env=server)
    sent = call("send", "--api", "v1", task, "stop", env=moved)

    assert (refused.exit_code, refused.stdout) == (2, "")
    assert f"the journal has the tasks of v1-full at {emulator.base_url}, not at" in refused.stderr
    assert "`lifecycle journal add-server`" in refused.stderr
    assert lines(added) == [f"v1-full: {emulator.base_url} and {moved['LIFECYCLE_BASE_URL']}"]
    assert sent.exit_code == 0


def test_server_is_added_without_a_key(record: SqlJournal, journal: str) -> None:
    add = ("journal", "add-server", "--api", "v2", "--base-url", "http://gateway.example/", "--journal")

    assert lines(call(*add, journal)) == [
        "v2-full: http://gateway.example", "v2-session: http://gateway.example"
    ]  # fmt: skip
    assert record.servers() == {"v2-full": ("http://gateway.example",), "v2-session": ("http://gateway.example",)}
    missing = call(*add, f"{journal}-mistyped")
    assert missing.exit_code == 2
    assert not Path(f"{journal}-mistyped").exists()


def test_prune_deletes_old_finished_tasks(record: SqlJournal, journal: str) -> None:
    live(record, "over", "running", "finished")
    live(record, "alive", "running")
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).date().isoformat()

    assert lines(call("journal", "prune", "--before", "2026-01-01", "--journal", journal)) == ["0"]
    assert lines(call("journal", "prune", "--before", tomorrow, "--journal", journal)) == ["1"]
    assert [each.task_id for each in record.tasks().tasks] == ["alive"]


@pytest.mark.parametrize(
    "before",
    ["19990101000000", "99991231235959", "2027", "20270101", "1798761600", "2027-W01-1", "2027-1-1", "yesterday", "",
     "2027-02-30", "2027-01-01T25:00", "2027-01-01Z", "0001-01-01T00:00+14:00", "\uff12027-01-01"],
)  # fmt: skip
def test_prune_with_an_invalid_date_deletes_nothing(record: SqlJournal, journal: str, before: str) -> None:
    live(record, "over", "running", "finished")

    refused = call("journal", "prune", "--before", before, "--journal", journal)

    assert (refused.exit_code, refused.stdout) == (2, "")
    unwrapped = " ".join(refused.stderr.replace("│", "").split())
    assert "is not an ISO 8601 date or time; write it like 2026-01-31 or" in unwrapped
    assert [each.task_id for each in record.tasks().tasks] == ["over"]


def test_prune_before_takes_a_zone_and_is_utc_without_one(record: SqlJournal, journal: str) -> None:
    live(record, "over", "running", "finished")
    recorded_at = record.history("over")[-1].at
    after = recorded_at + timedelta(minutes=1)
    east, west = (timezone(timedelta(hours=hours)) for hours in (14, -12))

    def prune(before: datetime) -> list[str]:
        return lines(call("journal", "prune", "--before", before.isoformat(), "--journal", journal))

    assert prune(recorded_at.astimezone(east)) == ["0"]
    assert prune(recorded_at.astimezone(west)) == ["0"]
    assert prune(recorded_at.replace(tzinfo=None)) == ["0"]
    assert prune(after.astimezone(west)) == ["1"]


def test_times_for_programs_have_one_form(record: SqlJournal, journal: str) -> None:
    live(record, "t1", "running")
    intend(record, "t1")

    documents = [
        call_json("tasks", "--journal", journal),
        call_json("history", "t1", "--journal", journal),
        json.loads(call("journal", "export", "v1-full", "--journal", journal).stdout),
    ]

    times = [text for document in documents for text in re.findall(r'"(\d{4}-[^"]*)"', json.dumps(document))]
    assert len(times) > len(documents)
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z", each) for each in times), times


# --- what cannot be used --------------------------------------------------------------------------

READING = [
    ("tasks",), ("history", "t1"), ("recover", "--api", "v1"), ("journal", "check"), ("journal", "export", "v1"),
    ("journal", "forget", "t1"), ("journal", "prune", "--before", "2026-01-01"),
]  # fmt: skip


def refused(command: tuple[str, ...], journal: str | Path) -> str:
    """Return the one line about a journal that cannot be used."""
    result = call(*command, "--journal", str(journal), env={"BROWSER_USE_API_KEY": KEY})
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("lifecycle: journal ")
    return result.stderr


@pytest.mark.parametrize("command", [*READING, ("status", "t1", "--api", "v1")], ids=" ".join)
@pytest.mark.parametrize(
    "journal",
    [
        "host=127.0.0.1 port=1 password=hidden-7f3a", "password='hidden-7f3a", "hst=x password=hidden-7f3a",
        "postgres://u:hidden-7f3a@127.0.0.1:1/d", "postgresql://127.0.0.1:1/d?sslpassword=hidden-7f3a",
        "postgresql://127.0.0.1:1/d?options=-c%20a.b%3Dhidden-7f3a", "mysql://u:hidden-7f3a@127.0.0.1/d",
        "postgresql://u:hidden@7f3a@127.0.0.1/d",
    ],
)  # fmt: skip
def test_secret_in_a_journal_url_is_not_shown_and_makes_no_file(
    command: tuple[str, ...], journal: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    result = call(*command, "--journal", journal, env={"BROWSER_USE_API_KEY": KEY})

    assert result.exit_code == 2
    assert "hidden" not in result.output
    assert "7f3a" not in result.output.replace(KEY, "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", READING, ids=" ".join)
def test_missing_journal_is_not_created(command: tuple[str, ...], tmp_path: Path) -> None:
    assert "there is no such file" in refused(command, tmp_path / "missing.db")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", READING, ids=" ".join)
def test_file_other_than_a_journal_is_not_changed(command: tuple[str, ...], tmp_path: Path) -> None:
    text, other = tmp_path / "notes.txt", tmp_path / "other.db"
    text.write_text("no database at all, and a good deal longer than its header would have been: 100 bytes or more.\n")
    with sqlite3.connect(other) as database:
        database.execute("CREATE TABLE shopping (item TEXT)")
    database.close()
    before = text.read_bytes(), other.read_bytes()

    refused(command, text)
    refused(command, other)

    assert (text.read_bytes(), other.read_bytes()) == before


@pytest.mark.parametrize("command", READING, ids=" ".join)
def test_journal_of_a_newer_version_is_not_changed(command: tuple[str, ...], record: SqlJournal, journal: str) -> None:
    live(record, "t1", "running")
    record.close()
    with sqlite3.connect(journal) as database:
        database.execute("UPDATE lifecycle_version SET version = '9999'")
    database.close()

    assert "9999" in refused(command, journal)


@pytest.mark.parametrize(
    "arguments",
    [
        ("tasks",),
        ("tasks", "--limit", "0"),
        ("tasks", "--after", "-1"),
        ("journal",),
        ("journal", "export", "v9"),
        ("journal", "export", "v1", "--format", "xml"),
        ("journal", "prune", "--before", "yesterday"),
    ],
)
def test_wrong_arguments_are_bad_input(arguments: tuple[str, ...], record: SqlJournal, journal: str) -> None:
    live(record, "t1", "running")
    given = () if arguments in (("tasks",), ("journal",)) else ("--journal", journal)

    result = call(*arguments, *given)

    assert result.exit_code == 2
    assert "Traceback" not in result.output
    assert record.task(V1_FULL, "t1").load().state == "running"


@pytest.mark.parametrize("table", ["lifecycle_entries", "lifecycle_deliveries", "lifecycle_tasks"])
def test_a_table_that_is_missing_is_the_damage(journal: str, table: str) -> None:
    SqlJournal(journal).close()
    with closing(sqlite3.connect(journal)) as connection:
        connection.execute(f"DROP TABLE {table}")

    result = call("journal", "check", "--journal", journal)

    assert (result.exit_code, result.stderr) == (1, "")
    assert f"missing_table: the table {table} is missing" in result.stdout


@pytest.mark.parametrize("place", ["host=127.0.0.1 port=abc password=zz", "postgresql://u:zz@127.0.0.1/db?port=1x"])
def test_invalid_port_is_a_one_line_error(place: str) -> None:
    result = call("tasks", "--journal", place)

    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("lifecycle: not a valid database URL: a port is a whole number")
    assert result.stderr.count("\n") == 1
    assert "zz" not in result.stderr


URLS = [f"http://u:{KEY}@127.0.0.1/x", f"http:/u:{KEY}@h", f"ftp://u:a/{KEY}@h", f"http://u:{KEY}@h:99999999/x"]


@pytest.mark.parametrize(
    "command",
    [
        ("serve", "--webhook-secret", "s3cret", "--webhook"),
        ("serve", "--lifecycle"),
        ("serve", "--profile"),
        ("status", "x", "--api", "v1", "--lifecycle"),
        ("list", "--json"),
        ("serve", "--api"),
        ("status", "x", "--api", "v1", "--base-url"),
        ("tasks", "--journal"),
        ("check", "v1-full"),
        ("drift", "v1-full"),
        ("show",),
        ("show", "v1", "--format"),
        ("judge", "v1", "running"),
        ("diff", "v1"),
        ("wait", "x", "--api", "v1", "--until"),
        ("report", "v1", "x.csv", "--input-format"),
        ("watch", "x", "--api", "v1", "--stop-at-cost"),
    ],
    ids=" ".join,
)
def test_error_does_not_show_the_password_of_a_url(command: tuple[str, ...]) -> None:
    for url in (*URLS, f"u:{KEY}@h/x", f"user:{KEY}@host", f"user:{KEY}{'y' * 100}@host"):
        result = call(*command, url)

        assert (result.exit_code, result.stdout) == (2, "")
        assert KEY not in result.output


def test_a_password_in_a_url_is_never_shown() -> None:
    result = call("tasks", "--journal", f"postgresql://someone:{KEY}@127.0.0.1:1/none")

    assert (result.exit_code, result.stdout) == (2, "")
    assert "someone" in result.stderr
    assert KEY not in result.output
