"""Proxies and certificates of the environment: a client uses them, or raises an error that says what to do."""

from __future__ import annotations

import asyncio
import re
import traceback
from dataclasses import replace
from importlib.util import find_spec
from typing import Any

import httpx2
import pytest

from lifecycle_adapters.http import AsyncClient, Client, ClientUnusable, HttpError, InvalidResponse, NotConnected
from tests.adapters.http.both import KEY, QUICK
from tests.adapters.http.conftest import NO_CERTIFICATES, Serve
from tests.adapters.http.scripted import Reply
from tests.adapters.http.test_errors import everything_said_by

SERVICE = "http://service.invalid"
PASSWORD = "pw-of-the-proxy"

both = pytest.mark.parametrize("kind", [Client, AsyncClient])


@both
@pytest.mark.skipif(find_spec("socksio") is not None, reason="the package is installed")
@pytest.mark.parametrize("scheme", ["socks5", "socks5h"])
def test_package_that_a_socks_proxy_needs_is_named(
    kind: type[Client | AsyncClient], scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", f"{scheme}://user:{PASSWORD}@127.0.0.1:9")
    with pytest.raises(ClientUnusable, match=r"SOCKS proxy.*: pip install socksio$") as raised:
        kind("v1", api_key=KEY, base_url=SERVICE)
    assert PASSWORD not in everything_said_by(raised.value)
    assert raised.value.__context__ is None
    assert KEY not in _variables_of(raised.value, "Driver.__init__")


@both
@pytest.mark.parametrize("variable", ["ALL_PROXY", "http_proxy", "HTTPS_PROXY"])
@pytest.mark.parametrize(
    "url",
    [
        "socks://u:{}@h:1",
        "ftp://u:{}@h",
        "http://u:{}@[::1",
        "http://u:{}@h:port",
        "http://u:{}@xn--ä",
        "http://u:{}@\udcff",
        "http://u:{}@h/\x01",
    ],
)
def test_invalid_proxy_url_error_names_its_variable(
    kind: type[Client | AsyncClient], variable: str, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, url.format(PASSWORD))
    with pytest.raises(ClientUnusable, match=rf"^{variable} holds no URL of a proxy: use http://HOST:PORT") as raised:
        kind("v1", api_key=KEY, base_url=SERVICE)
    assert PASSWORD not in everything_said_by(raised.value)


@both
@pytest.mark.parametrize("variable", ["ALL_PROXY", "http_proxy", "HTTPS_PROXY"])
@pytest.mark.parametrize("url", ["http://", "http://u:{}@", "http://:8080", "socks5://"])
def test_proxy_without_a_host_error_names_its_variable(
    kind: type[Client | AsyncClient], variable: str, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, url.format(PASSWORD))
    with pytest.raises(ClientUnusable, match=rf"^{variable} holds a URL without a host: use http://HOST") as raised:
        kind("v1", api_key=KEY, base_url=SERVICE)
    assert PASSWORD not in everything_said_by(raised.value)
    kind("v1", api_key=KEY, base_url="http://127.0.0.1:9")  # which no proxy is asked for


@both
def test_certificates_that_cannot_be_read_are_named(
    kind: type[Client | AsyncClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/ca.pem")
    with pytest.raises(ClientUnusable, match=r"SSL_CERT_FILE='/nowhere/ca.pem'"):
        kind("v1", api_key=KEY, base_url=SERVICE)


@pytest.mark.parametrize("status", [200, 302, 407, 503])
@pytest.mark.parametrize("service", [SERVICE, SERVICE.replace("http:", "https:")])
def test_proxy_that_responds_with_html_is_an_error_of_ours(
    serve: Serve, status: int, service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = Reply(status=status, body=b"<html>Log in</html>", headers={"Content-Type": "text/html"}, hangs_up=True)
    monkeypatch.setenv("ALL_PROXY", serve(lambda _: page).base_url)
    with Client("v1", api_key=KEY, base_url=service, timing=QUICK) as client, pytest.raises(HttpError) as raised:
        client.task("t").status()
    if service.startswith("https:"):
        assert isinstance(raised.value, NotConnected)
    elif status == 200:
        assert isinstance(raised.value, InvalidResponse)
        assert str(raised.value).endswith("the response is not JSON but text/html; is a proxy in between?")
    assert KEY not in everything_said_by(raised.value)


def _variables_of(error: BaseException, function: str) -> str:
    frames = (frame for frame, _ in traceback.walk_tb(error.__traceback__))
    return str([frame.f_locals for frame in frames if frame.f_code.co_qualname.endswith(function)])


PROXIES = {
    "refuses": ("127.0.0.1:1", "refused"),
    "is not found": ("proxy.invalid:3128", ""),
    "IPv6": ("[::1]:1", ""),
    "asks for a password": ("", "407"),
    "reaches nothing": ("", "502"),
}


def client_through(place: str, kind: type[Client | AsyncClient], source: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return an httpx2 client with a proxy; None if a variable of the environment is to name the proxy."""
    proxy = f"http://user:{PASSWORD}@{place}"  # in no variable of the test, which an error's frames show
    if source.endswith("client"):
        monkeypatch.setenv("HTTPS_PROXY", "http://another.invalid:3128")
        return (httpx2.Client if kind is Client else httpx2.AsyncClient)(proxy=proxy, verify=NO_CERTIFICATES)
    monkeypatch.setenv(source, proxy)
    monkeypatch.setenv("HTTP_PROXY", proxy)  # which no request to https follows
    return None


@both
@pytest.mark.parametrize("case", PROXIES)
@pytest.mark.parametrize("source", ["HTTPS_PROXY", "https_proxy", "all_proxy", "the given httpx2 client"])
def test_failing_proxy_is_named_without_its_password(
    kind: type[Client | AsyncClient], serve: Serve, case: str, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, reason = PROXIES[case]
    if not place:
        status = int(reason)
        place = serve(lambda _: Reply(status=status, hangs_up=True)).base_url.removeprefix("http://")
    http = client_through(place, kind, source, monkeypatch)

    async def status_of_a_task() -> None:
        timing = replace(QUICK, attempts=1)
        client = kind("v4", api_key=KEY, base_url="https://service.invalid", timing=timing, http=http)
        read: Any = client.task("t").status()
        if isinstance(client, AsyncClient):
            await read

    said = rf"{reason}.* \(https://service\.invalid through the proxy {re.escape(place)} of {source}\)$"
    with pytest.raises(NotConnected, match=said) as raised:
        asyncio.run(status_of_a_task())
    assert PASSWORD not in everything_said_by(raised.value)
    assert KEY not in everything_said_by(raised.value)


@both
def test_error_of_a_refused_connection_has_the_reason(kind: type[Client | AsyncClient]) -> None:
    async def status() -> None:
        client = kind("v1", api_key=KEY, base_url="http://127.0.0.1:1", timing=QUICK)
        read: Any = client.task("t").status()
        if isinstance(client, AsyncClient):
            await read

    with pytest.raises(NotConnected, match=r"refused.*\(http://127\.0\.0\.1:1\)$"):
        asyncio.run(status())
