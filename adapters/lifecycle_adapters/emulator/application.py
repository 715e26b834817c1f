"""The emulator as one ASGI application: its services, the control calls, and the fault middleware."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import cache, partial
from math import inf
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from lifecycle import Lifecycle
from lifecycle.errors import described
from lifecycle_adapters.argument_checks import WrongType, require, require_number, require_secret
from lifecycle_adapters.emulator.call_log import CallLog
from lifecycle_adapters.emulator.calls import PREFIX, Calls
from lifecycle_adapters.emulator.control import NOTICE, Control, Parts, control_app, refusal_of_id
from lifecycle_adapters.emulator.fault_middleware import FaultMiddleware
from lifecycle_adapters.emulator.faults import CallFault, Faults, require_call
from lifecycle_adapters.emulator.profile import Profile
from lifecycle_adapters.emulator.pushed_messages import Messages, Webhook, document_of
from lifecycle_adapters.emulator.routing import narrow_first, not_allowed
from lifecycle_adapters.emulator.same_origin import refusal
from lifecycle_adapters.emulator.service import Reads, Service
from lifecycle_adapters.emulator.task_store import EmulatedClock, EmulatedTask, TaskStore
from lifecycle_adapters.emulator.webhook_sender import WebhookSender
from lifecycle_adapters.http.authentication import is_header_value
from lifecycle_adapters.http.binding import HttpBinding
from lifecycle_adapters.http.webhook_binding import Updates
from lifecycle_adapters.services.registry import BUILT_IN, FURTHER, governing, service


class EmulatorApp:
    """An ASGI application that responds as its services do, to requests from this machine only.

    `control` serves the control calls; `middleware` receives every call first. The application refuses a request whose
    host is not 127.0.0.1, localhost or [::1], and a request from a web page of another origin.
    """

    def __init__(self, middleware: FaultMiddleware, control: Control) -> None:
        self.middleware = middleware
        self.control = control

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        refused = (refusal(scope) or refusal_of_id(scope)) if scope["type"] == "http" else None
        await (refused or self.middleware)(scope, receive, send)


def create_app(
    *apis: str | HttpBinding[Any, Any],
    pace_s: float = 1.0,
    manual: bool = False,
    lifecycles: Mapping[str, Lifecycle[Any, Any]] | None = None,
    profiles: Mapping[str, Profile] | None = None,
    api_key: str | None = None,
    webhook: Webhook | None = None,
) -> EmulatorApp:
    """Return the emulator as an ASGI application, with no tasks in it.

    Args:
        apis: the services to emulate, by their names or bindings; none for all built-in ones. The service of the
            sessions that tasks run in is added.
        pace_s: seconds that a task stays in each state before its script's next event, 0 or more.
        manual: if true, tasks run no script and change by commands and control calls only.
        lifecycles: the lifecycle of each service's tasks, by the service's name: `{"printer": MINIMAL}`; default: its
            own.
        profiles: the behaviour of a service beyond its binding, by its name; built-in ones have their own.
        api_key: the only valid key; if omitted, every key that is not empty is valid.
        webhook: receiver of status changes; if omitted, no webhook is sent.
    Raises:
        UnknownName: `apis`, `lifecycles` or `profiles` names an unknown service.
        TypeError: a service is neither a name nor a binding, or another argument has the wrong type.
        ValueError: the key is empty or no header can carry it, the pace is negative or not finite, a lifecycle has a
            state or a command that its service does not have, two services have a name or a call in common, or a
            binding has a `state_of` and no profile's `statuses` cover each state.
    """
    given: Any = api_key
    if given is not None and not isinstance(given, str):
        raise TypeError(f"api_key must be text, not {type(given).__name__}")  # no message shows a key
    require_secret(webhook, Webhook | None, "webhook must be a Webhook(url=..., secret=...)")
    require(manual, bool, "manual must be True or False")
    require_number(pace_s, "pace_s", at_least=0, less_than=inf)
    if api_key == "":
        raise ValueError("api_key must not be empty; with None every key is valid")
    if api_key is not None and not is_header_value(api_key):
        raise ValueError("api_key has characters that a header cannot carry")
    clock = EmulatedClock(monotonic=time.monotonic, started_at=datetime.now(UTC))
    store = TaskStore(clock=clock, pace_s=None if manual else pace_s)
    calls = Calls(_bindings(apis))
    followed = _lifecycles(calls, {} if lifecycles is None else lifecycles)
    known = _profiles(calls, {} if profiles is None else profiles, followed)
    for binding in calls.bindings:
        calls.make_optional(binding.name, known.get(binding.name, Profile()).optional)
        streaming, base = known.get(binding.name, Profile()).streaming, binding.base_path
        for given, sent in streaming.items():
            calls.streaming |= {base + given: base + sent} if given.startswith("/") else {given: sent}
    services = {
        binding.name: Service(
            binding,
            profile=known.get(binding.name, Profile()),
            lifecycle=followed[binding.name],
            store=store,
            api_key=api_key,
        )
        for binding in calls.bindings
    }
    for each in services.values():
        session = each.binding.session or next((proof.binding for proof in each.binding.proofs.values()), None)
        each.companion = None if session is None else services[session.name]
        each.others = services
    store.react = lambda task, at_s: services[task.api].react(task, at_s)
    webhooks = WebhookSender(store, services=_messages(services.values(), clock), initial=webhook)
    for each in services.values():
        each.events_of = webhooks.events_of
    faults: Faults[CallFault] = Faults(lambda fault: require_call(calls, fault))
    call_log = CallLog()
    names = {api: each.name for api, each in followed.items()}
    parts = Parts(store=store, calls=calls, faults=faults, call_log=call_log, webhooks=webhooks, lifecycles=names)
    control = Control(parts)
    app = _ServiceApp([*services.values()], webhooks, control)
    reads = Reads(app, [*services.values()])
    middleware = FaultMiddleware(reads, calls=calls, clock=clock, call_log=call_log, faults=faults)
    return EmulatorApp(middleware, control)


def _messages(services: Iterable[Service], clock: EmulatedClock) -> dict[str, Messages]:
    """Return what the services that push updates send, by their names."""
    sent: dict[str, Messages] = {}
    for each in services:
        binding, profile = each.binding, each.profile
        webhooks = binding.webhooks if _has_documents(binding.webhooks, profile) else None
        stream = binding.stream if _has_documents(binding.stream, profile) else None
        if webhooks is not None or stream is not None:
            sent[binding.name] = Messages(
                lifecycle=binding.lifecycle,
                webhooks=webhooks,
                stream=stream,
                document=document_of if profile.webhook is None else partial(_document, profile.webhook, clock),
                stream_begin=profile.stream_begin,
                subscription=profile.subscription,
                ping=profile.ping,
                recipients=profile.recipients,
            )
    return sent


def _has_documents(updates: Updates | None, profile: Profile) -> bool:
    return updates is not None and (profile.webhook is not None or updates.update_of is None)


def _document(
    made: Callable[[EmulatedTask, str, EmulatedClock], Any],
    clock: EmulatedClock,
    _: Updates,
    task: EmulatedTask,
    status: str,
    _at: str,
) -> Any:
    return made(task, status, clock)


def _bindings(apis: Sequence[str | HttpBinding[Any, Any]]) -> list[HttpBinding[Any, Any]]:
    """Return the bindings of these services, each followed by those of its sessions."""
    found: list[HttpBinding[Any, Any]] = []
    for api in apis or BUILT_IN:
        require(api, str | HttpBinding, "a service must be a name such as 'printer', or an HttpBinding")
        found.append(service(api) if isinstance(api, str) else api)
    for binding in found:  # it grows meanwhile: a companion can have one, too
        found.extend(each for each in _companions(binding) if not any(each is other for other in found))
    return found


def _companions(binding: HttpBinding[Any, Any]) -> list[HttpBinding[Any, Any]]:
    sessions = [] if binding.session is None else [binding.session]
    messages = None if binding.session_calls is None else binding.session_calls.messages
    return [
        *sessions,
        *([] if messages is None else [messages]),
        *(proof.binding for proof in binding.proofs.values() if proof.binding not in sessions),
    ]


def _lifecycles(calls: Calls, given: Mapping[str, Lifecycle[Any, Any]]) -> dict[str, Lifecycle[Any, Any]]:
    """Return the lifecycle of each service's tasks, by the service's name."""
    require(given, Mapping, "lifecycles must be a mapping of services to lifecycles, such as {'printer': MINIMAL}")
    for api in given:
        calls.binding(api)
    followed = {binding.name: governing(binding, given.get(binding.name)) for binding in calls.bindings}
    for binding in calls.bindings:
        theirs = {state.name for state in binding.lifecycle.states}
        if foreign := [str(state.name) for state in followed[binding.name].states if state.name not in theirs]:
            what = f"{binding.name!r} has no state {', '.join(map(repr, foreign))}"
            raise ValueError(f"the lifecycle {followed[binding.name].name!r} does not fit {binding.name!r}: {what}")
    return followed


def _profiles(
    calls: Calls, given: Mapping[str, Profile], followed: Mapping[str, Lifecycle[Any, Any]]
) -> dict[str, Profile]:
    """Return the profiles by the services' names: the given ones, and those of built-in services.

    A built-in service that follows an earlier lifecycle has the profile of that time, if there is one.
    """
    # here, because these modules import this package
    from lifecycle_adapters.services.profiles import EARLIER_PROFILES, PROFILES

    require(given, Mapping, "profiles must be a mapping of services to profiles, such as {'printer': Profile(...)}")
    untyped: Mapping[str, Any] = given
    for api, profile in untyped.items():
        calls.binding(api)
        if not isinstance(profile, Profile):
            what = f"a profile must be a Profile, such as Profile(page_size=5), not {described(profile)}"
            raise WrongType(what, "profiles")
    known = (*BUILT_IN, *FURTHER)
    built_in = {binding.name for binding in calls.bindings if any(binding is each for each in known)}
    own = {name: EARLIER_PROFILES.get(followed[name].name, PROFILES[name]) for name in PROFILES if name in built_in}
    return own | dict(given)


class _OnFirstRequest:
    """An ASGI application that is made by its first request: an emulator whose owner calls methods never needs it."""

    def __init__(self, make: Callable[[], ASGIApp]) -> None:
        self._made = cache(make)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._made()(scope, receive, send)


class _ServiceApp(FastAPI):
    """The emulated services, with one OpenAPI document, and the control calls."""

    def __init__(self, services: Sequence[Service], webhooks: WebhookSender, control: Control) -> None:
        @asynccontextmanager
        async def sending(_: FastAPI) -> AsyncGenerator[None]:
            webhooks.start()
            yield
            await webhooks.close()

        names = ", ".join(each.binding.name for each in services)
        super().__init__(title=f"{names}, emulated", description=NOTICE, version="0", lifespan=sending)
        self._services = services
        routes: list[BaseRoute] = self.router.routes
        own_pages = [*routes]
        routes.clear()
        self.mount(PREFIX, _OnFirstRequest(partial(control_app, control)))
        # before the emulator's own pages: a service may have the same paths
        routes.extend(self._service_routes(for_document=False))
        if not any(isinstance(route, APIRoute) and route.path == "/" for route in routes):
            self.add_api_route("/", self._index, include_in_schema=False)
        routes.extend(own_pages)
        self.add_exception_handler(405, not_allowed)

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI document with the security schemes and the states of the chosen lifecycles."""
        if self.openapi_schema is None:
            document = get_openapi(
                title=self.title,
                version=self.version,
                description=self.description,
                routes=self._service_routes(for_document=True),
            )
            parts = document["components"]
            schemes = {name: scheme for each in self._services for name, scheme in each.routes.security_schemes.items()}
            if schemes:
                parts["securitySchemes"] = schemes
            for each in self._services:
                states = parts["schemas"].get(type(each.binding.lifecycle.initial).__name__)
                if states is not None:
                    states["enum"] = [str(state.name) for state in each.lifecycle.states]
                each.routes.add_links(document)
            self.openapi_schema = document
        return self.openapi_schema

    def _service_routes(self, *, for_document: bool) -> list[APIRoute]:
        return narrow_first(route for each in self._services for route in each.routes.made(for_document=for_document))

    async def _index(self) -> Response:
        """Return a short description for a person who opens the URL in a browser."""
        text = f"{self.title}.\n\n{NOTICE}\n\nThe services: /docs\nControl calls: {PREFIX}/docs\n"
        return PlainTextResponse(text)
