"""The handshakes of one client, each made before the first request that needs it, and again if the service asks for it.

It stands between a procedure and its driver: it has no I/O of its own, and serves both drivers.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

from lifecycle.effects import Accepted, Denied, Lost, Missing, NotSent, Refused, Response
from lifecycle_adapters.http.handshake import Handshake
from lifecycle_adapters.http.http_call import HttpCall
from lifecycle_adapters.http.http_errors import HandshakeFailed
from lifecycle_adapters.procedures.interpreter import Actions, Sleep

_PAUSE_S = 0.01  # between two looks at whether another procedure of this client has made the handshake
_APART_S = 60.0  # at least, between two handshakes that streams of one service ask for


class Handshakes:
    """The handshakes that a client has made, by the names of its services.

    A procedure repeats a request a few times, but a stream is opened again and again. If its service has none, the
    response can be the one that asks for a new handshake, and each would end the session of all other requests.
    """

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._headers: dict[str, Mapping[str, str]] = {}
        self._ended_by_stream_s: dict[str, float] = {}  # when the last response to a stream asked for a new one
        self._turn = threading.Lock()  # held by the procedure that makes a handshake

    def sent(self, call: HttpCall) -> Actions[Response]:
        """Make the handshake that a call needs, then the call, and return its response; or the handshake's failure."""
        ready = yield from self.before(call)
        if not isinstance(ready, HttpCall):
            return ready
        response: Response = yield ready
        self.observe(ready, response)
        return response

    def before(self, call: HttpCall) -> Actions[HttpCall | Response]:
        """Make the handshake that a call needs, and return the call with its headers; or the handshake's failure."""
        handshake = call.binding.handshake
        if handshake is None:
            return call
        name = call.binding.name
        headers = self._headers.get(name)
        while headers is None:
            if not self._turn.acquire(blocking=False):
                yield Sleep(_PAUSE_S)
            else:
                try:
                    made = None if name in self._headers else (yield from _made(call, handshake))
                    if isinstance(made, Mapping):
                        self._headers[name] = made
                    elif made is not None:
                        return made
                finally:
                    self._turn.release()
            headers = self._headers.get(name)
        return replace(call, request=replace(call.request, headers={**call.request.headers, **headers}))

    def observe(self, call: HttpCall, response: Response, *, is_stream: bool = False) -> None:
        """Forget a handshake that the response to a call with its headers says is no longer valid.

        If the call opens a stream, do so at most once in a minute.
        """
        headers = self._headers.get(call.binding.name)
        is_over = isinstance(response, NotSent) and isinstance(response.error, HandshakeFailed)
        # Otherwise another procedure has made a new one.
        if is_over and headers is not None and headers.items() <= call.request.headers.items():
            if is_stream:
                now_s, before_s = self._now_s(), self._ended_by_stream_s.get(call.binding.name)
                if before_s is not None and now_s - before_s < _APART_S:
                    return
                self._ended_by_stream_s[call.binding.name] = now_s
            self._headers.pop(call.binding.name, None)


def _made(call: HttpCall, handshake: Handshake) -> Actions[Mapping[str, str] | Response]:
    """Make a handshake, and return the headers of later requests; or the failure of the request that needs it."""
    headers: dict[str, str] = {}
    for each in handshake.calls().values():
        template = each.request(call.binding.base_path)
        request = replace(template, headers={**template.headers, **headers})
        response: Response = yield HttpCall(call.binding, each, request, timeout_s=call.timeout_s)
        match response:
            case Refused(error, after_s) | Missing(error, after_s):
                what = f"the service refuses the handshake: {error}"
                return Denied(HandshakeFailed(what, **call.request.names), after_s)
            case Lost(error, after_s):
                return NotSent(error, after_s)
            case Accepted():
                if isinstance(response.output, str) and each is handshake.begin:
                    headers = {handshake.header: response.output}
            case _:
                return response
    return headers
