"""A function that returns the API key: when it is called, what a 401 does, and that none of its keys is shown."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import count
from threading import Lock
from traceback import walk_tb
from typing import Any, cast

import httpx2
import pytest
from pydantic import SecretStr

from lifecycle import LifecycleError
from lifecycle.catalog import V1_FULL
from lifecycle.effects import Denied
from lifecycle.memory import MemoryJournal
from lifecycle_adapters.http import AsyncClient, Client, KeyUnavailable, NotConnected, Unauthorized
from lifecycle_adapters.http.redaction import HIDDEN, Redactor
from lifecycle_adapters.services.v1 import V1
from tests.adapters.http.both import QUICK
from tests.adapters.http.conftest import Connect, Serve
from tests.adapters.http.scripted import Reply, Seen
from tests.adapters.http.test_errors import everything_said_by


class Tokens:
    """Returns another token each time: token-number-1, token-number-2."""

    def __init__(self) -> None:
        self.returned: list[str] = []

    def __call__(self) -> str:
        self.returned.append(f"token-number-{len(self.returned) + 1}")
        return self.returned[-1]


class Service:
    """A v1 service that accepts some tokens, and repeats whatever it is sent in its refusals."""

    def __init__(self, *accepted: str) -> None:
        self.accepted = accepted
        self.status = "running"

    def __call__(self, seen: Seen) -> Reply:
        token = seen.headers["authorization"].removeprefix("Bearer ")
        if token not in self.accepted:
            return Reply(status=401, body={"detail": f"{token} has expired"})
        if seen.method == "PUT":
            self.status = "paused"
        if seen.method == "POST":
            return Reply(body={"id": "t"})
        return Reply(body=self.status) if seen.path.endswith("status") else Reply(body={"status": self.status})


def sent_tokens(seen: list[Seen]) -> list[str]:
    return [each.headers["authorization"].removeprefix("Bearer ") for each in seen]


# --- when it is called ------------------------------------------------------------------------------------


def test_key_function_is_called_once_per_request(connect: Connect, serve: Serve) -> None:
    tokens = Tokens()
    server = serve(Service("token-number-1", "token-number-2", "token-number-3"))
    task = connect("v1", server.base_url, api_key=tokens).task("t")
    assert not tokens.returned
    task.pause()
    assert server.calls == [
        "GET /api/v1/task/t/status",
        "PUT /api/v1/pause-task?task_id=t",
        "GET /api/v1/task/t/status",
    ]
    assert sent_tokens(server.seen) == tokens.returned


def test_a_read_that_is_denied_is_sent_again_once(connect: Connect, serve: Serve) -> None:
    server = serve(Service())
    client = connect("v1", server.base_url, api_key=Tokens())
    reads: list[Callable[[], object]] = [client.task("t").status, client.task("t").details, lambda: list(client.list())]
    for number, read in enumerate(reads, start=1):
        with pytest.raises(Unauthorized):
            read()
        assert len(server.seen) == 2 * number
    assert len(set(sent_tokens(server.seen))) == 6


def test_a_read_succeeds_with_the_second_token(connect: Connect, serve: Serve) -> None:
    server = serve(Service("token-number-2"))
    assert connect("v1", server.base_url, api_key=Tokens()).task("t").status() == "running"


def test_a_single_read_is_sent_again_once_too(serve: Serve) -> None:
    server = serve(Service())
    with Client("v1", api_key=Tokens(), base_url=server.base_url) as client:
        response = client.read("t")
    assert isinstance(response, Denied)
    assert len(server.seen) == 2


def test_a_command_that_is_denied_is_attempted_again_once(connect: Connect, serve: Serve) -> None:
    journal = MemoryJournal()
    server = serve(Service("token-number-1", "token-number-3", "token-number-4"))
    task = connect("v1", server.base_url, api_key=Tokens(), journal=journal).task("t")
    assert task.pause().state == "paused"
    assert server.commands == ["PUT /api/v1/pause-task?task_id=t"] * 2
    assert journal.task(V1_FULL, "t").load_command("1").attempts == 2  # each request has an attempt of its own


def test_a_command_that_is_denied_twice_took_no_effect(connect: Connect, serve: Serve) -> None:
    journal = MemoryJournal()
    server = serve(Service("token-number-1"))
    task = connect("v1", server.base_url, api_key=Tokens(), journal=journal).task("t")
    with pytest.raises(Unauthorized):
        task.pause()
    assert sent_tokens(server.seen) == ["token-number-1", "token-number-2", "token-number-3"]
    assert journal.task(V1_FULL, "t").load().open_command is None


def test_a_create_that_is_denied_is_attempted_again_once(connect: Connect, serve: Serve) -> None:
    server = serve(Service("token-number-2"))
    assert connect("v1", server.base_url, api_key=Tokens()).create("milk").id == "t"
    denying = serve(Service())
    with pytest.raises(Unauthorized):
        connect("v1", denying.base_url, api_key=Tokens()).create("milk")
    assert len(denying.seen) == 2


# --- what it is passed ----------------------------------------------------------------------------------------


class Keeper:
    """Keeps a token, and fetches another one only if the service has refused that one."""

    def __init__(self) -> None:
        self.told: list[str | None] = []
        self.token = "token-number-1"
        self.fetched = 1
        self.turn = Lock()

    def __call__(self, refused: str | None) -> str:
        with self.turn:
            self.told.append(refused)
            if refused == self.token:
                self.fetched += 1
                self.token = f"token-number-{self.fetched}"
            return self.token

    async def later(self, refused: str | None) -> str:
        await asyncio.sleep(0)
        return self(refused)


def test_a_function_with_an_argument_is_given_the_key_that_was_refused(connect: Connect, serve: Serve) -> None:
    keeper = Keeper()
    service = Service("token-number-1")
    task = connect("v1", serve(service).base_url, api_key=keeper).task("t")
    assert task.status() == "running"
    service.accepted = ("token-number-2",)
    assert task.status() == "running"
    assert task.pause().state == "paused"
    assert keeper.told == [None, None, "token-number-1", None, None]
    assert keeper.fetched == 2


def test_refused_key_that_is_returned_again_is_passed_again(connect: Connect, serve: Serve) -> None:
    told: list[str | None] = []

    def function(refused: str | None) -> str:
        told.append(refused)
        return "the-only-key"

    task = connect("v1", serve(Service()).base_url, api_key=function).task("t")
    for _ in range(2):
        with pytest.raises(Unauthorized):
            task.status()
    assert told == [None, "the-only-key", "the-only-key", "the-only-key"]


@pytest.mark.parametrize("status", [403, 404, 500])
def test_other_refusals_do_not_replace_the_key(connect: Connect, serve: Serve, status: int) -> None:
    keeper = Keeper()
    server = serve(lambda _: Reply(status=status))
    with pytest.raises(LifecycleError):
        connect("v1", server.base_url, api_key=keeper).task("t").status()
    assert set(keeper.told) == {None}


def test_a_coroutine_function_with_an_argument_is_given_the_key_that_was_refused(serve: Serve) -> None:
    keeper = Keeper()
    server = serve(Service("token-number-2"))

    async def read() -> str:
        async with AsyncClient("v1", api_key=keeper.later, base_url=server.base_url, timing=QUICK) as client:
            return str(await client.task("t").status())

    assert asyncio.run(read()) == "running"
    assert keeper.told == [None, "token-number-1"]


def test_threads_whose_key_is_refused_replace_it_once(serve: Serve) -> None:
    keeper = Keeper()
    server = serve(Service("token-number-2"))
    with (
        Client("v1", api_key=keeper, base_url=server.base_url, timing=QUICK) as client,
        ThreadPoolExecutor(8) as threads,
    ):
        reads = [client.task(f"t{number}").status for number in range(8)]
        states = [each.result() for each in [threads.submit(read) for read in reads]]
    assert (states, keeper.fetched) == (["running"] * 8, 2)


def key_for(scope: str = "all") -> str:
    return f"key-for-{scope}"


def key_for_several(*scopes: str) -> str:
    return f"key-for-{' '.join(scopes) or 'all'}"


@pytest.mark.parametrize("function", [key_for, key_for_several, partial(key_for, "all"), partial(str, "key-for-all")])
def test_a_function_that_needs_no_argument_is_given_none(connect: Connect, serve: Serve, function: Any) -> None:
    server = serve(Service())
    with pytest.raises(Unauthorized):
        connect("v1", server.base_url, api_key=function).task("t").status()
    assert sent_tokens(server.seen) == ["key-for-all"] * 2


def key_for_two(refused: str | None, scope: str) -> str:
    return f"{refused} {scope}"


def key_by_name(*, refused: str | None) -> str:
    return str(refused)


@pytest.mark.parametrize("function", [key_for_two, key_by_name])
def test_key_function_with_other_parameters_is_refused(connect: Connect, function: Any) -> None:
    with pytest.raises(TypeError, match="without arguments, or with one: the key that was refused"):
        connect("v1", "http://127.0.0.1:1", api_key=function)


def test_error_of_a_key_function_does_not_show_the_refused_key(connect: Connect, serve: Serve) -> None:
    def function(refused: str | None) -> str:
        if refused is not None:
            raise ValueError(f"cannot replace {refused}")
        return HELD_BACK

    with pytest.raises(KeyUnavailable) as raised:
        connect("v1", serve(Service()).base_url, api_key=function).task("t").status()
    assert HELD_BACK not in everything_said_by(raised.value)
    assert "raised ValueError (test_key_functions.py:" in str(raised.value)


def test_a_key_that_is_given_is_not_sent_again_after_a_401(connect: Connect, serve: Serve) -> None:
    server = serve(Service())
    with pytest.raises(Unauthorized):
        connect("v1", server.base_url).task("t").status()
    assert len(server.seen) == 1


def test_a_403_does_not_replace_the_token(connect: Connect, serve: Serve) -> None:
    server = serve(lambda _: Reply(status=403))
    with pytest.raises(LifecycleError):
        connect("v1", server.base_url, api_key=Tokens()).task("t").status()
    assert len(server.seen) == 1


def test_a_coroutine_function_is_awaited(serve: Serve) -> None:
    server = serve(Service("token-number-1"))
    tokens = Tokens()

    async def token() -> str:
        await asyncio.sleep(0)
        return tokens()

    async def ask() -> str:
        async with AsyncClient("v1", api_key=token, base_url=server.base_url) as client:
            return await client.task("t").status()

    assert asyncio.run(ask()) == "running"
    with pytest.raises(TypeError, match="a Client calls api_key and needs its result"):
        Client("v1", api_key=token, base_url=server.base_url)  # type: ignore[arg-type]


def test_a_service_that_takes_no_key_takes_no_function(connect: Connect) -> None:
    with pytest.raises(ValueError, match="v1 takes no API key"):
        connect(replace(V1, authentication=None, key_variable=None), "http://127.0.0.1:1", api_key=Tokens())


# --- what is wrong with it ------------------------------------------------------------------------------


HELD_BACK = "a-token-nobody-may-see"


def raises_with_a_token() -> str:
    raise ValueError(f"cannot parse {HELD_BACK}")


class Hidden:
    """A coroutine function that does not look like one."""

    async def __call__(self) -> str:
        return "token-number-1"


@pytest.mark.parametrize("returned", ["", "two words", "kéy", "line\nbreak", None, 5, b"bytes"])
def test_a_token_that_no_header_can_carry_is_refused(connect: Connect, serve: Serve, returned: Any) -> None:
    server = serve(Service())
    task = connect("v1", server.base_url, api_key=lambda: returned).task("t")
    with pytest.raises(
        KeyUnavailable, match="no API key: the function given as api_key returned none that can be sent"
    ):
        task.status()
    assert not server.seen


def test_a_client_refuses_a_coroutine(serve: Serve) -> None:
    server, hidden = serve(Service()), cast("Callable[[], str]", Hidden())
    with (
        Client("v1", api_key=hidden, base_url=server.base_url) as client,
        pytest.raises(KeyUnavailable, match="must be text, not coroutine"),
    ):
        client.task("t").status()


def test_error_of_a_key_function_is_reported_without_its_text(connect: Connect, serve: Serve) -> None:
    server, journal = serve(Service()), MemoryJournal()
    task = connect("v1", server.base_url, api_key=raises_with_a_token, journal=journal).task("t")
    with pytest.raises(KeyUnavailable, match=r"api_key raised ValueError \(test_key_functions.py:\d+\)") as info:
        task.stop()
    assert HELD_BACK not in everything_said_by(info.value)
    assert not server.seen
    assert journal.task(V1_FULL, "t").load().open_command is None


def test_a_function_that_cannot_reach_its_server_is_called_again(connect: Connect, serve: Serve) -> None:
    server, number = serve(Service("token-number-1")), count(1)

    def token() -> str:
        if next(number) < 3:
            raise ConnectionError("no route")
        return "token-number-1"

    assert connect("v1", server.base_url, api_key=token).task("t").status() == "running"


def test_a_time_limit_that_strikes_in_the_function_ends_the_call(connect: Connect, serve: Serve) -> None:
    server, number = serve(Service("token-number-1")), count()

    def token() -> str:
        next(number)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        connect("v1", server.base_url, api_key=token).task("t").status()
    assert next(number) == 1


def test_a_function_that_takes_too_long_leaves_nothing_sent(connect: Connect, serve: Serve) -> None:
    server = serve(Service("token-number-1"))
    timing = replace(QUICK, request_timeout_s=0.6, attempts=1, retry_budget_s=0.6)

    def token() -> str:
        time.sleep(0.8)
        return "token-number-1"

    with pytest.raises(KeyUnavailable, match=r"returned none within 0\.[56]"):
        connect("v1", server.base_url, api_key=token, timing=timing).task("t").status()
    assert not server.seen


def test_a_coroutine_function_is_cancelled_with_the_call(serve: Serve) -> None:
    server, ended = serve(Service()), list[str]()
    journal = MemoryJournal()

    async def token() -> str:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("cancelled")
        return "token-number-1"

    async def ask() -> None:
        async with AsyncClient("v1", api_key=token, base_url=server.base_url, journal=journal) as client:
            stopping = asyncio.create_task(client.task("t").stop())
            await asyncio.sleep(0.1)
            stopping.cancel()
            with suppress(asyncio.CancelledError):
                await stopping

    asyncio.run(ask())
    assert ended == ["cancelled"]
    assert not server.seen


def test_no_lock_is_held_while_the_function_runs(connect: Connect, serve: Serve) -> None:
    """The function may itself use the journal, and other clients of it: here it stops another task."""
    server, journal = serve(lambda _: Reply(body="stopped")), MemoryJournal()
    other = connect("v1", server.base_url, journal=journal).task("other")
    results: list[bool] = []

    def token() -> str:
        with (
            httpx2.Client() as http,
            Client("v1", api_key="any", base_url=server.base_url, http=http, journal=journal) as c,
        ):
            results.append(c.task(other.id).stop().sent)
        return "token-number-1"

    with Client("v1", api_key=token, base_url=server.base_url, journal=journal) as client:
        client.task("t").stop()
    assert results


# --- what is shown -----------------------------------------------------------------------------------------


def test_no_token_that_was_ever_returned_is_shown(connect: Connect, serve: Serve) -> None:
    tokens, journal = Tokens(), MemoryJournal()

    def repeat(_: Seen) -> Reply:
        everything = " ".join(tokens.returned)
        return Reply(status=422, body={"detail": everything}, headers={"X-Tokens": everything})

    client = connect("v1", serve(repeat).base_url, api_key=tokens, journal=journal)
    for number in range(1, 9):
        with pytest.raises(LifecycleError) as info:
            client.task("t").status()
        assert str(info.value).count(HIDDEN) == number
        said = everything_said_by(info.value)  # which has the variables of this frame, too
        assert not [each for each in tokens.returned if each in said]
    assert "token-number" not in repr((client, vars(client), vars(journal)))


def test_no_frame_of_ours_shows_a_token(serve: Serve) -> None:
    with (
        Client("v1", api_key=lambda: "token-number-1", base_url="http://127.0.0.1:1", timing=QUICK) as client,
        pytest.raises(NotConnected) as info,
    ):
        client.task("t").status()
    frames = [frame for frame, _ in walk_tb(info.value.__traceback__)][1:]
    assert frames
    assert "token-number-1" not in "".join(repr(frame.f_locals) for frame in frames)


def test_only_the_last_tokens_are_remembered() -> None:
    redactor = Redactor()
    for number in range(10_000):
        redactor.add(SecretStr(f"token-number-{number}."))
    assert redactor.text("token-number-9999. token-number-9980.") == f"{HIDDEN} {HIDDEN}"
    assert redactor.text("token-number-9000.") == "token-number-9000."


def test_a_token_that_is_used_again_is_not_forgotten() -> None:
    redactor = Redactor()
    for number in range(100):
        redactor.add(SecretStr("the-lasting-token"))
        redactor.add(SecretStr(f"token-number-{number}"))
    assert redactor.text("the-lasting-token") == HIDDEN
