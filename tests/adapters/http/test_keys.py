"""The key that a client sends, and the servers that receive it. The servers record what they receive."""

from __future__ import annotations

from dataclasses import replace
from traceback import walk_tb
from typing import Any

import pytest
from pydantic import SecretStr

from lifecycle_adapters.http import AsyncClient, Client, HttpBinding, KeyVariable
from lifecycle_adapters.http.keys import is_this_machine, usable_key
from lifecycle_adapters.services import service
from tests.adapters.http.both import KEY
from tests.adapters.http.conftest import Connect, Serve
from tests.adapters.http.scripted import Reply

SECRET = "bu-from-the-environment"
BUILT_IN = ("v1", "v2", "v2-session", "v3", "v4")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROWSER_USE_API_KEY", SECRET)


def own(**changes: Any) -> HttpBinding[Any, Any]:
    """A service of a user's own, with the calls of v1."""
    return replace(
        service("v1"), **{"name": "mine", "base_url": "https://mine.example", "key_variable": None, **changes}
    )


def test_the_key_of_the_environment_reaches_this_machine(connect: Connect, serve: Serve) -> None:
    server = serve(lambda _: Reply(body="running"))
    connect("v1", server.base_url, api_key=None).task("t").status()
    assert server.seen[0].headers["authorization"] == f"Bearer {SECRET}"


@pytest.mark.parametrize("name", BUILT_IN)
@pytest.mark.parametrize(
    "base_url",
    [
        "https://api.browser-use.com",
        "https://API.browser-use.com:443/",
        "http://localhost:1",
        "http://127.9.9.9",
        "http://[::1]:80",
    ],
)
def test_the_key_of_the_environment_is_for_the_own_server_and_this_machine(name: str, base_url: str) -> None:
    assert usable_key(service(name), base_url).get_secret_value() == SECRET


def test_the_eu_service_by_name_needs_a_key_of_its_own(connect: Connect) -> None:
    assert connect("v4", "eu").base_url == "https://api.eu.browser-use.com"
    with pytest.raises(ValueError, match=r"no API key: .*https://api\.eu\.browser-use\.com"):
        connect("v4", "eu", api_key=None)
    with pytest.raises(ValueError, match="base_url must be like 'https://host'"):
        connect("v3", "eu")


@pytest.mark.parametrize("name", BUILT_IN)
@pytest.mark.parametrize(
    "base_url",
    [
        "https://api.browser-use.com.evil.example",
        "https://api-browser-use.com",
        "http://api.browser-use.com",  # in clear text
        "https://api.browser-use.com:8443",
        "https://localhost.evil.example",
        "http://10.0.0.1",
        "https://127.0.0.1.nip.example",
    ],
)
def test_the_key_of_the_environment_goes_nowhere_else(connect: Connect, name: str, base_url: str) -> None:
    with pytest.raises(
        ValueError, match=r"no API key: the one in BROWSER_USE_API_KEY is for https://api\.browser-use\.com and"
    ) as info:
        connect(name, base_url, api_key=None)
    assert base_url in str(info.value)
    assert "pass api_key=..." in str(info.value)
    assert SECRET not in str(info.value)


def test_a_given_key_is_sent_to_any_server() -> None:
    assert usable_key(service("v2"), "https://proxy.example", SecretStr(KEY)).get_secret_value() == KEY


def test_own_service_is_never_sent_the_key_of_another(connect: Connect, serve: Serve) -> None:
    server = serve(lambda _: Reply(body="running"))
    with pytest.raises(
        ValueError, match="no API key: 'mine' names no environment variable that holds one; pass api_key="
    ):
        connect(own(), server.base_url, api_key=None)
    assert not server.seen


def test_a_copy_of_a_built_in_service_with_another_server_is_not_sent_its_key(connect: Connect) -> None:
    with pytest.raises(ValueError, match=r"is not sent to https://mine\.example"):
        connect(replace(service("v3"), base_url="https://mine.example"), "https://mine.example", api_key=None)


def test_a_service_may_name_a_variable_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    binding = own(key_variable=KeyVariable("MINE_KEY", "https://mine.example"))
    with pytest.raises(ValueError, match="no API key: MINE_KEY is not set; pass api_key="):
        usable_key(binding, binding.base_url)
    monkeypatch.setenv("MINE_KEY", "")
    with pytest.raises(ValueError, match="no API key: MINE_KEY is empty; pass api_key="):
        usable_key(binding, binding.base_url)
    monkeypatch.setenv("MINE_KEY", "its own")
    with pytest.raises(ValueError, match="a header cannot carry"):
        usable_key(binding, binding.base_url)
    monkeypatch.setenv("MINE_KEY", "its-own")
    assert usable_key(binding, binding.base_url).get_secret_value() == "its-own"


def test_a_service_may_ask_for_no_key(connect: Connect, serve: Serve) -> None:
    server = serve(lambda _: Reply(body="running"))
    assert connect(own(authentication=None), server.base_url, api_key=None).task("t").status() == "running"
    assert SECRET not in repr(server.seen[0])
    assert "authorization" not in server.seen[0].headers
    with pytest.raises(ValueError, match="mine takes no API key"):
        connect(own(authentication=None), server.base_url, api_key=KEY)


@pytest.mark.parametrize("key", [123, b"bytes", ["k"]])
def test_key_of_another_type_is_refused(connect: Connect, key: Any) -> None:
    with pytest.raises(TypeError, match=f"api_key must be text, not {type(key).__name__}"):
        connect("v1", "http://127.0.0.1:1", api_key=key)


@pytest.mark.parametrize("key", ["", "two words", "kéy", "line\nbreak"])
def test_key_with_characters_unfit_for_a_header_is_refused(connect: Connect, key: str) -> None:
    with pytest.raises(ValueError, match="API key"):
        connect("v1", "http://127.0.0.1:1", api_key=key)


@pytest.mark.parametrize("url", ["http://a..b", "http://[::1"])
def test_invalid_server_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="base_url"):
        is_this_machine(url)


@pytest.mark.parametrize(
    "given",
    [
        {"api_key": f"{KEY}\u20ac"},
        {"api_key": f"{KEY} "},
        {"api_key": KEY, "base_url": "nowhere"},
        {"api_key": KEY, "journal": "j.db"},
        {"api_key": None, "base_url": "https://mine.example"},
    ],
)
@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_a_client_that_is_refused_leaves_no_key_in_any_frame(kind: type[Client], given: dict[str, Any]) -> None:
    """An error report may show the variables of every frame of ours."""
    with pytest.raises((TypeError, ValueError)) as info:
        kind("v1", **given)

    frames = [frame for frame, _ in walk_tb(info.value.__traceback__)][1:]
    assert frames
    for frame in frames:
        shown = {name: vars(each) if isinstance(each, kind) else each for name, each in frame.f_locals.items()}
        assert KEY not in repr(shown)
        assert SECRET not in repr(shown)
