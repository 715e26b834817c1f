"""Creating tasks with a journal: one key, one task; and what recovery says of a create that has no outcome."""

from __future__ import annotations

import asyncio
import gc
import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest

from lifecycle import (
    V1_FULL,
    CommandEvent,
    CommandUncertain,
    CreateContradicted,
    CreateInFlight,
    CreateKeyReused,
    CreateUncertain,
    UnreadableRecord,
    get,
)
from lifecycle.errors import shortened
from lifecycle.journal import CreatedTask, CreateRecord, Journal, Report, RequestContext
from lifecycle.memory import MemoryJournal
from lifecycle_adapters.emulator import Emulator
from lifecycle_adapters.http import (
    AsyncClient,
    Call,
    Client,
    ListCall,
    NotFound,
    RecoveredCreate,
    RequestRejected,
)
from lifecycle_adapters.journal import RecordedCreate, SqlJournal
from lifecycle_adapters.services.v1 import V1
from tests.adapters.http.both import KEY, QUICK
from tests.adapters.http.conftest import NO_CERTIFICATES, Connect, Serve
from tests.adapters.http.scripted import Reply, Seen, by_path

APIS = ("v1", "v2", "v3", "v4", "v2-session")
LOST = Reply(status=500)


def fields_of(api: str) -> dict[str, Any]:
    return {} if api == "v2-session" else {"task": "buy milk"}


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def journal(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    with ExitStack() as opened:
        if request.param == "memory":
            yield MemoryJournal()
            return
        url = str(tmp_path / "j.db") if request.param == "sqlite" else request.getfixturevalue("postgres_journal_url")
        yield opened.enter_context(SqlJournal(url))


# --- creating under a key -----------------------------------------------------------------------


@pytest.mark.usefixtures("old_objects_are_no_garbage")
def test_one_key_creates_one_task_also_by_another_client(
    connect: Connect, emulator: Emulator, journal: Journal
) -> None:
    first, second = (connect("v3", emulator.base_url, journal=journal) for _ in range(2))

    made = first.create("buy milk", idempotency_key="order 5", keepAlive=True, secrets=("a", "b"))
    number = made.id
    del made
    gc.collect()
    again = second.create("buy milk", idempotency_key="order 5", keepAlive=True, secrets=("a", "b"))

    assert again.id == number
    assert [call.method for call in emulator.calls()] == ["POST"]
    assert again.status() == "created"
    with pytest.raises(CreateKeyReused):
        first.create("buy bread", idempotency_key="order 5")
    assert first.create("buy bread", idempotency_key="order 6").id != number


@pytest.mark.parametrize(("first", "second"), [(True, 1), (0, False), (1, 1.0), ({"deep": [True]}, {"deep": [1]})])
def test_key_with_fields_that_are_equal_only_in_python_is_refused(
    connect: Connect, serve: Serve, journal: Journal, first: Any, second: Any
) -> None:
    paused = Reply(body={"id": "t", "status": "paused"})
    server = serve(by_path({"POST /api/v1/run-task": paused, "GET /api/v1/task/t": paused}))
    client = connect("v1", server.base_url, journal=journal)

    client.create("buy milk", idempotency_key="order 5", flag=first)
    with pytest.raises(CreateKeyReused):
        client.create("buy milk", idempotency_key="order 5", flag=second)

    assert client.create("buy milk", idempotency_key="order 5", flag=first).id == "t"
    assert server.calls == ["POST /api/v1/run-task"]


def test_a_lost_response_is_never_sent_again_under_its_key(connect: Connect, serve: Serve, journal: Journal) -> None:
    server = serve(by_path({"POST /api/v1/run-task": LOST}))
    client = connect("v1", server.base_url, journal=journal)

    for _ in range(2):
        with pytest.raises(CreateUncertain) as info:
            client.create("buy milk", idempotency_key="order 5")
        assert info.value.create_id == "1"

    assert server.calls == ["POST /api/v1/run-task"]


@pytest.mark.parametrize(
    "task_id",
    ["x" * 1001, "é" * 501, "x" * 40_000, "\ud800", "", 1.5, ["t"]],
    ids=["long", "wide", "longer", "surrogate", "empty", "number", "list"],
)
def test_an_id_that_no_journal_or_request_takes_leaves_the_create_uncertain(
    connect: Connect, serve: Serve, journal: Journal, task_id: Any
) -> None:
    server = serve(by_path({"POST /api/v1/run-task": Reply(body={"id": task_id})}))
    client = connect("v1", server.base_url, journal=journal)

    for _ in range(2):
        with pytest.raises(CreateUncertain) as info:
            client.create("buy milk", idempotency_key="order 5")
        assert shortened(task_id).removesuffix("...") in str(info.value)
        assert info.value.create_id == "1"

    assert server.calls == ["POST /api/v1/run-task"]


@pytest.mark.parametrize(
    ("task_id", "status"),
    [("x" * 1000, "x" * 100_000), ("nul\0\r\n", "nul\0\ud800"), ("\x1b[2J/?#", "\x1b[2J"), (" \\0000", ""), (7, "7")],
    ids=["long", "nul", "escape", "blank", "number"],
)
def test_an_odd_id_with_an_odd_status_is_recorded(
    connect: Connect, serve: Serve, journal: Journal, task_id: Any, status: str
) -> None:
    server = serve(by_path({"POST /api/v1/run-task": Reply(body={"id": task_id, "status": status})}))
    client = connect("v1", server.base_url, journal=journal)

    made = [client.create("buy milk", idempotency_key="order 5").id for _ in range(2)]

    assert made == [str(task_id)] * 2
    assert server.calls == ["POST /api/v1/run-task"]


def test_recorded_id_that_no_request_can_carry_is_an_unreadable_record(connect: Connect, serve: Serve) -> None:
    journal = MemoryJournal()
    context = RequestContext(idempotency_key="order 5")
    recorded = journal.creates(V1_FULL)
    record = recorded.add({"task": "buy milk"}, labels={}, context=context)
    assert record is not None
    log = journal.task(V1_FULL, "..")  # a task without a handle is forgotten
    recorded.add_outcome(record.id, CommandEvent.CONFIRM, why="created", claim=record.claim, task=CreatedTask(".."))
    client = connect("v1", serve(by_path({})).base_url, journal=journal)

    with pytest.raises(UnreadableRecord, match=r"'\.\.' is not a task id"):
        client.create("buy milk", idempotency_key="order 5")

    assert log.load().state is None


def test_id_of_a_task_that_another_journal_refuses_is_in_the_error(connect: Connect, serve: Serve) -> None:
    class Narrow(MemoryJournal):
        def task(self, lifecycle: Any, task_id: str, **_: Any) -> Any:
            raise ValueError(f"{lifecycle.name} has no task of {len(task_id)} characters here")

    server = serve(by_path({"POST /api/v1/run-task": Reply(body={"id": "task_1"})}))
    client = connect("v1", server.base_url, journal=Narrow())

    with pytest.raises(ValueError, match="6 characters") as info:
        client.create("buy milk", idempotency_key="order 5")
    with pytest.raises(CreateUncertain):
        client.create("buy milk", idempotency_key="order 5")

    assert info.value.__notes__ == ["The task task_1 was created."]
    assert server.calls == ["POST /api/v1/run-task"]


def test_refused_create_may_be_repeated_under_its_key(connect: Connect, serve: Serve, journal: Journal) -> None:
    replies = [Reply(status=402, body={"detail": "no credits"}), Reply(body={"id": "t"})]
    client = connect("v1", serve(by_path({"POST /api/v1/run-task": replies})).base_url, journal=journal)

    with pytest.raises(RequestRejected):
        client.create("buy milk", idempotency_key="order 5")

    assert client.create("buy milk", idempotency_key="order 5").id == "t"


def test_create_of_another_worker_is_in_flight(connect: Connect, serve: Serve, journal: Journal) -> None:
    server = serve(by_path({}))
    assert (
        journal.creates(get("v1-full")).add({"task": "buy milk"}, labels={}, context=RequestContext("order 5"))
        is not None
    )
    client = connect("v1", server.base_url, journal=journal)

    with pytest.raises(CreateInFlight):
        client.create("buy milk", idempotency_key="order 5")
    [reported] = client.recover()

    assert isinstance(reported.error, CreateInFlight)
    assert (reported.is_settled, server.calls) == (False, [])


def test_response_that_arrives_after_a_recovery_settles_the_create(
    connect: Connect, serve: Serve, tmp_path: Path
) -> None:
    with ExitStack() as opened:
        one, two = (opened.enter_context(SqlJournal(tmp_path / "j.db", worker=name)) for name in "ab")

        def slow(seen: Seen) -> Reply:
            if seen.method == "GET":  # the list of tasks
                return Reply(status=404)
            [found] = other.recover(dead=["a"])
            assert isinstance(found.error, CreateUncertain)
            return Reply(body={"id": f"t{len(server.seen)}", "status": "running"})

        server = serve(slow)
        client = connect("v1", server.base_url, journal=one)
        other = opened.enter_context(Client("v1", api_key=KEY, base_url=server.base_url, journal=two))

        made = client.create("buy milk", idempotency_key="order 5")

        assert {each.create("buy milk", idempotency_key="order 5").id for each in (client, other)} == {made.id}
        assert [each.method for each in server.seen if each.method == "POST"] == ["POST"]
        assert isinstance(one.history(made.id)[0], RecordedCreate)
        assert other.recover() == []
        assert list(one.check()) == []


def test_response_that_arrives_after_an_abandonment_names_its_task(
    connect: Connect, serve: Serve, tmp_path: Path
) -> None:
    with ExitStack() as opened:
        one, two = (opened.enter_context(SqlJournal(tmp_path / "j.db", worker=name)) for name in "ab")

        def slow(seen: Seen) -> Reply:
            if seen.method == "GET":  # the list of tasks
                return Reply(status=404)
            other.recover(dead=["a"])
            other.abandon_create("1", reason="nobody waits for it")
            return Reply(body={"id": "t1", "status": "running"})

        server = serve(slow)
        client = connect("v1", server.base_url, journal=one)
        other = opened.enter_context(Client("v1", api_key=KEY, base_url=server.base_url, journal=two))

        with pytest.raises(
            CreateContradicted, match="the task 't1' was created, but create 1 is recorded as abandoned"
        ):
            client.create("buy milk", idempotency_key="order 5")

        assert [each.task_id for each in one.tasks().tasks] == ["t1"]
        assert list(one.check()) == []


def test_labels_and_reasons_are_kept_and_not_sent(connect: Connect, serve: Serve, tmp_path: Path) -> None:
    server = serve(by_path({"POST /api/v1/run-task": Reply(body={"id": "t"})}))
    with SqlJournal(tmp_path / "j.db") as journal:
        client = connect("v1", server.base_url, journal=journal)

        client.create("buy milk", llm="o3", labels={"order": "5"}, reason="sold out", origin="a shop")

        [made] = journal.history("t")
    assert [seen.json for seen in server.seen] == [{"task": "buy milk", "llm": "o3"}]
    assert isinstance(made, RecordedCreate)
    assert (made.labels, made.reason, made.origin) == ({"order": "5"}, "sold out", "a shop")
    assert made.fields == {"task": "buy milk", "llm": "o3"}


def test_key_with_other_labels_returns_the_first_task_and_keeps_its_labels(
    connect: Connect, serve: Serve, tmp_path: Path
) -> None:
    server = serve(by_path({"POST /api/v1/run-task": Reply(body={"id": "t"})}))
    with SqlJournal(tmp_path / "journal.db") as journal:
        client = connect("v1", server.base_url, journal=journal)
        key = "order 5"
        client.create("buy milk", idempotency_key=key, labels={"by": "one"}, reason="sold out", origin="a shop")
        again = client.create("buy milk", idempotency_key=key, labels={"by": "two"}, reason="a retry", origin="a job")
        with pytest.raises(CreateKeyReused):
            client.create("buy bread", idempotency_key=key, labels={"by": "one"})

        made = next(each for each in journal.history("t") if isinstance(each, RecordedCreate))
    assert again.id == "t"
    assert server.calls == ["POST /api/v1/run-task"]
    assert (made.labels, made.reason, made.origin) == ({"by": "one"}, "sold out", "a shop")


@pytest.mark.parametrize("labels", [{"order": 5}, {5: "order"}, ["a"], "order", 5])
def test_labels_other_than_texts_are_refused(connect: Connect, serve: Serve, labels: Any) -> None:
    server = serve(by_path({}))

    with pytest.raises(TypeError, match=r"labels are texts by their names, such as .*, not "):
        connect("v1", server.base_url).create("buy milk", labels=labels)

    assert server.calls == []


# --- what is left open --------------------------------------------------------------------------


def lose(client: Any, emulator: Emulator, api: str, **given: Any) -> str:
    """Create a task whose response is lost; return the create's id."""
    emulator.fault("drop_after", method="POST")
    with pytest.raises(CreateUncertain) as info:
        client.create(**fields_of(api), **given)
    assert info.value.create_id is not None
    return info.value.create_id


def only(recovered: Any) -> RecoveredCreate:
    [found] = recovered
    assert isinstance(found, RecoveredCreate)
    return found


@pytest.mark.parametrize("api", APIS)
def test_a_lost_create_is_reported_with_exactly_its_task(connect: Connect, emulator: Emulator, api: str) -> None:
    journal = MemoryJournal()
    client = connect(api, emulator.base_url, journal=journal)
    client.create(**fields_of(api))
    create_id = lose(client, emulator, api)
    client.create(**fields_of(api))
    if api in ("v1", "v2", "v4"):
        connect(api, emulator.base_url, journal=MemoryJournal()).create("buy bread")

    reported = only(client.recover())

    assert (reported.create.id, reported.lifecycle, reported.command) == (create_id, client_lifecycle(api), "create")
    assert isinstance(reported.error, CreateUncertain)
    assert not reported.is_settled
    [candidate] = reported.candidates
    task = client.adopt_create(create_id, candidate.id)
    assert (task.id, task.known_state()) == (candidate.id, candidate.state)
    assert client.recover() == []


def client_lifecycle(api: str) -> str:
    return api if api == "v2-session" else f"{api}-full" if api != "v4" else api


def test_a_service_without_a_list_has_no_candidates(connect: Connect, emulator: Emulator) -> None:
    client = connect(replace(V1, listing=None), emulator.base_url)
    assert client.recover() == []
    create_id = lose(client, emulator, "v1")

    found = only(client.recover())

    assert (found.create.id, found.candidates) == (create_id, ())
    assert "the service has no list of tasks" in str(found.error)


def test_a_client_of_tasks_recovers_the_creates_of_their_sessions(connect: Connect, emulator: Emulator) -> None:
    journal = MemoryJournal()
    lose(connect("v2-session", emulator.base_url, journal=journal), emulator, "v2-session")

    assert only(connect("v2", emulator.base_url, journal=journal).recover()).lifecycle == "v2-session"


def test_an_adopted_task_is_that_of_the_key(connect: Connect, emulator: Emulator, journal: Journal) -> None:
    client = connect("v1", emulator.base_url, journal=journal)
    create_id = lose(client, emulator, "v1", idempotency_key="order 5")
    [candidate] = only(client.recover()).candidates

    adopted = client.adopt_create(create_id, candidate.id)

    assert client.create("buy milk", idempotency_key="order 5").id == adopted.id == candidate.id
    assert adopted.known_state() == "created"
    kept = rf"create {create_id} has ended already, and is not changed: it is done with the task '{candidate.id}'"
    with pytest.raises(ValueError, match=kept):
        client.adopt_create(create_id, candidate.id)
    with pytest.raises(ValueError, match=rf"cannot have made the task '{candidate.id}': create {create_id} did"):
        client.adopt_create(lose(client, emulator, "v1"), candidate.id)


def test_missing_task_is_not_adopted(connect: Connect, emulator: Emulator, journal: Journal) -> None:
    client = connect("v1", emulator.base_url, journal=journal)
    create_id = lose(client, emulator, "v1")

    with pytest.raises(NotFound):
        client.adopt_create(create_id, "task_nobody_made")

    assert only(client.recover()).create.lease is None


def test_abandoned_create_frees_its_key(connect: Connect, emulator: Emulator, journal: Journal) -> None:
    client = connect("v1", emulator.base_url, journal=journal)
    create_id = lose(client, emulator, "v1", idempotency_key="order 5")

    client.abandon_create(create_id, reason="never mind")

    assert client.recover() == []
    assert client.create("buy milk", idempotency_key="order 5").id
    with pytest.raises(ValueError, match="create 1"):
        client.abandon_create(create_id)


def test_a_create_that_was_never_sent_is_settled(connect: Connect, serve: Serve, journal: Journal) -> None:
    server = serve(by_path({}))
    creates = journal.creates(get("v1-full"))
    left = creates.add({"task": "buy milk"}, labels={})
    assert left is not None
    creates.release(left.id, claim=1)

    reported = only(connect("v1", server.base_url, journal=journal).recover())

    assert (reported.error, reported.is_settled, reported.create.why) == (None, True, "never sent")
    assert server.calls == []


BY_URLS = ListCall(call=Call(method="GET", path="/tasks"), items_field="tasks", pages="urls", next_field="next")
UNREADABLE = [
    Reply(status=403),
    Reply(body=b"<"),
    Reply(body={"tasks": 5}),
    *(Reply(body={"tasks": [], "next": f"?{query}"}) for query in ("x" * 40_000, "\ud800", "a=\udfff")),
]


@pytest.mark.parametrize("listed", UNREADABLE)
def test_a_list_that_cannot_be_read_is_reported(
    connect: Connect, serve: Serve, journal: Journal, listed: Reply
) -> None:
    lost = dict.fromkeys(("POST /api/v1/run-task", "PUT /api/v1/stop-task", "GET /api/v1/task/t/status"), LOST)
    server = serve(by_path({**lost, "GET /api/v1/tasks": listed}))
    client = connect(replace(V1, listing=BY_URLS), server.base_url, journal=journal)
    with pytest.raises(CreateUncertain):
        client.create("buy milk")
    with pytest.raises(CommandUncertain):
        client.task("t").stop()

    command, reported = client.recover()

    assert command.command == "stop"
    assert isinstance(reported, RecoveredCreate)
    assert reported.candidates == ()
    assert "the service's list cannot be read" in str(reported.error)


def test_a_listed_task_of_any_id_is_a_candidate(connect: Connect, serve: Serve, journal: Journal) -> None:
    ids = ["a\0b", "\n", "é" * 5_000, "{id}", "\uffff", "'"]
    listed = Reply(body={"tasks": [{"id": each} for each in ids]})
    server = serve(by_path({"POST /api/v1/run-task": LOST, "GET /api/v1/tasks": listed}))
    client = connect(replace(V1, listing=BY_URLS), server.base_url, journal=journal)
    with pytest.raises(CreateUncertain):
        client.create("buy milk")
    assert [each.id for each in only(client.recover()).candidates] == ids


@pytest.mark.parametrize(
    ("document", "is_candidate"),
    [
        ({}, True),
        ({"task": "buy milk"}, True),
        ({"task": " buy milk\n"}, True),
        ({"task": "buy bread"}, False),
        ({"task": None}, True),
        ({"created_at": "yesterday"}, True),
        ({"created_at": 7}, True),
        ({"id": "known before"}, False),
        ({"id": "known since"}, True),
    ],
)
def test_listed_task_is_a_candidate_if_its_fields_fit(
    connect: Connect, serve: Serve, document: dict[str, Any], is_candidate: bool
) -> None:
    assert candidates(connect, serve, document) == is_candidate


@pytest.mark.parametrize(
    ("age_s", "is_candidate"),
    [(3600, False), (-3600, True), (1, True)],  # the service's clock may be a little behind
)
@pytest.mark.parametrize("is_naive", [True, False])
def test_listed_task_older_than_the_create_is_no_candidate(
    connect: Connect, serve: Serve, age_s: float, is_naive: bool, is_candidate: bool
) -> None:
    created_at = datetime.now(UTC) - timedelta(seconds=age_s)
    written = (created_at.replace(tzinfo=None) if is_naive else created_at).isoformat()

    assert candidates(connect, serve, {"created_at": written}) == is_candidate


# fmt: off
WRITTEN = [
    ("%Y-%m-%d", timedelta(days=1)), ("%Y%m%d", timedelta(days=1)), ("%G-W%V-%u", timedelta(days=1)),
    ("%G-W%V", timedelta(days=7)), ("%GW%V", timedelta(days=7)),
    ("%Y-%m-%dT%HZ", timedelta(hours=1)), ("%Y-%m-%d %H", timedelta(hours=1)), ("%Y%m%dT%H+0000", timedelta(hours=1)),
    ("%Y-%m-%dT%H-00:00", timedelta(hours=1)), ("%G-W%V-%uT%HZ", timedelta(hours=1)),
    ("%Y-%m-%dT%H:%MZ", timedelta(minutes=1)), ("%Y%m%dT%H%M", timedelta(minutes=1)),
    ("%Y-%m-%dT%H:%M:%SZ", timedelta(seconds=1)), ("%Y%m%dT%H%M%S.%f", timedelta(seconds=1)),
]
# fmt: on


@pytest.mark.parametrize(("form", "span"), WRITTEN)
def test_coarse_time_of_a_listed_task_means_a_span(connect: Connect, serve: Serve, form: str, span: timedelta) -> None:
    """A task is a candidate unless all times that the text may mean are more than a minute before the create."""
    now = datetime.now(UTC)
    older = now - span - timedelta(minutes=2)
    assert candidates(connect, serve, {"created_at": now.strftime(form)})
    assert not candidates(connect, serve, {"created_at": older.strftime(form)})


def candidates(connect: Connect, serve: Serve, document: dict[str, Any]) -> int:
    """Return the number of candidates for a lost create if the service lists one task with such a document."""
    journal = MemoryJournal()
    listed = {"tasks": [{"id": "t", "status": "running", **document}]}
    server = serve(by_path({"POST /api/v1/run-task": LOST, "GET /api/v1/tasks": Reply(body=listed)}))
    client = connect("v1", server.base_url, journal=journal)
    before, since = (journal.task(get("v1-full"), f"known {when}") for when in ("before", "since"))
    before.add_report(Report("running", datetime.now(UTC) - timedelta(hours=1)))
    with pytest.raises(CreateUncertain):
        client.create("buy milk")
    since.add_report(Report("running", datetime.now(UTC), "webhook"))
    return len(only(client.recover()).candidates)


@pytest.mark.parametrize("limit", [pytest.param("pages", marks=pytest.mark.heavy), "time"])
def test_endless_list_is_read_up_to_a_limit(connect: Connect, serve: Serve, limit: str) -> None:
    def script(seen: Seen) -> Reply:
        number = len(server.seen)
        page = {"runs": [{"id": f"{number}", "status": "queued"}], "nextCursor": f"c{number}"}
        return LOST if seen.method == "POST" else Reply(body=page)

    server = serve(script)
    client = connect("v4", server.base_url, timing=replace(QUICK, retry_budget_s=0.05 if limit == "time" else 60.0))
    with pytest.raises(CreateUncertain):
        client.create("buy milk")
    found = only(client.recover())
    assert re.search("the service's list has no end within [0-9]+ pages: the task may be further on", str(found.error))
    assert len(found.candidates) == len(server.seen) - 1
    assert (len(found.candidates) == 1000) == (limit == "pages")


def test_task_that_is_moved_to_a_later_page_meanwhile_is_a_candidate(connect: Connect, serve: Serve) -> None:
    """One page of other tasks is created between the reads of the first page and the second."""

    def script(seen: Seen) -> Reply:
        others = ["n2", "n1"] if len(server.seen) > 2 else []
        listed = [*others, "o2", "o1", "mine", "z1"]
        begin = 2 * int(seen.query.removeprefix("page=") or 1) - 2 if seen.method == "GET" else 0
        tasks = [{"id": each, "task": "buy milk" if each == "mine" else "other"} for each in listed[begin : begin + 2]]
        return LOST if seen.method == "POST" else Reply(body={"tasks": tasks})

    server = serve(script)
    client = connect("v1", server.base_url)
    with pytest.raises(CreateUncertain):
        client.create("buy milk")
    assert [each.id for each in only(client.recover()).candidates] == ["mine"]


def test_recovery_says_that_the_list_is_incomplete(connect: Connect, serve: Serve) -> None:
    tasks = [{"id": "o1", "task": "other"}, {"id": "m1", "task": "buy milk"}]
    listed = Reply(body={"tasks": tasks, "more": True})
    listing = ListCall(
        call=Call(method="GET", path="/tasks"), items_field="tasks", page_parameter="page", more_field="more"
    )
    server = serve(by_path({"POST /api/v1/run-task": LOST, "GET /api/v1/tasks": listed}))
    client = connect(replace(V1, listing=listing), server.base_url)
    with pytest.raises(CreateUncertain):
        client.create("buy milk")
    found = only(client.recover())
    assert ([each.id for each in found.candidates], found.is_settled) == (["m1"], False)
    assert "the service's list cannot be read to its end: GET /api/v1/tasks: the list is incomplete" in str(found.error)


BROKEN_PAGES = {
    "an error": Reply(status=400, body={"detail": "no such page"}),
    "a lost connection": Reply(drops=True),
    "a page without tasks": Reply(body={"error": "no"}),
    "a bad cursor": Reply(body={"tasks": [{"id": "m2", "task": "buy milk"}], "next": {"page": 3}}),
}


@pytest.mark.parametrize("broken", BROKEN_PAGES.values(), ids=BROKEN_PAGES)
def test_recovery_proposes_the_tasks_of_the_pages_that_it_could_read(
    connect: Connect, serve: Serve, broken: Reply
) -> None:
    first = Reply(body={"tasks": [{"id": "m1", "task": "buy milk"}], "next": "2"})
    listing = ListCall(
        call=Call(method="GET", path="/tasks"),
        items_field="tasks",
        pages="cursors",
        page_parameter="page",
        next_field="next",
    )
    server = serve(by_path({"POST /api/v1/run-task": LOST, "GET /api/v1/tasks": [first, broken]}))
    client = connect(replace(V1, listing=listing), server.base_url)
    with pytest.raises(CreateUncertain):
        client.create("buy milk")

    found = only(client.recover())

    proposed = ["m1", "m2"] if "tasks" in broken.body else ["m1"]
    assert ([each.id for each in found.candidates], found.is_settled) == (proposed, False)
    assert "the service's list cannot be read to its end: GET /api/v1/tasks: " in str(found.error)


# --- creates that are broken off ----------------------------------------------------------------


def unfinished(journal: Any) -> list[CreateRecord]:
    return list(journal.creates(get("v1-full")).unfinished())


def test_a_create_that_is_interrupted_is_released(journal: Journal) -> None:
    def interrupted(_: httpx2.Request) -> httpx2.Response:
        raise KeyboardInterrupt

    with (
        httpx2.Client(transport=httpx2.MockTransport(interrupted), verify=NO_CERTIFICATES) as http,
        Client("v1", api_key=KEY, journal=journal, http=http) as client,
        pytest.raises(KeyboardInterrupt),
    ):
        client.create("buy milk")

    [left] = unfinished(journal)
    assert (left.attempts, left.lease) == (1, None)


def test_a_create_that_is_cancelled_is_released(serve: Serve, journal: Journal) -> None:
    server = serve(by_path({"POST /api/v1/run-task": Reply(delay_s=0.5)}))

    async def everything() -> None:
        async with (
            httpx2.AsyncClient(verify=NO_CERTIFICATES) as http,
            AsyncClient(
                "v1", api_key=KEY, base_url=server.base_url, timing=QUICK, journal=journal, http=http
            ) as client,
        ):
            creating = asyncio.create_task(client.create("buy milk"))
            while not await asyncio.to_thread(lambda: server.seen):
                pass
            creating.cancel()
            with pytest.raises(asyncio.CancelledError):
                await creating

    asyncio.run(everything())
    [left] = unfinished(journal)
    assert (left.attempts, left.lease) == (1, None)
