"""Sessions without a lifecycle, the events of a task, and further calls: by both clients, against the emulator.

The clients are of any type here: tests/typing says which handle is which.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from lifecycle import CreateUncertain, DefinitionError, UnknownName, WaitTimedOut
from lifecycle.memory import MemoryJournal
from lifecycle_adapters.emulator import Emulator
from lifecycle_adapters.http import (
    AsyncClient,
    Call,
    Forbidden,
    InvalidResponse,
    MessageNotRun,
    NotFound,
    ServerError,
    Session,
    SessionCalls,
    Task,
)
from lifecycle_adapters.services.v4 import SESSION_CALLS, V4, V4_MESSAGE
from tests.adapters.http.both import KEY, QUICK, BlockingSession, BlockingTask
from tests.adapters.http.conftest import Serve
from tests.adapters.http.scripted import Reply, by_path, in_turn

assert V4.events is not None
EVENTS = V4.events
ENDED = ["run.queued", "run.dispatching", "run.running", "run.completed"]


@pytest.fixture(scope="module")
def quick() -> Iterator[Emulator]:
    with Emulator(pace_s=0.02) as emulator:
        yield emulator


def finish(emulator: Emulator, run_id: str) -> None:
    for event in ("dispatch", "start", "complete"):
        emulator.fire(run_id, event)


# --- sessions ----------------------------------------------------------------------------------


def test_a_run_knows_its_session_from_its_create(connect: Any, emulator: Emulator) -> None:
    run = connect("v4", emulator.base_url).create("buy milk")
    session = run.session()
    assert [call.method for call in emulator.calls()] == ["POST"]
    details = session.details()
    assert (details["sessionId"], details["latestRunId"]) == (session.id, run.id)
    assert repr(session) in (f"<Session v4 '{session.id}'>", f"<AsyncSession v4 '{session.id}'>")


def test_a_run_of_another_program_is_read_for_its_session(connect: Any, emulator: Emulator) -> None:
    client = connect("v4", emulator.base_url)
    run_id = client.create("buy milk").id
    session = client.task(run_id).session()
    assert isinstance(session, Session | BlockingSession)
    assert session.latest().id == run_id
    assert client.session(session.id).details() == session.details()


def test_a_v2_task_leads_to_its_session_which_has_a_lifecycle(connect: Any, emulator: Emulator) -> None:
    session: Any = connect("v2", emulator.base_url).create("buy milk").session()
    assert type(session) in (Task, BlockingTask)
    assert repr(session).startswith(("<Task v2-session", "<AsyncTask v2-session"))
    assert session.status() == "active"


def test_tasks_without_sessions_have_none(connect: Any) -> None:
    for api in ("v1", "v3"):
        with pytest.raises(TypeError, match=f"{api} has no sessions beside its tasks"):
            connect(api, "http://127.0.0.1:1").task("t").session()


def test_task_or_session_without_an_id_is_an_invalid_response(connect: Any, serve: Serve) -> None:
    client = connect("v4", serve(lambda _: Reply(body={"status": "queued"})).base_url)
    with pytest.raises(InvalidResponse, match="the task names no session at 'sessionId'"):
        client.task("r").session()
    with pytest.raises(InvalidResponse, match="the session names no task at 'latestRunId'"):
        client.session("s").latest()


# --- the queue ---------------------------------------------------------------------------------


def test_a_message_is_queued_listed_and_cancelled(connect: Any, emulator: Emulator) -> None:
    session = connect("v4", emulator.base_url).create("buy milk").session()
    message, other = session.queue("buy bread"), session.queue("buy eggs")
    assert (message.status(), [each.id for each in session.messages()]) == ("pending", [message.id, other.id])
    assert (message.cancel().state, [each.id for each in session.messages()]) == ("cancelled", [other.id])
    assert session.message(message.id).status() == "cancelled"


def test_an_interrupting_message_cancels_the_run(connect: Any, emulator: Emulator) -> None:
    run = connect("v4", emulator.base_url).create("buy milk")
    message = run.session().queue("buy bread", interrupt=True)
    assert (run.status(), message.status()) == ("cancelled", "dispatching")


def test_a_message_says_of_interrupting_only_what_the_caller_says(connect: Any, serve: Serve) -> None:
    server = serve(lambda _: Reply(body={"id": "m1", "status": "pending"}))
    session = connect("v4", server.base_url).session("s")
    session.queue("buy bread")
    session.queue("buy bread", interrupt=False)
    with pytest.raises(TypeError, match=r"interrupt must be True or False, not 'yes' \(str\)"):
        session.queue("buy bread", interrupt="yes")
    assert [seen.json for seen in server.seen] == [{"text": "buy bread"}, {"text": "buy bread", "interrupt": False}]


def test_one_key_queues_one_message(connect: Any, emulator: Emulator) -> None:
    journal = MemoryJournal()
    run = connect("v4", emulator.base_url, journal=journal).create("buy milk")
    first = run.session().queue("buy bread", idempotency_key="order 5")
    again = connect("v4", emulator.base_url, journal=journal).session(run.session().id)
    assert again.queue("buy bread", idempotency_key="order 5").id == first.id
    assert len(list(again.messages())) == 1


def test_a_wait_ends_with_the_last_run(connect: Any, quick: Emulator) -> None:
    run = connect("v4", quick.base_url).create("buy milk")
    session = run.session()
    for text in ("buy bread", "buy eggs"):
        session.queue(text)
    assert session.wait(timeout_s=60).details["task"] == "buy eggs"
    other = connect("v4", quick.base_url).session(session.id)
    other.queue("buy salt")  # the idle session claims it at once, so that no list has it
    assert other.wait(timeout_s=60).details["task"] == "buy salt"


def test_a_wait_for_a_session_that_stays_busy_ends_in_time(connect: Any, emulator: Emulator) -> None:
    session = connect("v4", emulator.base_url).create("buy milk").session()
    with pytest.raises(WaitTimedOut, match="queued"):
        session.wait(timeout_s=0.05)


def test_an_uncertain_message_is_recovered_and_adopted(connect: Any, emulator: Emulator) -> None:
    client = connect("v4", emulator.base_url)
    session = client.create("buy milk").session()
    emulator.fault("drop_after", method="POST")
    with pytest.raises(CreateUncertain) as lost:
        session.queue("buy bread", idempotency_key="order-5")

    [found] = client.recover()
    [candidate] = found.candidates
    assert (found.create.id, found.lifecycle) == (lost.value.create_id, f"v4-message[{session.id}]")

    assert client.adopt_create(found.create.id, candidate.id).status() == "pending"
    assert session.queue("buy bread", idempotency_key="order-5").id == candidate.id
    assert client.recover() == []


def test_an_uncertain_message_is_abandoned(connect: Any, emulator: Emulator) -> None:
    client = connect("v4", emulator.base_url)
    session = client.create("buy milk").session()
    emulator.fault("drop_before", method="POST")
    with pytest.raises(CreateUncertain) as lost:
        session.queue("buy bread")

    client.abandon_create(lost.value.create_id)

    assert client.recover() == []
    with pytest.raises(ValueError, match=r"it is abandoned$") as ended:
        client.adopt_create(lost.value.create_id, "7")
    assert str(ended.value).startswith(f"create {lost.value.create_id} is of v4-message[{session.id}], not of v4: ")


@pytest.mark.parametrize("state", ["failed", "cancelled", "superseded"])
def test_wait_reports_a_message_that_became_no_run(connect: Any, serve: Serve, state: str) -> None:
    message = {"id": "7", "status": "pending", "sessionId": "s"}
    replies = {
        "POST /api/v4/sessions/s/queue": Reply(status=201, body=message),
        "GET /api/v4/sessions/s/queue": Reply(body={"queue": []}),
        "GET /api/v4/sessions/s/queue/7": Reply(body={**message, "status": state}),
        "GET /api/v4/sessions/s": Reply(body={"id": "s", "latestRunId": "r"}),
        "GET /api/v4/runs/r/status": Reply(body={"id": "r", "status": "completed"}),
        "GET /api/v4/runs/r": Reply(body={"id": "r", "status": "completed"}),
    }
    session = connect("v4", serve(by_path(replies)).base_url).session("s")
    session.queue("buy bread")

    with pytest.raises(MessageNotRun, match=f"message 7 became no task of its session: it is '{state}'") as ended:
        session.wait(timeout_s=60)

    assert (ended.value.lifecycle, ended.value.message, ended.value.state) == ("v4-message[s]", "7", state)
    assert session.wait(timeout_s=60).state == "completed", "it is said once"


def test_wait_does_not_report_a_message_that_its_caller_cancelled(connect: Any, emulator: Emulator) -> None:
    run = connect("v4", emulator.base_url).create("buy milk")
    session = run.session()
    session.queue("buy bread").cancel()
    session.message(session.queue("buy eggs").id).cancel()
    finish(emulator, run.id)

    assert session.wait(timeout_s=60).details["task"] == "buy milk"


@pytest.mark.parametrize("which", [0, 1, 2, 3])
def test_wait_does_not_report_a_message_that_any_of_its_handles_cancelled(
    connect: Any, emulator: Emulator, which: int
) -> None:
    run = connect("v4", emulator.base_url).create("buy milk")
    session = run.session()
    known = run.session().queue("buy bread", idempotency_key="order-5").id
    handles = [session.message(known), *(session.queue("buy bread", idempotency_key="order-5") for _ in range(2))]
    handles.append(session.message(known))
    handles[which].cancel()
    finish(emulator, run.id)

    assert len({each.id for each in handles}) == 1
    assert session.wait(timeout_s=60).details["task"] == "buy milk"


def test_wait_does_not_report_messages_of_others(connect: Any, emulator: Emulator) -> None:
    client = connect("v4", emulator.base_url)
    session = client.create("buy milk").session()
    message = session.queue("buy bread")
    other = client.session(session.id)
    with pytest.raises(WaitTimedOut):
        other.wait(timeout_s=0.05)
    message.cancel()
    finish(emulator, session.latest().id)

    assert other.wait(timeout_s=60).details["task"] == "buy milk"


def test_a_message_is_recorded_like_a_create(connect: Any, emulator: Emulator) -> None:
    journal = MemoryJournal()
    session = connect("v4", emulator.base_url, journal=journal).create("buy milk").session()
    with pytest.raises(TypeError, match="the argument text, the message, must be text, not None"):
        session.queue(None)
    emulator.fault("drop_before", method="POST")
    with pytest.raises(CreateUncertain):
        session.queue("buy bread", labels={"order": "5"}, origin="shop", reason="it is out")

    [left] = journal.creates(
        V4_MESSAGE.with_parameters({"session_id": session.id}).in_scope(V4_MESSAGE.lifecycle)
    ).unfinished()

    assert (left.labels, left.context.origin, left.context.reason) == ({"order": "5"}, "shop", "it is out")


@pytest.mark.parametrize("until", ["finall", 5, None])
def test_a_wait_for_another_end_is_refused_at_once(connect: Any, until: Any) -> None:
    with pytest.raises(ValueError, match="until must be 'settled' or 'final'"):
        connect("v4", "http://127.0.0.1:1").session("s").wait(until=until)


# --- events ------------------------------------------------------------------------------------


def test_events_are_listed_page_by_page(connect: Any, emulator: Emulator) -> None:
    run = connect("v4", emulator.base_url).create("buy milk")
    finish(emulator, run.id)
    events = list(run.events(limit=3))
    assert [each["type"] for each in events] == ENDED
    assert [each["id"] for each in run.events(after=events[1]["id"])] == [each["id"] for each in events[2:]]
    assert [each.query for each in emulator.calls() if each.path.endswith("/events")][:2] == [
        "limit=3",
        "limit=3&after=3",
    ]


def test_events_are_followed_until_the_run_is_over(connect: Any, quick: Emulator) -> None:
    assert [each["type"] for each in connect("v4", quick.base_url).create("buy milk").events(follow=True)] == ENDED


def test_v3_lists_the_messages_of_a_session(connect: Any, emulator: Emulator) -> None:
    session = connect("v3", emulator.base_url).create("buy milk", keepAlive=True)
    for event in ("start", "complete"):
        emulator.fire(session.id, event)
    session.dispatch("buy bread")
    messages = list(session.events(limit=2))
    assert [(each["role"], each["data"]) for each in messages] == [
        ("human", "buy milk"), ("ai", "Done: buy milk"), ("human", "buy bread"),
    ]  # fmt: skip
    assert [each["data"] for each in session.events(before=messages[2]["id"], limit=1)] == ["Done: buy milk"]


def test_events_of_a_service_without_an_event_list_are_refused(connect: Any) -> None:
    with pytest.raises(ValueError, match="v1 has no list of events"):
        connect("v1", "http://127.0.0.1:1").task("t").events()
    listing = replace(EVENTS, pages="one", page_parameter=None)
    with pytest.raises(ValueError, match="v4: events can be followed only if"):
        connect(replace(V4, events=listing), "http://127.0.0.1:1").task("t").events(follow=True)


# --- further calls -----------------------------------------------------------------------------


def test_a_deleted_session_is_not_found(connect: Any, emulator: Emulator) -> None:
    run = connect("v4", emulator.base_url).create("buy milk")
    session = run.session()
    session.queue("buy bread")
    assert session.call("cost")["numRuns"] == 1
    assert session.call("cost_cap", maxCostUsd="2.50") == {"sessionId": session.id, "maxCostUsd": "2.50"}
    assert session.call("delete") == {}
    for read in (session.details, run.status):
        with pytest.raises(NotFound):
            read()


def test_a_session_is_renamed_and_shared_but_not_purged(connect: Any, emulator: Emulator) -> None:
    session = connect("v4", emulator.base_url).create("buy milk").session()
    assert [session.call("update", title=title)["title"] for title in ("Milk", None)] == ["Milk", None]
    assert session.call("share") is None
    share = session.call("create_share")
    assert session.call("share") == share
    assert session.call("update_share", isActive=False) == {**share, "isActive": False}
    with pytest.raises(Forbidden, match="ZDR"):
        session.call("purge")


def test_a_session_with_a_lifecycle_is_shared_but_not_purged(connect: Any, emulator: Emulator) -> None:
    session = connect("v2-session", emulator.base_url).create()
    share = session.call("create_share")
    assert session.call("share") == share
    assert session.call("delete_share") == {}
    with pytest.raises(Forbidden, match="ZDR"):
        session.call("purge")


@pytest.mark.parametrize("api", ["v2-session", "v3"])
def test_sessions_with_a_lifecycle_are_deleted(connect: Any, emulator: Emulator, api: str) -> None:
    session = connect(api, emulator.base_url).create()
    assert session.call("delete") == {}
    with pytest.raises(NotFound):
        session.status()


def test_a_delete_is_repeated_and_then_not_found(connect: Any, serve: Serve) -> None:
    server = serve(in_turn(Reply(status=503), Reply(status=404)))
    assert connect("v3", server.base_url).task("s").call("delete") == {}
    assert [each.method for each in server.seen] == ["DELETE", "DELETE"]


def test_session_call_that_may_have_taken_effect_is_not_repeated(connect: Any, serve: Serve) -> None:
    server = serve(in_turn(Reply(status=500)))
    with pytest.raises(ServerError):
        connect("v4", server.base_url).session("s").call("cost_cap", maxCostUsd=1)
    assert len(server.seen) == 1


def test_an_unknown_call_is_named_with_the_known_ones(connect: Any) -> None:
    client = connect("v4", "http://127.0.0.1:1")
    with pytest.raises(UnknownName, match="v4 session: unknown call 'delte'; did you mean 'delete'"):
        client.session("s").call("delte")
    with pytest.raises(UnknownName, match="v4: unknown call 'delete'"):
        client.task("r").call("delete")
    with pytest.raises(TypeError, match="needs maxCostUsd"):
        client.session("s").call("cost_cap")


# --- asyncio -----------------------------------------------------------------------------------


def test_the_asynchronous_client_does_the_same(quick: Emulator) -> None:
    async def played() -> list[Any]:
        async with AsyncClient("v4", api_key=KEY, base_url=quick.base_url, timing=QUICK) as client:
            run = await client.create("buy milk")
            session = await run.session()
            message = await session.queue("buy bread")
            waiting = [each.id async for each in session.messages()]
            result = await session.wait(timeout_s=60)
            latest = await session.latest()
            events = [each["type"] async for each in latest.events(follow=True)]
            details = await client.session(session.id).details()
            state = await session.message(message.id).status()
            await session.call("delete")
            v3 = AsyncClient("v3", api_key=KEY, base_url=quick.base_url, timing=QUICK)
            deleted = await (await v3.create("buy milk")).call("delete")
            await v3.close()
            same = [waiting in ([], [message.id]), details["latestRunId"] == latest.id, deleted == {}]
            return [result.details["task"], events, state, *same, repr(session)[:18]]

    assert asyncio.run(played()) == ["buy bread", ENDED, "consumed", True, True, True, "<AsyncSession v4 '"]


# --- declarations ------------------------------------------------------------------------------


def session_calls(**changes: Any) -> SessionCalls:
    return replace(SESSION_CALLS, **changes)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: session_calls(details=Call(method="GET", path="/sessions")), "does not say what it is about"),
        (lambda: session_calls(latest_field="a..b"), "without an empty part"),
        (lambda: session_calls(task_state="pending"), "task_state: must be a final state of the messages"),
        (lambda: session_calls(task_state=None), "not None"),
        (lambda: session_calls(messages=V4), "must be one, which stands for the session's id"),
        (
            lambda: session_calls(further_calls={"stop it": Call(method="PUT", path="/sessions/{id}")}),
            "'stop it' is not a name such as 'delete'",
        ),
        (lambda: replace(V4, further_calls={"cancel": Call(method="PUT", path="/runs/{id}")}), "of another call"),
        (
            lambda: replace(V4, further_calls={"x": Call(method="GET", path="/runs/{id}", status_field="status")}),
            "a call that changes one is a command",
        ),
        (
            lambda: replace(V4, further_calls={"x": Call(method="PUT", path="/{id}", body={"k": "{idempotency_key}"})}),
            "no journal records the call",
        ),
        (lambda: replace(V4, session=V4), "the sessions have a lifecycle, that of `session`"),
        (lambda: replace(V4, session_calls=None), "there are no sessions"),
        (
            lambda: replace(V4_MESSAGE, session_calls=session_calls(messages=None)),
            "the session's id is the only parameter that its paths can have",
        ),
        (
            lambda: replace(
                V4, session_calls=session_calls(messages=replace(V4_MESSAGE, base_url="https://elsewhere.example"))
            ),
            "is at https://elsewhere.example: one client asks one server",
        ),
    ],
)
def test_a_wrong_declaration_is_refused(make: Any, message: str) -> None:
    with pytest.raises(DefinitionError, match=message):
        make()


def test_a_session_without_a_queue(connect: Any, emulator: Emulator) -> None:
    binding = replace(V4, session_calls=session_calls(messages=None))
    session = connect(binding, emulator.base_url).create("buy milk").session()
    finish(emulator, session.latest().id)
    assert session.wait(timeout_s=60).state == "completed"
    for ask in (lambda: session.queue("x"), session.messages, lambda: session.message(1)):
        with pytest.raises(TypeError, match="v4: its sessions have no queue"):
            ask()


def test_emulator_of_an_own_service_has_no_events_or_sessions(connect: Any) -> None:
    delete = {"delete": Call(method="DELETE", path="/runs/{id}")}
    changes: dict[str, Any] = {"session_calls": session_calls(messages=None), "further_calls": delete}
    mine = replace(V4, name="mine", base_path="/mine", **changes)
    with Emulator(mine, manual=True) as emulator:
        client = connect(mine, emulator.base_url)
        run = client.create("buy milk")
        assert (list(run.events()), run.call("delete")) == ([], {})
        with pytest.raises(NotFound, match="mine has no session s"):
            client.session("s").details()
