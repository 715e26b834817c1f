"""The parts that services of JSON-RPC 2.0 have in common: the bodies of their requests, and what their errors mean.

Source: the JSON-RPC 2.0 specification, 4 (request object), 5 (response object), 5.1 (error object).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import JsonValue

from lifecycle_adapters.http.call import Call
from lifecycle_adapters.http.envelope import Envelope

JSON_RPC = Envelope(result_field="result", repeated_fields=("jsonrpc", "id"))

ERROR_CODES: Mapping[int, int] = {
    -32700: 400,  # parse error
    -32600: 400,  # invalid request
    -32601: 405,  # method not found: nothing was done, and the task was not looked for
    -32602: 422,  # invalid params
    -32603: 500,  # internal error: nobody knows what was done
}


def rpc(method: str, params: Mapping[str, JsonValue], *, fields_path: str = "params", **settings: Any) -> Call:
    """Return the call of a method at the service's URL; `settings` are further fields of the Call."""
    body: dict[str, JsonValue] = {"jsonrpc": "2.0", "id": "{request_id}", "method": method}
    if params:  # otherwise they may be left out: the emulator compares a request with this body
        body["params"] = {**params}
    return Call(method="POST", path="/", body=body, fields_path=fields_path, **settings)


def error_of(codes: Mapping[int, int]) -> Callable[[str, int], dict[str, Any]]:
    """Return the function that makes an error's document from its text and its status code.

    Args:
        codes: the code of JSON-RPC for each status code; another status code is an internal error.
    """

    def error(text: str, status_code: int) -> dict[str, Any]:
        return {"error": {"code": codes.get(status_code, -32603), "message": text}}

    return error
