"""The emulation of an A2A agent over JSON-RPC: what it shows of its tasks over HTTP and JSON, with JSON-RPC's errors.

Source: A2A specification 1.0, 5.4 (error codes), 9.3 (requests), 9.4 (methods) and 9.5 (errors). Assumed, as in the
official SDK: a batch is no request, nor is one whose parameters are a list; and, other than in JSON-RPC, one whose id
is null. A notification gets a 202 and has no effect.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, Field, StrictInt, StrictStr, ValidationError

from lifecycle.catalog import A2AEvent
from lifecycle.lifecycle import Lifecycle
from lifecycle_adapters.emulator.profile import NewTask, Operation, Outcome, Refusal, Tasks
from lifecycle_adapters.emulator.shapes import RequestModel
from lifecycle_adapters.emulator.task_store import EmulatedClock, EmulatedTask
from lifecycle_adapters.services import a2a_emulation
from lifecycle_adapters.services.json_rpc import error_of

_REASONS = {
    -32001: a2a_emulation.TASK_NOT_FOUND,
    -32002: a2a_emulation.NOT_CANCELABLE,
    -32004: a2a_emulation.UNSUPPORTED,
    -32009: a2a_emulation.VERSION_NOT_SUPPORTED,
}
_standard_error = error_of({400: -32700, 404: -32001, 405: -32601, 409: -32600, 422: -32602})


def _error(text: str, status_code: int) -> Any:
    return _explained(_standard_error(text, status_code)["error"])


def _explained(error: dict[str, Any]) -> Any:
    reason = _REASONS.get(error["code"])
    return {"error": error if reason is None else {**error, "data": [a2a_emulation.info(reason)]}}


def _unsupported(headers: Mapping[str, str], _: Any) -> Refusal | None:
    error = {"code": -32009, "message": a2a_emulation.NOT_SUPPORTED}
    return None if a2a_emulation.is_supported(headers) else Refusal(200, _explained(error))


def _waits(sent: Mapping[str, Any]) -> bool:
    return a2a_emulation.waits(sent["params"]) and sent["method"] == "SendMessage"


def _refused(_lifecycle: Lifecycle[Any, Any], task: EmulatedTask, command: str) -> Refusal:
    code = -32002 if command == A2AEvent.CANCEL else -32004
    return Refusal(200, _explained({"code": code, "message": f"{command} is not possible in {task.state}"}))


class _ListTasks(RequestModel):
    """The parameters of ListTasks that have an effect here."""

    context_id: StrictStr | None = None
    status: StrictStr | None = None
    page_size: Annotated[StrictInt, Field(ge=1, le=100)] = a2a_emulation.PAGE
    page_token: StrictStr = ""


def _listed(tasks: Sequence[EmulatedTask], clock: EmulatedClock, **params: Any) -> dict[str, Any]:
    asked = _validated(_ListTasks, params)
    return a2a_emulation.listed(
        tasks,
        clock,
        context_id=asked.context_id,
        status=asked.status,
        size=asked.page_size,
        after=asked.page_token,
    )


def _new(body: Any, tasks: Tasks, parameters: Mapping[str, str]) -> NewTask:
    return a2a_emulation.new(_validated(a2a_emulation.SentMessage, body["params"]), tasks, parameters)


def _created_config(task: EmulatedTask, tasks: Tasks, clock: EmulatedClock, **params: Any) -> Outcome:
    return a2a_emulation.created_config(task, tasks, clock, body=_validated(a2a_emulation.PushConfig, params))


def _found_config(task: EmulatedTask, tasks: Tasks, clock: EmulatedClock, **params: Any) -> Outcome | Refusal:
    found = a2a_emulation.found_config(task, tasks, clock, config_id=params["id"])
    return Refusal(200, _error(a2a_emulation.NO_CONFIG, 404)) if isinstance(found, Refusal) else found


def _deleted_config(task: EmulatedTask, tasks: Tasks, clock: EmulatedClock, **params: Any) -> Outcome:
    left = a2a_emulation.deleted_config(task, tasks, clock, config_id=params["id"])
    return replace(left, document=None)


M = TypeVar("M", bound=BaseModel)


def _validated(model: type[M], params: Any) -> M:
    """Return parameters as a model. Raises ValueError, whose text names the wrong ones."""
    try:
        return model.model_validate(params)
    except ValidationError as error:
        what = (f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise ValueError("; ".join(what)) from None


PROFILE = replace(
    a2a_emulation.PROFILE,
    new=_new,
    optional=("params.configuration",),
    waits=_waits,
    unsupported=_unsupported,
    streaming={"SendStreamingMessage": "SendMessage"},
    further={
        "create_push_config": _created_config,
        "list_push_configs": a2a_emulation.listed_configs,
        "get_push_config": _found_config,
        "delete_push_config": _deleted_config,
    },
    operations={"create": Operation(name="call", about="Call a method that concerns tasks.")},
    listed=_listed,
    refused=_refused,
    error=_error,
)
