"""The routes of one emulated service, and their part of the OpenAPI document; no responses.

FastAPI routes each request, and validates what the profile declares.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial
from inspect import Parameter, Signature
from typing import Any, Protocol

from fastapi import Request
from fastapi.routing import APIRoute
from starlette.responses import Response

from lifecycle_adapters.emulator.calls import SESSION, named_calls
from lifecycle_adapters.emulator.profile import Operation, OwnCall, Profile
from lifecycle_adapters.emulator.routing import SlashRoute
from lifecycle_adapters.emulator.shapes import Detail, FieldErrors
from lifecycle_adapters.http.binding import HttpBinding
from lifecycle_adapters.http.call import Call
from lifecycle_adapters.http.requests import ID, ID_WITH_SLASHES, parameters_of

_MEANINGS = {
    400: "Not possible now, or a body that is not text",
    401: "A missing or wrong key",
    402: "Out of credits, or over a spend limit",
    403: "Not allowed for this project",
    404: "Not found",
    409: "Not possible now",
    412: "The task has changed since it was read",
    422: "Invalid fields",
    429: "Too many at once",
    502: "Could not be forwarded (here only if a fault is armed for it)",
    503: "Not now; Retry-After says when (here only if a fault is armed for it)",
}

Handler = Callable[[Request], Awaitable[Response]]
Respond = Callable[..., Awaitable[Response]]


class Guard(Protocol):
    """What every request passes before its handler, and every response after it."""

    def __call__(self, handler: Handler, *, is_open: bool, needs_json: bool) -> Handler:
        """Return the guarded handler; `is_open` is true if it needs no key, `needs_json` if its body must be JSON."""
        ...


class ServiceRoutes:
    """The routes of one service.

    `operations` are the operations of the OpenAPI document, by the names of the calls. `without_route` are the
    profile's own calls that share the route of one of the binding's calls.

    Args:
        binding, profile: those of the service.
        respond: responds to the calls of the binding.
        respond_own: returns what responds to one of the profile's own calls.
        guard: wraps the handler of each route.
    """

    def __init__(
        self,
        binding: HttpBinding[Any, Any],
        profile: Profile,
        *,
        respond: Respond,
        respond_own: Callable[[OwnCall], Respond],
        guard: Guard,
    ) -> None:
        self._binding = binding
        self._profile = profile
        self._respond = respond
        self._respond_own = respond_own
        self._guard = guard
        self._calls = named_calls(binding)
        self.operations = self._named_operations()
        routes = {(call.method, call.path) for call in self._calls.values()}
        self.without_route = [own for own in profile.own_calls if (own.call.method, own.call.path) in routes]

    def made(self, *, for_document: bool) -> list[APIRoute]:
        """Return the routes, one for each method and path of the binding's calls and the profile's own calls.

        Args:
            for_document: whether they describe their responses, as the OpenAPI document does. FastAPI makes a validator
                of each description, which takes longer than all else in the start of an emulator.
        """
        route = partial(self._route, for_document=for_document)
        routes = [
            route(each.call, each.operation, self._respond_own(each), is_open=each.is_open, parameter="")
            for each in self._profile.own_calls
            if each not in self.without_route
        ]
        grouped: dict[tuple[str, str], list[str]] = {}
        for name, call in self._calls.items():
            grouped.setdefault((call.method, call.path), []).append(name)
        for names in grouped.values():
            name = "details" if "details" in names else names[0]
            is_open = self._binding.authentication is None
            is_about_session = name.partition(" ")[0] == SESSION
            parameter = "session_id" if is_about_session else self._profile.parameter
            call, operation = self._calls[name], self.operations[name]
            routes.append(route(call, operation, self._respond, is_open=is_open, parameter=parameter))
            for path in [path for path, sent in self._profile.streaming.items() if sent == call.path]:
                named = replace(operation, name=f"{operation.name}_in_stream")
                routes.append(
                    route(replace(call, path=path), named, self._respond, is_open=is_open, parameter=parameter)
                )
        return routes

    @property
    def security_schemes(self) -> dict[str, dict[str, str]]:
        """The security schemes of the OpenAPI document, by their names; none if the service asks for no key."""
        authentication = self._binding.authentication
        if authentication is None:
            return {}
        if authentication.prefix:
            return {authentication.header: {"type": "http", "scheme": authentication.prefix.strip().lower()}}
        return {authentication.header: {"type": "apiKey", "in": "header", "name": authentication.header}}

    def add_links(self, document: Mapping[str, Any]) -> None:
        """Add links to the OpenAPI document that pass the created id to the other calls."""
        create = self._binding.create
        created = document["paths"][self._path(create, self._profile.parameter)][create.method.lower()]
        success = next(response for code, response in created["responses"].items() if code.startswith("2"))
        if create.id_header is not None:
            return  # no link can extract an id from a URL
        pointer = (create.id_field or self._binding.id_field).replace(".", "/")
        success["links"] = {
            each["operationId"]: {
                "operationId": each["operationId"],
                "parameters": {self._profile.parameter: f"$response.body#/{pointer}"},
            }
            for path in document["paths"].values()
            for each in path.values()
            if each["tags"] == [self._binding.name] and self._takes_an_id(each)
        }

    def _takes_an_id(self, operation: Mapping[str, Any]) -> bool:
        return any(each["name"] == self._profile.parameter for each in operation.get("parameters", ()))

    def _named_operations(self) -> Mapping[str, Operation]:
        named: dict[str, Operation] = {
            "create": Operation(name="create", about="Create a task.", status_code=self.created_code),
            "status": Operation(name="status", about="Return a task's status.", errors=(404,)),
            "details": Operation(name="details", about="Return a task.", errors=(404,)),
            "list": Operation(name="list", about="Return a page of tasks, newest first."),
        }
        for event in self._binding.lifecycle.events:
            about = event.meaning or f"Send the command `{event.name}`."
            call = self._binding.commands.get(event.name)
            errors = (404, 409) if call is None or not call.has_etag() else (404, 409, 412)
            named[str(event.name)] = Operation(name=str(event.name), about=about, errors=errors)
        for name in self._calls:
            if name not in named:
                named[name] = Operation(name=name.replace(" ", "_"), about=f"The call {name!r}.", errors=(404,))
        return {**named, **self._profile.operations}

    @property
    def created_code(self) -> int:
        """The status code of a create by the binding."""
        return 201 if self._binding.create.id_header is None else 202

    def _path(self, call: Call, parameter: str) -> str:
        path = call.path.replace(ID, f"{{{parameter}}}").replace(ID_WITH_SLASHES, f"{{{parameter}:path}}")
        return self._binding.base_path + path

    def _route(
        self,
        call: Call,
        operation: Operation,
        respond: Respond,
        *,
        is_open: bool,
        parameter: str,
        for_document: bool,
    ) -> APIRoute:
        guard = self._guard
        needs_json = operation.body is None and call.body is not None  # FastAPI itself then reads no body

        class Guarded(SlashRoute):
            def get_route_handler(self) -> Any:
                return guard(super().get_route_handler(), is_open=is_open, needs_json=needs_json)

        codes = (*operation.errors, *(() if is_open else (401,)))
        documented: dict[int | str, dict[str, Any]] = {
            code: {"model": Detail, "description": _MEANINGS[code]} for code in codes
        }
        documented[422] = {"model": FieldErrors, "description": _MEANINGS[422]}
        extra: dict[str, Any] = {} if is_open else {"security": [{name: []} for name in self.security_schemes]}
        if needs_json:
            extra["requestBody"] = {"content": {"application/json": {"schema": _body_schema(call)}}}
        return Guarded(
            self._path(call, parameter),
            self._endpoint(call, operation, respond, parameter),
            methods=[call.method],
            response_model=operation.response if for_document else None,
            status_code=operation.status_code,
            responses=documented if for_document else None,
            tags=[self._binding.name],
            name=operation.name,
            description=operation.about,
            operation_id=f"{self._binding.name}-{operation.name}".replace("-", "_"),
            openapi_extra=extra,
        )

    def _endpoint(self, call: Call, operation: Operation, respond: Respond, parameter: str) -> Respond:
        """Return an endpoint with the parameters that FastAPI validates and documents."""
        types: dict[str, tuple[Any, Any]] = {"request": (Request, Parameter.empty)}
        if ID in call.path or call.keeps_slashes():
            types[parameter] = (self._profile.id_type, Parameter.empty)
        types |= {name: (self._profile.id_type, Parameter.empty) for name, text in call.query.items() if text == ID}
        types |= operation.query
        if operation.body is not None:
            types["body"] = (operation.body, operation.default)
        named = parameters_of(self._binding.base_path + call.path)
        path_types = {name: (self._profile.parameter_types.get(name, str), Parameter.empty) for name in named}

        async def endpoint(**given: Any) -> Response:
            dropped = [name for name in named if name not in call.path_fields]
            return await respond(**{name: value for name, value in given.items() if name not in dropped})

        parameters = [
            Parameter(name, Parameter.KEYWORD_ONLY, annotation=kind, default=default)
            for name, (kind, default) in (path_types | types).items()
        ]
        vars(endpoint)["__signature__"] = Signature(parameters)
        return endpoint


def _body_schema(call: Call) -> dict[str, Any]:
    required = sorted({*(call.body or {}), *(call.required_fields if call.fields_path is None else ())})
    return {"type": "object", "required": required} if required else {"type": "object"}
