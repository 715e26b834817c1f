"""Documents in files and behind URLs, and unusable ones: each leads to a clear error, within limits."""

from __future__ import annotations

import gzip
import json
import socket
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from lifecycle_adapters.drift import OpenApiDocument, UnusableDocument, fetching, load
from lifecycle_adapters.drift.loading import LIMIT_BYTES, YAML_LIMIT_BYTES, YAML_LIMIT_PARTS
from tests.adapters.drift.made import compared_service, dated, printer
from tests.adapters.http.scripted import Reply, Script, ScriptedServer, refused_port

Written = Callable[[str | bytes], Path]


@pytest.fixture
def written(tmp_path: Path) -> Written:
    """Write a file whose name does not show its format."""

    def write(content: str | bytes) -> Path:
        path = tmp_path / "api.txt"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


# --- formats ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("dumped", [json.dumps, partial(yaml.safe_dump, allow_unicode=True)])
def test_json_and_yaml_are_read_in_the_encodings_of_unicode(
    written: Written, dumped: Callable[[Any], str], encoding: str
) -> None:
    contents = printer(info={"title": "Drücker", "version": "7"})
    document = load(written(dumped(contents).encode(encoding)))
    assert document.contents == contents
    assert compared_service(document.contents).title == "Drücker 7"


def test_a_dated_document_is_the_same_in_yaml(written: Written) -> None:
    contents = dated("v3-2026-08-06")
    assert load(written(yaml.safe_dump(contents))).contents == contents


def test_words_of_old_yaml_are_text(written: Written) -> None:
    text = "openapi: 3.1.0\npaths: {}\nx: [on, off, no, y, 2026-01-01, true, False, null]\n200: {on: 1}\n"
    contents = load(written(text)).contents
    assert contents["x"] == ["on", "off", "no", "y", "2026-01-01", True, False, None]
    assert contents["200"] == {"on": 1}


def test_aliases_and_merged_keys_are_read(written: Written) -> None:
    text = "openapi: 3.1.0\npaths: {}\na: &a {b: 1, c: 2}\nd: *a\ne: {<<: *a, c: 3}\n"
    assert load(written(text)).contents["e"] == {"b": 1, "c": 3}


def test_a_file_may_be_named_by_text(written: Written) -> None:
    path = written(json.dumps(printer()))
    assert isinstance(load(str(path)), OpenApiDocument)
    assert load(str(path)).source == str(path)


def bomb(line: str) -> str:
    lines = ["a0: &a0 {x: 1}", *(f"a{i}: &a{i} " + line.format(", ".join([f"*a{i - 1}"] * 9)) for i in range(1, 40))]
    return "\n".join(lines)


# fmt: off
UNREADABLE: list[tuple[str | bytes, str]] = [
    ("", "cannot be read as YAML: it is empty"),
    ("hello", "is not an OpenAPI document"),
    ("\n<!doctype html><p>hello", "is HTML or XML, not JSON or YAML; is this the address of a page about it?"),
    ("{", "cannot be read as JSON: "),
    ('{"paths": {}, "paths": {}}', "cannot be read as JSON: the key 'paths' occurs twice in one object"),
    ('{"x": NaN}', "cannot be read as JSON: NaN is not JSON"),
    ("[-Infinity]", "cannot be read as JSON: -Infinity is not JSON"),
    ("[" * 100_000, "cannot be read as JSON: it is nested too deeply"),
    (b'{"a": "\xff"}', "cannot be read as JSON: "),
    ("a: 1\nb: 2\na: 3", "cannot be read as YAML: line 3: the key 'a' occurs twice"),
    ("? [a]\n: 1", "cannot be read as YAML: line 1: a key must be text"),
    ("a: [", "cannot be read as YAML: "),
    ("a: \x07", "cannot be read as YAML: "),
    (b"a: \xff", "cannot be read as YAML: "),
    ("a: !!python/object/apply:os.getcwd []", "cannot be read as YAML: could not determine a constructor"),
    ("- " * 100_000, "cannot be read as YAML: it is nested more than 200 deep"),
    ("a: " + "[" * 100_000, "cannot be read as YAML: it is nested more than 200 deep"),
    ("a: &a [*a]", "cannot be read as YAML: an alias in it refers to a part that contains it"),
    ("a: &a {<<: *a}", "cannot be read as YAML: an alias in it refers to a part that contains it"),
    (bomb("[{}]"), "cannot be read as YAML: its aliases repeat more than 400,000 parts"),
    (bomb("{{<<: [{}]}}"), "cannot be read as YAML: its aliases repeat more than 400,000 parts"),
    ("a: [" + "a," * YAML_LIMIT_PARTS + "]", "cannot be read as YAML: it has more than 400,000 parts; give it as JSON"),
    ("a: " + "a" * YAML_LIMIT_BYTES, "cannot be read as YAML: it has more than 4 MB; give it as JSON"),
]
# fmt: on


@pytest.mark.parametrize(("content", "message"), UNREADABLE, ids=lambda each: str(each)[:30])
def test_unreadable_document_is_a_clear_error(written: Written, content: str | bytes, message: str) -> None:
    path = written(content)
    with pytest.raises(UnusableDocument) as raised:
        load(path)
    assert str(raised.value).startswith(f"{path}: {message}")
    assert len(str(raised.value)) < 600


def test_fifty_megabytes_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "large.json"
    with path.open("wb") as file:
        file.truncate(50_000_000)
    tracemalloc.start()
    try:
        with pytest.raises(UnusableDocument, match="has more than 16 MB; cut it down to what is compared"):
            load(path)
        assert tracemalloc.get_traced_memory()[1] < 2 * LIMIT_BYTES
    finally:
        tracemalloc.stop()


def test_missing_file_raises_oserror(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "none.json")
    with pytest.raises(IsADirectoryError):
        load(tmp_path)


def test_a_url_of_another_scheme_is_refused() -> None:
    with pytest.raises(UnusableDocument, match="a URL that begins with http:// or https://"):
        load("ftp://printer.invalid/api.json")


# --- URLs ------------------------------------------------------------------------------------------


@pytest.fixture
def serve() -> Iterator[Callable[[Script | Reply], ScriptedServer]]:
    with ExitStack() as running:

        def serve(given: Script | Reply) -> ScriptedServer:
            script: Script = (lambda _: given) if isinstance(given, Reply) else given
            return running.enter_context(ScriptedServer(script).running())

        yield serve


Serve = Callable[[Script | Reply], ScriptedServer]


def test_a_document_is_fetched(serve: Serve) -> None:
    server = serve(Reply(body=printer()))
    document = load(f"{server.base_url}/api.json?key=secret", allow_private=True)
    assert document.contents == printer()
    assert document.source == f"{server.base_url}/api.json"  # a query may hold a key
    assert server.calls == ["GET /api.json?key=secret"]


def test_a_compressed_document_is_fetched(serve: Serve) -> None:
    body = gzip.compress(json.dumps(printer()).encode(), mtime=0)
    server = serve(Reply(body=body, headers={"Content-Encoding": "gzip"}))
    assert load(server.base_url, allow_private=True).contents == printer()


def endless() -> Reply:
    """A response of a megabyte a second, if it is read so quickly, for an hour."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 4000000000\r\n\r\n"
    return Reply(raw=head + b" " * 100_000, pieces_s=0.05)


# fmt: off
REPLIES: list[tuple[Reply, str]] = [
    (Reply(status=302, headers={"Location": "http://169.254.169.254/"}),
     "the response redirects to http://169.254.169.254/; give that URL, if it is meant"),
    (Reply(status=404), "the response has status 404"),
    (Reply(status=204, body=b""), "the response has status 204"),
    (Reply(body=b"{}", headers={"Content-Type": "text/html; charset=utf-8"}), "the response is HTML"),
    (Reply(body=b"<html>", headers={"Content-Type": "text/plain"}), "is HTML or XML"),
    (Reply(drops=True), "no response: "),
    (endless(), "the response did not end within 0.5 seconds"),
    (Reply(raw=b"HTTP/1.1 100 Continue\r\n\r\n" * 10_000, pieces_s=0.02), "the response did not end within 0.5 "),
    (Reply(delay_s=2), "the response did not end within 0.5 seconds"),
    (Reply(body=gzip.compress(b" " * (LIMIT_BYTES + 1), mtime=0), headers={"Content-Encoding": "gzip"}),
     f"the response has more than {LIMIT_BYTES} bytes"),
]
# fmt: on


@pytest.mark.parametrize(("reply", "message"), REPLIES, ids=lambda each: str(each)[:40])
def test_response_without_a_document_is_a_clear_error(serve: Serve, reply: Reply, message: str) -> None:
    server = serve(reply)
    timeout_s = 0.5 if "0.5" in message else 60
    with pytest.raises(UnusableDocument) as raised:
        load(f"{server.base_url}/api.json", allow_private=True, timeout_s=timeout_s)
    assert str(raised.value).startswith(f"{server.base_url}/api.json: {message}")


def test_closed_port_is_a_clear_error() -> None:
    with pytest.raises(UnusableDocument, match=r": no response: "):
        load(refused_port(), allow_private=True)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "127.1"])
def test_a_private_address_is_refused_unless_allowed(serve: Serve, host: str) -> None:
    server = serve(Reply(body=printer()))
    with pytest.raises(UnusableDocument, match=r"is an address of this machine or a private network|no response"):
        load(server.base_url.replace("127.0.0.1", host))
    assert server.seen == []
    assert server.connections == 0


def test_a_name_is_judged_by_the_address_that_is_connected_to(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name server that first names a public address, then a private one, gains nothing."""
    server = serve(Reply(body=printer()))
    port = int(server.base_url.rpartition(":")[2])
    asked: list[str] = []

    def look_up(host: str, *_: Any, **__: Any) -> list[Any]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    with pytest.raises(UnusableDocument, match=r"127\.0\.0\.1 is an address of this machine"):
        load(f"http://public.example:{port}/api.json")
    assert asked == ["public.example"]
    assert server.connections == 0


# fmt: off
ADDRESSES = [
    ("93.184.216.34", True), ("2606:2800:220:1::1", True), ("::ffff:93.184.216.34", True),
    ("10.1.2.3", False), ("172.16.0.1", False), ("192.168.1.1", False), ("169.254.169.254", False),
    ("100.64.0.1", False), ("192.0.0.192", False), ("0.0.0.0", False), ("224.0.0.1", False), ("255.255.255.255", False),
    ("::1", False), ("::", False), ("fe80::1%eth0", False), ("fd00::1", False), ("ff02::1", False),
    ("::ffff:10.0.0.1", False), ("2002:0a00:0001::", False),
]
# fmt: on


@pytest.mark.parametrize(("address", "is_public"), ADDRESSES)
def test_public_addresses_are_distinguished_from_others(address: str, is_public: bool) -> None:
    assert fetching.is_public(address) is is_public


def test_a_url_with_a_password_is_refused_and_not_shown() -> None:
    with pytest.raises(UnusableDocument) as raised:
        load("https://me:secret@printer.invalid/api.json?key=secret")
    assert str(raised.value).startswith("https://printer.invalid/api.json: give a URL without user and password")


@pytest.mark.parametrize(
    "url", ["http://me:secret/@h/", "http://me:x@h:secret/", "http:/me:secret@h/x", "me:secret@h/x"]
)
def test_no_part_of_a_malformed_url_with_a_password_is_shown(url: str) -> None:
    with pytest.raises(UnusableDocument) as raised:
        load(url)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("url", ["http://", "http://[", "http://a b/", "https://printer.invalid:99999/"])
def test_a_malformed_url_is_a_clear_error(url: str) -> None:
    with pytest.raises(UnusableDocument):
        load(url, timeout_s=5)


@pytest.mark.parametrize("url", ["http://", "https://printer.invalid:99999/", "http://printer.invalid:0/"])
def test_a_url_without_a_host_or_with_an_impossible_port_is_named(url: str) -> None:
    with pytest.raises(UnusableDocument, match="the URL must name a host, and a port of at most 65535 if any"):
        load(url)


def test_proxies_of_the_environment_are_not_used(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = serve(Reply(body={}))
    server = serve(Reply(body=printer()))
    monkeypatch.setenv("HTTP_PROXY", proxy.base_url)
    monkeypatch.setenv("http_proxy", proxy.base_url)
    assert load(server.base_url, allow_private=True).contents == printer()
    assert proxy.seen == []


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"allow_private": "no"}, "allow_private must be True or False"),
        ({"timeout_s": "1_0"}, "timeout_s must be a number"),
        ({"source": b"api.json"}, "source must be text or a Path"),
    ],
)
def test_argument_of_another_type_is_refused(given: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {"source": "api.json", **given}
    with pytest.raises(TypeError, match=message):
        load(**arguments)
