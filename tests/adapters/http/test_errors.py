"""The tree of errors: foreign errors are mapped into it, and none of its errors shows the key."""

from __future__ import annotations

import asyncio
import copy
import inspect
import io
import logging
import pickle
import re
import signal
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import httpx2
import pytest

import lifecycle_adapters.http.http_errors as errors_module
from lifecycle import AdapterError, CommandUncertain, LifecycleError, WaitTimedOut
from lifecycle_adapters.http import (
    AsyncClient,
    CallError,
    Client,
    ClientUnusable,
    DetailsTimedOut,
    FieldError,
    HttpBinding,
    HttpError,
    InvalidResponse,
    NoResponse,
    NotConnected,
    RateLimited,
    RequestRejected,
    ResponseError,
)
from lifecycle_adapters.services.v1 import V1
from lifecycle_adapters.services.v2 import V2
from lifecycle_adapters.services.v4 import V4
from tests.adapters.http.both import KEY, QUICK
from tests.adapters.http.conftest import Connect, Serve
from tests.adapters.http.scripted import Reply, Seen, refused_port

ERRORS = [each for _, each in inspect.getmembers(errors_module, inspect.isclass) if issubclass(each, HttpError)]


def test_documented_exception_tree_equals_the_class_tree() -> None:
    drawn = re.findall(r"^    ([\s│├└─]*)(\w+)", str(errors_module.__doc__), flags=re.MULTILINE)
    parents: dict[int, str] = {}
    found: dict[str, str] = {}
    for indent, name in drawn:
        parents[len(indent)] = name
        found[name] = next((parents[depth] for depth in sorted(parents, reverse=True) if depth < len(indent)), "")
    assert found.pop("AdapterError") == ""
    assert found.pop("CallError") == AdapterError.__name__ == CallError.__bases__[0].__name__
    assert found == {each.__name__: each.__bases__[0].__name__ for each in ERRORS}
    assert all(issubclass(each, AdapterError | LifecycleError) for each in ERRORS)


def test_errors_without_a_response_survive_pickling() -> None:
    late = DetailsTimedOut(lifecycle="v1", task="t", until="final", state="stopped", why="503 busy")
    assert str(late) == "v1 task t: it is 'stopped', but its details were not read in time: 503 busy"
    assert isinstance(late, WaitTimedOut | TimeoutError)
    for error in (late, ClientUnusable("the client is closed")):
        for other in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
            assert type(other) is type(error)
            assert (str(other), vars(other)) == (str(error), vars(error))


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
def test_every_error_survives_a_process_pool(kind: type[HttpError]) -> None:
    facts: dict[str, Any] = {"method": "PUT", "path": "/x"}
    if issubclass(kind, ResponseError):
        error: HttpError = kind(**facts, status_code=400, detail="no", fields=[FieldError("a.b", "wrong", "value")])
    else:
        error = kind("no", **facts)
    for other in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert type(other) is kind
        assert (str(other), vars(other)) == (str(error), vars(error))


# --- foreign errors -----------------------------------------------------------------------------


def _subclasses(kind: type[httpx2.RequestError]) -> Iterator[type[httpx2.RequestError]]:
    for each in kind.__subclasses__():
        yield each
        yield from _subclasses(each)


FOREIGN: list[type[httpx2.RequestError]] = [httpx2.RequestError, *_subclasses(httpx2.RequestError)]
BEFORE_SENDING = {"ConnectError", "ConnectTimeout", "PoolTimeout", "ProxyError", "UnsupportedProtocol"}


@pytest.mark.parametrize("foreign", FOREIGN, ids=lambda each: each.__name__)
def test_every_error_of_httpx2_is_mapped_by_whether_the_request_can_have_arrived(
    foreign: type[httpx2.RequestError],
) -> None:
    def fail(request: httpx2.Request) -> httpx2.Response:
        raise foreign("it broke", request=request)

    with httpx2.Client(transport=httpx2.MockTransport(fail)) as http:
        client = Client("v1", api_key=KEY, base_url="http://service.example", timing=QUICK, http=http)
        with pytest.raises(HttpError, match=r"GET /api/v1/task/t/status: it broke") as raised:
            client.task("t").status()
    assert type(raised.value) is (NotConnected if foreign.__name__ in BEFORE_SENDING else NoResponse)
    cause = raised.value.__cause__
    assert isinstance(cause, foreign)
    assert dict(cause.request.headers) == {"host": "service.example"}
    assert KEY not in everything_said_by(raised.value)


def test_error_without_a_message_is_named_by_its_class() -> None:
    def fail(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ReadError("", request=request)

    with httpx2.Client(transport=httpx2.MockTransport(fail)) as http:
        client = Client("v1", api_key=KEY, base_url="http://service.example", timing=QUICK, http=http)
        with pytest.raises(NoResponse, match=r"status: ReadError \(http://service.example\)$"):
            client.task("t").status()


# --- the key ------------------------------------------------------------------------------------


def everything_said_by(error: BaseException) -> str:
    """All that an error holds: its texts, its attributes, its pickle, its frames' variables, and its causes'."""
    said = ["".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())]
    chain: list[BaseException | None] = [error]
    while chain:
        each = chain.pop()
        if each is None:
            continue
        said += [str(each), repr(each), repr(each.args), repr(vars(each)), str(getattr(each, "__notes__", ""))]
        variables = [value for frame, _ in traceback.walk_tb(each.__traceback__) for value in frame.f_locals.values()]
        said += [repr(value.headers.raw) for value in variables if isinstance(value, httpx2.Request)]
        if isinstance(each, httpx2.RequestError):
            said += [repr(each.request), repr(each.request.headers.raw), repr(vars(each.request))]
        chain += (each.__cause__, each.__context__)
    if isinstance(error, LifecycleError):
        said.append(repr(pickle.dumps(error)))
    return "\n".join(said)


@pytest.mark.parametrize("task_id", ["", ".", "..", "\ud800", "x" * 40_000])
def test_variables_of_an_error_about_an_id_can_be_shown(connect: Connect, task_id: str) -> None:
    v2, v4 = connect("v2", "http://127.0.0.1:1"), connect("v4", "http://127.0.0.1:1")
    session: Any = v4.session("s")
    asks: list[Callable[[str], object]] = [v2.task, v4.task, v2.session, v4.session, session.message]
    for ask in asks:
        with pytest.raises(ValueError, match="task id") as raised:
            ask(task_id)
        assert everything_said_by(raised.value)


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """All that any logger writes."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    root = logging.getLogger()
    level, names = (
        root.level,
        [root, *map(logging.getLogger, ("httpx2", "httpcore2", "lifecycle_adapters.http", "asyncio"))],
    )
    root.addHandler(handler)
    for each in names:
        each.setLevel(logging.DEBUG)
    yield stream
    root.removeHandler(handler)
    for each in names:
        each.setLevel(level if each is root else logging.NOTSET)


def _echo(seen: Seen) -> Reply:
    said = f"this key is not good: {seen.headers.get('authorization') or seen.headers['x-browser-use-api-key']}"
    return Reply(status=401, body={"detail": said})


BREAKS: dict[str, Callable[[Seen], Reply]] = {
    "reset": lambda _: Reply(drops=True),
    "cut short": lambda _: Reply(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}"),
    "no http": lambda _: Reply(raw=b"nonsense\r\n\r\n"),
    "html": lambda _: Reply(body=b"<html>"),
    "500": lambda _: Reply(status=500),
    "echo": _echo,
    "echo in fields": lambda seen: Reply(
        status=422, body={"detail": [{"loc": ["header"], "msg": str(dict(seen.headers)), "type": KEY}]}
    ),
    "echo in html": lambda seen: Reply(status=500, body=f"<html>{dict(seen.headers)}</html>".encode()),
    "echo in redirect": lambda _: Reply(status=302, headers={"Location": f"https://elsewhere.example/?key={KEY}"}),
}


@pytest.mark.parametrize("binding", [V1, V2, V4], ids=lambda binding: binding.name)
@pytest.mark.parametrize("script", BREAKS.values(), ids=BREAKS)
def test_no_error_and_no_log_line_contains_the_key(
    connect: Connect, serve: Serve, log: io.StringIO, binding: HttpBinding[Any, Any], script: Callable[[Seen], Reply]
) -> None:
    server = serve(script)
    client = connect(binding, server.base_url)
    task = client.task("t")
    for ask in (task.status, task.details, lambda: client.create("buy milk"), lambda: list(client.list())):
        with pytest.raises(LifecycleError) as raised:
            ask()
        assert KEY not in everything_said_by(raised.value)
    assert server.seen
    assert all(KEY in str(seen.headers) for seen in server.seen), "it was sent, or nothing could be told"
    said = log.getvalue()
    if script is not BREAKS["echo in redirect"]:  # httpcore2 logs the service's headers, whatever is in them
        assert KEY not in said
    assert KEY not in "\n".join(map(repr, (client, task, vars(task), vars(client), task.journal, server.calls)))


def test_no_error_of_a_connection_contains_the_key(connect: Connect, log: io.StringIO) -> None:
    client = connect("v1", refused_port())
    with pytest.raises(NotConnected) as raised:
        client.task("t").status()
    assert KEY not in everything_said_by(raised.value)
    assert KEY not in log.getvalue()


def test_no_time_out_contains_the_key(connect: Connect, serve: Serve, log: io.StringIO) -> None:
    server = serve(lambda _: Reply(body="running", delay_s=0.0 if len(server.seen) == 1 else 0.3))
    impatient = replace(QUICK, request_timeout_s=0.1, attempts=1)
    task = connect("v1", server.base_url, timing=impatient).task("t")
    with pytest.raises(CommandUncertain) as raised:
        task.stop()
    assert KEY not in everything_said_by(raised.value)
    assert KEY not in log.getvalue()
    assert KEY not in repr(vars(task.journal))


class SoftTimeLimit(BaseException):
    """An exception that a job queue raises at any moment."""


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no such timer")
def test_a_time_limit_by_a_signal_shows_no_key(serve: Serve) -> None:
    def end(*_: object) -> None:
        raise SoftTimeLimit

    before = signal.signal(signal.SIGALRM, end)
    try:
        with Client("v1", api_key=KEY, base_url=serve(lambda _: Reply(delay_s=1.0)).base_url) as client:
            task = client.task("t")
            signal.setitimer(signal.ITIMER_REAL, 0.2)
            with pytest.raises(SoftTimeLimit) as raised:
                task.status()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert KEY not in everything_said_by(raised.value)


def test_a_time_limit_of_asyncio_shows_no_key(serve: Serve) -> None:
    server = serve(lambda _: Reply(delay_s=1.0))

    async def run() -> None:
        client = AsyncClient("v1", api_key=KEY, base_url=server.base_url)
        try:
            async with asyncio.timeout(0.2):
                await client.task("t").status()
        finally:
            await client.close()

    with pytest.raises(TimeoutError) as raised:
        asyncio.run(run())
    assert isinstance(raised.value.__cause__, asyncio.CancelledError)
    assert KEY not in everything_said_by(raised.value)


def test_the_error_that_a_caller_handles_keeps_its_traceback(connect: Connect) -> None:
    client = connect("v1", refused_port())
    own = ValueError("the caller's")
    try:
        raise own
    except ValueError:
        before = own.__traceback__
        with pytest.raises(NotConnected) as raised:
            client.task("t").status()
    assert own.__traceback__ is before is not None
    assert KEY not in everything_said_by(raised.value)


def test_request_log_has_method_path_and_response(
    connect: Connect, serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="lifecycle_adapters.http")
    server = serve(lambda _: Reply(body="running"))
    connect("v1", server.base_url).task("t").status()
    (logged,) = [vars(each) for each in caplog.records if each.name == "lifecycle_adapters.http"]
    assert logged["msg"] == "a request was made"
    assert (logged["method"], logged["path"]) == ("GET", "/api/v1/task/t/status")
    assert (logged["response"], logged["status_or_error"]) == ("Accepted", "running")


def test_a_short_key_is_a_word_that_responses_may_contain(connect: Connect, serve: Serve) -> None:
    server = serve(lambda _: Reply(status=404, body={"detail": "any task"}))
    with pytest.raises(ResponseError, match="HTTP 404: any task"):
        connect("v1", server.base_url, api_key="any").task("t").status()


def test_a_refusal_that_repeats_the_key_keeps_its_other_text(connect: Connect, serve: Serve) -> None:
    with pytest.raises(ResponseError) as raised:
        connect("v1", serve(_echo).base_url).task("t").status()
    assert raised.value.detail == "this key is not good: Bearer [the API key]"


@pytest.mark.parametrize("key", ["", "with space", "new\nline", "tab\t", "kéy", "nul\0", "\x7f", "\ud800", " "])
def test_a_key_that_no_header_can_carry_is_refused_without_being_shown(connect: Connect, key: str) -> None:
    with pytest.raises(ValueError, match="API key") as raised:
        connect("v1", "http://127.0.0.1:1", api_key=key)
    assert not key.strip() or key not in str(raised.value)


def test_error_attributes_are_as_documented() -> None:
    throttled = RateLimited(method="GET", path="/x", status_code=429, detail="slow down")
    assert throttled.retry_after_s is None
    refused = RequestRejected(method="PUT", path="/x", status_code=422, detail="no", fields=[FieldError("a", "b", "c")])
    assert (refused.method, refused.path, refused.status_code, refused.detail) == ("PUT", "/x", 422, "no")
    assert refused.fields == (FieldError("a", "b", "c"),)
    assert str(refused.fields[0]) == "a: b"
    assert str(InvalidResponse("no status", method="GET", path="/x")) == "GET /x: no status"
