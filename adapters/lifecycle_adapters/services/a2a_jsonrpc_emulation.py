"""The emulation of an A2A agent over JSON-RPC: what it shows of its tasks over HTTP and JSON, with JSON-RPC's errors.

Source: A2A specification 1.0, 5.4 (error codes) and 9.5 (errors).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any

from pydantic import Field, StrictInt, StrictStr, ValidationError

from lifecycle.catalog import A2AEvent
from lifecycle.lifecycle import Lifecycle
from lifecycle_adapters.emulator.profile import Operation, Refusal
from lifecycle_adapters.emulator.shapes import RequestModel
from lifecycle_adapters.emulator.task_store import EmulatedClock, EmulatedTask
from lifecycle_adapters.services import a2a_emulation
from lifecycle_adapters.services.json_rpc import error_of

_REASONS = {
    -32001: a2a_emulation.TASK_NOT_FOUND,
    -32002: a2a_emulation.NOT_CANCELABLE,
    -32004: a2a_emulation.UNSUPPORTED,
}
_standard_error = error_of({400: -32700, 404: -32001, 405: -32601, 409: -32600, 422: -32602})


def _error(text: str, status_code: int) -> Any:
    return _explained(_standard_error(text, status_code)["error"])


def _explained(error: dict[str, Any]) -> Any:
    reason = _REASONS.get(error["code"])
    return {"error": error if reason is None else {**error, "data": [a2a_emulation.info(reason)]}}


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
    try:
        asked = _ListTasks.model_validate(params)
    except ValidationError as error:
        raise ValueError("; ".join(f"{each['loc'][0]}: {each['msg']}" for each in error.errors())) from None
    return a2a_emulation.listed(
        tasks,
        clock,
        context_id=asked.context_id,
        status=asked.status,
        size=asked.page_size,
        after=asked.page_token,
    )


PROFILE = replace(
    a2a_emulation.PROFILE,
    new=None,
    recipients=None,
    further={},
    operations={"create": Operation(name="call", about="Call a method that concerns tasks.")},
    listed=_listed,
    refused=_refused,
    error=_error,
)
