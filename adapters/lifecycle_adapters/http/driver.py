"""The two drivers: what sends one request, pauses, and tells. They decide nothing.

Only what differs between synchronous and asynchronous stands here twice. connections.py keeps the httpx2
clients, limits.py the limits of a request.

Whatever is raised or cancelled in the middle, a procedure ends closed, and so releases the command that it has
claimed (`_Procedure`): a journal's effect cannot be cancelled, and what it claimed is known only to the procedure.
"""

from __future__ import annotations

import asyncio
import contextvars
import copy
import inspect
import logging
import os
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, ExitStack, closing, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import cache, partial
from types import TracebackType
from typing import Any, Generic, Protocol, Self, TypeVar

from pydantic import SecretStr

from lifecycle.effects import (
    Claim,
    Failure,
    Lost,
    NotSent,
    Progress,
    RecordIntent,
    ReportProgress,
    Response,
    apply_journal_effect,
)
from lifecycle.errors import MissingExtra
from lifecycle_adapters import telemetry
from lifecycle_adapters.http.connections import AsyncConnections, Connections
from lifecycle_adapters.http.exchange import Action, Actions, EnterContext, HttpCall, JournalCall, Sleep
from lifecycle_adapters.http.http_errors import ClientUnusable, HttpError, InvalidResponse, NoResponse, NotConnected
from lifecycle_adapters.http.keys import is_this_machine
from lifecycle_adapters.http.limits import Body, ResponseTooLarge, Until
from lifecycle_adapters.http.redaction import Redactor
from lifecycle_adapters.http.timing import SteadyClock, Timing
from lifecycle_adapters.http.transport_failures import is_transport_failure

try:
    import httpx2
except ImportError:
    raise MissingExtra("http", needed_by="the HTTP client") from None

_log = logging.getLogger("lifecycle_adapters.http")

CLOCK = SteadyClock()
"""One for all clients: the reports of several may meet in one journal."""

R = TypeVar("R")
OnProgress = Callable[[Progress[str]], object]


class RateLimiter(Protocol):
    """What every request of a client passes that was put behind it."""

    def acquire(self) -> Awaitable[None] | None:
        """Wait until the request may be sent. What is returned is awaited by an asynchronous client."""

    def observe(self, response: Response) -> None:
        """Record the response to the request, to adapt the rate."""


@dataclass(frozen=True, slots=True)
class _RawResponse:
    """A response that was read to its end."""

    head: httpx2.Response
    content: bytes


class _Sending:
    """One request on its way, and how far it has come."""

    def __init__(self, timeout_s: float, limit_bytes: int, *, always_traced: bool) -> None:
        self.until = Until(timeout_s)
        self.body = Body(self.until, limit_bytes)
        self.is_ready = False  # it was built, and is handed over to be sent
        self._is_traced = always_traced
        self._has_begun = False

    def trace(self, event: str, _: Any) -> None:
        """Note what a connection does: httpcore2's `trace` extension."""
        self._is_traced = True
        self._has_begun = self._has_begun or event.endswith(_BEGINS)

    async def atrace(self, event: str, info: Any) -> None:
        """As `trace`, of an asynchronous connection."""
        self.trace(event, info)

    def may_have_arrived(self, error: Exception) -> bool:
        """Whether the request may have arrived, if it ended in this error."""
        if not self.is_ready or isinstance(error, _NEVER_SENT):
            return False
        return self._has_begun or not self._is_traced


_BEGINS = ".send_request_headers.started"


class _Sender:
    """What both drivers know: the server and the key."""

    def __init__(self, *, base_url: str, api_key: SecretStr, timing: Timing) -> None:
        self._api_key = api_key
        self._redactor = Redactor(api_key)
        # What HTTP_PROXY and its like say is followed, but nobody reaches this machine by a proxy,
        # and the proxy would be told the key.
        self._trusts_environment = not is_this_machine(base_url)
        self._base_url = base_url
        self._timing = timing
        self._gate: RateLimiter | None = None
        self._is_gated = False

    def limited_by(self, gate: RateLimiter) -> Self:
        """Return a driver of the same connections whose every request passes the gate; it closes nothing."""
        gated = copy.copy(self)
        gated._gate, gated._is_gated = gate, True
        return gated

    def _sending(self, exchange: HttpCall, *, always_traced: bool) -> _Sending:
        timing = self._timing
        timeout_s = timing.request_timeout_s if exchange.timeout_s is None else exchange.timeout_s
        return _Sending(timeout_s, timing.max_response_bytes, always_traced=always_traced)

    def _request(self, exchange: HttpCall, sending: _Sending, trace: Callable[..., Any]) -> dict[str, Any]:
        """What to have httpx2 build a request of."""
        request = exchange.request
        key = exchange.binding.headers(self._api_key.get_secret_value())
        return {
            "method": request.method,
            "url": self._base_url + request.path,
            "params": request.query or None,
            "json": request.body,
            # Others expand a few bytes to gigabytes at once in some versions of their libraries.
            "headers": {"Accept-Encoding": "gzip, deflate", **key},
            "timeout": sending.until,
            "extensions": {"trace": trace},
        }

    def _span(self, exchange: HttpCall) -> AbstractContextManager[telemetry.OnOutcome]:
        """What to send an exchange inside of."""
        request, template = exchange.request, exchange.binding.base_path + exchange.call.path
        return telemetry.request(request.method, self._base_url, request.path, template=template)

    def _answer(
        self, exchange: HttpCall, outcome: _RawResponse | Exception, sending: _Sending, as_of: datetime
    ) -> Response:
        request = exchange.request
        if isinstance(outcome, Exception):
            answer = self._transport_failure(exchange, outcome, sending)
        else:
            raw_headers = [(name, self._redactor.content(value)) for name, value in outcome.head.headers.raw]
            answer = exchange.binding.parse_response(
                exchange.call,
                request,
                status_code=outcome.head.status_code,
                headers=httpx2.Headers(raw_headers),
                content=self._redactor.content(outcome.content),
                as_of=as_of,
            )
        facts = {"method": request.method, "path": request.path, "answer": type(answer).__name__}
        said = answer.error if isinstance(answer, Failure) else answer.status
        _log.debug("a request was made", extra={**facts, "said": None if said is None else str(said)})
        if self._gate is not None:
            self._gate.observe(answer)
        return answer

    def _transport_failure(self, exchange: HttpCall, error: Exception, sending: _Sending) -> Response:
        """A request that came to no response, told apart by whether it can have arrived."""
        if isinstance(error, ClientUnusable):
            return NotSent(error)
        may_have_arrived = sending.may_have_arrived(error)
        kind: type[HttpError] = NotConnected
        if may_have_arrived:
            kind = InvalidResponse if isinstance(error, ResponseTooLarge) else NoResponse
        request = exchange.request
        what = f"{self._said(error)} ({self._base_url})"
        ours = kind(what, method=request.method, path=request.path)
        if self.strip(error, exchange, sys.exception()):
            ours.__cause__ = error
        return Lost(ours) if may_have_arrived else NotSent(ours)

    def _said(self, error: Exception) -> str:
        """What a foreign error says, without the key."""
        words = self._redactor.text(str(error))
        if isinstance(error, TimeoutError | httpx2.TimeoutException) and not words:
            return "timed out"
        if isinstance(error, httpx2.RequestError | ResponseTooLarge):
            return words or type(error).__name__
        return f"{type(error).__name__}: {words}"

    def strip(self, error: BaseException, exchange: HttpCall, handled: BaseException | None) -> bool:
        """Take the key from a foreign error, and return whether no part of it can be left.

        The key is in the headers of the error's request, and in the variables of its frames, which some tools print
        and send. An error that is not httpx2's may have it in any attribute. `handled` is the error that the caller
        was handling when it made the request: that one, and what led to it, stay as they are.
        """
        key = self._api_key.get_secret_value()
        request = httpx2.Request(exchange.request.method, self._base_url + exchange.request.path)
        chain: list[BaseException | None] = [error]
        done = {id(None), id(handled)}
        can_be_shown = True
        while chain:
            each = chain.pop()
            if each is None or id(each) in done:
                continue
            done.add(id(each))
            each.__traceback__ = None
            words = repr(each.args)  # a server's, too, where what it sent is no HTTP
            if isinstance(each, httpx2.RequestError):
                each.request = request
            elif getattr(each, "__dict__", None):
                can_be_shown = False
            if key in words or self._redactor.text(words) != words:
                can_be_shown = False
            chain += (each.__cause__, each.__context__, *getattr(each, "exceptions", ()))
        return can_be_shown


class _Keyless:
    """Takes the key from every error that leaves its block: a cancellation, a soft time limit, Ctrl-C.

    The frames below this block hold the key, in our variables and in httpx2's, and are taken from the traceback.
    """

    def __init__(self, sender: _Sender, exchange: HttpCall) -> None:
        self._sender = sender
        self._exchange = exchange

    def __enter__(self) -> None:
        self._handled = sys.exception()

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> None:
        if error is not None and not self._sender.strip(error, self._exchange, self._handled):
            error.__cause__, error.__context__ = None, self._handled


def _status_or_error(outcome: _RawResponse | Exception) -> int | Exception:
    return outcome.head.status_code if isinstance(outcome, _RawResponse) else outcome


_NEVER_SENT = (
    httpx2.ConnectError,
    httpx2.ConnectTimeout,
    httpx2.PoolTimeout,
    httpx2.ProxyError,
    httpx2.UnsupportedProtocol,
)


# --- procedures -----------------------------------------------------------------------------------


class _Procedure(Generic[R]):
    """A procedure that is carried out, by one thread at a time, and closed wherever it is broken off."""

    result: R

    def __init__(self, actions: Actions[R]) -> None:
        self._actions = actions
        self._turn = threading.Lock()  # held by the thread that records, or closes
        self._is_broken_off = False

    def resume(self, result: Any) -> Action | None:
        """Hand over what came of an action, and return the next; None at the end, when there is a `result`."""
        try:
            return self._actions.send(result)
        except StopIteration as stop:
            self.result = stop.value
            return None

    def record(self, note: JournalCall) -> Action | None:
        """Carry out a journal's effect and resume. In a thread that nothing interrupts, no claim gets lost."""
        with self._turn:
            if self._is_broken_off:
                return None
            try:
                return self.resume(apply_journal_effect(note.effect, note.journal))
            finally:
                if self._is_broken_off:
                    self._actions.close()

    @property
    def is_over(self) -> bool:
        """Whether it has returned, or raised."""
        return inspect.getgeneratorstate(self._actions) == inspect.GEN_CLOSED

    def break_off(self) -> None:
        """Close it, which releases what it has claimed; a thread that still records closes it when it is done."""
        self._is_broken_off = True
        if self._turn.acquire(timeout=_PATIENCE_S):
            try:
                self._actions.close()
            finally:
                self._turn.release()


_PATIENCE_S = 2.0  # how long whoever breaks a procedure off waits for its journal


def _uninterrupted(work: Callable[[], R]) -> Future[R]:
    """Begin work that no signal's handler can interrupt, such as that of Ctrl-C: those run in the main thread."""
    if threading.current_thread() is threading.main_thread():
        with suppress(RuntimeError):  # no thread begins once the interpreter ends
            return _threads().submit(contextvars.copy_context().run, work)
    done: Future[R] = Future()
    try:
        done.set_result(work())
    except BaseException as error:  # noqa: BLE001 (it is raised where the result is asked for)
        done.set_exception(error)
    return done


def _break_off_now(procedure: _Procedure[Any]) -> None:
    """Break it off, and wait for that a while, also if Ctrl-C is pressed again: one interruption is raised already."""
    begun: Future[None] | None = None
    until_s = time.monotonic() + 2 * _PATIENCE_S
    while not (procedure.is_over or (begun and begun.done())) and (left_s := until_s - time.monotonic()) > 0:
        with suppress(BaseException):
            begun = begun or _uninterrupted(procedure.break_off)
            wait([begun], timeout=left_s)


@cache
def _threads() -> ThreadPoolExecutor:
    """Threads that are kept: beginning one takes as long as what is done in it. Another begins if they are busy."""
    return ThreadPoolExecutor(thread_name_prefix="lifecycle journal")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_threads.cache_clear)  # threads stay behind


class Driver(_Sender):
    """Carries actions out, one after the other. `http` is the caller's to close where it is given."""

    def __init__(self, *, base_url: str, api_key: SecretStr, timing: Timing, http: httpx2.Client | None) -> None:
        super().__init__(base_url=base_url, api_key=api_key, timing=timing)
        self._connections = Connections(trust_env=self._trusts_environment, http=http)

    def run(self, actions: Actions[R], tell: OnProgress | None = None) -> R:
        """Carry the actions out and return their result; raises what they raise, or ClientUnusable at once."""
        self._connections.usable()
        procedure = _Procedure(actions)
        with ExitStack() as entered:
            try:
                action = procedure.resume(None)
                while action is not None:
                    match action:
                        case JournalCall(RecordIntent() | Claim()):
                            action = _uninterrupted(partial(procedure.record, action)).result()
                        case _:
                            action = procedure.resume(self._perform(action, tell, entered))
            except BaseException:
                _break_off_now(procedure)
                raise
        return procedure.result

    def _perform(self, action: Action, tell: OnProgress | None, entered: ExitStack) -> Any:
        match action:
            case HttpCall():
                return self._exchange(action)
            case Sleep(seconds):
                return time.sleep(seconds)
            case ReportProgress(progress):
                return tell(progress) if tell else None
            case JournalCall(effect, log):
                return apply_journal_effect(effect, log)
            case EnterContext(context):
                return entered.enter_context(context)

    def exchange(self, exchange: HttpCall) -> Response:
        """Send one request, once, and return what came of it. Raises ClientUnusable."""
        self._connections.usable()
        return self._exchange(exchange)

    def _exchange(self, exchange: HttpCall) -> Response:
        if self._gate is not None:
            self._gate.acquire()
        with _Keyless(self, exchange):
            with self._span(exchange) as answered:
                as_of = CLOCK.now()
                sending = self._sending(exchange, always_traced=self._connections.are_ours)
                try:
                    outcome: _RawResponse | Exception = self._send(exchange, sending)
                except Exception as error:
                    if not is_transport_failure(error):
                        raise
                    outcome = error
                answered(_status_or_error(outcome))
            return self._answer(exchange, outcome, sending, as_of)

    def _send(self, exchange: HttpCall, sending: _Sending) -> _RawResponse:
        http = self._connections.usable()
        request = http.build_request(**self._request(exchange, sending, sending.trace))
        sending.is_ready = True
        # A redirect is an answer. Followed, it would carry the key to whatever host it names.
        with closing(http.send(request, stream=True, follow_redirects=False)) as response:
            return _RawResponse(response, sending.body.read(response))

    def close(self) -> None:
        """Close the connections, unless the httpx2 client is the caller's."""
        if not self._is_gated:
            self._connections.close()


class AsyncDriver(_Sender):
    """As `Driver`, for asyncio; what `tell` returns is awaited where it can be."""

    def __init__(self, *, base_url: str, api_key: SecretStr, timing: Timing, http: httpx2.AsyncClient | None) -> None:
        super().__init__(base_url=base_url, api_key=api_key, timing=timing)
        self._connections = AsyncConnections(trust_env=self._trusts_environment, http=http)

    async def run(self, actions: Actions[R], tell: OnProgress | None = None) -> R:
        """Carry the actions out and return their result; raises what they raise, or ClientUnusable at once."""
        self._connections.usable()
        procedure = _Procedure(actions)
        with ExitStack() as entered:
            try:
                action = procedure.resume(None)
                while action is not None:
                    if isinstance(action, JournalCall) and action.journal.blocking:
                        action = await _in_a_thread(partial(procedure.record, action))
                    else:
                        action = procedure.resume(await self._perform(action, tell, entered))
            except GeneratorExit:  # nothing can be awaited any more
                procedure.break_off()
                raise
            except BaseException:
                if not procedure.is_over:
                    await _break_off(procedure)
                raise
        return procedure.result

    async def _perform(self, action: Action, tell: OnProgress | None, entered: ExitStack) -> Any:
        match action:
            case HttpCall():
                return await self._exchange(action)
            case Sleep(seconds):
                return await asyncio.sleep(seconds)
            case ReportProgress(progress):
                told = tell(progress) if tell else None
                return await told if inspect.isawaitable(told) else None
            case JournalCall(effect, log):
                return apply_journal_effect(effect, log)
            case EnterContext(context):
                return entered.enter_context(context)

    async def exchange(self, exchange: HttpCall) -> Response:
        """As `Driver.exchange`."""
        self._connections.usable()
        return await self._exchange(exchange)

    async def _exchange(self, exchange: HttpCall) -> Response:
        if self._gate is not None:
            entered = self._gate.acquire()
            if entered is not None:
                await entered
        with _Keyless(self, exchange):
            with self._span(exchange) as answered:
                as_of = CLOCK.now()
                sending = self._sending(exchange, always_traced=self._connections.are_ours)
                try:
                    async with asyncio.timeout(sending.until + _GRACE_S):
                        outcome: _RawResponse | Exception = await self._send(exchange, sending)
                except Exception as error:
                    if not is_transport_failure(error):
                        raise
                    outcome = error
                answered(_status_or_error(outcome))
            return self._answer(exchange, outcome, sending, as_of)

    async def _send(self, exchange: HttpCall, sending: _Sending) -> _RawResponse:
        http = self._connections.usable()
        request = http.build_request(**self._request(exchange, sending, sending.atrace))
        sending.is_ready = True
        response = await http.send(request, stream=True, follow_redirects=False)
        try:
            return _RawResponse(response, await sending.body.aread(response))
        finally:
            await response.aclose()

    async def close(self) -> None:
        """Close the connections, unless the httpx2 client is the caller's."""
        if not self._is_gated:
            await self._connections.close()


# An operation that takes all of the time ends first, and closes its connection: httpcore2 leaves one open whose
# handshake is cancelled.
_GRACE_S = 0.1


async def _in_a_thread(work: Callable[[], R]) -> R:
    """As `asyncio.to_thread`, but a cancellation leaves the work alone, also one of all tasks when the loop ends."""
    doing = _begun(work)
    await asyncio.wait([doing])
    return doing.result()


async def _break_off(procedure: _Procedure[Any]) -> None:
    """Break a procedure off, and wait a little for it; a second cancellation ends the waiting alone."""
    try:
        breaking_off = _begun(procedure.break_off)
    except RuntimeError:  # no thread begins once the loop or the interpreter ends
        procedure.break_off()
    else:
        await asyncio.wait([breaking_off], timeout=_PATIENCE_S)


def _begun(work: Callable[[], R]) -> asyncio.Future[R]:
    context = contextvars.copy_context()
    doing = asyncio.get_running_loop().run_in_executor(None, context.run, work)
    doing.add_done_callback(_is_known)
    return doing


def _is_known(done: asyncio.Future[Any]) -> None:
    """Look at what came of it, which nobody may wait for any more: else asyncio would log it as never looked at."""
    if not done.cancelled():
        done.exception()
