"""`create`, `status`, `send` and `wait` against a real server: results, exit codes, and the key that is never shown."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Literal

import pytest
from typer.testing import Result

from lifecycle import TaskEndedFirst, get
from lifecycle_adapters.cli.json_documents import error_document
from lifecycle_adapters.emulator import Emulator
from lifecycle_adapters.journal import SqlJournal
from tests.adapters.cli.commands import KEY, call


@pytest.fixture
def server(emulator: Emulator) -> dict[str, str]:
    return {"BROWSER_USE_API_KEY": KEY, "LIFECYCLE_BASE_URL": emulator.base_url}


def facts(result: Result) -> Any:
    return json.loads(result.stdout)


@pytest.mark.parametrize("api", ["v1", "v2", "v4"])
def test_create_prints_the_id_alone_on_the_standard_output(
    api: str, emulator: Emulator, server: dict[str, str]
) -> None:
    result = call("create", "--api", api, "Buy milk", env=server)

    assert result.exit_code == 0
    (task,) = emulator.tasks(api)
    assert result.stdout == f"{task.id}\n"
    assert emulator.calls()[0].body["task"] == "Buy milk"


def test_create_shows_what_is_known(server: dict[str, str]) -> None:
    assert "it is 'created'" in call("create", "--api", "v3", env=server).stderr
    assert "its state is not known yet" in call("create", "--api", "v1", "Buy milk", env=server).stderr
    assert facts(call("create", "--api", "v3", "--json", env=server)).keys() == {"task", "lifecycle", "state"}


def test_fields_are_text_or_json(emulator: Emulator, server: dict[str, str]) -> None:
    fields = ("--field", "keepAlive:=true", "--field", "model=bu-mini", "--field", 'outputSchema:={"type": "object"}')

    assert call("create", "--api", "v3", *fields, "say a=b", env=server).exit_code == 0
    assert emulator.calls()[0].body == {
        "task": "say a=b",
        "keepAlive": True,
        "model": "bu-mini",
        "outputSchema": {"type": "object"},
    }


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ("keepAlive", "a field is NAME=TEXT or NAME:=JSON, not 'keepAlive'"),
        ("=x", "a field is NAME=TEXT or NAME:=JSON, not '=x'"),
        (":=1", "a field is NAME=TEXT or NAME:=JSON, not ':=1'"),
        ("keepAlive:=yes", "the field 'keepAlive' is not JSON"),
        ("keepAlive:=" + "[" * 100_000, "the field 'keepAlive' is not JSON: it is nested too deeply"),
    ],
)
def test_field_other_than_text_or_json_is_bad_input(
    field: str, said: str, emulator: Emulator, server: dict[str, str]
) -> None:
    result = call("create", "--api", "v3", "--field", field, env=server)

    assert result.exit_code == 2
    assert result.stderr.startswith(f"lifecycle: {said}")
    assert emulator.calls() == []


def test_an_instruction_that_is_no_text_is_named_as_the_argument_that_it_is(
    emulator: Emulator, server: dict[str, str]
) -> None:
    result = call("create", "--api", "v1", "x\udcff", env=server)

    assert (result.exit_code, result.stderr) == (2, "lifecycle: the argument TASK is not UTF-8\n")
    assert emulator.calls() == []


def test_status_prints_the_state_and_what_it_accepts(emulator: Emulator, server: dict[str, str]) -> None:
    task = call("create", "--api", "v1", "Buy milk", env=server).stdout.strip()
    emulator.fire(task, "start")

    result = call("status", "--api", "v1", task, env=server)

    assert (result.exit_code, result.stdout, result.stderr) == (0, "running\n", "v1-full: accepts pause, stop\n")
    assert facts(call("status", "--api", "v1", task, "--json", env=server)) == {
        "task": task,
        "lifecycle": "v1-full",
        "state": "running",
        "final": False,
        "over": False,
        "settled": False,
        "commands": ["pause", "stop"],
    }


def test_send_sends_only_legal_commands(emulator: Emulator, server: dict[str, str]) -> None:
    task = call("create", "--api", "v1", "Buy milk", env=server).stdout.strip()
    emulator.fire(task, "start")
    sent = [call("send", "--api", "v1", task, command, env=server) for command in ("pause", "pause", "stop", "resume")]

    assert [(result.exit_code, result.stdout) for result in sent] == [
        (0, "paused\n"),
        (0, "paused\n"),
        (0, "stopped\n"),
        (1, ""),
    ]
    assert sent[0].stderr == "v1-full: 'pause' took effect\n"
    assert sent[1].stderr == "v1-full: 'pause' was redundant; it was not sent\n"
    assert sent[3].stderr == "lifecycle: v1-full: 'resume' is not allowed in 'stopped'; 'stopped' is final\n"
    assert [each.command for each in emulator.calls() if each.command] == ["pause", "stop"]


def test_send_as_json(emulator: Emulator, server: dict[str, str]) -> None:
    session = call("create", "--api", "v3", env=server).stdout.strip()
    emulator.fire(session, "ready")

    arguments = ("send", "--api", "v3", session, "dispatch", "--json")
    assert facts(call(*arguments, "--field", "task=Buy milk", env=server)) == {
        "task": session,
        "command": "dispatch",
        "state": "running",
        "sent": True,
        "is_last_known": False,
    }
    assert emulator.calls()[-1].body["task"] == "Buy milk"


def test_a_response_that_is_lost_is_settled(emulator: Emulator, server: dict[str, str]) -> None:
    task = call("create", "--api", "v2", "Buy milk", env=server).stdout.strip()
    emulator.fault("drop_after", command="stop")

    assert call("send", "--api", "v2", task, "stop", env=server).stdout == "stopped\n"


def test_a_refusal_and_an_uncertainty_exit_with_1(emulator: Emulator, server: dict[str, str]) -> None:
    session = call("create", "--api", "v3", env=server).stdout.strip()
    emulator.fire(session, "ready")
    dispatch = ("send", "--api", "v3", session, "dispatch", "--field", "task=x")

    emulator.fault("status", command="dispatch", status_code=409, body={"detail": "busy \x1b[31m"})
    refused = call(*dispatch, env=server)
    emulator.fault("drop_after", command="dispatch")
    uncertain = call(*dispatch, env=server)

    assert refused.exit_code == uncertain.exit_code == 1
    assert "'dispatch' was refused in 'idle'" in refused.stderr
    assert "busy" in refused.stderr
    assert "\x1b" not in refused.stderr
    assert "whether 'dispatch' took effect is not known" in uncertain.stderr


def test_outcome_that_is_an_error_is_json_for_programs(emulator: Emulator, server: dict[str, str]) -> None:
    session = call("create", "--api", "v3", env=server).stdout.strip()
    emulator.fire(session, "ready")
    dispatch = ("send", "--api", "v3", session, "dispatch", "--field", "task=x", "--json")

    emulator.fault("status", command="dispatch", status_code=409, body={"detail": "busy"})
    refused = call(*dispatch, env=server)
    emulator.fault("drop_after", command="dispatch")
    uncertain = call(*dispatch, env=server)

    for result, error in ((refused, "command_refused"), (uncertain, "command_uncertain")):
        told = facts(result)
        assert result.exit_code == 1
        assert result.stderr == f"lifecycle: {told['message']}\n"
        assert (told["task"], told["command"], told["error"]) == (session, "dispatch", error)
        assert told["lifecycle"] == "v3-full"
    assert facts(refused)["state"] == "idle"
    assert "busy" in facts(refused)["detail"]


def test_illegal_command_is_json_for_programs(emulator: Emulator, server: dict[str, str]) -> None:
    task = call("create", "--api", "v1", "Buy milk", env=server).stdout.strip()

    result = call("send", "--api", "v1", task, "pause", "--json", env=server)

    assert result.exit_code == 1
    assert facts(result) == {
        "task": task,
        "command": "pause",
        "error": "illegal_transition",
        "message": "v1-full: 'pause' is not allowed in 'created'; allowed: stop",
        "reason": "'pause' is not allowed in 'created'; allowed: stop",
        "lifecycle": "v1-full",
        "state": "created",
        "event": "pause",
        "allowed": ["stop"],
        "index": None,
    }


@pytest.mark.parametrize("took_effect", [None, False])
def test_task_that_ended_first_is_an_object_with_its_facts(took_effect: Literal[False] | None) -> None:
    error = TaskEndedFirst(took_effect=took_effect, lifecycle="v1-full", task="t1", command="stop", state="finished")

    assert error_document(error, task=None, command=None) == {
        "task": "t1",
        "command": "stop",
        "error": "task_ended_first",
        "message": str(error),
        "lifecycle": "v1-full",
        "state": "finished",
        "took_effect": took_effect,
    }


def test_wait_and_create_that_do_not_succeed_are_json_for_programs(emulator: Emulator, server: dict[str, str]) -> None:
    task = call("create", "--api", "v1", "Buy milk", env=server).stdout.strip()
    late = call("wait", "--api", "v1", task, "--timeout", "0", "--json", env=server)
    emulator.fault("drop_after", method="POST")
    lost = call("create", "--api", "v1", "Buy milk", "--json", env=server)

    assert (late.exit_code, lost.exit_code) == (1, 1)
    assert (facts(late)["task"], facts(late)["error"], facts(late)["state"]) == (task, "wait_timed_out", "created")
    assert (facts(lost)["task"], facts(lost)["error"]) == (None, "create_uncertain")


def test_wait_without_a_connection_gives_the_reason(server: dict[str, str]) -> None:
    result = call("wait", "--api", "v1", "t", "--timeout", "0.1", "--base-url", "http://127.0.0.1:1", env=server)

    assert result.exit_code == 1
    assert re.search("its state is not known; the last read failed: .*refused", " ".join(result.stderr.split()))


def test_wait_whose_details_cannot_be_read_says_the_state(emulator: Emulator, server: dict[str, str]) -> None:
    task = call("create", "--api", "v1", "Buy milk", env=server).stdout.strip()
    emulator.fire(task, "start")
    emulator.fire(task, "finish")
    emulator.fault("status", path=f"/{task}$", method="GET", status_code=403)

    result = call("wait", "--api", "v1", task, "--json", env=server)

    assert result.exit_code == 2
    told = facts(result)
    assert (told["task"], told["error"], told["state"]) == (task, "forbidden", "finished")
    assert told["notes"] == ["The task is finished; only its details could not be read."]
    assert result.stderr.splitlines()[-2:] == [f"lifecycle: {told['message']}", *told["notes"]]


def test_service_that_cannot_be_used_is_json_for_programs(emulator: Emulator, server: dict[str, str]) -> None:
    emulator.fault("status", method="GET", status_code=403, body={"detail": "not https://u:hidden@host"})

    result = call("send", "--api", "v1", "x", "pause", "--json", env=server)

    assert (result.exit_code, facts(result)["error"], facts(result)["task"]) == (2, "forbidden", "x")
    assert (facts(result)["command"], facts(result)["status_code"]) == ("pause", 403)
    assert "hidden" not in result.output


def test_bad_input_prints_no_json(server: dict[str, str]) -> None:
    result = call("send", "--api", "v1", "x", "stpo", "--json", env=server)

    assert (result.exit_code, result.stdout) == (2, "")


def test_a_create_whose_response_is_lost_exits_with_1(emulator: Emulator, server: dict[str, str]) -> None:
    emulator.fault("drop_after", method="POST")

    result = call("create", "--api", "v2", "Buy milk", env=server)

    assert result.exit_code == 1
    assert "whether a task was created is not known" in result.stderr


def test_wait_prints_the_outcome(emulator: Emulator, server: dict[str, str]) -> None:
    task = call("create", "--api", "v2", "Buy milk", env=server).stdout.strip()
    emulator.fire(task, "start")
    emulator.fire(task, "finish")

    result = call("wait", "--api", "v2", task, env=server)

    assert (result.exit_code, result.stdout) == (0, "finished\nDone: Buy milk\n")
    assert result.stderr.splitlines() == ["finished (poll 1)", "cost: 0.0120 USD"]
    assert facts(call("wait", "--api", "v2", task, "--json", env=server)) == {
        "task": task,
        "state": "finished",
        "output": "Done: Buy milk",
        "cost_usd": "0.0120",
    }


def test_wait_until_settled_or_final(emulator: Emulator, server: dict[str, str]) -> None:
    session = call("create", "--api", "v3", env=server).stdout.strip()
    emulator.fire(session, "ready")
    options = ("wait", "--api", "v3", session, "--poll", "0.01")

    assert call(*options, env=server).stdout == "idle\n"
    still = call(*options, "--until", "final", "--timeout", "0.05", env=server)
    assert still.exit_code == 1
    assert still.stderr.splitlines() == [
        "idle (poll 1)",
        f"lifecycle: v3-full task {session}: not final in time, still 'idle'",
    ]


def test_wait_prints_each_change_once_without_a_terminal(server: dict[str, str]) -> None:
    with Emulator(pace_s=0.4) as emulator:
        paced = server | {"LIFECYCLE_BASE_URL": emulator.base_url}
        task = call("create", "--api", "v4", "Buy milk", env=paced).stdout.strip()

        result = call("wait", "--api", "v4", task, "--poll", "0.01", env=paced)

    assert result.stdout.startswith("completed\n")
    told = [line.split()[0] for line in result.stderr.splitlines() if "(poll " in line]
    # On a busy machine a poll may come too late for one of the states between.
    assert told == [state for state in ("queued", "dispatching", "running", "completed") if state in told]
    assert told[-1] == "completed"


def test_an_unknown_status_ends_a_wait_unless_it_may_continue(emulator: Emulator, server: dict[str, str]) -> None:
    task = call("create", "--api", "v4", "Buy milk", env=server).stdout.strip()
    wait = ("wait", "--api", "v4", task, "--timeout", "1", "--poll", "0.02")

    def answer_strangely() -> None:
        emulator.fault("status", method="GET", times=1, status_code=200, body={"id": task, "status": "hiber\x1bnating"})

    answer_strangely()
    stopped = call(*wait, env=server)
    answer_strangely()
    went_on = call(*wait, "--go-on", env=server)

    assert stopped.exit_code == 2
    assert "'hiber\\x1bnating' is not a status of channel 'api'" in stopped.stderr
    assert went_on.exit_code == 1
    assert went_on.stderr.startswith("hiber\\x1bnating (poll 1)\nqueued (poll 2)\n")
    assert "not settled in time, still 'queued'" in went_on.stderr


def test_named_lifecycle_governs(emulator: Emulator, server: dict[str, str]) -> None:
    task = call("create", "--api", "v1", "Buy milk", env=server).stdout.strip()
    emulator.fire(task, "start")

    assert call("status", "--api", "v1", task, "--lifecycle", "v1", env=server).stderr == "v1: accepts pause, stop\n"
    emulator.fire(task, "finish")
    result = call("status", "--api", "v1", task, "--lifecycle", "v1", env=server)
    assert result.exit_code == 2
    assert "'v1-full' declares it" in result.stderr


@pytest.mark.parametrize("command", ["status", "send", "wait", "watch", "recover", "create"])
def test_lifecycle_that_only_the_journal_has_governs(
    command: str, emulator: Emulator, server: dict[str, str], tmp_path: Path
) -> None:
    task: str = call("create", "--api", "v1", "Buy milk", env=server).stdout.strip()
    emulator.fire(task, "start")
    record = str(tmp_path / "journal.db")
    with SqlJournal(record) as journal:
        journal.task(get("v1").replace(name="mine"), task).track()
    stopping = ["--stop-after", "0.01"] if command == "watch" else []
    if command == "wait":
        call("send", task, "stop", "--api", "v1", env=server)
    arguments = {"send": [task, "stop"], "create": ["Buy bread"], "recover": []}.get(command, [task])
    governed = ["--api", "v1", "--lifecycle", "mine", *stopping]

    done = call(command, *arguments, *governed, "--journal", record, env=server)
    other = call(command, *arguments, *governed, "--journal", str(tmp_path / "other.db"), env=server)

    assert done.exit_code == 0, done.output
    with SqlJournal(record, read_only=True) as journal:
        assert journal.lifecycles() == ("mine",)
    assert other.exit_code == 2
    assert command == "recover" or "catalog: unknown lifecycle 'mine'" in other.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("status", "--api", "v9", "x"), "services: unknown service 'v9'"),
        (("status", "--api", "v1", "x"), "GET /api/v1/task/x/status: HTTP 404: Task not found"),
        (("status", "--api", "v1", ".."), "'..' is not a task id"),
        (
            ("status", "--api", "v1", "x", "--base-url", "nowhere"),
            "base_url must be like 'https://host': it does not begin with 'http://' or 'https://'",
        ),
        (
            ("send", "--api", "v1", "x", "stpo"),
            "v1-full: unknown command 'stpo'; did you mean 'stop'? (known: pause, resume, stop)",
        ),
        (("send", "--api", "v3", "x", "dispatch"), "POST /sessions needs task"),
        (("send", "--api", "v1", "x", "stop", "--field", "why=so"), "PUT /stop-task takes no fields"),
        (("send", "--api", "v1", "x", "stop", "--field", "origin=me"), "--field cannot send 'origin'"),
        (("send", "--api", "v1", "x", "stop", "--field", "wait_for_in_flight_s:=1"), "--field cannot send"),
        (("create", "--api", "v1", "x", "--field", "reason=so"), "--field cannot send 'reason'"),
        (("create", "--api", "v1", "x", "--field", "self=1"), "--field cannot send 'self'"),
        (("create", "--api", "v1", "x", "--field", "a=1", "--field", "a=2"), "--field names 'a' twice"),
        (("send", "--api", "v1", "x", "stop", "--field", "a=1", "--field", "a:=2"), "--field names 'a' twice"),
        (("create", "--api", "v1", "x", "--label", "a=1", "--label", "a=1"), "--label names 'a' twice"),
        (("create", "--api", "v1", "x", "--idempotency-key", "k"), "--idempotency-key needs a journal"),
        (("create", "--api", "v1", "x", "--idempotency-key", ""), "--idempotency-key needs a journal"),
        (("create", "--api", "v1", "x", "--label", "a=1"), "--label needs a journal"),
        (("create", "--api", "v1", "x", "--reason", "so"), "--reason needs a journal"),
        (
            ("send", "--api", "v1", "x", "stop", "--idempotency-key", "k"),
            "--idempotency-key needs a journal, which keeps the key: give --journal FILE|URL",
        ),
        (("send", "--api", "v1", "x", "stop", "--reason", "so"), "--reason needs a journal"),
        (("send", "--api", "v1", "x", "stop", "--wait-for-in-flight", "1"), "--wait-for-in-flight needs a journal"),
        (("serve", "--lifecycle", "v1=v1", "--lifecycle", "v1=v1-full"), "--lifecycle names 'v1' twice"),
        (("create", "--api", "v2"), "POST /api/v2/tasks: HTTP 422: body.task: Field required"),
    ],
)
def test_a_refused_command_is_one_line_of_error(arguments: tuple[str, ...], said: str, server: dict[str, str]) -> None:
    result = call(*arguments, env=server)

    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith(f"lifecycle: {said}")
    assert result.stderr.count("\n") == 1


def test_without_a_key_and_a_terminal_the_line_says_what_to_set(emulator: Emulator, server: dict[str, str]) -> None:
    del server["BROWSER_USE_API_KEY"]

    result = call("status", "--api", "v1", "x", env=server)

    assert result.exit_code == 2
    assert result.stderr == (
        "lifecycle: no API key: BROWSER_USE_API_KEY is not set; name the variable that holds it with --key-from, "
        "or run this on a terminal to type it\n"
    )
    assert emulator.calls() == []


@pytest.mark.parametrize("command", ["status", "send", "wait", "watch", "create", "recover"])
def test_the_key_of_the_environment_is_not_sent_to_another_server(
    command: str, server: dict[str, str], tmp_path: Path
) -> None:
    """Unless a person names the variable."""
    arguments = {"send": ["x", "stop"], "create": ["x"], "recover": []}.get(command, ["x"])
    SqlJournal(tmp_path / "j.db").close()
    there = ["--api", "v1", "--base-url", "https://mine.invalid", "--journal", str(tmp_path / "j.db")]

    result = call(command, *arguments, *there, env=server)

    assert result.exit_code == 2
    assert "is for https://api.browser-use.com and is not sent to https://mine.invalid; name the" in result.stderr
    assert KEY not in result.output
    unset = call(command, *arguments, *there, "--key-from", "NOT_SET", env=server)
    assert (unset.exit_code, unset.stderr) == (2, "lifecycle: no API key: NOT_SET is not set\n")
    empty = call(command, *arguments, *there, "--key-from", "EMPTY", env={**server, "EMPTY": ""})
    assert (empty.exit_code, empty.stderr) == (2, "lifecycle: no API key: EMPTY is empty\n")


def test_key_variable_can_be_named(server: dict[str, str]) -> None:
    made = call("create", "--api", "v1", "buy milk", env=server)
    del server["BROWSER_USE_API_KEY"]

    result = call("status", "--api", "v1", made.stdout.strip(), "--key-from", "MY_KEY", env=server | {"MY_KEY": KEY})

    assert result.exit_code == 0


@pytest.mark.parametrize("key", ["wrong_" + KEY, KEY + "\n", KEY + "\u20ac"])
def test_a_key_that_is_not_accepted_is_never_shown(key: str, server: dict[str, str]) -> None:
    result = call("status", "--api", "v1", "x", env=server | {"BROWSER_USE_API_KEY": key})

    assert result.exit_code == 2
    assert KEY not in result.output


def test_key_cannot_be_an_argument() -> None:
    for command in ("create", "status", "send", "wait", "watch", "recover", "serve"):
        assert "api-key " not in call(command, "--help").stdout
    assert call("status", "--api", "v1", "--api-key", KEY, "x").exit_code == 2


@pytest.mark.parametrize("option", ["--key-from", "--base-url"])
@pytest.mark.parametrize("key", ["sk-SECRETKEY-1", "bu_secretkey1", "https://h.invalid/?key=SECRETKEY", "SECRET KEY"])
def test_key_passed_in_a_wrong_option_is_not_shown(option: str, key: str) -> None:
    result = call("status", "x", "--api", "v2", option, key)

    assert result.exit_code == 2
    assert "secret" not in (result.stdout + result.stderr).lower()


@pytest.mark.parametrize("command", [("create", "x"), ("status", "x"), ("send", "x", "stop"), ("wait", "x")])
def test_worker_without_a_journal_is_refused(command: tuple[str, ...]) -> None:
    result = call(*command, "--api", "v1", "--base-url", "http://127.0.0.1:1", "--worker", "w")

    assert result.exit_code == 2
    assert result.stderr.startswith("lifecycle: --worker needs a journal, which keeps the worker's name")
