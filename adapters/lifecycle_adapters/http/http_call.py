"""The action by which a procedure calls a service over HTTP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lifecycle_adapters.http.binding import HttpBinding
from lifecycle_adapters.http.call import Call
from lifecycle_adapters.http.requests import Request
from lifecycle_adapters.procedures.interpreter import ServiceCall


@dataclass(frozen=True, slots=True)
class HttpCall(ServiceCall):
    """Send the request; the result is the response as `response_meaning.meaning_of` reads it."""

    binding: HttpBinding[Any, Any]
    call: Call
    request: Request
