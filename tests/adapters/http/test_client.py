"""Clients and handles against the emulator; each test runs with both kinds of client."""

from __future__ import annotations

import inspect
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, get_args, get_type_hints
from urllib.parse import unquote
from uuid import UUID

import httpx2
import pytest

from lifecycle import (
    CATALOG,
    CommandInFlight,
    IllegalTransition,
    Lifecycle,
    LifecycleError,
    UnknownName,
    UnknownStatus,
    WaitTimedOut,
    get,
)
from lifecycle.catalog import V1, V1_FULL, V2_2025, V2_SESSION, V3, V1Event, V1State
from lifecycle.effects import Progress
from lifecycle.memory import MemoryJournal
from lifecycle_adapters.emulator import Emulator
from lifecycle_adapters.http import (
    AsyncClient,
    AsyncTask,
    Client,
    InvalidResponse,
    NotFound,
    RequestRejected,
    Task,
    TaskSummary,
    Timing,
    Unauthorized,
)
from lifecycle_adapters.journal import SqlJournal
from lifecycle_adapters.procedures.command_methods import CommandMethods
from lifecycle_adapters.services.registry import service
from lifecycle_adapters.services.v2 import V2
from tests.adapters.http.both import KEY, QUICK
from tests.adapters.http.conftest import NO_CERTIFICATES, Connect, Serve
from tests.adapters.http.scripted import Reply, by_path, in_turn
from tests.support.packages import MODULES

# --- one task of each version -------------------------------------------------------------------


def events_of(emulator: Emulator, task_id: str) -> list[str]:
    return [each.event for each in emulator.task(task_id).transitions]


def test_v1_task_is_paused_resumed_and_stopped(connect: Connect, emulator: Emulator) -> None:
    task = connect("v1", emulator.base_url).create("buy milk")
    assert task.status() == "created"
    assert task.allowed() == ("stop",)
    emulator.fire(task.id, "start")
    assert task.status() == "running"
    assert task.allowed() == ("pause", "stop")
    assert task.pause().state == "paused"
    assert task.send("resume").state == "running"
    assert task.stop().state == "stopped"
    assert task.allowed() == ()
    assert events_of(emulator, task.id) == ["start", "pause", "resume", "stop"]


def test_v2_task_and_session_are_stopped(connect: Connect, emulator: Emulator) -> None:
    client = connect("v2", emulator.base_url)
    task = client.create("buy milk", maxSteps=7)
    emulator.fire(task.id, "start")
    details = task.details()
    assert details["status"] == "started"
    assert task.known_state() == "started", "details are a report like any other"
    session = client.session(details["sessionId"])
    assert session.status() == "active"
    assert task.stop_task_and_session().state == "stopped"
    assert session.status() == "stopped"
    result = session.stop()
    assert (result.state, result.sent) == ("stopped", False)
    other = client.create("buy bread")
    assert other.stop().state == "stopped"
    assert client.session(other.details()["sessionId"]).status() == "active"


def test_a_v4_cancel_after_a_429_is_sent_again(connect: Connect, emulator: Emulator) -> None:
    """The official Python SDK 3.12.1 waits for Retry-After after a 503, and sends the cancel again."""
    run = connect("v4", emulator.base_url).create("buy milk")
    emulator.fault("status", status_code=503, headers={"Retry-After": "0"}, command="cancel", times=2)
    assert run.send("cancel").state == "cancelled"
    assert [call.status_code for call in emulator.calls() if call.command == "cancel"] == [503, 503, 200]


def test_a_v4_session_that_has_an_active_run_takes_no_other(connect: Connect, emulator: Emulator) -> None:
    """Create Run: 409 "The session already has an active run."."""
    client = connect("v4", emulator.base_url)
    session_id = client.create("buy milk").details()["sessionId"]
    with pytest.raises(RequestRejected, match="HTTP 409: The session already has an active run"):
        client.create("buy bread", sessionId=session_id)


def test_v2_session_is_created_and_stopped(connect: Connect, emulator: Emulator) -> None:
    session = connect("v2-session", emulator.base_url).create()
    task = connect("v2", emulator.base_url).create("buy milk", sessionId=session.id)
    assert task.details()["sessionId"] == session.id
    assert session.stop().state == "stopped"
    assert task.status() == "stopped"


def test_v3_session_is_dispatched_and_stopped(connect: Connect, emulator: Emulator) -> None:
    session = connect("v3", emulator.base_url).create()
    assert session.known_state() == "created"
    emulator.fire(session.id, "ready")
    assert session.status() == "idle"
    assert session.dispatch("buy milk", keepAlive=True).state == "running"
    assert session.stop_task().state == "idle"
    assert session.stop().state == "stopped"
    assert events_of(emulator, session.id) == ["ready", "dispatch", "stop_task", "stop"]
    assert [call.body for call in emulator.calls() if call.command == "dispatch"] == [
        {"sessionId": session.id, "task": "buy milk", "keepAlive": True}
    ]


def test_v4_run_is_cancelled_once(connect: Connect, emulator: Emulator) -> None:
    run = connect("v4", emulator.base_url).create("buy milk")
    emulator.fire(run.id, "dispatch")
    assert run.status() == "dispatching"
    assert run.cancel().state == "cancelled"
    assert run.cancel().sent is False


def test_handle_reads_a_task_of_another_client(connect: Connect, emulator: Emulator) -> None:
    made = connect("v1", emulator.base_url).create("buy milk")
    task = connect("v1", emulator.base_url).task(made.id)
    assert (task.id, task.known_state(), task.lifecycle) == (made.id, None, get("v1-full"))
    assert task.stop().state == "stopped"
    result = made.stop()
    assert (result.state, result.sent) == ("stopped", False), "what it remembers is confirmed by a read"


def test_missing_task_raises_not_found(connect: Connect, emulator: Emulator) -> None:
    client = connect("v1", emulator.base_url)
    for ask in (client.task("nobody").status, client.task("nobody").stop, client.task("nobody").wait):
        with pytest.raises(NotFound, match="Task not found"):
            ask()
    assert not any(call.command for call in emulator.calls())


def test_wrong_key_raises_unauthorized(connect: Connect) -> None:
    with Emulator(manual=True, api_key="the right one") as guarded:
        client = connect("v2", guarded.base_url, api_key="the-wrong-one")
        with pytest.raises(Unauthorized):
            client.create("buy milk")
        with pytest.raises(Unauthorized):
            client.task("11111111-2222-4333-8444-555555555555").stop()


def test_the_full_lifecycle_governs_unless_another_is_given(connect: Connect) -> None:
    for api in ("v1", "v2", "v3", "v4"):
        given = connect(api, "http://127.0.0.1:1", lifecycle=CATALOG[api])
        assert given.task("t").lifecycle is CATALOG[api]
        assert f"lifecycle='{api}'" in repr(given)
        assert connect(api, "http://127.0.0.1:1").task("t").lifecycle is CATALOG.get(f"{api}-full", CATALOG[api])


def test_given_lifecycle_does_not_govern_sessions(connect: Connect) -> None:
    client = connect("v2", "http://127.0.0.1:1", lifecycle=CATALOG["v2"])

    assert [client.task("t").lifecycle, client.session("s").lifecycle] == [CATALOG["v2"], V2_SESSION]


def test_command_of_the_full_lifecycle_is_unknown_to_the_base(connect: Connect) -> None:
    with pytest.raises(UnknownName, match="'v3-full' declares it"):
        connect("v3", "http://127.0.0.1:1", lifecycle=V3).task("s").stop_task()


@pytest.mark.parametrize("command", ["paus", "finish"], ids=["misspelt", "an event of the service"])
@pytest.mark.parametrize("governs", [V1, V1_FULL], ids=["v1", "v1-full"])
def test_an_unknown_command_is_one_of_the_governing_lifecycle(
    connect: Connect, governs: Lifecycle[Any, Any], command: Any
) -> None:
    with pytest.raises(UnknownName) as raised:
        connect("v1", "http://127.0.0.1:1", lifecycle=governs).task("t").send(command)

    error = raised.value
    assert (error.where, error.declared_by, error.known) == (governs.name, None, ("pause", "resume", "stop"))


def test_a_lifecycle_with_commands_that_the_service_lacks_is_refused(connect: Connect) -> None:
    what = "the lifecycle '{0}' does not fit 'v2': 'v2' has no call for 'pause', 'resume'"
    for lifecycle, named in ((V1, "v1"), (V2_2025, "v2-2025")):
        remedy = f"it is the lifecycle of the service '{named}'"
        with pytest.raises(ValueError, match=f"{what.format(lifecycle.name)}; {remedy}$"):
            connect("v2", "http://127.0.0.1:1", lifecycle=lifecycle)
    with pytest.raises(ValueError, match=f"{what.format('mine')}$"):
        connect("v2", "http://127.0.0.1:1", lifecycle=V1.replace(name="mine", extended_by=None))


@pytest.mark.parametrize("given", ["v1", V1State, Lifecycle])
def test_non_lifecycle_is_refused(connect: Connect, given: Any) -> None:
    with pytest.raises(TypeError, match="lifecycle must be a Lifecycle, such as "):
        connect("v1", "http://127.0.0.1:1", lifecycle=given)


# --- what is offered ----------------------------------------------------------------------------


def test_every_command_of_the_catalog_is_a_method() -> None:
    spoken = [lifecycle for name, lifecycle in CATALOG.items() if name != "command"]
    commands = {str(command) for lifecycle in spoken for command in lifecycle.commands}
    methods = {name for name, _ in inspect.getmembers(CommandMethods, inspect.isfunction) if not name.startswith("_")}
    assert methods == commands | {"send"}


@pytest.mark.parametrize("api", ["v1", "v2", "v2-session", "v3", "v4", "v4-message"])
def test_type_checkers_know_which_service_has_which_command(api: str) -> None:
    commands: tuple[str, ...] = service(api).lifecycle.commands
    accepted = {
        name
        for name, method in inspect.getmembers(CommandMethods, inspect.isfunction)
        if not name.startswith("_") and name != "send"
        if any(get_args(handle)[0] is type(commands[0]) for handle in get_args(get_type_hints(method)["self"]))
    }

    assert accepted == set(map(str, commands))


@pytest.mark.parametrize(("asynchronous", "synchronous"), [(AsyncClient, Client), (AsyncTask, Task)])
def test_help_is_complete_on_the_asynchronous_side(asynchronous: type, synchronous: type) -> None:
    names = {name for name in vars(asynchronous) if not name.startswith("_")} - {"limited_by", "stream"}
    assert names

    for name in names:
        summary, _, rest = (getattr(asynchronous, name).__doc__ or "").partition("\n")
        theirs, _, their_rest = (getattr(synchronous, name).__doc__ or "").partition("\n")
        assert (summary, rest.split()) == (theirs, their_rest.split())
        assert "As `" not in summary


def test_the_repr_of_a_handle_reads_no_journal(connect: Connect, tmp_path: Path) -> None:
    with SqlJournal(tmp_path / "journal.db") as journal:
        task = connect("v1", "http://127.0.0.1:1", journal=journal).task("t")
    (tmp_path / "journal.db").write_bytes(b"no database any more")

    assert repr(task) in ("<Task v1-full 't'>", "<AsyncTask v1-full 't'>")


def test_both_kinds_of_client_have_the_same_methods() -> None:
    def offered(kind: type[object]) -> dict[str, list[str]]:
        members = {name: member for name, member in inspect.getmembers(kind) if not name.startswith("_")}
        return {
            name: [str(each) for each in inspect.signature(member).parameters.values()] if callable(member) else []
            for name, member in members.items()
        }

    # What limits requests is asynchronous, and so is the watcher, which follows streams.
    only = {"limited_by": ["self", "limiter: 'RateLimiter'"], "stream": ["self", "task_id: 'TaskId | None' = None"]}
    assert {**offered(Client), **only} == offered(AsyncClient)
    # The journal's methods may wait for a disk, so an asynchronous handle does not offer them.
    assert offered(Task) == {**offered(AsyncTask), "journal": []}
    constructors = [inspect.signature(kind).parameters for kind in (Client, AsyncClient)]
    assert [*constructors[0]] == [*constructors[1]]


def test_the_repr_of_a_handle_names_its_task(connect: Connect, emulator: Emulator) -> None:
    client = connect("v3", emulator.base_url)
    assert repr(client).endswith(f"Client('v3', base_url='{emulator.base_url}', lifecycle='v3-full')")
    made = client.create()
    assert repr(made).endswith(f"Task v3-full '{made.id}'>")
    assert repr(client.task("s")).endswith("Task v3-full 's'>")


def test_one_record_for_all_handles_of_a_task(connect: Connect, emulator: Emulator) -> None:
    journal = MemoryJournal()
    first = connect("v1", emulator.base_url, journal=journal).create("buy milk")
    second = connect("v1", emulator.base_url, journal=journal).task(first.id)
    first.status()
    assert second.known_state() == "created"


# --- waiting ------------------------------------------------------------------------------------


def test_a_wait_returns_output_and_cost_with_the_state(connect: Connect, emulator: Emulator) -> None:
    task = connect("v2", emulator.base_url).create("buy milk")
    emulator.fire(task.id, "start")
    emulator.fire(task.id, "finish")
    seen: list[Progress[str]] = []
    result = task.wait(timeout_s=60, on_progress=seen.append)
    assert result.state == "finished"
    assert result.output == result.details["output"]
    assert result.output
    assert result.cost_usd == Decimal(result.details["cost"])
    assert seen == [Progress("finished", "finished", 1)]
    assert "details" not in repr(result)


@pytest.mark.parametrize(
    ("api", "events"),
    [("v1", "start finish"), ("v2", "start finish"), ("v3", "start close"), ("v4", "dispatch start complete")],
)
def test_a_wait_follows_the_task_to_its_end(connect: Connect, emulator: Emulator, api: str, events: str) -> None:
    task = connect(api, emulator.base_url).create("buy milk")
    left = events.split()
    passed = [task.lifecycle.replay(left[:count]) for count in range(len(left) + 1)]
    seen: list[Progress[str]] = []

    def on_progress(progress: Progress[str]) -> None:
        seen.append(progress)
        if left:
            emulator.fire(task.id, left.pop(0))

    result = task.wait("final", timeout_s=60, on_progress=on_progress)
    assert [(progress.state, progress.poll) for progress in seen] == [(state, n) for n, state in enumerate(passed, 1)]
    assert result.state == task.known_state() == passed[-1]
    assert result.output
    assert (result.cost_usd is None) == (api == "v1")


def test_a_task_that_has_ended_is_not_polled_again(connect: Connect, emulator: Emulator) -> None:
    task = connect("v1", emulator.base_url).create("buy milk")
    task.stop()
    polls: list[Progress[str]] = []
    assert task.wait(on_progress=polls.append).state == "stopped"
    assert polls == []


def test_idle_is_settled_once_the_work_was_seen(connect: Connect, emulator: Emulator) -> None:
    session = connect("v3", emulator.base_url).create("buy milk", keepAlive=True)
    events = ["start", "complete"]

    def on_progress(_: Progress[str]) -> None:
        emulator.fire(session.id, events.pop(0)) if events else None

    assert session.wait(timeout_s=60, on_progress=on_progress).state == "idle"
    first = session.details()["output"]
    session.dispatch("buy bread")
    emulator.fire(session.id, "complete")
    result = session.wait(timeout_s=60)
    assert (result.state, result.output) == ("idle", session.details()["output"])
    assert result.output not in (None, first)


def test_idle_before_the_work_was_seen_is_not_settled(connect: Connect, serve: Serve) -> None:
    idle = Reply(body={"id": "s", "status": "idle", "output": "of before"})
    server = serve(
        by_path({"POST /api/v3/sessions": Reply(body={"id": "s", "status": "running"}), "GET /api/v3/sessions/s": idle})
    )
    session = connect("v3", server.base_url).task("s")
    assert session.wait(timeout_s=60).state == "idle", "nothing was given to do"
    server.script = by_path(
        {
            "POST /api/v3/sessions": Reply(body={"id": "s", "status": "idle", "output": "of before"}),
            "GET /api/v3/sessions/s": [idle, idle, Reply(body={"id": "s", "status": "idle", "output": "new"})],
        }
    )
    session.dispatch("buy milk")
    assert session.wait(timeout_s=60).output == "new"
    assert len(server.seen) >= 6


def test_wait_for_final_does_not_end_at_a_settled_state(connect: Connect, emulator: Emulator) -> None:
    session = connect("v3", emulator.base_url).create()
    emulator.fire(session.id, "ready")
    assert session.wait(timeout_s=60).state == "idle"
    with pytest.raises(WaitTimedOut, match="not final in time, still 'idle'"):
        session.wait("final", timeout_s=0.05)


def test_wait_raises_wait_timed_out(connect: Connect, emulator: Emulator) -> None:
    task = connect("v1", emulator.base_url).create("buy milk")
    begun_s = time.monotonic()
    with pytest.raises(WaitTimedOut, match="not settled in time, still 'created'") as raised:
        task.wait(timeout_s=0.1)
    assert isinstance(raised.value, TimeoutError)
    assert (raised.value.state, raised.value.until, raised.value.task) == ("created", "settled", task.id)
    assert 0.1 <= time.monotonic() - begun_s < 3


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (Reply(status=503, body={"detail": "busy"}), "GET /api/v1/task/t/status.*busy"),
        (Reply(body=b"no JSON"), "not JSON"),
        (Reply(drops=True), "GET /api/v1/task/t/status"),
    ],
    ids=["503", "not JSON", "dropped"],
)
def test_wait_that_cannot_read_gives_the_reason(connect: Connect, serve: Serve, reply: Reply, why: str) -> None:
    server = serve(lambda _: reply)
    task = connect("v1", server.base_url, timing=replace(QUICK, attempts=1000)).task("t")

    with pytest.raises(WaitTimedOut, match=f"its state is not known; the last read failed: .*{why}") as info:
        task.wait(timeout_s=0.2)

    assert info.value.why == str(info.value.__cause__)


def test_wait_for_a_task_that_was_found_before_reads_a_404_twice(connect: Connect, serve: Serve) -> None:
    missing, running = Reply(status=404), Reply(body="running")
    replies = in_turn(running, missing, running, missing)
    server = serve(replies)
    task = connect("v1", server.base_url).task("t")
    task.status()

    with pytest.raises(NotFound):
        task.wait(timeout_s=60)

    assert len(server.seen) == 5


@pytest.mark.parametrize(("then", "requests"), [("running", None), ("stopped", 4)])
def test_wait_reads_again_if_the_details_contradict_the_final_state(
    connect: Connect, serve: Serve, then: str, requests: int | None
) -> None:
    """The service says stopped, then in the details running, and then what `then` says."""
    replies = [Reply(body=f'"{each}"'.encode()) for each in ("stopped", then)]
    details = [Reply(body={"status": each}) for each in ("running", then)]
    server = serve(by_path({"GET /api/v1/task/t/status": replies, "GET /api/v1/task/t": details}))
    task = connect("v1", server.base_url).task("t")
    assert task.status() == "stopped"

    if requests is None:
        with pytest.raises(WaitTimedOut, match="still 'running'"):
            task.wait("final", timeout_s=0.2)
    else:
        result = task.wait("final", timeout_s=60)
        assert (result.state, result.details["status"]) == ("stopped", "stopped")
        assert len(server.seen) == requests


def test_callback_that_is_not_callable_is_refused_before_any_request(connect: Connect, serve: Serve) -> None:
    server = serve(lambda _: Reply(body="running"))
    not_callable: Any = 3
    with pytest.raises(TypeError, match="on_progress must be called with the progress of a wait, and 3 cannot"):
        connect("v1", server.base_url).task("t").wait(timeout_s=0, on_progress=not_callable)
    assert server.seen == []


def test_synchronous_wait_refuses_a_coroutine_callback(serve: Serve) -> None:
    async def later(_: Progress[str]) -> None:
        raise AssertionError("nobody awaits it")

    server = serve(lambda _: Reply(body="running"))
    with (
        Client("v1", api_key=KEY, base_url=server.base_url) as client,
        pytest.raises(TypeError, match="and not awaited: give a function to a Task, or wait with an AsyncTask"),
    ):
        client.task("t").wait(on_progress=later)
    assert server.seen == []


def test_a_wait_without_time_polls_once(connect: Connect, emulator: Emulator) -> None:
    task = connect("v4", emulator.base_url).create("buy milk")
    reads = len(emulator.calls())
    with pytest.raises(WaitTimedOut):
        task.wait(timeout_s=0)
    assert len(emulator.calls()) == reads + 1


def test_a_wait_raises_at_an_unknown_status_unless_it_may_continue(connect: Connect, serve: Serve) -> None:
    words = [Reply(body=word) for word in ("running", "hibernating", "hibernating", "finished")]
    details = Reply(body={"id": "t", "status": "finished", "output": "milk"})
    server = serve(by_path({"GET /api/v1/task/t/status": words, "GET /api/v1/task/t": details}))
    task = connect("v1", server.base_url).task("t")
    with pytest.raises(UnknownStatus, match="hibernating"):
        task.wait(timeout_s=60)
    seen: list[Progress[str]] = []
    result = task.wait(timeout_s=60, on_unknown="continue", on_progress=seen.append)
    assert [(progress.state, progress.status) for progress in seen] == [
        ("running", "hibernating"),
        ("finished", "finished"),
    ]
    assert (result.state, result.output) == ("finished", "milk")


def test_wait_refuses_unknown_options(connect: Connect) -> None:
    task = connect("v1", "http://127.0.0.1:1").task("t")
    wait: Any = task.wait
    with pytest.raises(ValueError, match="until must be 'settled' or 'final', not 'done'"):
        wait("done")
    with pytest.raises(ValueError, match="on_unknown must be 'raise' or 'continue', not 'ignore'"):
        wait(on_unknown="ignore")


@pytest.mark.parametrize(
    ("cost", "cost_usd"),
    [("0.0123", Decimal("0.0123")), (0.1, Decimal("0.1")), (2, Decimal(2)), (None, None), ("free", None), ([], None)],
)
def test_a_cost_is_a_decimal_or_nothing(connect: Connect, serve: Serve, cost: object, cost_usd: Decimal | None) -> None:
    details = {"id": "t", "status": "finished", "output": None, "cost": cost}
    server = serve(lambda _: Reply(body=details))
    result = connect("v2", server.base_url).task("t").wait()
    assert (result.cost_usd, result.output, result.details) == (cost_usd, None, details)


# --- lists --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("api", "size"),
    [("v1", "limit"), ("v2", "pageSize"), ("v2-session", "pageSize"), ("v3", "page_size"), ("v4", "limit")],
)
def test_list_reads_every_page(connect: Connect, emulator: Emulator, api: str, size: str) -> None:
    client = connect(api, emulator.base_url)
    text = None if api == "v2-session" else "buy milk"
    made = [client.create(text) for _ in range(5)]
    for pages in ({size: "2"}, {size: "5"}, {}):
        listed = list(client.list(**pages))
        assert sorted(each.id for each in listed) == sorted(each.id for each in made)
        assert {each.state for each in listed} == {made[0].lifecycle.initial}
        assert all(each.status == each.state == each.document["status"] for each in listed)


def test_empty_list_yields_no_tasks(connect: Connect, emulator: Emulator) -> None:
    for api in ("v1", "v2", "v2-session", "v3", "v4"):
        assert list(connect(api, emulator.base_url).list()) == []


def test_list_passes_filters_to_the_service(connect: Connect, emulator: Emulator) -> None:
    client = connect("v2", emulator.base_url)
    kept, stopped = client.create("buy milk"), client.create("buy bread")
    stopped.stop()
    assert [each.id for each in client.list(filterBy="stopped")] == [stopped.id]
    assert [each.id for each in client.list(sessionId=kept.details()["sessionId"])] == [kept.id]


def _page(*ids: str, **more: object) -> Reply:
    return Reply(body={"tasks": [{"id": each, "status": "running"} for each in ids], **more})


def test_a_service_that_repeats_its_last_page_is_listed_once(connect: Connect, serve: Serve) -> None:
    server = serve(in_turn(_page("a", "b"), _page("c")))
    assert [each.id for each in connect("v1", server.base_url).list()] == ["a", "b", "c"]
    assert server.calls == [f"GET /api/v1/tasks?page={page}" for page in (1, 2, 3)]


def test_pages_that_shift_while_they_are_turned_repeat_no_task(connect: Connect, serve: Serve) -> None:
    server = serve(in_turn(_page("a", "b"), _page("b", "c"), _page()))
    assert [each.id for each in connect("v1", server.base_url).list(limit="2")] == ["a", "b", "c"]
    assert server.calls[1] == "GET /api/v1/tasks?limit=2&page=2"


def test_a_list_begins_at_the_given_page(connect: Connect, serve: Serve) -> None:
    server = serve(in_turn(_page("c"), _page()))
    assert [each.id for each in connect("v1", server.base_url).list(page="3")] == ["c"]
    assert server.calls == ["GET /api/v1/tasks?page=3", "GET /api/v1/tasks?page=4"]


def _run_page(cursor: object, *ids: str) -> Reply:
    return Reply(body={"runs": [{"id": each, "status": "queued"} for each in ids], "nextCursor": cursor})


@pytest.mark.parametrize(
    ("pages", "ids", "cursors"),
    [
        ([_run_page(None, "a")], "a", [""]),
        ([_run_page("x", "a"), _run_page(None, "b")], "ab", ["", "x"]),
        ([_run_page("x", "a"), _run_page("", "b")], "ab", ["", "x"]),
        ([_run_page("x"), _run_page("y", "b"), _run_page(None)], "b", ["", "x", "y"]),
        ([_run_page("x", "a"), _run_page("x", "b")], "ab", ["", "x", "x"]),
        ([_run_page("x", "a"), _run_page("y", "b"), _run_page("x", "c")], "abc", ["", "x", "y", "x"]),
        ([_run_page("x", "a"), _run_page("y", "a"), _run_page("z", "a")], "a", ["", "x", "y", "z"]),
        ([_run_page(7, "a"), _run_page(None, "b")], "ab", ["", "7"]),
    ],
)
def test_list_follows_the_cursor(
    connect: Connect, serve: Serve, pages: list[Reply], ids: str, cursors: list[str]
) -> None:
    server = serve(in_turn(*pages))
    assert "".join(each.id for each in connect("v4", server.base_url).list()) == ids
    assert [seen.query.removeprefix("cursor=") for seen in server.seen] == cursors


@pytest.mark.parametrize(
    "cursor",
    ["x" * 70_000, "€" * 20_000, "\ud800", {"after": 5}, [1], True, 1.5],
    ids=["long", "long when encoded", "half a pair", "object", "list", "boolean", "fraction"],
)
def test_unsendable_cursor_is_an_invalid_response(connect: Connect, serve: Serve, cursor: object) -> None:
    server = serve(lambda _: Reply(body={"runs": [{"id": "a", "status": "queued"}], "nextCursor": cursor}))
    with pytest.raises(InvalidResponse, match=r"GET /api/v4/runs: no request can carry what 'nextCursor' holds"):
        list(connect("v4", server.base_url).list())
    assert len(server.seen) == 1


@pytest.mark.parametrize("filtered", ["x" * 40_000, "\ud800"], ids=["long", "half a pair"])
def test_unsendable_query_raises_value_error(connect: Connect, serve: Serve, filtered: str) -> None:
    server = serve(lambda _: Reply(body={"runs": []}))
    with pytest.raises(ValueError, match="query must be text of at most"):
        list(connect("v4", server.base_url).list(workspaceId=filtered))
    assert server.seen == []


@pytest.mark.parametrize("number", ["x", "", "-1", "0", "1.5", "²"])
def test_invalid_first_page_is_refused_at_once(connect: Connect, number: str) -> None:
    client: Any = connect("v2", "http://127.0.0.1:9")
    with pytest.raises(ValueError, match=f"pageNumber is the number of the page .* not '{number}'"):
        getattr(client, "asynchronous", client).list(pageNumber=number)  # which nobody reads


def test_listing_ends_after_many_empty_pages(connect: Connect, serve: Serve) -> None:
    server = serve(lambda seen: _run_page(f"{len(server.seen)}", *(["a"] if seen.query == "cursor=50" else [])))
    with pytest.raises(
        InvalidResponse,
        match=r"/runs: the list is incomplete: 100 pages in a row had nothing new, and none of them is the last",
    ):
        list(connect("v4", server.base_url).list())
    assert len(server.seen) == 151


def test_a_listed_unknown_status_has_no_state(connect: Connect, serve: Serve) -> None:
    items: list[dict[str, Any]] = [{"id": "a", "status": "hibernating"}, {"id": 7}, {"id": "c", "status": 5}]
    server = serve(in_turn(Reply(body={"tasks": items}), _page()))
    listed = list(connect("v1", server.base_url).list())
    assert [(each.id, each.status, each.state) for each in listed] == [
        ("a", "hibernating", None),
        ("7", None, None),
        ("c", None, None),
    ]
    assert listed[0] == TaskSummary("a", "hibernating", None, items[0])


# --- where, who and with what -------------------------------------------------------------------


@pytest.mark.parametrize("path", ["", "/", "//", "/api/v1", "/api/v1/"])
def test_a_base_url_with_or_without_its_path(connect: Connect, emulator: Emulator, path: str) -> None:
    client = connect("v1", emulator.base_url + path)
    assert client.base_url == emulator.base_url
    assert client.create("buy milk").status() == "created"


def test_a_server_behind_a_path_of_its_own(connect: Connect, serve: Serve) -> None:
    server = serve(lambda _: Reply(body="running"))
    connect("v1", server.base_url + "/gateway/api/v1/").task("t").status()
    assert server.calls == ["GET /gateway/api/v1/task/t/status"]


@pytest.mark.parametrize(
    "base_url",
    [
        "127.0.0.1:8000",
        "//host",
        "ftp://host",
        "http://",
        "http:///path",
        "http://host:port",
        "http://host:0",
        "http://host:99999",
        "http://[::1",
        "http://host/?key=value",
        "http://host#part",
        "http://a host/",
        " http://host",
        "http://host\n",
        "http://host/\0",
        "http://\N{SNOWMAN}.example",
        "http://two..dots",
        "http://" + "a" * 70_000,
        "http://" + "a" * 64 + ".example",
    ],
)
def test_a_base_url_that_leads_nowhere_is_refused_at_once(connect: Connect, base_url: str) -> None:
    with pytest.raises(ValueError, match="base_url") as raised:
        connect("v1", base_url)
    assert len(str(raised.value)) < 300


@pytest.mark.parametrize(
    "base_url",
    [
        "https://service.example",
        "http://[::1]:8000",
        "http://b\N{LATIN SMALL LETTER U WITH DIAERESIS}cher.example:8080/shelf",
        "http://under_score.example",
        "http://127.0.0.1:1/api/v1",
    ],
)
def test_a_usable_base_url_is_accepted(connect: Connect, base_url: str) -> None:
    assert connect("v1", base_url).base_url == base_url.rstrip("/").removesuffix("/api/v1")


@pytest.mark.parametrize("name", ["EU", "eeu", " eu"])
def test_misspelt_name_of_a_server_is_corrected(connect: Connect, name: str) -> None:
    with pytest.raises(ValueError, match=r"or it is the name of a server of v4: 'eu'; did you mean 'eu'\?$"):
        connect("v4", name)


@pytest.mark.parametrize(("api", "base_url"), [("v4", KEY), ("v4", ""), ("v1", "eu")])
def test_what_is_like_no_name_of_a_server_is_not_repeated(connect: Connect, api: str, base_url: str) -> None:
    with pytest.raises(ValueError, match="base_url must be like 'https://host'") as raised:
        connect(api, base_url)
    assert "did you mean" not in str(raised.value)
    assert KEY not in str(raised.value)


def test_a_base_url_with_a_password_is_refused_without_showing_it(connect: Connect) -> None:
    with pytest.raises(ValueError, match="no user and no password") as raised:
        connect("v1", "http://user:secret@127.0.0.1:1")
    assert "secret" not in str(raised.value)


def test_the_default_server_is_the_real_service() -> None:
    with Client("v2", api_key=KEY) as client:
        assert client.base_url == "https://api.browser-use.com"


@pytest.mark.parametrize("task_id", [UUID(int=7), 7, "7"])
def test_id_may_be_a_text_an_integer_or_a_uuid(connect: Connect, serve: Serve, task_id: Any) -> None:
    server = serve(lambda _: Reply(body="running"))
    task = connect("v1", server.base_url).task(task_id)
    task.status()
    assert task.id == str(task_id)
    assert {seen.path for seen in server.seen} == {f"/api/v1/task/{task_id}/status"}


@pytest.mark.parametrize("task_id", [None, True, 1.5, b"7", ["7"]])
def test_id_of_another_type_is_refused(connect: Connect, task_id: Any) -> None:
    client = connect("v2", "http://127.0.0.1:1")
    for ask in (client.task, client.session, partial(client.adopt_create, "1")):
        with pytest.raises(TypeError, match=f"a text, an integer or a UUID, not {type(task_id).__name__}"):
            ask(task_id)


@pytest.mark.parametrize("journal", ["j.db", Path("j.db"), 7])
def test_path_is_refused_as_a_journal(connect: Connect, journal: Any) -> None:
    with pytest.raises(
        TypeError, match=f"journal must be a journal, such as SqlJournal.*, not {type(journal).__name__}"
    ):
        connect("v1", "http://127.0.0.1:1", journal=journal)


SETTINGS: list[tuple[dict[str, Any], str]] = [
    ({"api": None}, "the service must be a name, such as 'v2', or an HttpBinding, not None (NoneType)"),
    ({"api": Client}, "the service must be a name, such as 'v2', or an HttpBinding, not the class Client"),
    ({"timing": 5}, "timing must be a Timing(...), not 5 (int)"),
    ({"timing": 0}, "timing must be a Timing(...), not 0 (int)"),
    ({"base_url": 5}, "base_url must be text such as 'https://host', not 5 (int)"),
    ({"http": 5}, "Client, not 5 (int)"),
]


@pytest.mark.parametrize(("settings", "said"), SETTINGS)
@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_a_setting_of_another_kind_is_refused(kind: Any, settings: dict[str, Any], said: str) -> None:
    with pytest.raises(TypeError, match=re.escape(said)):
        kind(**{"api": "v1", "api_key": KEY, **settings})


@pytest.mark.parametrize(("kind", "others"), [(Client, httpx2.AsyncClient), (AsyncClient, httpx2.Client)])
def test_the_other_kind_of_httpx2_client_is_refused(kind: Any, others: Any) -> None:
    with pytest.raises(TypeError, match=rf"http must be an httpx2.{kind.__name__}, not {others.__name__}"):
        kind("v1", api_key=KEY, http=others(verify=NO_CERTIFICATES))


ARGUMENTS: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"idempotency_key": ""}, ValueError, "idempotency_key must not be empty"),
    ({"idempotency_key": 5}, TypeError, "idempotency_key must be text, not 5 (int)"),
    ({"reason": None}, TypeError, "reason must be text, not None (NoneType)"),
    ({"origin": b"me"}, TypeError, "origin must be text, not bytes"),
]


@pytest.mark.parametrize("labels", [[], "", 0])
def test_empty_non_mapping_labels_are_refused(connect: Connect, serve: Serve, labels: Any) -> None:
    server = serve(lambda _: Reply(body={"id": "t"}))
    with pytest.raises(TypeError, match="labels are texts by their names"):
        connect("v1", server.base_url).create("buy milk", labels=labels)
    assert server.seen == []


@pytest.mark.parametrize("create_id", [None, 1])
def test_create_to_adopt_or_abandon_is_named_by_text(connect: Connect, create_id: Any) -> None:
    client = connect("v1", "http://127.0.0.1:1")
    with pytest.raises(TypeError, match="create_id must be text"):
        client.abandon_create(create_id)
    with pytest.raises(TypeError, match="create_id must be text"):
        client.adopt_create(create_id, "t")


@pytest.mark.parametrize("dead", [b"w", b"", 5, None, [None], [1], ["w", b"w"], [[]]])
def test_dead_workers_are_a_collection_of_texts(connect: Connect, dead: Any) -> None:
    client = connect("v1", "http://127.0.0.1:1")
    for recover in (client.recover, client.task("t").recover):
        with pytest.raises(TypeError, match=r"dead must (be a collection of|hold) names"):
            recover(dead=dead)


@pytest.mark.parametrize("name", ["attempts", "max_response_bytes"])
@pytest.mark.parametrize("given", [1.5, "3", True, None])
def test_counts_other_than_whole_numbers_are_refused(name: str, given: Any) -> None:
    settings: dict[str, Any] = {name: given}
    with pytest.raises(TypeError, match=f"{name} must be a whole number, not {given!r}"):
        Timing(**settings)


DURATIONS: list[Any] = [
    (float("nan"), ValueError, "at least 0, not nan"),
    (-1, ValueError, "at least 0, not -1"),
    pytest.param(10**400, ValueError, "less than 1e308, not a number of 1,329 bits", id="huge"),
    ("5", TypeError, "not '5' (str)"),
]


@pytest.mark.parametrize(("arguments", "error", "said"), ARGUMENTS)
def test_unrecordable_argument_is_refused_before_any_request(
    connect: Connect, serve: Serve, arguments: dict[str, Any], error: type[Exception], said: str
) -> None:
    server = serve(lambda _: Reply(body="running"))
    client = connect("v1", server.base_url)
    task = client.task("t")
    for ask in (partial(task.send, "stop"), partial(client.create, "buy milk")):
        with pytest.raises(error, match=re.escape(said)):
            ask(**arguments)
    with pytest.raises(TypeError, match=r"reason must be text, not 5 \(int\)"):
        client.abandon_create("1", reason=5)  # type: ignore[arg-type]
    assert server.seen == []
    assert task.journal.load().version == 0


@pytest.mark.parametrize(("seconds", "error", "said"), DURATIONS)
def test_invalid_duration_is_refused_before_any_request(
    connect: Connect, serve: Serve, seconds: Any, error: type[Exception], said: str
) -> None:
    server = serve(lambda _: Reply(body="running"))
    task = connect("v1", server.base_url).task("t")
    with pytest.raises(error, match=f"^timeout_s must be .*{re.escape(said)}"):
        task.wait(timeout_s=seconds)
    with pytest.raises(error, match=f"^wait_for_in_flight_s must be .*{re.escape(said)}"):
        task.stop(wait_for_in_flight_s=seconds)
    assert server.seen == []


def test_unknown_service_is_refused(connect: Connect) -> None:
    with pytest.raises(UnknownName, match=r"unknown service 'v5'"):
        connect("v5", "http://127.0.0.1:1")


@pytest.mark.parametrize("lifecycle", ["v1-full", "v2-full", "v3-full", "v3_full"])
def test_lifecycle_in_place_of_a_service_is_refused_with_the_service(connect: Connect, lifecycle: str) -> None:
    name = lifecycle[:2]
    with pytest.raises(UnknownName, match=f"'{lifecycle}'; did you mean '{name}'.*; '{name}-full' is the .*'{name}'$"):
        connect(lifecycle, "http://127.0.0.1:1")


@pytest.mark.parametrize("name", ["command", "V1", "x", "", []])
def test_other_names_are_no_lifecycle_of_a_service(name: Any) -> None:
    with pytest.raises(UnknownName) as raised:
        service(name)
    assert "lifecycle" not in str(raised.value)
    assert raised.value.suggestion == ("v1" if name == "V1" else None)


def test_client_accepts_a_binding_as_its_api(connect: Connect, emulator: Emulator) -> None:
    assert connect(V2, emulator.base_url).create("buy milk").status() == "created"


def test_session_of_a_service_without_sessions_is_refused(connect: Connect) -> None:
    for api in ("v1", "v2-session", "v3"):
        with pytest.raises(TypeError, match="has no sessions beside its tasks"):
            connect(api, "http://127.0.0.1:1").session("s")


def test_given_http_client_keeps_its_settings_and_stays_open(serve: Serve) -> None:
    server = serve(lambda _: Reply(body="running"))
    with httpx2.Client(headers={"User-Agent": "mine"}, params={"trace": "1"}, base_url="http://ignored") as http:
        with Client("v1", api_key=KEY, base_url=server.base_url, http=http) as client:
            client.task("t").status()
        assert not http.is_closed
        assert http.get(server.base_url).status_code == 200
    assert server.seen[0].headers["user-agent"] == "mine"
    assert server.calls[0] == "GET /api/v1/task/t/status?trace=1"


def test_a_closed_client_raises(connect: Connect, serve: Serve) -> None:
    server = serve(lambda _: Reply(body="running"))
    client = connect("v1", server.base_url, http=None)
    task = client.task("t")
    assert task.status() == "running"
    client.close()
    with pytest.raises(RuntimeError, match="closed"):
        task.status()


def test_redirect_is_not_followed_even_if_the_given_client_would(connect: Connect, serve: Serve) -> None:
    elsewhere = serve(lambda _: Reply(body="running"))
    server = serve(lambda seen: Reply(status=307, headers={"Location": elsewhere.base_url + seen.path}))
    for api in ("v1", "v2"):
        with httpx2.Client(follow_redirects=True) as http:
            task = Client(api, api_key=KEY, base_url=server.base_url, http=http).task("t")
            with pytest.raises(RequestRejected, match="redirected to"):
                task.status()
        with pytest.raises(RequestRejected, match="redirected to"):
            connect(api, server.base_url).task("t").status()
    assert elsewhere.seen == []


@pytest.fixture
def proxied(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> Any:
    proxy = serve(lambda _: Reply(body="running"))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, proxy.base_url)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    return proxy


def test_a_proxy_of_the_environment_is_used(connect: Connect, proxied: Any) -> None:
    assert connect("v1", "http://service.example", http=None).task("t").status() == "running"
    assert proxied.seen[0].path == "http://service.example/api/v1/task/t/status"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1.2.3"])
def test_no_proxy_is_used_for_this_machine(connect: Connect, serve: Serve, proxied: Any, host: str) -> None:
    server = serve(lambda _: Reply(body="paused"))
    base_url = server.base_url.replace("127.0.0.1", host)
    try:
        assert connect("v1", base_url, http=None).task("t").status() == "paused"
    except LifecycleError:
        assert host == "127.1.2.3", "a server that listens on one address only"
    assert proxied.seen == []


HOSTILE = ["a/b", "?x=1#y", "../../etc", "%2e%2e", "%", "a b", "a+b", "{id}", "ünï", "\N{PILE OF POO}", "\0", "\n"]
HOSTILE.append("x" * 1_000)


@pytest.mark.parametrize("task_id", HOSTILE, ids=[repr(each[:12]) for each in HOSTILE])
def test_any_id_reaches_the_service_unchanged(connect: Connect, serve: Serve, task_id: str) -> None:
    server = serve(lambda _: Reply(body="stopped" if server.commands else "running"))
    task = connect("v1", server.base_url).task(task_id)
    assert task.stop().state == "stopped"
    read, stop, _ = server.seen
    assert unquote(read.path) == f"/api/v1/task/{task_id}/status"
    assert read.path.count("/") == 5
    assert (stop.path, httpx2.QueryParams(stop.query)["task_id"]) == ("/api/v1/stop-task", task_id)
    assert read.query == ""


@pytest.mark.parametrize("task_id", HOSTILE, ids=[repr(each[:12]) for each in HOSTILE])
def test_any_id_is_an_unknown_task_or_a_refusal(connect: Connect, emulator: Emulator, task_id: str) -> None:
    for api in ("v1", "v2", "v3", "v4"):
        with pytest.raises((NotFound, RequestRejected)):
            connect(api, emulator.base_url).task(task_id).status()
    assert not any(call.command for call in emulator.calls())


@pytest.mark.parametrize("task_id", ["", ".", "..", "\ud800", "x" * 100_000])
def test_an_id_that_cannot_be_sent_is_refused_at_once(connect: Connect, task_id: str) -> None:
    client = connect("v2", "http://127.0.0.1:1")
    for handle in (client.task, client.session):
        with pytest.raises(ValueError, match=r"is not a task id|a journal accepts") as raised:
            handle(task_id)
        assert len(str(raised.value)) < 120


# --- many at once -------------------------------------------------------------------------------


def test_one_handle_for_many_threads(emulator: Emulator) -> None:
    with Client("v1", api_key=KEY, base_url=emulator.base_url, timing=QUICK) as client:
        task = client.create("buy milk")
        emulator.fire(task.id, "start")
        task.status()
        start = threading.Barrier(8)

        def act(worker: int) -> set[str]:
            start.wait()
            came: set[str] = set()
            for turn in range(6):
                try:
                    result = task.send((V1Event.PAUSE, V1Event.RESUME)[(worker + turn) % 2])
                    came.add(f"sent {result.sent}")
                except (CommandInFlight, IllegalTransition) as error:
                    came.add(type(error).__name__)
                task.status()
            return came

        with ThreadPoolExecutor(8) as pool:
            came = set[str]().union(*pool.map(act, range(8)))
        assert "sent True" in came
        assert task.recover() is None, "every command has its outcome"
        assert task.status() == emulator.task(task.id).state
        commands = [call for call in emulator.calls() if call.command]
        assert all(call.applied for call in commands), "none was sent that the task refused"
        assert events_of(emulator, task.id) == ["start", *(call.command for call in commands)]


def test_client_modules_name_no_state() -> None:
    words = {str(state.name) for lifecycle in CATALOG.values() for state in lifecycle.states}
    of_http = ("client", "driver", "sending", "task_procedures")
    of_all = ("governed_task", "interpreter", "running")
    for source in (*(f"http.{name}" for name in of_http), *(f"procedures.{name}" for name in of_all)):
        text = MODULES[f"lifecycle_adapters.{source}"].read_text(encoding="utf-8")
        quoted = set(re.findall(r'(?<!")"(\w+)"(?!")', text)) | set(re.findall(r"'(\w+)'", text))
        assert not (quoted & words), source
