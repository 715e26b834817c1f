"""One emulated service: the responses and errors of one binding, with what its profile adds.

service_routes.py has the routes. A request's call comes from the scope (call_log.py). What a call does to a task is a
step of the task store; the call's entry in the log is completed here.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from functools import partial
from http import HTTPStatus
from typing import Any, cast
from urllib.parse import quote

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import TypeAdapter
from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from lifecycle.lifecycle import Lifecycle
from lifecycle.table import VerdictKind
from lifecycle_adapters.emulator.call_log import RECEIVED, ReceivedCall
from lifecycle_adapters.emulator.calls import CONFIRMATION, HANDSHAKE, SESSION, STREAM, named_calls, value_in
from lifecycle_adapters.emulator.documents import Documents
from lifecycle_adapters.emulator.emulated_envelope import EmulatedEnvelope, constants, fields_of
from lifecycle_adapters.emulator.profile import (
    Consequence,
    Happens,
    Keeps,
    NewTask,
    Outcome,
    OwnCall,
    Profile,
    Refusal,
    Starts,
    Subscription,
    Vanishes,
    View,
)
from lifecycle_adapters.emulator.routing import own_path
from lifecycle_adapters.emulator.script import parse_script
from lifecycle_adapters.emulator.service_routes import Handler, Respond, ServiceRoutes
from lifecycle_adapters.emulator.shapes import require_document
from lifecycle_adapters.emulator.task_store import EmulatedTask, TaskStore
from lifecycle_adapters.http.binding import HttpBinding
from lifecycle_adapters.http.call import Call
from lifecycle_adapters.http.requests import ETAG, IDEMPOTENCY_KEY
from lifecycle_adapters.http.responses import value_at

NOT_AUTHENTICATED = "Not authenticated"

_WITHOUT_BODY = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)


class TaskNotFound(Exception):
    """The task that a call names does not exist."""


class Service:
    """One API of the emulator.

    `lifecycle` governs its tasks. `api_key` is the only valid key; None accepts every key. `routes` are the routes of
    its calls. `companion` is the service of the sessions that its tasks run in, None if they run in none. `others` are
    all services by their names. `events_of` yields the documents of the events in the stream of some tasks, or of all
    tasks of a service.

    Raises:
        ValueError: the binding has a `state_of`, and the profile's `statuses` lack a state; or they show one as a value
            that the binding reads as another.
    """

    def __init__(
        self,
        binding: HttpBinding[Any, Any],
        *,
        profile: Profile,
        lifecycle: Lifecycle[Any, Any],
        store: TaskStore,
        api_key: str | None,
    ) -> None:
        self.binding = binding
        self.profile = profile
        self.lifecycle = lifecycle
        self.companion: Service | None = None
        self.others: Mapping[str, Service] = {}
        self.events_of: Callable[[str, Sequence[EmulatedTask] | None], AsyncGenerator[Any]] | None = None
        self._store = store
        self._handshakes: set[str] = set()
        self._api_key = api_key
        self._documents = Documents(binding, profile.statuses)
        self._envelope = (
            None
            if binding.envelope is None
            else EmulatedEnvelope(
                binding.envelope, binding, streaming=profile.streaming, omits_unread=profile.omits_unread
            )
        )
        self._calls = named_calls(binding)
        self.routes = ServiceRoutes(
            binding, profile, respond=self._respond, respond_own=self._responding, guard=self._guarded
        )
        self._id = TypeAdapter[Any](profile.id_type)
        prefix = "" if binding.authentication is None else binding.authentication.prefix.strip()
        self._no_key = JSONResponse({"detail": NOT_AUTHENTICATED}, 401, {"WWW-Authenticate": prefix or "APIKey"})

    # --- every request ---

    def _guarded(self, handler: Handler, *, is_open: bool, needs_json: bool) -> Handler:
        async def guarded(request: Request) -> Response:
            if not is_open and not self._has_valid_key(request.headers):
                return self._no_key
            try:
                await require_document(request, needs_json=needs_json)
                response = await handler(request)
            except TaskNotFound:
                response = self._error(self.profile.not_found, 404)
            except RequestValidationError as error:
                response = self._invalid_request(cast("Sequence[Mapping[str, Any]]", error.errors()))
            return self._enclosed(response, request.scope.get(RECEIVED))

        return guarded

    def _invalid_request(self, errors: Sequence[Mapping[str, Any]]) -> Response:
        if self._envelope is None:
            return JSONResponse({"detail": [self.profile.shown_error(each) for each in errors]}, 422)
        codes = {"json_invalid": 400, _NO_REQUEST: 409, _NO_CALL: 405}
        text = "; ".join(f"{each['loc'][-1]}: {each['msg']}" for each in errors)
        return self._error(text, codes.get(str(errors[0]["type"]), 422))

    def _enclosed(self, response: Response, received: ReceivedCall | None) -> Response:
        """Return the response to a call, with the binding's envelope around its document."""
        is_document = not isinstance(response, StreamingResponse) and response.body
        if self._envelope is None or not is_document:
            return response
        document = self._envelope.around(json.loads(bytes(response.body)), None if received is None else received.body)
        headers = {name: value for name, value in response.headers.items() if not name.startswith("content-")}
        return JSONResponse(document, response.status_code, headers)

    def _has_valid_key(self, headers: Headers) -> bool:
        authentication = self.binding.authentication
        if authentication is None:
            return True
        value = headers.get(authentication.header, "")
        prefix = authentication.prefix
        key = value[len(prefix) :].strip() if value[: len(prefix)].lower() == prefix.lower() else ""
        return key != "" if self._api_key is None else key == self._api_key

    # --- responses ---

    def read(self, received: ReceivedCall, headers: Headers) -> Response | None:
        """Return the response to a valid call that reads one task, None for any other call.

        Clients poll these calls, and FastAPI would take more than half of their time.
        """
        identity = received.identity
        if identity.call not in _READS or not self._has_valid_key(headers) or self._needs_handshake(headers):
            return None
        if self._unsupported(headers, received.body) is not None:
            return None
        task = self._look_up(received, str(identity.task_id))
        return None if task is None else self._enclosed(self._shown(identity.call, task), received)

    async def _respond(self, request: Request, **given: Any) -> Response:
        """Return the response to any call of the binding; FastAPI has validated `given`."""
        received = cast("ReceivedCall", request.scope[RECEIVED])
        if (early := self._before_any_call(request, received)) is not None:
            return early
        name = received.identity.call
        if name is None:
            return await self._in_no_binding(request, received.body)
        if name == CONFIRMATION:
            return Response(status_code=202)
        if name in ("create", "list") and (refusal := self._missing(received.identity.parameters)) is not None:
            return JSONResponse(refusal.document, refusal.status_code)
        if name == "list":
            return self._list(received, request.query_params, given)
        if name in _READS:
            return self._shown(name, self._find(received))
        if name == STREAM:
            return self._opened(received)
        if name != "create" and name not in self.binding.commands:
            return self._further(received, name, given)
        response = self._once(received, name, given.get("body", received.body), request.headers)
        is_done = received.entry.applied or name == "create"
        task = self._store.find(str(received.entry.task)) if is_done else None
        if task is not None and received.identity.is_streamed:
            return self._stream(received, task)
        if task is not None and self.profile.waits is not None and self.profile.waits(received.body):
            view = self.profile.created if name == "create" else self._view_after(name)
            assert view is not None, "a service that waits has views"
            return JSONResponse(view(await self._settled(task, request), self._store.clock))
        return response

    def _before_any_call(self, request: Request, received: ReceivedCall) -> Response | None:
        """Return the response to a notification, to a handshake, and to a request that no call can be; None for others.

        A notification has no effect here.
        """
        if self._envelope is not None and self._envelope.is_around(request.method, own_path(request.scope)):
            if (mistake := self._envelope.mistake(received.body)) is not None:
                raise _invalid("body", mistake, kind=_NO_REQUEST)
            if self._envelope.is_notification(received.body) and self._needs_handshake(request.headers) is None:
                return Response(status_code=202)
        if (unsupported := self._unsupported(request.headers, received.body)) is not None:
            return JSONResponse(unsupported.document, unsupported.status_code)
        if received.identity.call == HANDSHAKE:
            return self._begun()
        if (code := self._needs_handshake(request.headers)) is not None:
            return JSONResponse(self._document_of("The handshake is missing, or no longer valid", 409), code)
        return None

    async def _in_no_binding(self, request: Request, body: Any) -> Response:
        """Return the response to one of the profile's own calls, and refuse any other request."""
        for own in self.routes.without_route:
            if constants(own.call.body).items() <= fields_of(body).items():
                with _refusing("body"):
                    return await self._responding(own)(request=request, **self._fields(own.call, body))
        unknown = None if self._envelope is None else self._envelope.unknown_text(fields_of(body))
        if unknown is not None:
            raise _invalid("body", f"{self.binding.name} has no call with the {unknown}", kind=_NO_CALL)
        raise _invalid("body", f"{self.binding.name} has no call with such a query or body")

    async def _settled(self, task: EmulatedTask, request: Request) -> EmulatedTask:
        """Return a task once it is settled, or its caller has gone."""
        while not task.lifecycle.is_settled(task.state) and not await request.is_disconnected():
            await asyncio.sleep(_LOOK_S)
            task = self._store.find(task.id) or task
        return task

    def _unsupported(self, headers: Headers, body: Any) -> Refusal | None:
        return None if self.profile.unsupported is None else self.profile.unsupported(headers, body)

    def _begun(self) -> Response:
        handshake = self.binding.handshake
        assert handshake is not None, "only a binding with a handshake has its calls"
        made = self.profile.new_id()
        self._handshakes.add(made)
        return JSONResponse({**handshake.expected, **self.profile.handshake}, headers={handshake.header: made})

    def _needs_handshake(self, headers: Headers) -> int | None:
        """Return the code of the response to a request without a valid handshake, None if it has one or needs none."""
        handshake = self.binding.handshake
        if handshake is None:
            return None
        given = headers.get(handshake.header)
        return 400 if given is None else None if given in self._handshakes else handshake.ended_code

    def _once(self, received: ReceivedCall, name: str, body: Any, headers: Headers) -> Response:
        """Return the response to a create or a command, which is carried out once for each idempotency key."""
        task_id = received.identity.task_id
        key = value_in(IDEMPOTENCY_KEY, self._calls[name], headers, received.body)
        place = (self.binding.name, name, frozenset(received.identity.parameters.items()), task_id, key)
        earlier = None if key is None else self._store.responses.get(place)
        if isinstance(earlier, Response):
            if task_id is not None:
                self._look_up(received, task_id)
            return earlier
        response = self._create(received, body) if name == "create" else self._command(received, name, body, headers)
        if key is not None and response.status_code < 400:
            self._store.responses[place] = response
        return response

    def _create(self, received: ReceivedCall, body: Any) -> Response:
        fields = self._fields(self.binding.create, received.body)
        script = self._script(fields)
        new, parameters = self.profile.new, received.identity.parameters
        with _refusing("body"):
            plan = NewTask(given=fields, parent=self._session()) if new is None else new(body, self._store, parameters)
        if isinstance(plan, Refusal):
            return JSONResponse(plan.document, plan.status_code)
        task_id = self.binding.id_in(fields) if self.profile.id_in_create else None
        if task_id is not None and self._store.find(task_id) is not None:
            return self._error(f"{task_id!r} already exists", 409)
        task = self.add(plan, script, parameters, task_id=task_id)
        received.entry.task, received.entry.state_after = task.id, str(task.state)
        if self.profile.created is not None:
            view = self.profile.created(task, self._store.clock)
            return self._versioned(task, JSONResponse(view, self.routes.operations["create"].status_code))
        document, code = self._documents.created(task, self._store.clock), self.routes.created_code
        response = Response(None, code) if document is None else JSONResponse(document, code)
        if (header := self.binding.create.id_header) is not None:
            path = self._documents.path(self.binding.create, received.identity.parameters)
            response.headers[header] = f"{path}/{quote(task.id)}"
        return self._versioned(task, response)

    def _missing(self, parameters: Mapping[str, str]) -> Refusal | None:
        return None if self.profile.missing is None else self.profile.missing(parameters, self._store)

    def add(
        self,
        plan: NewTask,
        script: Sequence[str] | None = None,
        parameters: Mapping[str, str] | None = None,
        *,
        task_id: str | None = None,
        at_s: float | None = None,
    ) -> EmulatedTask:
        """Create a task, and its session if that is to be created, under the same parameters.

        `script` replaces the plan's, `task_id` the profile's new id; `at_s` is when, None for now.
        """
        parent = plan.parent
        if isinstance(parent, NewTask):
            assert self.companion is not None, "only a task of a service with sessions has one"
            parent = self.companion.add(parent, parameters=parameters)
        return self._store.add(
            task_id=self.profile.new_id() if task_id is None else task_id,
            api=self.binding.name,
            lifecycle=self.lifecycle,
            script=plan.script if script is None else script,
            given=plan.given,
            parent=parent,
            ends_children_by=plan.ends_children_by,
            after_children=plan.after_children,
            parameters=parameters,
            at_s=at_s,
        )

    def react(self, task: EmulatedTask, at_s: float) -> None:
        """Apply what the profile says happens at the same time as a task's creation or last transition."""
        if self.profile.causes is not None:
            self._let_happen(self.profile.causes(task, self._store), at_s)

    def _let_happen(self, consequences: Sequence[Consequence], at_s: float) -> None:
        for each in consequences:
            match each:
                case Happens(task, event):
                    self._store.happen(task, event, at_s)
                case Keeps(task, fields):
                    self._store.give(task, fields)
                case Vanishes(task):
                    self._store.forget(task)
                case Starts(api, task_id, plan):
                    if api in self.others:
                        self.others[api].add(plan, task_id=task_id, at_s=at_s)

    def _further(self, received: ReceivedCall, name: str, given: dict[str, Any]) -> Response:
        """Return the response to a call that has no part in the lifecycle."""
        is_about_session = name.partition(" ")[0] == SESSION
        about = received.identity.task_id if is_about_session else self._find(received)
        given = {key: value for key, value in given.items() if key not in ("session_id", self.profile.parameter)}
        respond = self.profile.further.get(name)
        if self._envelope is not None:  # all its calls have one route, whose parameters FastAPI validates
            given = self._fields(self._calls[name], received.body)
        if respond is not None:
            with _refusing("body"):
                outcome = respond(about, self._store, self._store.clock, **given)
        elif is_about_session:
            outcome = Refusal(404, self._document_of(f"{self.binding.name} has no session {about}", 404))
        else:
            events = self.binding.events if name == "events" else None
            outcome = Outcome({} if events is None else self._documents.no_items(events))
        return self._resulting(outcome, self.routes.operations[name].status_code)

    def _responding(self, own: OwnCall) -> Respond:
        async def respond(*, request: Request, **given: Any) -> Response:
            del request
            return self._resulting(own.respond(self._store, self._store.clock, **given), own.operation.status_code)

        return respond

    def _resulting(self, outcome: Outcome | Refusal, code: int) -> Response:
        """Let the consequences of a call happen, and return its response."""
        if isinstance(outcome, Refusal):
            return JSONResponse(outcome.document, outcome.status_code)
        self._let_happen(outcome.consequences, self._store.clock.now_s())
        return Response(status_code=code) if code in _WITHOUT_BODY else JSONResponse(outcome.document, code)

    def _opened(self, received: ReceivedCall) -> Response:
        """Return the stream that a call opens."""
        if self.profile.subscription is not None:
            return self._subscribed(received, self.profile.subscription)
        return self._stream(received, self._find(received) if self._calls[STREAM].names_a_task() else None)

    def _stream(self, received: ReceivedCall, task: EmulatedTask | None) -> Response:
        """Return the stream of a task that is not over, or that of all tasks."""
        if task is not None and task.is_over:
            text = f"the task is over: {task.state}"
            refused = self.profile.refused
            refusal = None if refused is None else refused(self.lifecycle, task, STREAM)
            refusal = refusal or Refusal(self._error_code(409), self._document_of(text, 409))
            return JSONResponse(refusal.document, refusal.status_code)
        return self._events(None if task is None else [task], partial(self._in_stream, sent=received.body))

    def _subscribed(self, received: ReceivedCall, subscription: Subscription) -> Response:
        """Return the stream of the tasks that the caller lists."""
        found = (self._store.find(each, api=self.binding.name) for each in subscription.task_ids(received.body))
        tasks = [task for task in found if task is not None]
        received.entry.task = tasks[0].id if len(tasks) == 1 else None
        return self._events(tasks, lambda document: subscription.event(document, received.body))

    def _events(self, tasks: Sequence[EmulatedTask] | None, enclose: Callable[[Any], Any]) -> Response:
        assert self.events_of is not None, "it is set when the emulator is made"
        documents = self.events_of(self.binding.name, tasks)
        return StreamingResponse(_sent_events(documents, enclose), media_type="text/event-stream")

    def _in_stream(self, document: Any, sent: Any) -> Any:
        """Return an event's document; it responds to the request that opened the stream, if that had a body."""
        return document if sent is None or self._envelope is None else self._envelope.around(document, sent)

    def _session(self) -> NewTask | None:
        return None if self.companion is None else NewTask(given={}, script=())

    def _list(self, received: ReceivedCall, query: Mapping[str, str], given: Mapping[str, Any]) -> Response:
        parameters, call = received.identity.parameters, self._calls["list"]
        if call.body is not None:
            given = self._fields(call, received.body)
            query = {name: str(value) for name, value in given.items()}
        tasks = [task for task in self._store.tasks(self.binding.name) if task.is_at(parameters)]
        clock = self._store.clock
        with _refusing("query" if call.body is None else "body"):
            if self.profile.listed is not None:
                return JSONResponse(self.profile.listed(tasks, clock, **given))
            return JSONResponse(self._documents.page(tasks, clock, query, self.profile.page_size, parameters))

    def _command(self, received: ReceivedCall, command: str, body: Any, headers: Headers) -> Response:
        call, entry, clock = self._calls[command], received.entry, self._store.clock
        fields = self._fields(call, received.body)
        script = self._script(fields)
        task = self._find(received)
        if command not in self.lifecycle.commands:
            field = next(iter(call.body or {}), "body")
            raise _invalid(field, f"{self.lifecycle.name} has no {command!r}", kind="enum")
        if call.has_etag() and value_in(ETAG, call, headers, received.body) != task.etag:
            return self._error("the task has changed since it was read: its etag is another one", 412)
        entry.applied = self._store.command(task, command)
        entry.state_after = str(task.state)
        if entry.applied:
            self._change(task, command, body, script)
        elif (refusal := self._refusal(task, command)) is not None:
            return JSONResponse(refusal.document, refusal.status_code)
        view = self._view_after(command)
        if view is not None:
            return self._versioned(task, JSONResponse(view(task, clock)))
        document: Any = {} if call.status_field is None else self._documents.task(task, clock, call)
        return self._coded(call, task, document)

    def _view_after(self, command: str) -> View | None:
        """Return the view of a task in the response to a command."""
        commanded = self.profile.commanded
        view = commanded if commanded is None or callable(commanded) else commanded.get(command)
        return view or self.profile.details

    def _change(self, task: EmulatedTask, command: str, body: Any, script: Sequence[str] | None) -> None:
        proof = self.binding.proofs.get(command)
        if proof is not None and task.parent is not None and task.parent.api == proof.binding.name:
            self._store.command(task.parent, proof.event)
        if self.profile.changed is not None:
            change = self.profile.changed(command, task, body)
            task.given.update(change.given)
            script = change.script if script is None else script
        if script is not None:
            self._store.set_script(task, script)

    def _refusal(self, task: EmulatedTask, command: str) -> Refusal | None:
        if self.profile.refused is not None:
            return self.profile.refused(self.lifecycle, task, command)
        verdict = self.lifecycle.judge(task.state, command)
        if verdict.kind is VerdictKind.REDUNDANT or self._documents.code(self._calls[command], task) is not None:
            return None
        return Refusal(self._error_code(409), self._document_of(verdict.reason, 409))

    def _shown(self, name: str, task: EmulatedTask) -> Response:
        """Return the response of a call that reads a task."""
        call, clock = self._calls[name], self._store.clock
        both = (call.method, call.path) == (self.binding.details.method, self.binding.details.path)
        both = both and call.query == self.binding.details.query and call.body == self.binding.details.body
        view = self.profile.details if both else self.profile.status
        if view is not None:
            return self._versioned(task, JSONResponse(view(task, clock)))
        calls = (self.binding.status, self.binding.details) if name == "status" and both else (call,)
        return self._coded(call, task, self._documents.task(task, clock, *calls))

    def _coded(self, call: Call, task: EmulatedTask, document: Any) -> Response:
        code = self._documents.code(call, task) or HTTPStatus.OK
        if code < 400:
            response = Response(None, code) if code in _WITHOUT_BODY else JSONResponse(document, code)
            return self._versioned(task, response)
        return JSONResponse(self._document_of(f"{self.profile.not_found}: {task.state}", code), code)

    def _versioned(self, task: EmulatedTask, response: Response) -> Response:
        """Return a response about a task with its etag, if the binding has that in a header."""
        if self.binding.etag_header is not None:
            response.headers[self.binding.etag_header] = task.etag
        return response

    def _error(self, text: str, code: int) -> Response:
        return JSONResponse(self._document_of(text, code), self._error_code(code))

    def _document_of(self, text: str, code: int) -> Any:
        return (self.profile.error or self._documents.error)(text, code)

    def _error_code(self, code: int) -> int:
        return code if self.binding.error_field is None else self.profile.error_codes.get(code, 200)

    # --- what a request names ---

    def _find(self, received: ReceivedCall) -> EmulatedTask:
        """Return the task that a call names, and note it in the call log. Raises TaskNotFound."""
        task = self._look_up(received, str(self._id.validate_python(received.identity.task_id)))
        if task is None:
            raise TaskNotFound
        return task

    def _look_up(self, received: ReceivedCall, task_id: str) -> EmulatedTask | None:
        task = self._store.find(task_id, api=self.binding.name)
        if task is not None and not task.is_at(received.identity.parameters):
            return None
        if task is not None:
            received.entry.task = task.id
            received.entry.state_before = received.entry.state_after = str(task.state)
        return task

    def _fields(self, call: Call, body: Any) -> dict[str, Any]:
        """Return the caller's fields in a body. Raises RequestValidationError if one is missing that the call needs."""
        given = value_at(body, call.fields_path or "")
        own, has = call.own_fields(), cast("dict[str, Any]", given) if isinstance(given, dict) else {}
        fields = {name: value for name, value in has.items() if name not in own}
        for name in call.required_fields:
            if fields.get(name) is None:
                raise _invalid(name, "Field required", kind="missing")
        return fields

    def _script(self, fields: Mapping[str, Any]) -> tuple[str, ...] | None:
        """Return the script that a task's text names, None if it names none. Raises RequestValidationError."""
        text = value_at(fields, self.binding.task_field)
        try:
            return parse_script(text, self.lifecycle) if isinstance(text, str) else None
        except ValueError as error:
            raise _invalid(str(self.binding.task_field), str(error)) from error


async def _sent_events(documents: AsyncGenerator[Any], enclose: Callable[[Any], Any]) -> AsyncGenerator[str]:
    """Yield the lines of an event stream."""
    async with aclosing(documents):
        async for document in documents:
            yield f"data: {json.dumps(enclose(document))}\n\n"


class Reads:
    """An ASGI application that responds to reads of single tasks, and passes other requests to `app`."""

    def __init__(self, app: ASGIApp, services: Sequence[Service]) -> None:
        self._app = app
        self._services = {service.binding.name: service for service in services}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        received: ReceivedCall | None = scope.get(RECEIVED)
        response = None
        if received is not None:
            response = self._services[received.identity.api].read(received, Headers(scope=scope))
        await (response or self._app)(scope, receive, send)


_READS = ("status", "details")
_LOOK_S = 0.02  # between two looks at whether a task is settled
_NO_REQUEST = "no_request"  # a body that the binding's envelope cannot be around
_NO_CALL = "no_call"  # what is fixed at the top of a body, such as the method of JSON-RPC, is that of no call


@contextmanager
def _refusing(part: str) -> Generator[None]:
    """Refuse the request, of which a part has a wrong value, after a ValueError."""
    try:
        yield
    except ValueError as error:
        raise _invalid(part, str(error)) from error


def _invalid(field: str, message: str, *, kind: str = "value_error") -> RequestValidationError:
    """Return FastAPI's validation error for one field of the body, which can be a path."""
    return RequestValidationError([{"loc": ("body", *field.split(".")), "msg": message, "type": kind}])
