"""The emulator of a service that its binding alone describes, judged by the project's own client and the lifecycle."""

from __future__ import annotations

import asyncio
import base64
import time
from dataclasses import replace
from typing import Any

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lifecycle import V1_FULL, V4, Lifecycle, VerdictKind
from lifecycle.effects import Accepted, Missing
from lifecycle.errors import CommandUncertain, IllegalTransition
from lifecycle.memory import MemoryJournal
from lifecycle_adapters.emulator import Emulator, EmulatorApp, Profile, create_app
from lifecycle_adapters.http import (
    BEARER,
    BROWSER_USE,
    GITHUB,
    STANDARD_WEBHOOKS,
    STRIPE,
    AsyncClient,
    AsyncTask,
    Authentication,
    Call,
    Client,
    HttpBinding,
    ListCall,
    Proof,
    RequestRejected,
    SignatureScheme,
    StreamBinding,
    Timing,
    TokenScheme,
    WebhookBinding,
)
from lifecycle_adapters.watch import Change, Event, Pace, watch
from lifecycle_adapters.webhooks import Webhooks
from tests.support.examples import EXAMPLES, PROFILES, filled
from tests.support.profiles import examples
from tests.support.serving import served

PRINTER = EXAMPLES["print-job"]
LIFECYCLES: dict[str, Lifecycle[Any, Any]] = {
    "v1": V1_FULL, "v4": V4, **{name: binding.lifecycle for name, binding in EXAMPLES.items()},
}  # fmt: skip
KEY = "any-key"


# --- what a client sees is what the lifecycle says ---------------------------------------------


async def explore(binding: HttpBinding[Any, Any], profile: Profile) -> None:
    """Bring tasks into every state, and compare every call's response with the table."""
    app = create_app(binding, manual=True, profiles={binding.name: profile})
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport) as http:
        key = None if binding.authentication is None else KEY
        client = AsyncClient(binding, api_key=key, base_url="http://127.0.0.1", http=http)
        made = [await check_state(app, client, state.name, http) for state in binding.lifecycle.states]
        shown = {task_id: state for task_id, state in made if not is_gone(binding, state)}
        if binding.listing is None:
            return
        listed = [each async for each in client.list()]
        assert {each.id: each.state for each in listed if each.id in shown} == shown
        everything = [view.id for view in app.control.tasks() if not is_gone(binding, view.state)]
        assert [each.id for each in listed] == everything, "each task once, newest first"


def is_gone(binding: HttpBinding[Any, Any], state: str) -> bool:
    return state in binding.details.statuses.values()


async def check_state(app: EmulatorApp, client: AsyncClient, state: str, http: httpx2.AsyncClient) -> tuple[str, str]:
    """Compare all that can be done in a state with the lifecycle, and return a task in that state."""
    lifecycle: Lifecycle[Any, Any] = client.binding.lifecycle
    for command in lifecycle.commands:
        task_id = (await brought_to(app, client, state)).id
        verdict = lifecycle.judge(state, command)
        request = client.binding.command_request(command, task_id, fields(client.binding.commands[command]))
        response = await http.request(
            request.method,
            f"http://127.0.0.1{request.path}",
            params=request.query,
            json=request.body,
            headers={**client.binding.request_headers(KEY), **request.headers},
        )
        target = verdict.target if verdict.kind is VerdictKind.APPLIED else state
        assert app.control.task(task_id).state == target
        assert app.control.calls()[-1].applied is (verdict.kind is VerdictKind.APPLIED)
        refused = response.status_code == 409 or "error" in response.text
        if not is_gone(client.binding, str(target)):
            assert refused is (verdict.kind not in (VerdictKind.APPLIED, VerdictKind.REDUNDANT))
        if refused:
            assert verdict.reason in response.text
    task_id = (await brought_to(app, client, state)).id
    await check_commands(await brought_to(app, client, state), client, state)
    return task_id, str(state)


async def check_commands(seen: AsyncTask[Any, Any], client: AsyncClient, state: str) -> None:
    lifecycle: Lifecycle[Any, Any] = client.binding.lifecycle
    task = client.task(seen.id)  # it knows what `seen` knows
    assert await task.status() == state
    response = await client.read(task.id, details=True)
    assert isinstance(response, Accepted) or (isinstance(response, Missing) and is_gone(client.binding, state))
    for command in lifecycle.commands:
        if lifecycle.judge(state, command).kind not in (VerdictKind.APPLIED, VerdictKind.REDUNDANT):
            with pytest.raises(IllegalTransition):
                await task.send(command, **fields(client.binding.commands[command]))
    command = next((each for each in lifecycle.commands if lifecycle.target(state, each)), None)
    if command is not None:
        result = await task.send(command, **fields(client.binding.commands[command]))
        target = lifecycle.target(state, command)
        assert (result.sent, result.state, result.is_last_known) == (True, target, False)
        assert await task.status() == target


async def brought_to(app: EmulatorApp, client: AsyncClient, state: str) -> AsyncTask[Any, Any]:
    """Create a task, and bring it into a state by commands and by events that are fired."""
    lifecycle: Lifecycle[Any, Any] = client.binding.lifecycle
    task = await client.create(**fields(client.binding.create))
    assert await task.status() == lifecycle.initial
    for event in lifecycle.path(lifecycle.initial, state) or ():
        if event in lifecycle.commands:
            await task.send(event, **fields(client.binding.commands[event]))
        else:
            app.control.fire(task.id, event)
    assert await task.status() == state
    return task


def fields(call: Call) -> dict[str, Any]:
    return dict.fromkeys(call.required_fields, "x")


@pytest.mark.parametrize("name", sorted(EXAMPLES))
@pytest.mark.parametrize("page_size", [3, 100])
def test_every_example_is_served_by_its_lifecycle(name: str, page_size: int) -> None:
    asyncio.run(explore(filled(name), replace(PROFILES.get(name, Profile()), page_size=page_size)))


# --- bindings of every form --------------------------------------------------------------------


def phase(document: Any) -> str:
    """The status in a document that no path leads to."""
    return str(document["phase"]["now"])


@st.composite
def bindings(draw: st.DrawFn) -> tuple[HttpBinding[Any, Any], Profile]:
    """Draw a binding whose paths, style of calls, pages, key and status codes are of any declared form."""
    lifecycle = LIFECYCLES[draw(st.sampled_from(sorted(LIFECYCLES)))]
    prefix = st.sampled_from(["", "data.", "data.attributes."])
    paths = {
        name: draw(prefix) + name for name in ("key", "state", "result", "price", "made", "entries", "next", "more")
    }
    style = draw(st.sampled_from(["rest", "query", "headers", "rpc"]))
    computed = draw(st.booleans())
    gone = {404: str(lifecycle.final_states[-1])} if style == "rest" and draw(st.booleans()) else {}
    base_path = draw(st.sampled_from(["", "/v1", "/a/b"]))

    def call(name: str, *, method: str, about: str | None = None, **more: Any) -> Call:
        path = {"": "/jobs", "{id}": "/jobs/{id}"}.get(about or "", f"/jobs/{{id}}/{name}")
        if style == "rest":
            return Call(method=method, path=path, body={} if method == "POST" else None, **more)
        if style == "query":
            query = {} if about is None else {"job": "{id}"}
            return Call(method=method, path=f"/{name}", query=query, body={} if method == "POST" else None, **more)
        if style == "headers":
            headers = {} if about is None else {"X-Job": "job {id}"}
            return Call(method=method, path=f"/{name}", headers=headers, body={} if method == "POST" else None, **more)
        params: Any = {} if about is None else {"params": {"job": ["{id}"], "text": "x"}}
        body: Any = {"method": f"jobs.{name}", "id": "{request_id}", "params": {}, **params}
        return Call(method="POST", path="/", body=body, fields_path="params", **more)

    status = {"status_field": paths["state"]}
    whole = {"status_field": "" if draw(st.booleans()) and not computed and style != "rpc" else paths["state"]}
    about_status = draw(st.sampled_from(["{id}", "status"])) if whole == status else "status"
    # A URL has no body, so no page that is asked for in one can be named by a URL.
    ways = ["numbers", "offsets", "cursors", "last_ids", "one", *(["urls"] if style != "rpc" else [])]
    pages: Any = draw(st.sampled_from(ways))
    binding: HttpBinding[Any, Any] = HttpBinding(
        name="any",
        lifecycle=lifecycle,
        base_url="http://any.invalid",
        base_path=base_path,
        authentication=draw(
            st.sampled_from([None, Authentication("X-Key"), Authentication("Authorization", "Bearer ")])
        ),
        create=call(
            "create",
            method="POST",
            id_header="Location" if style == "rest" and draw(st.booleans()) else None,
            id_field=draw(st.sampled_from([None, "new.key"])),
            **(status if draw(st.booleans()) else {}),
        ),
        status=call("status", method="GET", about=about_status, statuses=gone, **whole),
        details=call("details", method="GET", about="{id}", statuses=gone, **status),
        listing=None
        if draw(st.integers(0, 9)) == 0
        else ListCall(
            call=call("list", method="GET"),
            items_field=paths["entries"],
            pages=pages,
            page_parameter=None if pages in ("urls", "one") else "from",
            next_field=paths["next"] if pages in ("cursors", "urls") else None,
            more_field=paths["more"] if draw(st.booleans()) else None,
            id_field=draw(st.sampled_from([None, "new.key"])),
        ),
        commands={
            str(command): call(
                str(command), method="POST", about=str(command), **(status if draw(st.booleans()) else {})
            )
            for command in lifecycle.commands
        },
        id_field=paths["key"],
        output_field=paths["result"],
        cost_field=paths["price"],
        created_field=paths["made"],
        error_field="error" if style == "rpc" else None,
        task_field=None,
        state_of=phase if computed else None,
    )
    looks = {str(state.name): {"phase": {"now": str(state.name)}} for state in lifecycle.states} if computed else {}
    return binding, Profile(page_size=draw(st.integers(1, 7)), statuses=looks)


@settings(deadline=None, max_examples=examples(60), suppress_health_check=[HealthCheck.too_slow])
@given(drawn=bindings())
def test_every_binding_is_served_by_its_lifecycle(drawn: tuple[HttpBinding[Any, Any], Profile]) -> None:
    asyncio.run(explore(*drawn))


# --- the print job of the examples ------------------------------------------------------------

QUICK = Timing(poll_s=0.01, request_timeout_s=30.0, longest_retry_s=0.01, settle_timeout_s=0.05)


def test_a_task_does_its_work_by_itself_or_by_the_script_in_its_text() -> None:
    with Emulator(PRINTER, pace_s=1000) as emulator, printing(emulator) as client:
        assert emulator.api_url("printer") == emulator.base_url
        letter, jam = client.create("my letter"), client.create("my letter [remote: begin]")
        view = httpx2.get(f"{emulator.base_url}/jobs/{letter.id}", headers={"X-Key": KEY}).json()
        assert view == {"text": "my letter", "id": letter.id, "status": "waiting"}
        emulator.advance(10_000)
        assert (letter.status(), jam.status()) == ("printed", "printing")
        assert [each.document["text"] for each in client.list()] == ["my letter [remote: begin]", "my letter"]
        with pytest.raises(IllegalTransition):
            letter.send("cancel")


@pytest.mark.parametrize("fault", ["drop_before", "drop_after", "fail_after", "status"])
def test_a_lost_response_is_settled(fault: str) -> None:
    with Emulator(PRINTER, manual=True) as emulator, printing(emulator) as client:
        job = client.create("my letter")
        emulator.fault(fault, command="cancel")
        assert job.send("cancel").state == "cancelled"
        assert emulator.task(job.id).state == "cancelled"
        assert next(call.fault for call in emulator.calls() if call.command == "cancel") == fault


@pytest.mark.parametrize("fault", ["drop_before", "drop_after"])
def test_a_command_without_an_outcome_is_recovered_from_the_journal(fault: str) -> None:
    with Emulator(PRINTER, manual=True) as emulator, printing(emulator, journal=MemoryJournal()) as client:
        job = client.create("my letter")
        emulator.fault(fault, command="cancel")
        emulator.fault("status", status_code=503, method="GET", times=1000)
        emulator.fault("status", status_code=503, method="DELETE", times=1000)
        with pytest.raises(CommandUncertain):
            job.send("cancel")
        emulator.clear_faults()
        assert [(each.is_settled, each.error) for each in client.recover()] == [(True, None)]
        assert emulator.task(job.id).state == "cancelled"


def printing(emulator: Emulator, **settings: Any) -> Client[Any, Any]:
    return Client(PRINTER, api_key=KEY, base_url=emulator.base_url, timing=QUICK, **settings)


@pytest.mark.parametrize("signature", [BROWSER_USE, GITHUB, STRIPE, STANDARD_WEBHOOKS, BEARER])
def test_webhook_of_an_own_service_is_received_by_its_binding(signature: SignatureScheme | TokenScheme) -> None:
    webhooks = WebhookBinding(
        signature=signature,
        kind_field="event.kind",
        kinds=("job.moved",),
        task_field="event.job.id",
        status_field="event.job.status",
        time_field="at",
    )
    printer = replace(PRINTER, webhooks=webhooks)
    secret = f"whsec_{base64.b64encode(b'a secret').decode()}"
    journal = MemoryJournal()
    receiver = Webhooks(printer, secret=secret, journal=journal)
    with served(receiver) as url, Emulator(printer, manual=True) as emulator, printing(emulator) as client:
        emulator.set_webhook(url, secret=secret)
        job = client.create("my letter")
        emulator.fire(job.id, "begin")
        end_s = time.monotonic() + 60
        while not all(each.is_over for each in emulator.webhooks()) or not emulator.webhooks():
            assert time.monotonic() < end_s
            time.sleep(0.01)
        [sent] = emulator.webhooks()
        assert (sent.api, sent.task, sent.status) == ("printer", job.id, "printing")
        assert sent.body["event"] == {"kind": "job.moved", "job": {"id": job.id, "status": "printing"}}
        assert [attempt.status_code for attempt in sent.attempts] == [200]
        assert journal.task(printer.lifecycle, job.id).load().state == "printing"


def test_secret_that_is_not_utf8_is_refused() -> None:
    with Emulator(PRINTER) as emulator, pytest.raises(ValueError, match="UTF-8"):
        emulator.set_webhook("http://127.0.0.1:1/hook", secret="\ud800")


def test_stream_of_an_own_service_is_followed_by_its_binding() -> None:
    stream = StreamBinding(
        call=Call(method="GET", path="/jobs/{id}/stream"), task_field="job.id", status_field="job.status"
    )
    printer = replace(PRINTER, stream=stream)

    async def follow(emulator: Emulator) -> list[Event]:
        async with AsyncClient(printer, api_key=KEY, base_url=emulator.base_url) as client:
            job = await client.create("my letter")
            rarely = Pace(working_s=60, resting_s=60, longest_s=60)
            return [each async for each in watch(client, [job.id], pace=rarely, streams=1)]

    with Emulator(printer, pace_s=0.3) as emulator:
        found = asyncio.run(follow(emulator))
        (job,) = emulator.tasks()
        sent = [(each.channel, each.status) for each in emulator.webhooks()]

    *_, last = found
    assert isinstance(last, Change)
    assert (last.state, last.channel) == (job.state, "api")  # read at once: a poll would come a minute later
    assert sent
    assert sent == [("stream", each.target) for each in job.transitions][-len(sent) :]  # those since it was opened


def test_service_whose_webhooks_are_not_declared_sends_none() -> None:
    with Emulator(PRINTER, manual=True) as emulator, printing(emulator) as client:
        emulator.set_webhook("http://127.0.0.1:1/hook", secret="s", retry_after_s=[])
        emulator.fire(client.create("my letter").id, "begin")
        assert emulator.webhooks() == []


def test_a_fault_that_can_match_no_call_of_the_service_is_refused() -> None:
    with Emulator(PRINTER) as emulator:
        with pytest.raises(ValueError, match="unknown command 'stop'"):
            emulator.fault("status", command="stop")
        with pytest.raises(ValueError, match="unknown service 'v1'"):
            emulator.fault("status", api="v1")


@pytest.mark.parametrize(
    ("settings", "error", "said"),
    [
        ({"webhook": "http://127.0.0.1/hook"}, TypeError, "webhook must be a Webhook"),
        ({"webhook": {"url": "http://127.0.0.1/hook"}}, TypeError, "webhook must be a Webhook"),
        ({"api_key": 5}, TypeError, "api_key must be text"),
        ({"api_key": b"my-real-api-key"}, TypeError, "api_key must be text, not bytes$"),
        ({"api_key": ""}, ValueError, "api_key must not be empty"),
        ({"api_key": "a b\n"}, ValueError, "^api_key has characters that a header cannot carry$"),
        ({"manual": "yes"}, TypeError, "manual must be True or False"),
    ],
)
def test_invalid_settings_are_refused(settings: Any, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        create_app(PRINTER, **settings)


def test_requests_that_the_service_does_not_know_are_refused() -> None:
    with Emulator(PRINTER, manual=True) as emulator, httpx2.Client(base_url=emulator.base_url) as http:
        assert http.get("/jobs").status_code == 401
        http.headers["X-Key"] = KEY
        missing = http.post("/jobs", json={})
        assert (missing.status_code, missing.json()["detail"][0]["loc"]) == (422, ["body", "text"])
        assert http.post("/jobs", json=["text"]).status_code == 422
        for content in (b'{"text": "my let', b'{"text": "\xff"}'):
            (broken,) = http.post("/jobs", content=content).json()["detail"]
            assert (broken["loc"], broken["type"]) == (["body"], "json_invalid")
        assert http.get("/jobs", params={"page": "0"}).status_code == 422
        assert (http.get("/jobs/7").status_code, http.delete("/jobs/7").status_code) == (404, 404)
        assert http.patch("/jobs/7").status_code == 405
        assert http.get("/docs").status_code == 200
        assert [call.path for call in emulator.calls()][-1] == "/jobs/7", "the emulator's own pages are not calls"
        document = http.get("/openapi.json").json()
        assert document["paths"]["/jobs"]["post"]["requestBody"]["content"]["application/json"]["schema"] == {
            "type": "object",
            "required": ["text"],
        }
        assert document["components"]["securitySchemes"] == {
            "X-Key": {"type": "apiKey", "in": "header", "name": "X-Key"}
        }


# --- several services, and what is refused -----------------------------------------------------


def test_the_emulator_serves_the_named_services_with_their_sessions() -> None:
    with Emulator("v1") as one, Emulator("v2", PRINTER) as two:
        assert (httpx2.get(f"{one.base_url}/api/v2/tasks").status_code, one.tasks()) == (404, [])
        assert two.api_url("v2-session") == two.api_url("v2")
        assert two.api_url("printer") == two.base_url


def test_a_task_of_a_service_with_sessions_runs_in_one_of_its_own() -> None:
    desk = replace(
        EXAMPLES["anthropic-batch"], name="desk", base_url=PRINTER.base_url, base_path="/desks", key_variable=None
    )
    proof = Proof(binding=desk, id_field="desk.id", event="cancel")
    binding = replace(PRINTER, session=desk, proofs={"cancel": proof}, base_path="/printer")
    with Emulator(binding, manual=True) as emulator, Client(binding, api_key=KEY, base_url=emulator.base_url) as client:
        job = client.create("my letter")
        session = emulator.task(job.id).session
        assert httpx2.get(f"{emulator.base_url}/printer/jobs/{job.id}", headers={"X-Key": KEY}).json()["desk"] == {
            "id": session
        }
        assert job.send("cancel").state == "cancelled"
        assert [(each.api, each.state) for each in emulator.tasks()] == [
            ("printer", "cancelled"),
            ("desk", "canceling"),
        ]


COMPUTED = replace(PRINTER, state_of=phase)
LOOKS = {state: {"phase": {"now": state}} for state in ("waiting", "printing", "printed", "cancelled")}


@pytest.mark.parametrize(
    ("apis", "more", "error", "message"),
    [
        ((PRINTER, replace(PRINTER, name="other")), {}, ValueError, "'printer' and 'other' both have .* POST /jobs"),
        ((PRINTER, PRINTER), {}, ValueError, "^'printer' is given twice; two services of one name need"),
        ((replace(PRINTER, base_path="/_emulator"),), {}, ValueError, "below /_emulator are those of .* control calls"),
        (("printr",), {}, ValueError, "unknown service 'printr'"),
        ((7,), {}, TypeError, "a service must be a name such as 'printer', or an HttpBinding"),
        ((PRINTER,), {"profiles": {"v1": Profile()}}, ValueError, "unknown service 'v1'"),
        ((PRINTER,), {"profiles": {"printer": 7}}, TypeError, "a profile must be a Profile"),
        ((COMPUTED,), {}, ValueError, "no emulator can invert its `state_of`: .* in 'waiting', 'printing'"),
        ((COMPUTED,), {"statuses": {**LOOKS, "torn": {}}}, ValueError, "has no such state"),
        ((COMPUTED,), {"statuses": {**LOOKS, "printed": {}}}, ValueError, "for which `state_of` raises KeyError"),
        ((COMPUTED,), {"statuses": {**LOOKS, "printed": LOOKS["waiting"]}}, ValueError, "binding reads as 'waiting'"),
        ((PRINTER,), {"statuses": {"printed": 7}}, ValueError, "which the binding reads as 7"),
    ],
)  # fmt: skip
def test_services_that_cannot_be_served_are_refused(
    apis: tuple[Any, ...], more: dict[str, Any], error: type[Exception], message: str
) -> None:
    if "statuses" in more:
        more = {"profiles": {"printer": Profile(statuses=more["statuses"])}}
    with pytest.raises(error, match=message):
        Emulator(*apis, **more)


def test_a_profile_can_set_the_shown_status() -> None:
    lifecycle = PRINTER.lifecycle.replace(aliases=[{"channel": "api", "status": "on paper", "state": "printed"}])
    binding = replace(PRINTER, lifecycle=lifecycle)
    profile = Profile(statuses={"printed": "on paper"})
    with (
        Emulator(binding, profiles={"printer": profile}, pace_s=0.0) as emulator,
        Client(binding, api_key=KEY, base_url=emulator.base_url) as client,
    ):
        job = client.create("my letter")
        assert job.status() == "printed"
        assert getattr(client.read(job.id), "status", None) == "on paper"


def test_task_has_the_id_that_its_create_chose() -> None:
    job = filled("kubernetes-job")
    spec: dict[str, Any] = {}
    with Emulator(job, manual=True, profiles={job.name: PROFILES[job.name]}) as emulator:
        client = Client(job, api_key=KEY, base_url=emulator.base_url)
        with client:
            task = client.create(metadata={"name": "nightly"}, spec=spec)
            assert (task.id, task.status()) == ("nightly", "active")
            assert client.create(metadata={"generateName": "job-"}, spec=spec).id != "nightly"
            with pytest.raises(RequestRejected, match="'nightly' already exists"):
                client.create(metadata={"name": "nightly"}, spec=spec)


def test_emulated_create_response_satisfies_task_if() -> None:
    printer = replace(PRINTER, create=replace(PRINTER.create, task_if={"kind.type": "task"}))
    with Emulator(printer) as emulator, Client(printer, api_key=KEY, base_url=emulator.base_url) as client:
        assert client.create("my letter").details()


@pytest.mark.parametrize("code", [204, 304])
def test_status_code_without_a_body_means_a_status(code: int) -> None:
    calls = {name: replace(getattr(PRINTER, name), statuses={code: "cancelled"}) for name in ("status", "details")}
    printer = replace(PRINTER, **calls)
    with Emulator(printer, manual=True) as emulator, Client(printer, api_key=KEY, base_url=emulator.base_url) as client:
        task = client.create("my letter")
        assert task.cancel().state == "cancelled"
        with httpx2.Client(base_url=emulator.base_url, headers={"X-Key": KEY}) as http:
            response = http.get(f"/jobs/{task.id}")
        assert (response.status_code, response.content) == (code, b"")
