"""The base class of the emulated APIs: routes, authentication, error responses, look-up of tasks.

One `Service` is one API. It takes paths, methods and the key's header from the API's binding. Its subclasses in
v1_service.py to v4_service.py implement the calls as methods.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, cast
from uuid import uuid4

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.responses import JSONResponse, Response

from lifecycle.lifecycle import Lifecycle
from lifecycle_adapters.emulator.assumptions import NOT_AUTHENTICATED, challenge
from lifecycle_adapters.emulator.call_log import RecordedCall
from lifecycle_adapters.emulator.fault_middleware import RECORDED_CALL
from lifecycle_adapters.emulator.script import parse_script
from lifecycle_adapters.emulator.shapes import Detail, FieldErrors, require_document
from lifecycle_adapters.emulator.task_store import EmulatedTask, TaskStore
from lifecycle_adapters.http.binding import HttpBinding
from lifecycle_adapters.http.call import Call

_MEANINGS = {
    400: "Not possible now, or a body that is not text",
    401: "A missing or wrong key",
    404: "Not found",
    422: "Invalid fields",
    429: "Too many at once (here only if a fault is armed for it)",
    502: "Could not be forwarded (here only if a fault is armed for it)",
}

View = Callable[[EmulatedTask], Any]
Handler = Callable[[Request], Awaitable[Response]]


class TaskNotFound(Exception):
    """The task that a call names does not exist."""


class Service(ABC):
    """One API of the emulator.

    `parameter` is the name of the id in the paths of its documents. `api_key` is the only valid key; None accepts
    every key.
    """

    not_found = "Task not found"
    parameter = "task_id"

    def __init__(
        self,
        store: TaskStore,
        binding: HttpBinding[Any, Any],
        *,
        lifecycle: Lifecycle[Any, Any],
        api_key: str | None,
    ) -> None:
        self.store = store
        self.binding = binding
        self.lifecycle = lifecycle
        self._api_key = api_key
        assert binding.authentication is not None, "every API of the emulator needs a key"
        self._authentication = binding.authentication
        self._no_key = JSONResponse({"detail": NOT_AUTHENTICATED}, 401, dict(challenge(binding.authentication)))

    @abstractmethod
    def routes(self) -> list[APIRoute]:
        """Return the routes of this API's calls."""

    def route(
        self,
        call: Call,
        endpoint: Callable[..., Any],
        *,
        response_model: Any,
        status_code: int = 200,
        errors: Sequence[int] = (),
        name: str | None = None,
        view: View | None = None,
        open_to_all: bool = False,
    ) -> APIRoute:
        """Return the route of one call.

        Args:
            call: the method and path, from the binding.
            endpoint: an `async` method that returns a complete response.
            response_model: the type of a successful response, for the OpenAPI document only.
            status_code: the status code of a successful response.
            errors: the other status codes; 401 and 422 are added if they can occur.
            name: the name in the OpenAPI document; default: the endpoint's name.
            view: for a call that reads one task, the function that returns its response; it replaces the endpoint
                if the task exists.
            open_to_all: whether the call needs no key.
        """
        service = self

        class Guarded(APIRoute):
            def get_route_handler(self) -> Any:
                return service._guarded(super().get_route_handler(), view=view, open_to_all=open_to_all)

        path = self.binding.base_path + call.path.replace("{id}", f"{{{self.parameter}}}")
        documented: dict[int | str, dict[str, Any]] = {
            code: {"model": Detail, "description": _MEANINGS[code]} for code in errors
        }
        if not open_to_all:
            documented[401] = {"model": Detail, "description": _MEANINGS[401]}
        documented[422] = {"model": FieldErrors, "description": _MEANINGS[422]}
        return Guarded(
            path,
            endpoint,
            methods=[call.method],
            response_model=response_model,
            status_code=status_code,
            responses=documented,
            tags=[self.binding.name],
            name=name,
            operation_id=f"{self.binding.name}-{name or endpoint.__name__}".replace("-", "_"),
            openapi_extra={} if open_to_all else {"security": [{self.scheme_name: []}]},
        )

    @property
    def list_call(self) -> Call:
        """The call that lists tasks."""
        assert self.binding.listing is not None, "every API of the emulator has a list"
        return self.binding.listing.call

    def control_calls(self) -> list[Call]:
        """Return the calls that send commands, one for each path other than the create call's."""
        paths = {(call.method, call.path): call for call in self.binding.commands.values()}
        paths.pop((self.binding.create.method, self.binding.create.path), None)
        return list(paths.values())

    def add_links(self, document: Mapping[str, Any]) -> None:
        """Add links to the OpenAPI document that pass the created id to the other calls."""
        created = document["paths"][self.binding.base_path + self.binding.create.path][
            self.binding.create.method.lower()
        ]
        success = next(response for code, response in created["responses"].items() if code.startswith("2"))
        success["links"] = {
            each["operationId"]: {
                "operationId": each["operationId"],
                "parameters": {self.parameter: f"$response.body#/{self.binding.id_field}"},
            }
            for path in document["paths"].values()
            for each in path.values()
            if self.binding.name in each["tags"]
            and self.parameter in [one["name"] for one in each.get("parameters", ())]
        }

    @property
    def scheme_name(self) -> str:
        """The name of the security scheme in the OpenAPI document."""
        return self._authentication.header

    @property
    def scheme(self) -> dict[str, str]:
        """The security scheme in the OpenAPI document."""
        if self._authentication.prefix:
            return {"type": "http", "scheme": self._authentication.prefix.strip().lower()}
        return {"type": "apiKey", "in": "header", "name": self._authentication.header}

    def new_id(self) -> str:
        """Return a new id in this API's format."""
        return str(uuid4())

    def find(self, request: Request, task_id: object) -> EmulatedTask:
        """Return the task that a call names, and note it in the call log. Raises TaskNotFound."""
        task = self._look_up(request, str(task_id))
        if task is None:
            raise TaskNotFound
        return task

    def create(
        self, request: Request, *, text: str, script: Sequence[str], given: Mapping[str, Any], **more: Any
    ) -> EmulatedTask:
        """Create a task, and note it in the call log.

        `text` may name a script that replaces `script`; `more` is passed to `TaskStore.add`.

        Raises:
            RequestValidationError: the text names events that the lifecycle does not declare, or commands.
        """
        task = self.store.add(
            task_id=self.new_id(),
            api=self.binding.name,
            lifecycle=self.lifecycle,
            script=self.script(text, script),
            given=given,
            **more,
        )
        call = recorded_call(request)
        call.task, call.state_after = task.id, str(task.state)
        return task

    def script(self, text: str, default: Sequence[str]) -> Sequence[str]:
        """Return the script that a task's text names, otherwise the default. Raises RequestValidationError."""
        try:
            parsed = parse_script(text, self.lifecycle)
        except ValueError as error:
            raise field_error("task", str(error)) from error
        return default if parsed is None else parsed

    def command(self, request: Request, task: EmulatedTask) -> bool:
        """Apply the call's command to a task that was just found; return whether its lifecycle allowed it."""
        call = recorded_call(request)
        call.applied = self.store.command(task, self.command_of(request))
        call.state_after = str(task.state)
        return call.applied

    def command_of(self, request: Request) -> str:
        """Return the command that a call sends, according to the binding.

        Raises:
            RequestValidationError: the lifecycle of the service's tasks does not declare the command.
        """
        command = recorded_call(request).command
        assert command is not None, "the binding knows the command of every call that reaches this point"
        if command not in self.lifecycle.commands:
            field = next(iter(self.binding.commands[command].body or {}), "body")
            raise field_error(field, f"{self.lifecycle.name} has no {command!r}", kind="enum")
        return command

    def invalid(self, errors: Sequence[Mapping[str, Any]]) -> Any:
        """Return the `detail` of a 422 for FastAPI's errors."""
        return [{"loc": list(error["loc"]), "msg": error["msg"], "type": error["type"]} for error in errors]

    def _look_up(self, request: Request, task_id: str) -> EmulatedTask | None:
        task = self.store.find(task_id, api=self.binding.name)
        if task is not None:
            call = recorded_call(request)
            call.task = task.id
            call.state_before = call.state_after = str(task.state)
        return task

    def _guarded(self, handler: Handler, *, view: View | None, open_to_all: bool) -> Handler:
        async def guarded(request: Request) -> Response:
            if not open_to_all and not self._has_valid_key(request):
                return self._no_key
            if view is not None:
                # Clients poll this call, and the validation of an id that exists would take half of its time.
                task = self._look_up(request, request.path_params[self.parameter])
                if task is not None:
                    return JSONResponse(view(task))
            try:
                await require_document(request)
                return await handler(request)
            except TaskNotFound:
                return JSONResponse({"detail": self.not_found}, 404)
            except RequestValidationError as error:
                return JSONResponse({"detail": self.invalid(cast("Sequence[Mapping[str, Any]]", error.errors()))}, 422)

        return guarded

    def _has_valid_key(self, request: Request) -> bool:
        value = request.headers.get(self._authentication.header, "")
        prefix = self._authentication.prefix
        key = value[len(prefix) :].strip() if value[: len(prefix)].lower() == prefix.lower() else ""
        return key != "" if self._api_key is None else key == self._api_key


def recorded_call(request: Request) -> RecordedCall:
    """Return the call log's entry of a request."""
    return cast("RecordedCall", request.scope[RECORDED_CALL])


def field_error(field: str, message: str, *, kind: str = "value_error") -> RequestValidationError:
    """Return FastAPI's validation error for one field of the body."""
    return RequestValidationError([{"loc": ("body", field), "msg": message, "type": kind}])
