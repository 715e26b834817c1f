"""A server that repeats the API key, in every place and spelling: no result or error of a client contains it."""

from __future__ import annotations

import base64
import html
import io
import json
import re
import time
from collections.abc import Callable
from dataclasses import replace
from html.entities import codepoint2name
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import pytest
from pydantic import SecretStr

from lifecycle import CreateUncertain, LifecycleError
from lifecycle.memory import MemoryJournal
from lifecycle_adapters.http import Call, Client, InvalidResponse, ListCall
from lifecycle_adapters.http.redaction import HIDDEN, Redactor
from lifecycle_adapters.journal import SqlJournal
from lifecycle_adapters.services.v2 import V2
from tests.adapters.http.both import QUICK
from tests.adapters.http.conftest import Connect, Serve
from tests.adapters.http.scripted import Reply
from tests.adapters.http.test_errors import everything_said_by, log

__all__ = ["log"]

KEY = "sk/live/that-nobody-may-see"


def escaped(document: Any) -> bytes:
    """JSON with every character of the key as its number."""
    return json.dumps(document).replace(KEY, "".join(f"\\u{ord(each):04X}" for each in KEY)).encode()


SPELLINGS: dict[str, Callable[[Any], bytes]] = {
    "plain": lambda document: json.dumps(document).encode(),
    "slashes": lambda document: json.dumps(document).replace("/", "\\/").encode(),
    "numbers": escaped,
    "JSON in JSON": lambda document: json.dumps({**document, "detail": escaped(document).decode()}).encode(),
    "UTF-16": lambda document: json.dumps(document).encode("utf-16"),
    "UTF-16 and escaped": lambda document: escaped(document).decode().encode("utf-16-be"),
    "UTF-32": lambda document: json.dumps(document).encode("utf-32"),
    "UTF-16, no JSON": lambda document: ("«" + json.dumps(document)).encode("utf-16-le"),
    "UTF-16 that is not known to be": lambda document: "₠".encode("utf-16-le") + str(document).encode("utf-16-le"),
    "URL": lambda document: str(document).replace(KEY, KEY.replace("/", "%2F")).encode(),
    "HTML": lambda document: f"<p>{document}</p>".replace(KEY, KEY.replace("/", "&#x2F;")).encode(),
}
PLACES: dict[str, Any] = {
    "status": {"id": "t", "status": KEY},
    "id": {"id": KEY, "status": "started"},
    "output": {"id": "t", "status": "started", "output": f"it is {KEY}", "deep": [{KEY: [KEY]}]},
    "detail": {"detail": f"no good: {KEY}"},
    "fields": {"detail": [{"loc": ["header", KEY], "msg": KEY, "type": KEY}]},
    "listed": {"items": [{"id": KEY, "status": KEY, "task": KEY}]},
}


# No variable of a test may hold the key, because the frames of the tests are part of an error's traceback.


@pytest.mark.parametrize("status_code", [200, 422])
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_key_repeated_by_a_server_is_hidden(
    serve: Serve, connect: Connect, log: io.StringIO, spelling: str, status_code: int
) -> None:
    place, journal = "", MemoryJournal()
    server = serve(lambda _: Reply(status=status_code, body=SPELLINGS[spelling](PLACES[place])))
    client = connect("v2", server.base_url, api_key=KEY, journal=journal, timing=replace(QUICK, attempts=1))
    task = client.task("t")
    for place in PLACES:
        for ask in (task.status, task.details, task.stop, lambda: client.create("milk"), lambda: list(client.list())):
            assert not tells_the_key(all_that_comes_of(ask)), (place, ask)
    assert not tells_the_key(log.getvalue())
    assert not tells_the_key(repr((task.journal.load(), vars(task.journal), vars(journal))))
    assert len(server.seen) >= 5 * len(PLACES)


def test_id_that_contained_the_key_is_not_an_id(serve: Serve, connect: Connect) -> None:
    server = serve(lambda _: Reply(body={"id": f"{KEY}-17", "sessionId": "s"}))
    client = connect("v2", server.base_url, api_key=KEY)
    with pytest.raises(CreateUncertain, match=r"no id at 'id' that a request can carry, but '\[the API key\]-17'"):
        client.create("milk")
    assert len(server.seen) == 1


def test_a_next_page_from_which_the_key_was_removed_is_not_read(serve: Serve, connect: Connect) -> None:
    call = Call(method="GET", path="/tasks")
    binding = replace(V2, listing=ListCall(call=call, items_field="items", pages="urls", next_field="next"))
    body = {"items": [{"id": "a"}], "next": f"/api/v2/tasks?api_key={KEY}&page=2"}
    server = serve(lambda _: Reply(body=body))
    with pytest.raises(InvalidResponse, match="holds no URL of /api/v2/tasks with a query"):
        list(connect(binding, server.base_url, api_key=KEY).list())
    assert len(server.seen) == 1


def all_that_comes_of(ask: Callable[[], object]) -> str:
    try:
        answer = ask()
    except LifecycleError as error:
        return everything_said_by(error)
    return repr(getattr(answer, "__dict__", answer))


def tells_the_key(said: str) -> bool:
    """Return whether a person could read it, also if the replacements in a message split it."""
    read = said.replace("\\x00", "").replace("\\u0026", "&").replace("\\", "")
    read = html.unescape(unquote(read))
    return KEY in read or " ".join(KEY) in read


def raises(_: Any) -> str:
    raise LookupError(f"a second read failed with the headers {{'X-Key': '{KEY}'}}")


def raises_where_a_message_is_cut(_: Any) -> str:
    raise LookupError(f"{'.' * (300 - len('`state_of` finds no status in the response: LookupError: ') - 9)}{KEY}")


def returns_no_text(_: Any) -> Any:
    return [KEY]


def returns_no_text_where_a_message_is_cut(_: Any) -> Any:
    return ["." * 60, KEY]


def returns_a_status(_: Any) -> str:
    return f"unreadable: {KEY}"


STATUS_FUNCTIONS: list[Callable[[Any], Any]] = [
    raises,
    raises_where_a_message_is_cut,
    returns_no_text,
    returns_no_text_where_a_message_is_cut,
    returns_a_status,
]


@pytest.mark.parametrize("state_of", STATUS_FUNCTIONS)
def test_key_in_what_a_function_of_the_binding_raises_or_returns_is_hidden(
    serve: Serve, connect: Connect, log: io.StringIO, tmp_path: Path, state_of: Callable[[Any], Any]
) -> None:
    read = Call(method="GET", path="/tasks/{id}", status_field="")
    create = Call(method="POST", path="/tasks", body={}, status_field="")
    binding = replace(V2, status=read, details=read, create=create, listing=None, state_of=state_of)
    server = serve(lambda _: Reply(body={"id": "t", "status": "started"}))
    with SqlJournal(tmp_path / "journal.db") as journal:
        client = connect(binding, server.base_url, api_key=KEY, journal=journal, timing=replace(QUICK, attempts=1))
        task = client.task("t")
        for ask in (task.status, task.details, task.stop, lambda: client.create("milk"), client.recover):
            assert KEY[:8] not in all_that_comes_of(ask)
    assert KEY[:8] not in log.getvalue()
    assert all(KEY[:8].encode() not in each.read_bytes() for each in tmp_path.iterdir())
    assert server.seen


HEADERS = {
    "type of no JSON": Reply(body=b"<", headers={"Content-Type": f"text/html; key={KEY}"}),
    "type of an error": Reply(status=500, body=b"<", headers={"Content-Type": f"text/html; key={KEY}"}),
    "location": Reply(status=302, body=b"", headers={"Location": f"https://a.example/?key={KEY.replace('/', '%2f')}"}),
    "status line": Reply(raw=f"HTTP/1.1 {KEY}\r\n\r\n".encode()),
    "no header": Reply(raw=f"HTTP/1.1 200 OK\r\n{KEY} x: y\r\n\r\n".encode()),
}


@pytest.mark.parametrize("name", HEADERS)
def test_no_header_contains_the_key(serve: Serve, connect: Connect, name: str) -> None:
    server = serve(lambda _: HEADERS[name])
    with pytest.raises(LifecycleError) as raised:
        connect("v2", server.base_url, api_key=KEY).task("t").status()
    assert not tells_the_key(everything_said_by(raised.value))


def test_redaction_keeps_the_rest_of_a_document(serve: Serve, connect: Connect) -> None:
    document = {"id": "t", "status": "started", "output": f"a\nb {KEY} \\c é", "cost": 1.5}
    server = serve(lambda _: Reply(body=SPELLINGS["slashes"](document)))
    details = connect("v2", server.base_url, api_key=KEY).task("t").details()
    assert details == {**document, "output": f"a\nb {HIDDEN} \\c é"}


def test_a_response_about_the_key_is_about_another_task(serve: Serve, connect: Connect) -> None:
    server = serve(lambda _: Reply(body=PLACES["id"]))
    with pytest.raises(InvalidResponse, match=r"another task, '\[the API key\]'"):
        connect("v2", server.base_url, api_key=KEY).task("t").status()


def test_key_that_is_a_status_does_not_hide_that_status(serve: Serve, connect: Connect) -> None:
    server = serve(lambda _: Reply(body={"id": "t", "status": "started"}))
    assert connect("v2", server.base_url, api_key="started").task("t").status() == "started"


@pytest.mark.parametrize(
    "piece",
    [b"\\", b"\0", b"%73", b"%2525", b"&", b"&amp;", b"&#0", b"\\u0073", b"s\\", b"s\0", KEY[:-1].encode() + b"\\"],
)
def test_key_search_is_linear_in_the_body(piece: bytes) -> None:
    begun_s = time.monotonic()
    redactor = Redactor()
    redactor.add(SecretStr(KEY))
    redactor.content(piece * (300_000 // len(piece)))
    assert time.monotonic() - begun_s < 10  # 0.1 s as a rule; hours if it went back and forth


@pytest.mark.parametrize("before", ["", "u", "us", "usr", "user:"])
@pytest.mark.parametrize("after", ["", "!", ":password"])
def test_key_in_base64_is_hidden(before: str, after: str) -> None:
    redactor = Redactor()
    redactor.add(SecretStr(KEY))
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        sent = encode(f"{before}{KEY}{after}".encode()).decode()
        for text in (f"Basic {sent}", json.dumps({"detail": f"no good: {sent}"}).replace("/", "\\/")):
            said = redactor.text(text)
            assert HIDDEN in said
            left = "".join(re.findall(r"[\w+/-]+", said.replace(HIDDEN, " ").replace("\\/", "/")))
            assert len(left) < len(sent)
            for begin in range(len(sent) - 4):
                piece = sent[begin : begin + 5]
                hides_something = begin * 6 // 8 >= len(before) and (begin + 5) * 6 / 8 <= len(before + KEY)
                assert not (hides_something and piece in said)


@pytest.mark.parametrize("spell", [str.lower, str.upper])
def test_key_in_hexadecimal_is_hidden(spell: Callable[[str], str]) -> None:
    redactor = Redactor()
    redactor.add(SecretStr(KEY))
    said = redactor.text(f"no such key: {spell(KEY.encode().hex())}")
    assert said == f"no such key: {HIDDEN}"


def in_json(text: str) -> str:
    return json.dumps(text)[1:-1]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r\n\t", " ", "=\r\n", "%0D%0A", "%250a", "&#10;", "&#xA;", "<br/>\n"])
@pytest.mark.parametrize("times_in_json", [0, 1, 2])
def test_long_key_in_base64_is_hidden_also_if_lines_are_broken(end: str, times_in_json: int) -> None:
    key = "".join(f"{number:03x}/" for number in range(40))
    redactor = Redactor()
    redactor.add(SecretStr(key))
    sent = base64.encodebytes(f"bearer {key}".encode()).decode().strip().replace("\n", end)

    written = f"bad token: {sent}, sorry"
    for _ in range(times_in_json):
        written = in_json(written)
    said = redactor.text(written)

    assert said.startswith("bad token: ")
    assert said.endswith(", sorry")
    assert len(said) < 60
    assert HIDDEN in said


@pytest.mark.parametrize("piece", [b"\n", b" ", b"=", b"%25", b"&#0", b"\\", b"\\n", b"a\n", b"\\u000a"])
def test_search_for_a_wrapped_key_is_linear_in_the_body(piece: bytes) -> None:
    begun_s = time.monotonic()
    redactor = Redactor()
    redactor.add(SecretStr(KEY))
    redactor.content(piece * (300_000 // len(piece)) + base64.b64encode(KEY.encode()))
    assert time.monotonic() - begun_s < 10  # 0.2 s as a rule


def test_user_and_password_of_a_key_of_basic_authentication_are_hidden() -> None:
    redactor = Redactor()
    redactor.add(SecretStr(base64.b64encode(b"me:correct horse").decode()))
    assert redactor.text("me:correct horse is wrong") == f"{HIDDEN} is wrong"
    assert redactor.text("password 'correct horse'") == f"password '{HIDDEN}'"
    assert redactor.text("it is me") == "it is me"


ESCAPES: list[Callable[[str], str]] = [
    html.escape,
    quote,
    lambda text: quote(quote(text, safe="")),
    lambda text: "".join(f"&#{ord(each)};" for each in text),
    lambda text: "".join(f"&#X{ord(each):04X}" for each in text),
    lambda text: "".join(f"\\u0026{codepoint2name.get(ord(each), '#' + str(ord(each)))};" for each in text),
    in_json,
    lambda text: "".join(f"\\u{ord(each):04x}" for each in text),
]


@pytest.mark.parametrize("first", ESCAPES)
@pytest.mark.parametrize("then", [str, html.escape, in_json])
def test_key_that_is_escaped_for_html_a_url_or_json_is_hidden(first: Any, then: Any) -> None:
    key = "<k&y> of \"50%\" +'s'/1=2;#3"
    redactor = Redactor()
    redactor.add(SecretStr(key))
    assert redactor.text(f"no good: {then(first(key))}!") == f"no good: {HIDDEN}!"


@pytest.mark.parametrize(("key", "is_hidden"), [("1234567", False), ("12345678", True)])
def test_key_of_fewer_than_eight_characters_is_shown(key: str, is_hidden: bool) -> None:
    redactor = Redactor()
    redactor.add(SecretStr(key))
    assert (HIDDEN in redactor.text(f"order {key}")) is is_hidden


@pytest.mark.parametrize(
    "task_id", [KEY, f"Bearer {KEY}", quote(KEY, safe=""), base64.b64encode(KEY.encode()).decode()]
)
def test_api_key_that_is_passed_as_an_id_is_refused_and_not_shown(connect: Connect, serve: Serve, task_id: str) -> None:
    server = serve(lambda _: Reply(drops=True))
    client: Any = connect("v4", server.base_url, api_key=KEY)
    with pytest.raises(CreateUncertain) as uncertain:
        client.create("buy milk")
    uses: list[Callable[[], Any]] = [
        lambda: client.task(task_id),
        lambda: client.session(task_id),
        lambda: client.session("s").message(task_id),
        lambda: client.adopt_create(uncertain.value.create_id, task_id),
    ]
    for use in uses:
        with pytest.raises(ValueError, match=r"^a task's id must not contain the client's API key$") as raised:
            use()
        assert raised.value.__cause__ is None
    assert len(server.seen) == 1


def test_read_refuses_the_api_key_as_an_id() -> None:
    client = Client("v4", base_url="http://127.0.0.1:9", api_key=KEY)
    with client, pytest.raises(ValueError, match=r"^a task's id must not contain the client's API key$"):
        client.read(KEY)


def test_short_key_may_be_in_an_id(connect: Connect) -> None:
    client: Any = connect("v4", "http://127.0.0.1:9", api_key="task")
    assert client.task("task-1").id == "task-1"
