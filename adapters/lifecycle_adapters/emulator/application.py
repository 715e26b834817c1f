"""The emulator as one ASGI application: all API versions, the control calls, and the fault middleware."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from fastapi import FastAPI
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from lifecycle import Lifecycle
from lifecycle_adapters.argument_checks import require
from lifecycle_adapters.emulator.call_log import CallLog
from lifecycle_adapters.emulator.calls import BINDINGS, binding_of
from lifecycle_adapters.emulator.control import NOTICE, PREFIX, Control, control_app
from lifecycle_adapters.emulator.fault_middleware import FaultMiddleware
from lifecycle_adapters.emulator.faults import CallFault, Faults
from lifecycle_adapters.emulator.routing import not_allowed
from lifecycle_adapters.emulator.same_origin import refusal
from lifecycle_adapters.emulator.service import Service
from lifecycle_adapters.emulator.task_store import EmulatedClock, TaskStore
from lifecycle_adapters.emulator.v1_service import V1Service
from lifecycle_adapters.emulator.v2_service import V2Service, V2SessionService
from lifecycle_adapters.emulator.v3_service import V3Service
from lifecycle_adapters.emulator.v4_service import V4Service
from lifecycle_adapters.emulator.webhook_sender import Webhook, WebhookSender
from lifecycle_adapters.http.binding import HttpBinding
from lifecycle_adapters.services.v1 import V1
from lifecycle_adapters.services.v2 import V2, V2_SESSION
from lifecycle_adapters.services.v3 import V3
from lifecycle_adapters.services.v4 import V4


class EmulatorApp:
    """An ASGI application that responds as Browser Use Cloud does, to requests from this machine only.

    `control` serves the control calls; `middleware` receives every call first. The application refuses a request whose
    host is not 127.0.0.1, localhost or [::1], and a request from a web page of another origin.
    """

    def __init__(self, middleware: FaultMiddleware, control: Control) -> None:
        self.middleware = middleware
        self.control = control

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        refused = refusal(scope) if scope["type"] == "http" else None
        await (refused or self.middleware)(scope, receive, send)


def create_app(
    *,
    pace_s: float = 1.0,
    manual: bool = False,
    lifecycles: Mapping[str, Lifecycle[Any, Any]] | None = None,
    api_key: str | None = None,
    webhook: Webhook | None = None,
) -> EmulatorApp:
    """Return the emulator as an ASGI application, with no tasks in it.

    Args:
        pace_s: seconds that a task stays in each state before its script's next event, 0 or more.
        manual: if true, tasks run no script and change by commands and control calls only.
        lifecycles: the lifecycle of each service's tasks, by the service's name: `{"v1": V1}`; default: its own.
        api_key: the only valid key; if omitted, every key that is not empty is valid.
        webhook: receiver of status changes; if omitted, no webhook is sent.
    Raises:
        UnknownName: `lifecycles` names an unknown service.
        ValueError: the pace is negative or not finite, or a lifecycle has a state or a command that its service
            does not have.
    """
    clock = EmulatedClock(monotonic=time.monotonic, started_at=datetime.now(UTC))
    store = TaskStore(clock=clock, pace_s=None if manual else pace_s)
    faults: Faults[CallFault] = Faults()
    call_log, webhooks = CallLog(), WebhookSender(store, initial=webhook)
    followed = _lifecycles(lifecycles or {})
    control = Control(store, faults, call_log, webhooks, {api: lifecycle.name for api, lifecycle in followed.items()})

    def settings(binding: HttpBinding[Any, Any]) -> dict[str, Any]:
        return {"binding": binding, "lifecycle": followed[binding.name], "api_key": api_key}

    sessions = V2SessionService(store, **settings(V2_SESSION))
    services = (
        V1Service(store, **settings(V1)),
        V2Service(store, sessions=sessions, **settings(V2)),
        sessions,
        V3Service(store, **settings(V3)),
        V4Service(store, **settings(V4)),
    )
    app = _ServiceApp(services, webhooks)
    app.mount(PREFIX, control_app(control))
    return EmulatorApp(FaultMiddleware(app, clock=clock, call_log=call_log, faults=faults), control)


def _lifecycles(given: Mapping[str, Lifecycle[Any, Any]]) -> dict[str, Lifecycle[Any, Any]]:
    """Return the lifecycle of each service's tasks, by the service's name."""
    require(given, Mapping, "lifecycles must be a mapping of services to lifecycles, such as {'v1': V1}")
    for api in given:
        binding_of(api)
    followed = {binding.name: binding.governed_by(given.get(binding.name)) for binding in BINDINGS}
    for binding in BINDINGS:
        theirs = {state.name for state in binding.lifecycle.states}
        if foreign := [str(state.name) for state in followed[binding.name].states if state.name not in theirs]:
            what = f"{binding.name!r} has no state {', '.join(map(repr, foreign))}"
            raise ValueError(f"the lifecycle {followed[binding.name].name!r} is not one of {binding.name!r}: {what}")
    return followed


class _ServiceApp(FastAPI):
    """The emulated service: the calls of all versions, with one OpenAPI document."""

    def __init__(self, services: tuple[Service, ...], webhooks: WebhookSender) -> None:
        @asynccontextmanager
        async def sending(_: FastAPI) -> AsyncGenerator[None]:
            webhooks.start()
            yield
            await webhooks.close()

        super().__init__(
            title="Browser Use Cloud, emulated",
            description=f"Calls of v1 to v4 that concern tasks, runs and sessions. {NOTICE}",
            version="0",
            lifespan=sending,
        )
        self._services = services
        for service in services:
            self.router.routes.extend(service.routes())
        self.add_api_route("/", _index, include_in_schema=False)
        self.add_exception_handler(405, not_allowed)

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI document with the security schemes and the states of the chosen lifecycles."""
        if self.openapi_schema is None:
            document = super().openapi()
            parts = document["components"]
            parts["securitySchemes"] = {service.scheme_name: service.scheme for service in self._services}
            for service in self._services:
                states = parts["schemas"][type(service.binding.lifecycle.initial).__name__]
                states["enum"] = [str(state.name) for state in service.lifecycle.states]
                service.add_links(document)
        assert self.openapi_schema is not None
        return self.openapi_schema


async def _index() -> Response:
    """Return a short description for a person who opens the URL in a browser."""
    text = f"Browser Use Cloud, emulated.\n\n{NOTICE}\n\nThe service: /docs\nControl calls: {PREFIX}/docs\n"
    return PlainTextResponse(text)
